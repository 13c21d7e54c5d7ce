//! Whether a call has items that nobody has taken, told by counts that need no lock.
//!
//! This module must not know what is counted; it is checked by loom in `tests/loom`.
//!
//! A feeder counts what it has shown; whoever holds the call's lock counts what it has moved from
//! there into the queue, and what lies in the queue. A keeper that goes idle looks at all of them,
//! after it has said so; the feeder looks for idle keepers after it has counted. So an item must be
//! in one of the counts at every moment: while it is moved, it is in both.

use crate::fences;
use crate::ring::sync::{AtomicUsize, Ordering};

/// Counts of what was shown, moved and queued.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    shown: Apart,
    moved: Apart,
    queued: Apart,
}

/// A cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(AtomicUsize);

impl Stock {
    /// Feeder: what it has shown so far, and how much of that was not moved.
    #[inline]
    pub(crate) fn shown(&self) -> (usize, usize) {
        let shown = self.shown.0.load(Ordering::Relaxed);
        (shown, shown.wrapping_sub(self.moved.0.load(Ordering::Acquire)))
    }

    /// Feeder: has shown everything before `to`. What it wrote there is seen by whoever moves it.
    #[inline]
    pub(crate) fn show(&self, to: usize) {
        self.shown.0.store(to, Ordering::Release);
        // Orders this before the feeder's look at idle keepers, against the fence with which one
        // of those goes idle.
        fences::light();
    }

    /// Holder of the lock: how far things were moved, and how far they can be.
    #[inline]
    pub(crate) fn to_move(&self) -> (usize, usize) {
        (self.moved.0.load(Ordering::Relaxed), self.shown.0.load(Ordering::Acquire))
    }

    /// Holder of the lock: is going to move something, and will say what is queued then.
    pub(crate) fn moving(&self) {
        if self.queued.0.load(Ordering::Relaxed) == 0 {
            self.queued.0.store(1, Ordering::Relaxed);
        }
    }

    /// Holder of the lock: has moved everything before `to`.
    pub(crate) fn moved(&self, to: usize) {
        self.moved.0.store(to, Ordering::Release);
    }

    /// Holder of the lock: so many items are queued now.
    pub(crate) fn queued(&self, items: usize) {
        self.queued.0.store(items, Ordering::Relaxed);
    }

    /// Whether there is something to take. It may be gone by then.
    #[inline]
    pub(crate) fn has_items(&self) -> bool {
        // What is moved meanwhile is in the last of the counts by the time that the second one
        // changes; looked at in another order, it could be missed in both.
        let shown = self.shown.0.load(Ordering::Relaxed);
        shown != self.moved.0.load(Ordering::Acquire) || self.queued.0.load(Ordering::Relaxed) > 0
    }
}
