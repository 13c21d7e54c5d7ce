//! The zygote role: loads an artifact as a worker does, and then makes copies of itself, each of
//! which goes the rest of the way and is a worker.
//!
//! This module must not run a guest, nor make anything random, before there is a copy: what the
//! zygote has, all its workers have.
//!
//! A copy is a child of the host and not of the zygote: the host kills it and takes its status as
//! it does with any worker, and the zygote's end is nothing to it.

use super::{STATUS_UNSEALED, check_parent, serve, worker};
use crate::guest::{Guest, before_walls};
use crate::process::{fds, sys};
use crate::ring::WorkerRing;
use crate::walls::{self, Profile, Sandbox};
use crate::wire::control::{Hello, WorkerReady, WorkerSetup, receive, send};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::io::{DupFlags, dup3, fcntl_dupfd_cloexec};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::set_name;
use std::io;
use std::os::unix::net::UnixStream;

pub(super) fn run(control: UnixStream) -> io::Result<()> {
    let _ = set_name(c"sandpool-zygote");
    before_walls();
    walls::offer_to_oom_killer();
    send(&control, &Hello::ours())?;
    let [artifact] = fds::receive_fds::<1>(&control)?;
    let setup: WorkerSetup = receive(&control)?;
    check_parent(setup.host_pid)?;
    let places = Places::reserve()?;
    let numbers = [places.bell.as_raw_fd(), places.host_bell.as_raw_fd()];
    let profile = match worker::profile(&setup, &artifact, numbers) {
        Ok(profile) => profile,
        Err(reason) => return send(&control, &WorkerReady::Refused(reason)),
    };
    let (host_pid, sandbox) = (setup.host_pid, setup.sandbox);
    if sandbox == Sandbox::Strict
        && let Err(missing) = walls::confine_zygote(&profile)
    {
        return send(&control, &WorkerReady::Refused(missing.to_string()));
    }
    let guest = match worker::load(artifact, setup, Guest::load_for_copies) {
        Ok(guest) => guest,
        Err(reason) => return send(&control, &WorkerReady::Refused(reason)),
    };
    send(&control, &WorkerReady::Ready)?;
    let egg = Egg { guest, places, profile, host_pid, sandbox };
    loop {
        // Until the host is gone, or closes the stream.
        let [ring, bell, host_bell, announce] = fds::receive_fds::<4>(&control)?;
        match sys::fork_sibling() {
            Ok(false) => {}
            Ok(true) => {
                let announce = UnixStream::from(announce);
                drop(control);
                let hatched = egg.hatch(ring, bell, host_bell, announce);
                sys::exit_now(if hatched.is_ok() { 0 } else { super::STATUS_FAILED });
            }
            // Whoever has gone meanwhile needs no answer.
            Err(error) => {
                let text = format!("a worker cannot be forked: {error}");
                let _ = send(UnixStream::from(announce), &WorkerReady::NoRoom(text));
            }
        }
    }
}

/// Where a copy has its bells: numbers that the filter of its original knows already.
struct Places {
    bell: OwnedFd,
    host_bell: OwnedFd,
}

impl Places {
    fn reserve() -> io::Result<Self> {
        let nothing = std::io::stdout();
        let place = || fcntl_dupfd_cloexec(nothing.as_fd(), 3);
        Ok(Self { bell: place()?, host_bell: place()? })
    }

    fn fill(&mut self, bell: OwnedFd, host_bell: OwnedFd) -> io::Result<()> {
        dup3(&bell, &mut self.bell, DupFlags::CLOEXEC)?;
        dup3(&host_bell, &mut self.host_bell, DupFlags::CLOEXEC)?;
        Ok(())
    }
}

/// All that a worker is made of, but what belongs to one worker.
struct Egg {
    guest: Guest,
    places: Places,
    profile: Profile,
    host_pid: u32,
    sandbox: Sandbox,
}

impl Egg {
    /// Becomes a worker and serves. To be called in a copy.
    fn hatch(
        self,
        ring: OwnedFd,
        bell: OwnedFd,
        host_bell: OwnedFd,
        announce: UnixStream,
    ) -> io::Result<()> {
        let Self { mut guest, mut places, profile, host_pid, sandbox } = self;
        be_a_child(host_pid)?;
        // The host learns from the kernel who says this.
        send(&announce, &WorkerReady::Ready)?;
        drop(announce);
        places.fill(bell, host_bell)?;
        sys::redirect_stderr(places.host_bell.as_fd())?;
        let ring_memory = worker::map(&ring)?;
        drop(ring);
        let mut ring = WorkerRing::new(ring_memory, places.bell, places.host_bell);
        let ready = confine(&profile, sandbox).and_then(|_| guest.enter_world());
        let ready = ready.and_then(|()| match sandbox {
            Sandbox::Strict => walls::seal(&profile).map_err(|missing| missing.to_string()),
            Sandbox::Off => Ok(()),
        });
        if let Err(reason) = ready {
            ring.leave_note(&reason);
            sys::exit_now(STATUS_UNSEALED);
        }
        let stop = serve::serve(&mut ring, &mut guest);
        ring.leave_note(&stop.to_string());
        Ok(())
    }
}

/// What a copy does first: it ends with its host, and is nobody's business but the host's.
///
/// # Errors
/// If the host is gone already.
pub(super) fn be_a_child(host_pid: u32) -> io::Result<()> {
    // Not inherited.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    check_parent(host_pid)?;
    // What the host started was a zygote, and by its arguments this still is. Before it leads a
    // session, so that nobody takes it for one.
    let _ = set_name(c"sandpool-worker");
    let _ = setsid();
    Ok(())
}

/// Takes a copy as far as an executed worker is when it has loaded; gives the version of Landlock
/// that holds.
///
/// # Errors
/// What is missing.
pub(super) fn confine(profile: &Profile, sandbox: Sandbox) -> Result<i32, String> {
    walls::renew_pagemap(profile, sandbox)
        .map_err(|error| format!("the page map of this process cannot be opened: {error}"))?;
    match sandbox {
        Sandbox::Strict => walls::confine_copy(profile).map_err(|missing| missing.to_string()),
        Sandbox::Off => Ok(0),
    }
}
