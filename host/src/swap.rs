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

/// Whether swap is active. Where the answer is unknown, it counts as active.
pub(crate) fn is_active() -> bool {
    is_listed(Path::new(SWAPS))
}

fn is_listed(swaps: &Path) -> bool {
    // The first line is a heading.
    std::fs::read_to_string(swaps).map_or(true, |swaps| swaps.lines().count() > 1)
}

/// Looks now and then for swap that was not there before.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    swaps: &'static Path,
    turned_on: bool,
    /// When to look again; `None` if there was swap from the start, so nobody counts on its absence.
    next: Option<Instant>,
}

impl Watch {
    /// To be made before the worker starts: it looks later, and must not see less.
    pub(crate) fn start() -> Self {
        Self::of(Path::new(SWAPS))
    }

    fn of(swaps: &'static Path) -> Self {
        let next = (!is_listed(swaps)).then(Instant::now);
        Self { swaps, turned_on: false, next }
    }

    /// Looks again, if it is time, and tells whether swap has been turned on since the start.
    pub(crate) fn look(&mut self, now: Instant) -> bool {
        if !self.turned_on && self.next.is_some_and(|next| now >= next) {
            self.next = now.checked_add(BETWEEN_LOOKS);
            self.turned_on = is_listed(self.swaps);
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

    #[test]
    fn swap_is_seen_when_it_is_turned_on() {
        let folder = tempfile::tempdir().unwrap();
        let path: &'static Path = Box::leak(folder.path().join("swaps").into_boxed_path());
        std::fs::write(path, HEADING).unwrap();
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
    fn swap_that_was_there_is_nothing_new_and_the_unknown_counts_as_swap() {
        assert!(is_listed(Path::new("/nowhere/swaps")));
        let mut watch = Watch::of(Path::new("/nowhere/swaps"));
        assert!(!watch.look(Instant::now()));
    }
}
