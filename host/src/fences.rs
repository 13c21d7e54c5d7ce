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
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// The kernel does that for this process. Until it says so, `light` is a fence like any other.
static LENDS: AtomicBool = AtomicBool::new(false);

/// Asks the kernel for it. At once in a process of one thread; else the kernel waits some 10 ms for
/// all processors.
pub(crate) fn prepare() {
    if membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok() {
        LENDS.store(true, Ordering::Release);
    }
}

/// As [`prepare`], the first time, without waiting for it.
pub(crate) fn prepare_beside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !LENDS.load(Ordering::Relaxed) {
            // Without the thread, there are full fences.
            let _ = std::thread::Builder::new().name("sandpool-fences".into()).spawn(prepare);
        }
    });
}

/// For the side that says something often.
#[inline]
pub(crate) fn light() {
    if LENDS.load(Ordering::Acquire) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// For the side that asks seldom: some microseconds.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    // Whatever is known here of whether it is lent: the other side may know more by now. Where the
    // kernel refuses, it had not said so to anybody before the fence above.
    let run = || membarrier(MembarrierCommand::PrivateExpedited).is_ok();
    if !run() && LENDS.load(Ordering::Relaxed) {
        // A process that was forked from the one that asked.
        prepare();
        run();
    }
}
