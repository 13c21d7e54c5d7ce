//! The worker role: goes behind its walls, loads the artifact it is given, and serves items until it
//! is killed.
//!
//! This module must not start a thread or open a file that was not granted.

use super::{STATUS_PANICKED, STATUS_UNSEALED, check_parent, serve};
use crate::artifact::Mapped;
use crate::description::GuestConfig;
use crate::guest::{Guest, before_walls};
use crate::process::{fds, sys};
use crate::ring::{Region, WorkerRing};
use crate::walls::landlock::Folder;
use crate::walls::{self, Profile, Sandbox, lists, rlimits};
use crate::wire::control::{Hello, WorkerReady, WorkerSetup, receive, send};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::io;
use std::os::unix::net::UnixStream;

pub(super) fn run(control: UnixStream) -> io::Result<()> {
    // First of all: what this opens and keeps is denied later on.
    before_walls();
    walls::offer_to_oom_killer();
    #[cfg(test)]
    super::evil::before_hello(&control)?;
    send(&control, &Hello::ours())?;
    let [ring, artifact, bell, host_bell] = fds::receive_fds::<4>(&control)?;
    let setup: WorkerSetup = receive(&control)?;
    check_parent(setup.host_pid)?;
    #[cfg(test)]
    let mut host_bell = host_bell;
    #[cfg(test)]
    let evil = super::evil::Plan::new(&setup.config.env, &control, &ring, &mut host_bell)?;
    // Where memory ends, the host is to hear it: the process then dies of its filter.
    sys::redirect_stderr(host_bell.as_fd())?;
    let strict = setup.sandbox == Sandbox::Strict;
    let profile = match profile(&setup, &artifact, [bell.as_raw_fd(), host_bell.as_raw_fd()]) {
        Ok(profile) => profile,
        Err(reason) => return send(&control, &WorkerReady::Refused(reason)),
    };
    let ring_memory = map(&ring)?;
    if strict && let Err(missing) = walls::confine(&profile) {
        return send(&control, &WorkerReady::Refused(missing.to_string()));
    }
    let mut guest = match load(artifact, setup, Guest::load) {
        Ok(guest) => guest,
        Err(reason) => return send(&control, &WorkerReady::Refused(reason)),
    };
    send(&control, &WorkerReady::Ready)?;
    drop((control, ring));
    let mut ring = WorkerRing::new(ring_memory, bell, host_bell);
    // The host knows already that this worker is there, but no item runs before this.
    if strict && let Err(missing) = walls::seal(&profile) {
        ring.leave_note(&missing.to_string());
        sys::exit_now(STATUS_UNSEALED);
    }
    #[cfg(test)]
    let mut guest = evil.with(&mut guest);
    let stop = serve::serve(&mut ring, &mut guest);
    ring.leave_note(&stop.to_string());
    Ok(())
}

/// Maps the memory of a worker's ring, where it also leaves a note if it panics.
pub(super) fn map(ring: &OwnedFd) -> io::Result<Region> {
    let notes = Region::map(ring)?;
    std::panic::set_hook(Box::new(move |panic| {
        notes.leave_note(&panic.to_string());
        sys::exit_now(STATUS_PANICKED)
    }));
    Region::map(ring)
}

/// What this worker is to be able to do, or why it cannot be one.
///
/// `bells` are the numbers under which it has its own and the host's.
pub(super) fn profile(
    setup: &WorkerSetup,
    artifact: &OwnedFd,
    [bell, host_bell]: [RawFd; 2],
) -> Result<Profile, String> {
    if let Some(threads) = other_threads() {
        return Err(format!(
            "the worker process has {threads} threads before its work begins: something else in \
             the executable starts threads before `main`; give the pool a `worker_program` without"
        ));
    }
    let wasi = setup.config.description.wasi;
    // Without WASI there is no way to use a grant.
    let grants = setup.config.dirs.iter().filter(|_| wasi);
    let folders = grants.map(Folder::open).collect::<Result<_, _>>()?;
    let fds = lists::Fds {
        input: vec![bell],
        output: vec![host_bell, 2],
        artifact: Some(artifact.as_raw_fd()),
        pagemap: fds::own_pagemap(),
    };
    let data = setup.data_limit.unwrap_or_else(|| rlimits::worker_data(&setup.config.limits));
    Ok(Profile::worker(wasi, folders, fds, data))
}

pub(super) fn load(
    artifact: OwnedFd,
    setup: WorkerSetup,
    how: fn(Mapped, GuestConfig) -> Result<Guest, String>,
) -> Result<Guest, String> {
    let len = usize::try_from(setup.artifact_len)
        .map_err(|_| "the artifact is too large for this machine".to_owned())?;
    let code = Mapped::from_fd(artifact, len).map_err(|error| error.to_string())?;
    how(code, setup.config)
}

/// The number of threads, if it is not one. Unknown counts as one: `/proc` may be hidden.
fn other_threads() -> Option<usize> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.count();
    (threads != 1).then_some(threads)
}
