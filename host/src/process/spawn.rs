//! Starts children: the only place of the library that makes processes.
//!
//! This module must not pass anything to a child but its role and one stream.
//!
//! `Command` without a pre-exec closure takes the `posix_spawn` path of std, which does not copy the
//! page tables of a large host. What must be set in the child (session, death signal, closed
//! descriptors) it therefore sets itself, first thing ([`crate::child`]).

use super::role::Role;
use super::watch::Child;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Which executable becomes the child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Program {
    /// This one, by the kernel's own link to it: right also after the file was replaced.
    #[default]
    ThisExecutable,
    /// Another one that links this library.
    Path(PathBuf),
}

/// Starts a child in `role`.
///
/// The calling thread must outlive the child: the child's death signal fires when the *thread* that
/// started it ends.
///
/// # Errors
/// If the process cannot be made, and, instead of a fork bomb, if this process was itself started
/// as a child and did not become one.
pub(crate) fn spawn(role: Role, program: &Program) -> io::Result<Child> {
    if let Some(own) = Role::of_this_process() {
        let name = own.name();
        return Err(io::Error::other(format!(
            "this process was started as `{name}` and did not become one: call `sandpool::init()` \
             first thing in `main`"
        )));
    }
    let path = match program {
        Program::ThisExecutable => PathBuf::from("/proc/self/exe"),
        Program::Path(path) => path.clone(),
    };
    let (ours, theirs) = UnixStream::pair()?;
    // Opened here and not by `Stdio::null()`: in a host whose descriptors 0 to 2 are closed, std
    // moves what it is given out of the way of these numbers, but not what it opens itself.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let mut command = Command::new(&path);
    command
        .arg0(role.name())
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(null.try_clone()?)
        .stderr(null);
    let child = command.spawn().map_err(|error| {
        let program = match program {
            Program::ThisExecutable => {
                std::env::current_exe().unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Program::Path(path) => path.display().to_string(),
        };
        io::Error::new(error.kind(), format!("cannot start `{program}` as a worker: {error}"))
    })?;
    let pid = child.id();
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    // Nobody else reaps this child (or, where the host ignores SIGCHLD, its number is reused only
    // after many others), so the number still means it.
    match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Child::new(pid, pidfd, ours)),
        Err(errno) => {
            let mut child = child;
            let _ = child.kill();
            let _ = child.wait();
            Err(errno.into())
        }
    }
}
