//! What signals do, and what happens when nobody reads our results any more.
//!
//! This module must not print results, nor decide when the run is over: it stops the input, ends
//! the pool, and makes sure that the process ends in the end.
//!
//! | | first SIGINT | a second one, or SIGTERM |
//! |---|---|---|
//! | before the pool is built, and where there is no input | ends the process | ends the process |
//! | while items run | stops the input; what was read is finished | ends the pool; what has ended is printed |
//!
//! Others do what they do to any program: SIGHUP (unless `nohup` has it ignored) and SIGQUIT end the
//! process, and the kernel ends the workers; SIGTSTP stops it, and only it, as children have sessions
//! of their own.

use super::exit::{CliError, Exit};
use super::output;
use crate::pool::Pool;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the run may take to print what has ended, once it was killed.
const GRACE: Duration = Duration::from_secs(2);

/// Tells readers of the input, waiting ones too, that nothing more is wanted.
#[derive(Debug)]
pub(super) struct Wake {
    stopping: AtomicBool,
    bell: OwnedFd,
}

impl Wake {
    /// Readable as soon as nothing more is wanted.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.bell
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The counter of an eventfd cannot be full here.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// What signals act upon.
#[derive(Debug, Default)]
struct State {
    pool: Option<Pool>,
    /// Whether the first SIGINT lets running items finish.
    drains: bool,
    quiet: bool,
    ended: Option<Exit>,
}

/// The signals of this process.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    wake: Arc<Wake>,
    state: Arc<Mutex<State>>,
}

impl Interrupts {
    /// Takes the signals over.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn start() -> Result<Self, CliError> {
        let refused =
            |error: io::Error| CliError::System(format!("cannot wait for signals: {error}"));
        let bell = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| refused(errno.into()))?;
        let wake = Arc::new(Wake { stopping: AtomicBool::new(false), bell });
        let interrupts = Self { wake, state: Arc::default() };
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
        let heard = interrupts.clone();
        let listen = move || signals.forever().for_each(|signal| heard.hear(signal));
        let thread = std::thread::Builder::new().name("sandpool-signals".to_owned());
        thread.spawn(listen).map_err(refused)?;
        Ok(interrupts)
    }

    /// From now on signals end `pool` instead of the process; the first SIGINT only stops the
    /// input.
    pub(super) fn drain(&self, pool: &Pool, quiet: bool) {
        let mut state = self.lock();
        state.pool = Some(pool.clone());
        state.drains = true;
        state.quiet = quiet;
    }

    /// What readers of the input look at.
    pub(super) fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// How the process ends because of signals, if there were any.
    pub(super) fn exit(&self) -> Option<Exit> {
        let ended = self.lock().ended;
        ended.or(self.wake.is_stopping().then_some(Exit::Interrupted))
    }

    /// Whether running items were killed.
    pub(super) fn has_killed(&self) -> bool {
        self.lock().ended.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, signal: i32) {
        let mut state = self.lock();
        if signal == SIGINT && state.drains && !self.wake.is_stopping() {
            self.wake.stop();
            if !state.quiet {
                output::say(
                    "interrupted: no more input is read, what was read is finished; once more \
                     ends it at once",
                );
            }
            return;
        }
        let exit = if signal == SIGTERM { Exit::Terminated } else { Exit::Interrupted };
        let again = state.ended.replace(exit).is_some();
        let Some(pool) = state.pool.take().filter(|_| !again) else {
            std::process::exit(exit.status().into());
        };
        drop(state);
        self.wake.stop();
        // The run may be stuck in writing to somebody who does not read.
        let watchdog = move || {
            std::thread::sleep(GRACE);
            std::process::exit(exit.status().into());
        };
        let name = "sandpool-watchdog".to_owned();
        if std::thread::Builder::new().name(name).spawn(watchdog).is_err() {
            std::process::exit(exit.status().into());
        }
        pool.terminate();
    }
}

/// Ends the process with status 0 when the pipe that it writes its results to has no reader any
/// more, also while there is nothing to write.
pub(super) fn end_with_reader(pipe: OwnedFd) {
    let watch = move || {
        loop {
            let mut fds = [PollFd::new(&pipe, PollFlags::empty())];
            match poll(&mut fds, None) {
                Ok(_) if fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) => {
                    std::process::exit(Exit::Done.status().into())
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    // Without it the next write says so.
    let _ = std::thread::Builder::new().name("sandpool-reader".to_owned()).spawn(watch);
}
