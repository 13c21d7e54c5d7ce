//! One worker as its keeper holds it: process, ring and bells, from start to grave.
//!
//! This module must not know items or calls.

use super::bounds::Bounds;
use super::silence::Silence;
use crate::pool::core::Recipe;
use crate::process::watch::poll_until;
use crate::process::{Child, Ended, Role, fds, spawn};
use crate::ring::{HostRing, Region, map};
use crate::swap::Watch;
use crate::wire::control::{Hello, WorkerReady, WorkerSetup, receive, send};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::de::DeserializeOwned;
use std::io;
use std::time::{Duration, Instant};

/// Longest silence of a worker that has been started and is to say something.
const GREETING: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 30 });
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
    /// Text that it wrote where it rings.
    words: String,
    /// Swap, which it was started without.
    pub(super) swap: Watch,
    pub(super) bounds: Bounds,
    /// It has items, and has begun none of them for a while.
    pub(super) silence: Option<Silence>,
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
    /// The system has no room for it just now.
    NoRoom(String),
    /// It ended, or does not speak as a worker does.
    Failed(String),
}

impl StartError {
    /// What it means that something could not be made before there was a process.
    fn before(error: &io::Error) -> Self {
        match error.kind() {
            // A program that is not there will not be there next time.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Self::Refused(error.to_string())
            }
            _ => Self::NoRoom(error.to_string()),
        }
    }
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
        let swap = Watch::start();
        let made = || -> io::Result<_> {
            let ring_file = map::create()?;
            let region = Region::map(&ring_file)?;
            let (bells, host_bells) = (fds::bell_pipe(false)?, fds::bell_pipe(true)?);
            Ok((ring_file, region, bells, host_bells, spawn(Role::Worker, &recipe.program)?))
        };
        let (ring_file, region, bells, host_bells, mut child) =
            made().map_err(|error| StartError::before(&error))?;
        let ((their_bell, bell), (host_bell, their_host_bell)) = (bells, host_bells);
        let greet = Greeting { child: &mut child, wake, ending: &ending };
        greet.run(recipe, [&ring_file, &recipe.artifact, &their_bell, &their_host_bell])?;
        child.close_control();
        let limits = &recipe.config.limits;
        let max_result = limits.output.saturating_add(limits.log.saturating_mul(2));
        let ring = HostRing::new(region, max_result.saturating_add(REPORT_ROOM));
        let bounds = Bounds::of(limits);
        let (_their_bell, items, noise, silence) = (their_bell, 0, 0, None);
        Ok(Self {
            child,
            ring,
            bell,
            _their_bell,
            host_bell,
            items,
            words: String::new(),
            swap,
            bounds,
            silence,
            noise,
        })
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
            WorkerReady::Refused(reason) => Err(StartError::Refused(harmless(&reason))),
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

/// What a worker says may be anybody's words: on one line, of a bounded length.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2000).collect()
}
