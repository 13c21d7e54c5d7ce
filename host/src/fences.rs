//! A pair of fences for one who says something often and one who asks seldom.
//!
//! This module must not be used by two sides that both only call [`light`]: that orders nothing.
//!
//! One thread writes, calls [`light`], and reads what another has written; that one writes, calls
//! [`heavy`], and reads what the first has written. Then at least one of them sees what the other
//! wrote, as with two sequentially consistent fences. But `light` is a fence for the compiler
//! alone: `heavy` has the kernel run a fence on every processor that runs a thread of this process
//! (`membarrier(2)`, private expedited). A fence takes some 10 ns, several times what a feeder
//! spends on an item otherwise.

use rustix::thread::{MembarrierCommand, membarrier};
use std::sync::LazyLock;
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// Whether the kernel can do that for this process. A process that was forked from this one has to
/// be registered again, but has none of its threads either.
static LENDS: LazyLock<bool> =
    LazyLock::new(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok());

/// To be called by a program that has one thread yet, and will have more: the kernel then notes that
/// at once, and later on it waits some 10 ms for all processors.
#[cfg(feature = "cli")]
pub(crate) fn prepare() {
    LazyLock::force(&LENDS);
}

/// For the side that says something often.
#[inline]
pub(crate) fn light() {
    if *LENDS {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// For the side that asks seldom: some microseconds.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if *LENDS && membarrier(MembarrierCommand::PrivateExpedited).is_err() {
        // Only of a process that is not registered.
        let _ = membarrier(MembarrierCommand::RegisterPrivateExpedited);
        let _ = membarrier(MembarrierCommand::PrivateExpedited);
    }
}
