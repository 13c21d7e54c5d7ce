//! Whether memory may be swapped out, which decides how dirty pages are found.
//!
//! This module must not turn anything on or off.
//!
//! `PAGEMAP_SCAN` does not report pages that were swapped out, so a dirty one would reach the next
//! item. A worker that was started without swap therefore ends soon after swap is turned on.

use std::path::Path;
use std::time::{Duration, Instant};

const SWAPS: &str = "/proc/swaps";
/// Looking costs some microseconds.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// After so many looks in a row that tell nothing, there may be swap.
const BLIND: u32 = 5;

/// Whether swap is active. Where the answer is unknown, it counts as active.
pub(crate) fn is_active() -> bool {
    is_listed(Path::new(SWAPS)).unwrap_or(true)
}

/// `None` where nobody can tell.
fn is_listed(swaps: &Path) -> Option<bool> {
    // The first line is a heading.
    std::fs::read_to_string(swaps).ok().map(|swaps| swaps.lines().count() > 1)
}

/// Looks now and then for swap that was not there before.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    swaps: &'static Path,
    turned_on: bool,
    /// When to look again; `None` if there was swap from the start, so nobody counts on its absence.
    next: Option<Instant>,
    /// Looks in a row that told nothing.
    blind: u32,
}

impl Watch {
    /// To be made before the worker starts: it looks later, and must not see less.
    pub(crate) fn start() -> Self {
        Self::of(Path::new(SWAPS))
    }

    fn of(swaps: &'static Path) -> Self {
        let next = (is_listed(swaps) == Some(false)).then(Instant::now);
        Self { swaps, turned_on: false, next, blind: 0 }
    }

    /// Looks again, if it is time, and tells whether swap has been turned on since the start.
    pub(crate) fn look(&mut self, now: Instant) -> bool {
        if !self.turned_on && self.next.is_some_and(|next| now >= next) {
            self.next = now.checked_add(BETWEEN_LOOKS);
            // A process without a descriptor to spare cannot look, and must not lose its workers for
            // that every time.
            self.blind = if let Some(listed) = is_listed(self.swaps) {
                self.turned_on = listed;
                0
            } else {
                self.blind + 1
            };
            self.turned_on |= self.blind >= BLIND;
        }
        self.turned_on
    }

    /// What the last look found.
    pub(crate) fn is_on(&self) -> bool {
        self.turned_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    /// A folder, and a list in it that names no swap.
    fn without_swap() -> (tempfile::TempDir, &'static Path) {
        let folder = tempfile::tempdir().unwrap();
        let path = Box::leak(folder.path().join("swaps").into_boxed_path());
        std::fs::write(&*path, HEADING).unwrap();
        (folder, path)
    }

    #[test]
    fn swap_is_seen_when_it_is_turned_on() {
        let (_folder, path) = without_swap();
        let mut watch = Watch::of(path);
        let now = Instant::now();
        assert!(!watch.look(now));
        std::fs::write(path, format!("{HEADING}/dev/sda2 partition 1 0 -2\n")).unwrap();
        assert!(!watch.look(now), "it does not look all the time");
        assert!(watch.look(now + BETWEEN_LOOKS));
        std::fs::write(path, HEADING).unwrap();
        assert!(watch.look(now + 2 * BETWEEN_LOOKS), "what was swapped out stays out");
    }

    #[test]
    fn who_cannot_look_for_a_while_goes_on_as_before() {
        let (_folder, path) = without_swap();
        let mut watch = Watch::of(path);
        let start = Instant::now();
        let mut looks = (0..).map(|n| start + n * BETWEEN_LOOKS);
        let mut look = || watch.look(looks.next().unwrap());
        for _ in 0..2 {
            std::fs::write(path, HEADING).unwrap();
            assert!(!look());
            std::fs::remove_file(path).unwrap();
            assert!((1..BLIND).all(|_| !look()));
        }
        assert!(look(), "not for ever");
    }

    #[test]
    fn swap_that_was_there_is_nothing_new_and_the_unknown_counts_as_swap() {
        assert_eq!(is_listed(Path::new("/nowhere/swaps")), None);
        let mut watch = Watch::of(Path::new("/nowhere/swaps"));
        assert!(!watch.look(Instant::now()));
    }
}
