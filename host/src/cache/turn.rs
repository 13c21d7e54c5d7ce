//! Turns at compiling: of the processes that share a folder, one compiles a module, and the others
//! wait for its entry.
//!
//! This module must not hold anybody for ever: a turn ends with its process, whatever becomes of
//! that, and who waits has a deadline, after which it compiles as if it were alone. Turns are an
//! economy; nothing is wrong if two have the same one.

use super::folder::Folder;
use crate::process::watch::poll_until;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{FlockOperation, flock, inotify};
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};

/// Ending of the files that are locked.
pub(super) const ENDING: &str = ".turn";
/// How often to look although nothing happened: on network file systems, what other machines do is
/// not told, and a process that dies is told of just before its lock is gone.
const LOOK: Duration = Duration::from_secs(1);

/// The right to compile, as long as it lives.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    folder: &'a Folder,
    name: String,
    lock: OwnedFd,
}

impl<'a> Turn<'a> {
    /// Waits for a turn, but no longer than until `until`.
    pub(super) fn wait(folder: &'a Folder, name: &str, until: Instant) -> io::Result<Self> {
        let name = format!("{name}{ENDING}");
        loop {
            let lock = folder.open_lock(&name)?;
            take(&lock, until)?;
            // Whoever had it before has removed the file; somebody may have made another.
            if rustix::fs::fstat(&lock)?.st_nlink > 0 {
                return Ok(Self { folder, name, lock });
            }
        }
    }
}

fn take(lock: &OwnedFd, until: Instant) -> io::Result<()> {
    let try_to = || match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(io::Error::from(errno)),
    };
    if try_to()? {
        return Ok(());
    }
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let events = inotify::init(flags)?;
    // By descriptor, so that it is this file and no other of its name.
    let path = format!("/proc/self/fd/{}", lock.as_raw_fd());
    inotify::add_watch(&events, path, inotify::WatchFlags::CLOSE)?;
    loop {
        // After the watch began, or what happened between would be missed.
        if try_to()? {
            return Ok(());
        }
        let now = Instant::now();
        if now >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut set = [PollFd::new(&events, PollFlags::IN)];
        poll_until(&mut set, Some(until.min(now + LOOK)));
        let _ = rustix::io::read(&events, &mut [0_u8; 4096]);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.folder.remove(&self.name);
        // Before it is closed, which is what wakes the others.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}
