//! What a child process does: greets, sets itself up, plays its role, ends.
//!
//! This module must not return into the embedder's program, nor write anywhere but to the host.

mod attack;
pub(crate) mod compiler;
#[cfg(test)]
pub(crate) mod evil;
mod probe;
pub(crate) mod serve;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start what they like")]
mod tests;

pub(crate) mod worker;
mod zygote;

use crate::process::{Role, sys};
use crate::walls;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use std::io;
use std::os::unix::net::UnixStream;

/// Status of a child that gave up because of an error of its own.
pub(crate) const STATUS_FAILED: i32 = 70;
/// Status of a child that could not raise a wall.
pub(crate) const STATUS_UNSEALED: i32 = 71;
/// Status of a child that panicked.
pub(crate) const STATUS_PANICKED: i32 = 101;

/// Plays `role` and ends the process.
pub(crate) fn run(role: Role) -> ! {
    sys::close_inherited();
    let control = UnixStream::from(sys::adopt_stdin());
    // In a session of its own, a terminal's Ctrl-C reaches the host only, which decides what ends.
    let _ = setsid();
    // A folder that is to be unmounted must not be held by a worker.
    let _ = rustix::process::chdir("/");
    if role != Role::Probe {
        // A probe shows what each wall does, so it raises them itself.
        walls::first();
    }
    let died = set_parent_process_death_signal(Some(Signal::KILL));
    // A panic must end in this module, not in the default abort path of the embedder's program.
    std::panic::set_hook(Box::new(|_| sys::exit_now(STATUS_PANICKED)));
    let done = died.map_err(io::Error::from).and_then(|()| match role {
        Role::Worker => worker::run(control),
        Role::Zygote => zygote::run(control),
        Role::Compiler => compiler::run(control),
        Role::Probe => probe::run(control),
    });
    sys::exit_now(if done.is_ok() { 0 } else { STATUS_FAILED })
}

/// Checks that the host is still the parent: if it died before the death signal was set, that
/// signal will never come.
fn check_parent(host_pid: u32) -> io::Result<()> {
    let parent = getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get);
    if parent.and_then(|pid| u32::try_from(pid).ok()) == Some(host_pid) {
        return Ok(());
    }
    Err(io::Error::other("the host is gone"))
}
