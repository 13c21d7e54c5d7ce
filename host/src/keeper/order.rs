//! A worker that was ordered and is not there yet, and the talk that makes it one.
//!
//! This module must not give a worker anything to do.

use super::worker::{Worker, WorkerParts};
use super::zygote::{Adopted, Nursery, Ticket};
use crate::pool::core::Core;
use crate::pool::recipe::Recipe;
use crate::process::watch::poll_until;
use crate::process::{Child, Role, fds, spawn};
use crate::ring::{Region, map};
use crate::swap::Watch;
use crate::wire::control::{Hello, WorkerReady, WorkerSetup, receive, send};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longest silence of a child that has been started and is to say something.
pub(super) const GREETING: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 30 });

/// Why there is no worker.
#[derive(Clone, Debug)]
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
    pub(super) fn before(error: &io::Error) -> Self {
        match error.kind() {
            // A program that is not there will not be there next time.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Self::Refused(error.to_string())
            }
            _ => Self::NoRoom(error.to_string()),
        }
    }

    /// What a child answered.
    fn heard(answer: WorkerReady) -> Result<(), Self> {
        match answer {
            WorkerReady::Ready => Ok(()),
            WorkerReady::Refused(reason) => Err(Self::Refused(harmless(&reason))),
            WorkerReady::NoRoom(reason) => Err(Self::NoRoom(harmless(&reason))),
            WorkerReady::Failed(reason) => Err(Self::Failed(harmless(&reason))),
        }
    }

    /// As a child would say it.
    pub(super) fn as_answer(&self) -> WorkerReady {
        match self.clone() {
            Self::Interrupted => WorkerReady::Failed("the pool ends".to_owned()),
            Self::Refused(reason) => WorkerReady::Refused(reason),
            Self::NoRoom(reason) => WorkerReady::NoRoom(reason),
            Self::Failed(reason) => WorkerReady::Failed(reason),
        }
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A worker that was ordered. Dropping it makes sure that there will be none.
#[derive(Debug)]
pub(crate) struct Order {
    swap: Watch,
    region: Region,
    bell: OwnedFd,
    their_bell: OwnedFd,
    host_bell: OwnedFd,
    maker: Maker,
}

#[derive(Debug)]
enum Maker {
    /// It was executed, and is to be told what it is to be.
    Executed { child: Child, ring: OwnedFd, their_host_bell: OwnedFd },
    /// The zygote was asked to make it; it announces itself.
    Zygote { ticket: Ticket, announcement: UnixStream },
}

impl Order {
    /// Orders a worker: from the zygote, if the pool has one.
    ///
    /// # Errors
    /// If there is no room, or no program.
    pub(crate) fn place(core: &Core) -> Result<Self, StartError> {
        let swap = Watch::start();
        let made = || -> io::Result<_> {
            let ring = map::create()?;
            Ok((Region::map(&ring)?, ring, fds::bell_pipe(false)?, fds::bell_pipe(true)?))
        };
        let (region, ring, (their_bell, bell), (host_bell, their_host_bell)) =
            made().map_err(|error| StartError::before(&error))?;
        let (swap, maker) = match core.nursery() {
            None => {
                let child = spawn(Role::Worker, &core.recipe.program);
                let child = child.map_err(|error| StartError::before(&error))?;
                (swap, Maker::Executed { child, ring, their_host_bell })
            }
            Some(nursery) => {
                let pair = fds::attested_pair().map_err(|error| StartError::before(&error))?;
                let (announcement, announce) = pair;
                let their_bell = their_bell.try_clone()?;
                let files = [ring, their_bell, their_host_bell, announce.into()];
                let (ticket, its) = nursery.order(files)?;
                (its.unwrap_or(swap), Maker::Zygote { ticket, announcement })
            }
        };
        Ok(Self { swap, region, bell, their_bell, host_bell, maker })
    }

    /// Waits until the worker is there. `wake` interrupts that wait if `ending` says so.
    ///
    /// # Errors
    /// If it does not come.
    pub(crate) fn fetch(
        self,
        core: &Core,
        wake: BorrowedFd<'_>,
        ending: impl Fn() -> bool,
    ) -> Result<Worker, StartError> {
        let Self { swap, region, bell, their_bell, host_bell, maker } = self;
        let (child, adopted) = match maker {
            Maker::Executed { mut child, ring, their_host_bell } => {
                let artifact = &core.recipe.artifact;
                let files = [&ring, artifact, &their_bell, &their_host_bell];
                Greeting { child: &mut child, wake, ending: &ending }.run(&core.recipe, &files)?;
                child.close_control();
                (child, None)
            }
            Maker::Zygote { ticket, announcement } => {
                let nursery = core.nursery().ok_or(StartError::Interrupted)?;
                let fetched = announced(nursery, &ticket, announcement, wake, &ending);
                if let Err(StartError::Failed(_)) = &fetched {
                    nursery.failed(&ticket);
                }
                let (child, adopted) = fetched?;
                (child, Some(adopted))
            }
        };
        let parts = WorkerParts { child, adopted, region, bell, their_bell, host_bell, swap };
        Ok(Worker::new(parts, &core.recipe.config))
    }
}

/// Waits until a worker that the zygote makes announces itself, and takes charge of it.
fn announced(
    nursery: &Nursery,
    ticket: &Ticket,
    announcement: UnixStream,
    wake: BorrowedFd<'_>,
    ending: &impl Fn() -> bool,
) -> Result<(Child, Adopted), StartError> {
    await_word(&announcement, None, wake, ending, ticket.deadline())?;
    let mut bytes = [0; 4096];
    let (len, sender) = match fds::receive_attested(&announcement, &mut bytes) {
        Ok(received) => received,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let text = "the zygote ended, or the worker that it made, before the worker was there";
            return Err(StartError::Failed(text.to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    // One message comes as a whole, or it is none of ours.
    StartError::heard(receive(bytes.get(..len).unwrap_or_default())?)?;
    let sender = sender.ok_or_else(|| io::Error::other("nobody has sent what came"))?;
    Ok(nursery.adopt(sender)?)
}

/// The talk that makes a child a worker, or a zygote.
pub(super) struct Greeting<'a, F> {
    pub(super) child: &'a mut Child,
    pub(super) wake: BorrowedFd<'a>,
    pub(super) ending: &'a F,
}

impl<F: Fn() -> bool> Greeting<'_, F> {
    pub(super) fn run(mut self, recipe: &Recipe, files: &[&OwnedFd]) -> Result<(), StartError> {
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
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        fds::send_fds(control, &files)?;
        send(control, &setup)?;
        StartError::heard(self.hear()?)
    }

    /// Waits for one message of the child.
    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, StartError> {
        let control = self.child.control()?;
        let pidfd = Some(self.child.pidfd());
        if !await_word(control, pidfd, self.wake, self.ending, Instant::now() + GREETING)? {
            // A copy of this process, forked in the wrong moment, holds the stream open.
            return Err(self.silence(&io::ErrorKind::UnexpectedEof.into()));
        }
        control.set_read_timeout(Some(Duration::from_secs(5)))?;
        receive(control).map_err(|error| self.silence(&error))
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

/// Waits until there is something to hear on a stream; false if whoever was to say it has ended
/// without a word.
fn await_word(
    stream: &UnixStream,
    speaker: Option<BorrowedFd<'_>>,
    wake: BorrowedFd<'_>,
    ending: &impl Fn() -> bool,
    deadline: Instant,
) -> Result<bool, StartError> {
    let began = Instant::now();
    loop {
        let word = || PollFd::new(stream, PollFlags::IN);
        let wake_up = || PollFd::from_borrowed_fd(wake, PollFlags::IN);
        let (mut heard, called, ended) = match speaker {
            Some(speaker) => {
                let speaker = PollFd::from_borrowed_fd(speaker, PollFlags::IN);
                let mut set = [word(), wake_up(), speaker];
                poll_until(&mut set, Some(deadline));
                let [heard, called, ended] = set.map(|fd| !fd.revents().is_empty());
                (heard, called, ended)
            }
            None => {
                let mut set = [word(), wake_up()];
                poll_until(&mut set, Some(deadline));
                let [heard, called] = set.map(|fd| !fd.revents().is_empty());
                (heard, called, false)
            }
        };
        if ended && !heard {
            // Its last words may have come between the looks at the one and the other.
            let mut set = [word()];
            poll_until(&mut set, Some(Instant::now()));
            heard = !set[0].revents().is_empty();
        }
        if ending() {
            return Err(StartError::Interrupted);
        }
        if heard || ended {
            return Ok(heard);
        }
        if called {
            let _ = rustix::io::read(wake, &mut [0_u8; 8]);
        } else if Instant::now() >= deadline {
            let waited = began.elapsed().as_secs();
            let text = format!("the worker did not become ready within {waited} s");
            return Err(StartError::Failed(text));
        }
    }
}

/// What a worker says may be anybody's words: on one line, of a bounded length.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2000).collect()
}
