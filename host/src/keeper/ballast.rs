//! Whether a worker carries what a large item has left with it: memory of the guest that was touched
//! is kept for the next instance, as new memory costs more, and wiped for every one of them.
//!
//! This module must not end workers.

/// Bytes of an item, or of its result, from which on it counts as large.
const LARGE: u64 = 64 << 10;
/// Small items in a row for which another worker is worth its start: what is kept is 2 MiB at most,
/// which takes up to 20 µs to wipe; a start takes some milliseconds.
const LIGHT: u64 = 4096;

/// What a worker carries.
#[derive(Debug)]
pub(super) enum Ballast {
    /// It reuses its instance, so nothing is wiped.
    Never,
    None,
    /// So many small items came behind the last large one.
    Since(u64),
}

impl Ballast {
    pub(super) fn new(reuses: bool) -> Self {
        if reuses { Self::Never } else { Self::None }
    }

    /// Some items ended that have so many bytes together, results included.
    pub(super) fn note(&mut self, items: u64, bytes: u64) {
        let large = items > 0 && bytes / items >= LARGE;
        match self {
            Self::None | Self::Since(_) if large => *self = Self::Since(0),
            Self::Since(small) => *small += items,
            Self::Never | Self::None => {}
        }
    }

    /// Whether a worker without it would do better.
    pub(super) fn is_too_much(&self) -> bool {
        matches!(self, Self::Since(small) if *small >= LIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_items_behind_a_large_one_are_too_much() {
        let mut ballast = Ballast::new(false);
        ballast.note(1_000_000, 8_000_000);
        assert!(!ballast.is_too_much(), "no large one");
        ballast.note(1, LARGE);
        ballast.note(LIGHT - 1, 0);
        assert!(!ballast.is_too_much(), "not many");
        ballast.note(2, 2 * LARGE);
        ballast.note(LIGHT - 1, 0);
        assert!(!ballast.is_too_much(), "counted from the last large one");
        ballast.note(1, 8);
        assert!(ballast.is_too_much());
        let mut reused = Ballast::new(true);
        reused.note(1, 1 << 30);
        reused.note(1 << 30, 0);
        assert!(!reused.is_too_much());
    }
}
