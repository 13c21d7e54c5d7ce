//! One worker as its keeper holds it: process, ring and bells, from start to grave.
//!
//! This module must not know items or calls.

use crate::pool::compile::GREETING;
use crate::pool::core::Recipe;
use crate::process::watch::poll_until;
use crate::process::{Child, Ended, Role, fds, spawn};
use crate::ring::{HostRing, Region, map};
use crate::wire::control::{Hello, WorkerReady, WorkerSetup, receive, send};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::de::DeserializeOwned;
use std::io;
use std::time::{Duration, Instant};

/// Result bytes beyond the output limit: log tails, a backtrace, a message, lengths.
const REPORT_ROOM: u64 = 1 << 20;

/// A worker that takes items.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    pub(crate) ring: HostRing,
    bell: OwnedFd,
    /// Its end of `bell`, kept so that ringing a dead worker raises no SIGPIPE.
    _their_bell: OwnedFd,
    host_bell: OwnedFd,
    /// Items that ended on it.
    pub(crate) items: u64,
    /// Bells without anything new, in a row.
    noise: u32,
}

/// Why there is no worker.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The keeper was told to end meanwhile.
    Interrupted,
    /// It will not be better next time: another build, an artifact it cannot load.
    Refused(String),
    /// It ended, or the system has no room for it just now.
    Failed(String),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
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
    /// Starts a worker and waits until it is ready. `wake` interrupts that wait if `ending` says so.
    pub(crate) fn start(
        recipe: &Recipe,
        wake: BorrowedFd<'_>,
        ending: impl Fn() -> bool,
    ) -> Result<Self, StartError> {
        let ring_file = map::create()?;
        let region = Region::map(&ring_file)?;
        let (their_bell, bell) = fds::bell_pipe(false)?;
        let (host_bell, their_host_bell) = fds::bell_pipe(true)?;
        let mut child = spawn(Role::Worker, &recipe.program).map_err(|error| {
            match error.kind() {
                // A program that is not there will not be there next time.
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    StartError::Refused(error.to_string())
                }
                _ => StartError::Failed(error.to_string()),
            }
        })?;
        let greet = Greeting { child: &mut child, wake, ending: &ending };
        greet.run(recipe, [&ring_file, &recipe.artifact, &their_bell, &their_host_bell])?;
        child.close_control();
        let limits = &recipe.config.limits;
        let max_result = limits.output.saturating_add(limits.log.saturating_mul(2));
        let ring = HostRing::new(region, max_result.saturating_add(REPORT_ROOM));
        Ok(Self { child, ring, bell, _their_bell: their_bell, host_bell, items: 0, noise: 0 })
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
            let _ = rustix::io::read(&self.host_bell, &mut [0_u8; 64]);
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

    /// Kills the worker, if it still lives, and takes its status.
    pub(crate) fn end(&mut self) -> Ended {
        self.child.kill();
        self.child.reap()
    }
}

/// The talk that makes a child a worker.
struct Greeting<'a, F> {
    child: &'a mut Child,
    wake: BorrowedFd<'a>,
    ending: &'a F,
}

impl<F: Fn() -> bool> Greeting<'_, F> {
    fn run(mut self, recipe: &Recipe, files: [&OwnedFd; 4]) -> Result<(), StartError> {
        let hello: Hello = self.hear()?;
        hello.check().map_err(StartError::Refused)?;
        let setup = WorkerSetup {
            config: recipe.config.clone(),
            artifact_len: recipe.artifact_len,
            sandbox: recipe.sandbox,
            data_limit: recipe.data_limit,
            host_pid: std::process::id(),
        };
        let control = self.child.control()?;
        control.set_write_timeout(Some(GREETING))?;
        fds::send_fds(control, &files.map(AsFd::as_fd))?;
        send(control, &setup)?;
        match self.hear()? {
            WorkerReady::Ready => Ok(()),
            WorkerReady::Refused(reason) => Err(StartError::Refused(reason)),
        }
    }

    /// Waits for one message of the child.
    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, StartError> {
        let deadline = Instant::now() + GREETING;
        loop {
            let control = self.child.control()?;
            let mut set = [
                PollFd::new(control, PollFlags::IN),
                PollFd::from_borrowed_fd(self.wake, PollFlags::IN),
            ];
            poll_until(&mut set, Some(deadline));
            let [heard, called] = set.map(|fd| !fd.revents().is_empty());
            if (self.ending)() {
                return Err(StartError::Interrupted);
            }
            if heard {
                control.set_read_timeout(Some(Duration::from_secs(5)))?;
                return receive(control).map_err(|error| self.silence(&error));
            }
            if called {
                let _ = rustix::io::read(self.wake, &mut [0_u8; 8]);
            } else if Instant::now() >= deadline {
                return Err(StartError::Failed(format!(
                    "the worker did not become ready within {} s",
                    GREETING.as_secs()
                )));
            }
        }
    }

    /// What it means that the child's message did not come.
    fn silence(&mut self, error: &io::Error) -> StartError {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return StartError::Failed(format!("the worker program does not speak: {error}"));
        }
        let ended = self.child.reap_soon();
        StartError::Failed(format!(
            "the worker program {ended} before it was ready (does it link sandpool, and does it \
             call `sandpool::init()` where there is no hook before `main`?)"
        ))
    }
}
