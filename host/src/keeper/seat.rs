//! What others can see and say of a keeper: its bell, and how many items it could spare.
//!
//! This module must not block.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One keeper's place in the pool.
#[derive(Debug)]
pub(crate) struct Seat {
    bell: OwnedFd,
    unclaimed: AtomicUsize,
    busy: AtomicBool,
    asked: AtomicBool,
}

impl Seat {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            unclaimed: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        })
    }

    /// Wakes the keeper.
    pub(crate) fn wake(&self) {
        // The only failure is a counter at its maximum: a bell that rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Asks the keeper for items that its worker has not claimed.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake();
    }

    /// Keeper: turns readable when somebody wakes it.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Keeper: silences the bell.
    pub(crate) fn quiet(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// Keeper: whether it was asked since it last looked.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Acquire)
    }

    /// Keeper: tells what it holds.
    pub(crate) fn show(&self, outstanding: usize, unclaimed: usize) {
        self.busy.store(outstanding > 0, Ordering::SeqCst);
        self.unclaimed.store(unclaimed, Ordering::Relaxed);
    }

    pub(crate) fn unclaimed(&self) -> usize {
        self.unclaimed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }
}
