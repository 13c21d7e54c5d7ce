//! One worker as its keeper holds it: process, ring and bells, from start to grave.
//!
//! This module must not know items or calls.

use super::ballast::Ballast;
use super::bounds::Bounds;
use super::silence::Silence;
use super::zygote::Adopted;
use crate::description::GuestConfig;
use crate::process::watch::poll_until;
use crate::process::{Child, Ended};
use crate::ring::{HostRing, Inbox, Region};
use crate::swap::Watch;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

/// Result bytes beyond the output limit: log tails, a backtrace, a message, lengths.
const REPORT_ROOM: u64 = 1 << 20;

/// A worker that takes items.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Behind the child, which is a child until it is gone.
    _adopted: Option<Adopted>,
    pub(crate) ring: HostRing,
    /// What it has told and nobody has read: the front of a result that has not come as a whole.
    pub(super) inbox: Inbox,
    bell: OwnedFd,
    /// Its end of `bell`, kept so that ringing a dead worker raises no SIGPIPE.
    _their_bell: OwnedFd,
    host_bell: OwnedFd,
    /// Items that ended on it.
    pub(crate) items: u64,
    /// Text that it wrote where it rings.
    words: String,
    /// Swap, which it was started without.
    pub(super) swap: Watch,
    pub(super) ballast: Ballast,
    pub(super) bounds: Bounds,
    /// It has items, and has begun none of them for a while.
    pub(super) silence: Option<Silence>,
    /// Bells without anything new, in a row.
    noise: u32,
}

/// What a worker is made of, when it is there.
#[derive(Debug)]
pub(super) struct WorkerParts {
    pub(super) child: Child,
    pub(super) adopted: Option<Adopted>,
    pub(super) region: Region,
    pub(super) bell: OwnedFd,
    pub(super) their_bell: OwnedFd,
    pub(super) host_bell: OwnedFd,
    pub(super) swap: Watch,
}

/// What a keeper's sleep ended with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// The worker is gone.
    pub(crate) ended: bool,
    /// Somebody rang the keeper's own bell.
    pub(crate) called: bool,
    /// The worker rang.
    pub(crate) rung: bool,
}

impl Worker {
    /// A worker that is ready for items.
    pub(super) fn new(parts: WorkerParts, config: &GuestConfig) -> Self {
        let limits = &config.limits;
        let WorkerParts { child, adopted, region, bell, their_bell, host_bell, swap } = parts;
        let max_result = limits.output.saturating_add(limits.log.saturating_mul(2));
        Self {
            child,
            _adopted: adopted,
            ring: HostRing::new(region),
            inbox: Inbox::new(max_result.saturating_add(REPORT_ROOM)),
            bell,
            _their_bell: their_bell,
            host_bell,
            items: 0,
            words: String::new(),
            swap,
            ballast: Ballast::new(config.reuse || config.initializer.is_some()),
            bounds: Bounds::of(limits),
            silence: None,
            noise: 0,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Another descriptor for the process, to watch while somebody else works with this; `None` if
    /// there is no room for one, which only delays the news of an idle worker's death.
    pub(crate) fn pidfd_copy(&self) -> Option<OwnedFd> {
        self.child.pidfd().try_clone_to_owned().ok()
    }

    /// Wakes the worker if it sleeps.
    pub(crate) fn ring_if_asleep(&self) {
        if self.ring.must_ring() {
            self.wake();
        }
    }

    /// Rings the bell of a worker that sleeps.
    pub(crate) fn wake(&self) {
        // A full pipe rings already; a closed one belongs to a worker whose pidfd tells more.
        let _ = rustix::io::write(&self.bell, &[1]);
    }

    /// Sleeps until the worker rings, ends, or `wake` is rung, or the deadline passes.
    pub(crate) fn sleep(&mut self, wake: BorrowedFd<'_>, deadline: Option<Instant>) -> Woken {
        let mut set = [
            PollFd::new(&self.host_bell, PollFlags::IN),
            PollFd::from_borrowed_fd(self.child.pidfd(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
        ];
        poll_until(&mut set, deadline);
        // A worker that dies closes its files some time before its pidfd tells, which would look
        // like bells without end; and one that closes its bell alive is of no use.
        let hung_up = set.first().is_some_and(|bell| bell.revents().contains(PollFlags::HUP));
        let [rung, ended, called] = set.map(|fd| !fd.revents().is_empty());
        if rung {
            self.hear();
        }
        Woken { ended: ended || hung_up, called, rung }
    }

    /// Whether the worker has rung too often without anything new.
    pub(crate) fn is_noisy(&mut self, progress: bool) -> bool {
        // An honest worker rings at most once per raised flag, and there is something each time; a
        // few bells cross a keeper that looked just before.
        const MOST: u32 = 10_000;
        self.noise = if progress { 0 } else { self.noise + 1 };
        self.noise > MOST
    }

    /// Whether the process is stopped by a signal. False if that cannot be told.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        // The name ahead of the state is in parentheses, and may hold any character.
        stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")))
    }

    /// Reads what the worker wrote into its bell, and keeps the front of what is no ring: there the
    /// standard library says that memory has run out.
    fn hear(&mut self) {
        const KEPT: usize = 256;
        let mut bytes = [0_u8; 64];
        let read = rustix::io::read(&self.host_bell, &mut bytes).unwrap_or(0);
        let text = bytes.iter().take(read).filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
        let room = KEPT - self.words.len();
        self.words.extend(text.take(room).map(|byte| char::from(*byte)));
    }

    /// What a worker that has ended said beside ringing.
    pub(crate) fn last_words(&mut self) -> &str {
        for _ in 0..16 {
            self.hear();
        }
        &self.words
    }

    /// Kills the worker, if it still lives, and takes its status.
    pub(crate) fn end(&mut self) -> Ended {
        self.child.kill();
        self.child.reap()
    }
}
