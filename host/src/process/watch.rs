//! A running child: its pidfd, its control stream, its end.
//!
//! This module must not decide when a child is to end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
    /// It is gone, and something else in this process took its status: the host ignores SIGCHLD,
    /// or waits for any child.
    Unknown,
}

impl Ended {
    /// A signal as a negative number, a status as it is.
    pub(crate) fn code(self) -> Option<i32> {
        match self {
            Self::Status(status) => Some(status),
            Self::Signal(signal) => Some(-signal),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {signal}"),
            },
            Self::Unknown => f.write_str("ended (its status was taken by other code of the host)"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 14] = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::HUP, "SIGHUP"),
        (Signal::ILL, "SIGILL"),
        (Signal::INT, "SIGINT"),
        (Signal::KILL, "SIGKILL"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// A child that has not been reaped. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: u32,
    pidfd: OwnedFd,
    control: Option<UnixStream>,
    ended: Option<Ended>,
}

impl Child {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd, control: UnixStream) -> Self {
        Self { pid, pidfd, control: Some(control), ended: None }
    }

    /// Takes charge of a child of this process that it did not start itself, if it is one.
    ///
    /// # Errors
    /// Where there is no such child.
    pub(crate) fn adopt(pid: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // Nobody but a parent may wait for a process.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(pidfd.as_fd()), look)?;
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        Ok(Self { pid, pidfd, control: None, ended: None })
    }

    /// Leaves the child alone after all: it is in somebody else's charge.
    pub(crate) fn release(mut self) {
        self.ended = Some(Ended::Unknown);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Turns readable when the child ends.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The control stream, until it is closed.
    pub(crate) fn control(&self) -> io::Result<&UnixStream> {
        self.control.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Takes the control stream away.
    pub(crate) fn take_control(&mut self) -> io::Result<UnixStream> {
        self.control.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Closes the control stream: the child has all it needs.
    pub(crate) fn close_control(&mut self) {
        self.control = None;
    }

    /// Kills the child. Killing one that has ended already does nothing.
    pub(crate) fn kill(&self) {
        // The only possible failure is that the process is gone, which is what is wanted.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Gives the child a moment to end by itself, then kills it, and takes its status.
    pub(crate) fn reap_soon(&mut self) -> Ended {
        const MOMENT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut set = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = poll(&mut set, Some(&MOMENT));
        self.kill();
        self.reap()
    }

    /// Waits until the child has ended and takes its status. Blocks for as long as it runs.
    pub(crate) fn reap(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        let ended = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    break match (status.exit_status(), status.terminating_signal()) {
                        (Some(status), _) => Ended::Status(status),
                        (None, Some(signal)) => Ended::Signal(signal),
                        (None, None) => Ended::Unknown,
                    };
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break Ended::Unknown,
            }
        };
        self.ended = Some(ended);
        ended
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            self.reap();
        }
    }
}

/// How much later than planned a sleeper woke, if that was so much that this process did not run: a
/// signal stopped it, a freezer froze it, its virtual machine paused. Nobody watched a clock then, and
/// who was watched may not have run either.
pub(crate) fn overslept(planned: Option<Instant>) -> Option<Duration> {
    const BUSY: Duration = Duration::from_millis(500);
    let late = Instant::now().saturating_duration_since(planned?);
    (late > BUSY).then_some(late)
}

/// Waits until one of the set is ready, or the deadline passes.
pub(crate) fn poll_until(set: &mut [PollFd<'_>], deadline: Option<Instant>) {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    match poll(set, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        // Only exhausted kernel memory is left; the caller looks at everything anyway, and the
        // pause keeps it from spinning.
        Err(_) => std::thread::sleep(Duration::from_millis(1)),
    }
}
