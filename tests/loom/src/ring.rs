//! The files under test; `sync` stands in for the host's.

#![allow(dead_code, reason = "the models need a part of each file")]

pub(crate) mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

    /// A word that loom explores in full.
    ///
    /// Loom 0.7 remembers only the last access of an atomic: when two threads have loaded one, a
    /// compare-and-swap is tried before the second load and never before the first, so most
    /// interleavings of two compare-and-swap loops are left out, silently. Every access therefore
    /// begins with a relaxed step on a word of its own: those all conflict, and order no memory.
    #[derive(Debug)]
    pub(crate) struct AtomicU64 {
        value: loom::sync::atomic::AtomicU64,
        turn: AtomicU32,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            let value = loom::sync::atomic::AtomicU64::new(value);
            Self { value, turn: AtomicU32::new(0) }
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.turn.fetch_add(1, Ordering::Relaxed);
            self.value.load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.turn.fetch_add(1, Ordering::Relaxed);
            self.value.store(value, order);
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.turn.fetch_add(1, Ordering::Relaxed);
            self.value.compare_exchange(current, new, success, failure)
        }
    }
}

#[path = "../../../host/src/ring/bell.rs"]
pub(crate) mod bell;
#[path = "../../../host/src/ring/frame.rs"]
pub(crate) mod frame;
#[path = "../../../host/src/ring/row.rs"]
pub(crate) mod row;
#[path = "../../../host/src/ring/word.rs"]
pub(crate) mod word;
