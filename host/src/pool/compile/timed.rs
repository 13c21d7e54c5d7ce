//! A stream to a child on which nothing blocks for longer than until a deadline.
//!
//! This module must not know what is said. The limit is one for the whole talk: a child that
//! dribbles, floods, is stopped or says nothing holds its caller no longer than any other.

use crate::process::Child;
use crate::process::watch::{overslept, poll_until};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The stream of a child, with a deadline.
#[derive(Debug)]
pub(super) struct Timed<'a> {
    stream: &'a UnixStream,
    pidfd: BorrowedFd<'a>,
    /// `None`: the clock cannot count so far.
    pub(super) until: Option<Instant>,
}

impl<'a> Timed<'a> {
    pub(super) fn new(child: &'a Child, until: Option<Instant>) -> io::Result<Self> {
        Ok(Self { stream: child.control()?, pidfd: child.pidfd(), until })
    }

    pub(super) fn stream(&self) -> &'a UnixStream {
        self.stream
    }

    fn check(&self) -> io::Result<()> {
        match self.until {
            Some(until) if Instant::now() >= until => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the stream can be used or the deadline passes; true if the child has ended. Time
    /// in which this process was stopped does not count.
    fn wait(&mut self, flags: PollFlags) -> bool {
        const LOOK: Duration = Duration::from_secs(1);
        let mut set =
            [PollFd::new(self.stream, flags), PollFd::from_borrowed_fd(self.pidfd, PollFlags::IN)];
        let look = Instant::now() + LOOK;
        let planned = self.until.map_or(look, |until| until.min(look));
        poll_until(&mut set, Some(planned));
        if let Some(late) = overslept(Some(planned)) {
            self.until = self.until.and_then(|until| until.checked_add(late));
        }
        !set[1].revents().is_empty()
    }

    /// Tries until it is done, in vain (end of stream: `ended`), or too late.
    fn attempt(
        &mut self,
        flags: PollFlags,
        mut act: impl FnMut(&UnixStream) -> Result<usize, Errno>,
        ended: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut gone = false;
        loop {
            self.check()?;
            match act(self.stream) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                // What it had written was there to be taken; another process that holds its end
                // open does not make it live.
                Err(Errno::AGAIN) if gone => return ended(),
                Err(Errno::AGAIN) => gone = self.wait(flags),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.attempt(
            PollFlags::IN,
            |stream| recv(stream, &mut *bytes, RecvFlags::DONTWAIT).map(|(count, _)| count),
            || Ok(0),
        )
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.attempt(
            PollFlags::OUT,
            |stream| send(stream, bytes, flags),
            || Err(io::ErrorKind::BrokenPipe.into()),
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
