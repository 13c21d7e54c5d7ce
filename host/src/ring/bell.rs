//! The flag that says "I am going to sleep", and when it is worth a system call to wake somebody.
//!
//! This module must not do the system calls themselves; it is checked by loom in `tests/loom`.

use super::sync::{AtomicU32, Ordering, fence};

/// One side's flag. It lives in shared memory, so a hostile peer can keep it in any state: the cost
/// is a needless system call or a late wake-up of that peer's own ring, never more.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Waiting(AtomicU32);

impl Waiting {
    #[allow(dead_code, reason = "only the model checker makes one: shared memory starts as zeros")]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Sleeper: raises the flag. It must look once more at what it waits for before it sleeps.
    pub(crate) fn raise(&self) {
        self.0.store(1, Ordering::Relaxed);
        // Orders the flag before the second look, against the fence in `must_ring`: without both,
        // each side may miss the other's store and the sleeper sleeps for ever.
        fence(Ordering::SeqCst);
    }

    /// Sleeper: takes the flag down again.
    pub(crate) fn lower(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Waker, after it has published something: whether the sleeper needs its bell. Answers true
    /// once per raised flag.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0
    }
}
