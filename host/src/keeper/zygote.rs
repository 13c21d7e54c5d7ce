//! The nursery: the thread that owns the zygote of a pool, and what keepers ask of it.
//!
//! This module must not let anybody wait: a keeper hands over descriptors and waits at the other
//! end of them, for the worker's own word.
//!
//! Workers that a zygote makes are children of the host, or rather of the thread that started the
//! zygote, and die with that thread. So it lives as long as there are keepers.
//!
//! A zygote is not believed: the kernel says who announces a worker, and it must be a child of this
//! process that nobody has taken charge of. A zygote that fails in any way is killed; children that
//! it made and nobody heard of are found and killed with it; the next order starts another.

use super::order::{GREETING, Greeting, StartError};
use crate::pool::recipe::Recipe;
use crate::process::watch::poll_until;
use crate::process::{Child, Role, fds, spawn};
use crate::swap::Watch;
use crate::wire::control::send;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time in which a zygote that is there makes a worker.
const FORKING: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 5 });

/// What a worker is made with: its ring, its bell, the host's bell, and where it announces itself.
type Files = [OwnedFd; 4];

/// A pool's zygote, for its keepers. The last of them to leave ends it.
#[derive(Debug)]
pub(crate) struct Nursery {
    shared: Arc<Shared>,
    keepers: AtomicUsize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    bell: OwnedFd,
}

#[derive(Debug)]
struct State {
    /// How many zygotes were started.
    generation: u64,
    /// The one that is there.
    zygote: Option<Line>,
    /// Orders for the next one.
    waiting: Vec<Files>,
    /// Workers that somebody has taken charge of.
    adopted: BTreeSet<u32>,
    ended: bool,
}

/// The way to a zygote.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    pid: u32,
    /// Swap, which it was started without.
    swap: Watch,
}

/// What a keeper knows of its order.
#[derive(Debug)]
pub(super) struct Ticket {
    generation: u64,
    patience: Duration,
}

impl Ticket {
    /// Until when the worker must have announced itself, from now on.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }
}

/// A worker that somebody has taken charge of. Dropped when it is gone.
#[derive(Debug)]
pub(crate) struct Adopted {
    shared: Arc<Shared>,
    pid: u32,
}

impl Drop for Adopted {
    fn drop(&mut self) {
        self.shared.lock().adopted.remove(&self.pid);
    }
}

impl Nursery {
    /// Starts the thread, which starts the first zygote.
    pub(crate) fn open(recipe: Arc<Recipe>) -> io::Result<Self> {
        let state = State {
            generation: 0,
            zygote: None,
            waiting: Vec::new(),
            adopted: BTreeSet::new(),
            ended: false,
        };
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { state: Mutex::new(state), bell });
        let thread = std::thread::Builder::new().name("sandpool-zygote".to_owned());
        let theirs = Arc::clone(&shared);
        let thread = thread.spawn(move || theirs.run(&recipe))?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { shared, keepers: AtomicUsize::new(0), thread })
    }

    /// A keeper is going to order.
    pub(crate) fn enter(&self) {
        self.keepers.fetch_add(1, Ordering::AcqRel);
    }

    /// A keeper orders no more. With the last one the zygote ends.
    pub(crate) fn leave(&self) {
        if self.keepers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end();
        }
    }

    /// Ends the zygote, and all that it made and nobody took charge of.
    fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.ring();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // If it panicked, there is nothing left to be done about it.
        let _ = thread.map(JoinHandle::join);
    }

    /// Asks for a worker, which announces itself through the last of these files. Gives the watch
    /// over the swap that the worker counts on, if it is not the caller's own.
    ///
    /// # Errors
    /// If the system has no room for the order, or the pool ends.
    pub(super) fn order(&self, files: Files) -> Result<(Ticket, Option<Watch>), StartError> {
        let mut state = self.shared.lock();
        if state.ended {
            return Err(StartError::Interrupted);
        }
        let generation = state.generation;
        if let Some(line) = &mut state.zygote {
            let outdated = line.swap.look(Instant::now());
            let asked = if outdated {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                ask(&line.stream, &files)
            };
            match asked {
                Ok(()) => {
                    let ticket = Ticket { generation, patience: FORKING };
                    return Ok((ticket, Some(line.swap.clone())));
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(StartError::NoRoom(error.to_string())),
            }
            state.zygote = None;
        }
        state.waiting.push(files);
        drop(state);
        self.shared.ring();
        // The thread gives every order an answer in its own time.
        let patience = 3 * GREETING + FORKING;
        Ok((Ticket { generation: generation + 1, patience }, None))
    }

    /// An order came to nothing: another zygote is to be made.
    pub(super) fn failed(&self, ticket: &Ticket) {
        let mut state = self.shared.lock();
        if state.generation == ticket.generation {
            state.zygote = None;
            drop(state);
            self.shared.ring();
        }
    }

    /// Takes charge of a worker that has announced itself.
    ///
    /// # Errors
    /// If it is no child of this process, or one that is somebody's already.
    pub(super) fn adopt(&self, pid: Pid) -> io::Result<(Child, Adopted)> {
        let mut state = self.shared.lock();
        let child = Child::adopt(pid)?;
        let number = child.pid();
        let is_zygote = state.zygote.as_ref().is_some_and(|line| line.pid == number);
        if is_zygote || !state.adopted.insert(number) {
            child.release();
            return Err(io::Error::other("somebody else announced the worker"));
        }
        Ok((child, Adopted { shared: Arc::clone(&self.shared), pid: number }))
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.end();
    }
}

/// Passes an order on to a zygote, if it can be done at once.
fn ask(stream: &UnixStream, files: &Files) -> io::Result<()> {
    fds::send_fds_at_once(stream, &files.each_ref().map(|file| file.as_fd()))
}

/// Whether an order could not be sent because there is nobody to read it.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

/// What the thread does.
impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // The only failure is a counter at its maximum: a bell that rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn run(&self, recipe: &Recipe) {
        loop {
            match self.start(recipe) {
                Ok(mut zygote) => {
                    self.watch(&zygote);
                    self.lock().zygote = None;
                    zygote.kill();
                    zygote.reap();
                }
                Err(error) => self.refuse(&error),
            }
            self.sweep();
            if !self.await_order() {
                break;
            }
        }
    }

    /// Starts a zygote and gives it the orders that wait for one.
    fn start(&self, recipe: &Recipe) -> Result<Child, StartError> {
        self.lock().generation += 1;
        let swap = Watch::start();
        let made = spawn(Role::Zygote, &recipe.program);
        let mut child = made.map_err(|error| StartError::before(&error))?;
        let ending = || self.lock().ended;
        let greeting = Greeting { child: &mut child, wake: self.bell.as_fd(), ending: &ending };
        greeting.run(recipe, &[&recipe.artifact])?;
        let (pid, stream) = (child.pid(), child.take_control()?);
        let mut state = self.lock();
        for files in std::mem::take(&mut state.waiting) {
            if let Err(error) = ask(&stream, &files) {
                answer(files, &StartError::NoRoom(error.to_string()));
            }
        }
        state.zygote = Some(Line { stream, pid, swap });
        Ok(child)
    }

    /// Waits until the zygote ends, or is to end.
    fn watch(&self, zygote: &Child) {
        let mut ended = false;
        while !ended {
            {
                let state = self.lock();
                if state.ended || state.zygote.is_none() {
                    return;
                }
            }
            let mut set = [
                PollFd::from_borrowed_fd(zygote.pidfd(), PollFlags::IN),
                PollFd::new(&self.bell, PollFlags::IN),
            ];
            poll_until(&mut set, None);
            ended = !set[0].revents().is_empty();
            self.quiet();
        }
    }

    /// Waits for an order; false if there is going to be none.
    fn await_order(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if state.ended {
                    return false;
                }
                if !state.waiting.is_empty() {
                    return true;
                }
            }
            poll_until(&mut [PollFd::new(&self.bell, PollFlags::IN)], None);
            self.quiet();
        }
    }

    fn quiet(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// Tells all who wait for the zygote why there is none.
    fn refuse(&self, error: &StartError) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(|files| answer(files, error));
    }

    /// Kills children that a zygote made and that nobody has taken charge of. There must be no
    /// zygote.
    ///
    /// Where the kernel does not list them they end by themselves, as there is nobody at the other
    /// end of their bells, and stay zombies.
    fn sweep(&self) {
        let state = self.lock();
        loop {
            let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
            let children = text.split_whitespace().filter_map(|pid| pid.parse().ok());
            let strays = children.filter(|pid: &u32| !state.adopted.contains(pid));
            let strays = strays.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            // Dropped, they are killed and reaped.
            if strays.filter_map(|pid| Child::adopt(pid).ok()).count() == 0 {
                return;
            }
        }
    }
}

/// Answers an order in the place of the worker that does not come.
fn answer(files: Files, error: &StartError) {
    let [.., announce] = files;
    // The only failure is that nobody waits any more.
    let _ = send(UnixStream::from(announce), &error.as_answer());
}
