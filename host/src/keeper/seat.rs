//! A keeper's place in the pool: its two bells, the link while nobody works with it, and what
//! others may know of it.
//!
//! This module must not work with the link it holds.

use super::Parting;
use super::link::Link;
use crate::process::watch::poll_until;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A link that is handed on, and why its worker is to be buried, if it is.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) link: Link,
    pub(crate) parting: Option<Parting>,
}

/// What ends the sleep of a keeper's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to look at.
    Called,
    /// The worker is gone.
    Ended,
    /// The time has come.
    Late,
}

/// A link that nobody works with.
#[derive(Debug, Default)]
struct Parked {
    post: Option<Post>,
    /// The keeper's thread waits for it. Telling nobody would be a system call for each `apply`.
    awaited: bool,
}

/// One keeper's place in the pool.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Wakes whoever works with the link.
    bell: OwnedFd,
    /// Wakes the keeper's own thread while the link is parked.
    thread_bell: OwnedFd,
    parked: Mutex<Parked>,
    /// A link was parked that the keeper's thread waits for.
    returned: Condvar,
    unclaimed: AtomicUsize,
    busy: AtomicBool,
    asked: AtomicBool,
    /// There are strikes against it, so that a working worker needs a lock only then.
    struck: AtomicBool,
    worked: AtomicBool,
}

impl Seat {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self {
            bell: bell()?,
            thread_bell: bell()?,
            parked: Mutex::default(),
            returned: Condvar::new(),
            unclaimed: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            struck: AtomicBool::new(false),
            worked: AtomicBool::new(false),
        })
    }

    /// Wakes whoever works with the link, or else the keeper's thread.
    pub(crate) fn wake(&self) {
        ring(&self.bell);
        ring(&self.thread_bell);
    }

    /// Wakes the keeper's thread: there is something to take up.
    pub(crate) fn call(&self) {
        ring(&self.thread_bell);
    }

    /// Asks for items that the worker has not claimed.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        ring(&self.bell);
    }

    /// Has whoever works with the link find later that it was asked.
    pub(super) fn ask_later(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Whether it was asked since somebody last looked.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Acquire)
    }

    /// Turns readable when whoever works with the link is woken.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Silences that bell.
    pub(crate) fn quiet(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// Keeper's thread, while it has no worker: sleeps for a time, or until `ending` says so.
    pub(crate) fn pause(&self, time: Duration, ending: impl Fn() -> bool) {
        let deadline = Instant::now() + time;
        while !ending() && Instant::now() < deadline {
            poll_until(&mut [PollFd::new(&self.bell, PollFlags::IN)], Some(deadline));
            self.quiet();
        }
    }

    /// Notes that there is a strike against it.
    pub(crate) fn strike(&self) {
        self.struck.store(true, Ordering::Relaxed);
    }

    /// Notes that items have ended on it. True if there was a strike since they last did.
    pub(crate) fn works(&self) -> bool {
        if !self.has_worked() {
            self.worked.store(true, Ordering::Relaxed);
        }
        self.struck.load(Ordering::Relaxed) && self.struck.swap(false, Ordering::Relaxed)
    }

    /// Whether items have ever ended on it.
    pub(crate) fn has_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    // ---- the parked link ----

    fn parked(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a link.
    pub(crate) fn park(&self, post: Post) {
        let mut parked = self.parked();
        parked.post = Some(post);
        if parked.awaited {
            self.returned.notify_one();
        }
    }

    /// Takes the link that was left, if it is here.
    pub(crate) fn take(&self) -> Option<Post> {
        self.parked().post.take()
    }

    /// Keeper's thread: sleeps until it is called, or until the worker ends, or for a time. Not until
    /// the worker rings: somebody may drive it, and waits for that himself.
    pub(crate) fn doze(&self, pidfd: Option<&OwnedFd>, until: Option<Instant>) -> Woken {
        let bell = PollFd::new(&self.thread_bell, PollFlags::IN);
        // Without a descriptor of the worker, the bell stands in.
        let other = pidfd.map_or(self.thread_bell.as_fd(), AsFd::as_fd);
        let mut set = [bell, PollFd::from_borrowed_fd(other, PollFlags::IN)];
        poll_until(&mut set, until);
        let ended = pidfd.is_some() && !set[1].revents().is_empty();
        // Not what was seen before: a call that came since is silenced, too, and must not be lost.
        let called = rustix::io::read(&self.thread_bell, &mut [0_u8; 8]).is_ok();
        match (ended, called || until.is_none()) {
            (true, _) => Woken::Ended,
            (false, true) => Woken::Called,
            (false, false) => Woken::Late,
        }
    }

    /// Keeper's thread: waits until whoever drives the worker has left the link here, and has
    /// itself called, as there is something to look at by now.
    pub(crate) fn await_return(&self) {
        let mut parked = self.parked();
        while parked.post.is_none() {
            parked.awaited = true;
            parked = self.returned.wait(parked).unwrap_or_else(PoisonError::into_inner);
            parked.awaited = false;
        }
        drop(parked);
        self.call();
    }

    // ---- what others may know ----

    /// Tells what the worker has.
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

fn ring(bell: &OwnedFd) {
    // The only failure is a counter at its maximum: a bell that rings already.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// Calls that come in the moment in which a sleep ends by itself.
    #[test]
    fn no_call_is_lost() {
        const CALLS: u32 = 5000;
        let (seat, heard) = (Seat::new().unwrap(), AtomicU32::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..CALLS {
                    seat.call();
                    while heard.load(Ordering::Relaxed) == n && began.elapsed().as_secs() < 60 {
                        std::hint::spin_loop();
                    }
                }
            });
            while heard.load(Ordering::Relaxed) < CALLS && began.elapsed().as_secs() < 60 {
                let until = Some(Instant::now() + Duration::from_micros(1));
                if seat.doze(None, until) == Woken::Called {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        assert_eq!(heard.load(Ordering::Relaxed), CALLS);
    }
}
