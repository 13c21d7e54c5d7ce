//! The probe role: goes behind the walls of a worker or a compiler, and tries to get out.
//!
//! This module must not be needed for anything but knowing: the doctor and the tests start probes.

use super::attack::attack;
use super::{STATUS_UNSEALED, check_parent, zygote};
use crate::guest::before_walls;
use crate::process::{fds, sys};
use crate::walls::rlimits::Budget;
use crate::walls::{self, Missing, Profile, Sandbox, Wall, lists};
use crate::wire::control::{Hello, receive, send};
use crate::wire::probe::{Audit, Behind, Like, ProbeAnswer, ProbeSetup, Task};
use rustix::fd::{AsRawFd as _, OwnedFd};
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;

pub(super) fn run(control: UnixStream) -> io::Result<()> {
    send(&control, &Hello::ours())?;
    let setup: ProbeSetup = receive(&control)?;
    check_parent(setup.host_pid)?;
    if setup.behind != Behind::Nothing {
        walls::first();
    }
    before_walls();
    // As a file, since behind the filter a stream's own calls are denied.
    let control = File::from(OwnedFd::from(control));
    let audit = (setup.task == Task::Audit).then(Audit::before).unwrap_or_default();
    let profile = profile(setup.like, &control);
    let raised = match setup.like {
        Like::Forked => fork(&setup, &profile, &control),
        _ => raise(setup.behind, &profile),
    };
    let answer = match raised {
        Err(Missing { wall, reason }) => ProbeAnswer::Missing { wall, reason },
        Ok(landlock) => match setup.task {
            Task::Attack(chosen) => answer(attack(chosen, &setup)),
            Task::Audit => ProbeAnswer::Audited(Audit { landlock, ..audit.after() }),
            Task::Wait => ProbeAnswer::Waiting,
            #[cfg(test)]
            Task::Call(number) => answer(sys::attempt(sys::Attempt::Call(number))),
        },
    };
    send(&control, &answer)?;
    if setup.task == Task::Wait {
        // Until the host goes, or kills it.
        let _ = rustix::io::read(&control, &mut [0_u8; 1]);
    }
    sys::exit_now(if matches!(answer, ProbeAnswer::Missing { .. }) { STATUS_UNSEALED } else { 0 })
}

fn answer(attacked: io::Result<()>) -> ProbeAnswer {
    match attacked {
        Ok(()) => ProbeAnswer::Reached,
        Err(error) => ProbeAnswer::Refused(error.raw_os_error().unwrap_or(0)),
    }
}

/// The control stream stands for the two bells, and for the module and the answer.
fn profile(like: Like, control: &File) -> Profile {
    let fds = lists::Fds {
        input: vec![control.as_raw_fd()],
        output: vec![control.as_raw_fd()],
        artifact: None,
        pagemap: fds::own_pagemap(),
    };
    const DATA: u64 = 256 << 20;
    match like {
        Like::Worker | Like::Forked => Profile::worker(false, Vec::new(), fds, DATA),
        Like::WorkerWithWasi => Profile::worker(true, Vec::new(), fds, DATA),
        Like::Compiler => Profile::compiler(fds, Budget { data: DATA, cpu: None, files: false }),
    }
}

/// Raises walls, and tells Landlock's version if it is among them.
fn raise(behind: Behind, profile: &Profile) -> Result<Option<i32>, Missing> {
    match behind {
        Behind::Nothing => Ok(None),
        Behind::AllButSeccomp => {
            // Without the late limits either: a process that can open nothing more would hide
            // what Landlock does.
            walls::confine_without_filter(profile).map(Some)
        }
        Behind::Everything => {
            let abi = walls::confine(profile)?;
            walls::seal(profile)?;
            Ok(Some(abi))
        }
    }
}

/// As [`raise`], the way that workers of a zygote go: only the copy comes back from here.
fn fork(setup: &ProbeSetup, profile: &Profile, control: &File) -> Result<Option<i32>, Missing> {
    match setup.behind {
        Behind::Nothing => {}
        Behind::AllButSeccomp => walls::confine_zygote_without_filter(profile)?,
        Behind::Everything => walls::confine_zygote(profile)?,
    }
    let failed = |error: io::Error| Missing::new(Wall::Identity, error);
    if !sys::fork_sibling().map_err(failed)? {
        sys::exit_now(0);
    }
    zygote::be_a_child(setup.host_pid).map_err(failed)?;
    send(control, &ProbeAnswer::Forked).map_err(failed)?;
    if setup.behind == Behind::Nothing {
        return Ok(None);
    }
    let abi = zygote::confine(profile, Sandbox::Strict)
        .map_err(|reason| Missing::new(Wall::Landlock, reason))?;
    if setup.behind == Behind::Everything {
        walls::seal(profile)?;
    }
    Ok(Some(abi))
}

/// Whether this process's page map says where in the machine's memory its own pages are.
fn physical_addresses() -> bool {
    const PAGE: usize = 4096;
    const FRAME: u64 = (1 << 55) - 1;
    let here = 0_u8;
    let entry = (&raw const here).addr() / PAGE * size_of::<u64>();
    let mut word = [0; size_of::<u64>()];
    let read =
        fds::own_pagemap().is_some_and(|number| sys::read_at(number, &mut word, entry as u64));
    read && u64::from_ne_bytes(word) & FRAME != 0
}

impl Audit {
    /// What can be seen only while `/proc` is in reach.
    fn before() -> Self {
        let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let descriptors = open.filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let target = std::fs::read_link(entry.path()).ok()?.display().to_string();
            // The one that lists the others.
            (!target.ends_with("/fd")).then_some((number, target))
        });
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Self {
            threads: count("/proc/self/task"),
            physical_addresses: physical_addresses(),
            descriptors: descriptors.collect(),
            writable_executable: maps.lines().filter(|line| line.contains(" rwx")).count(),
            variables: std::env::vars_os().count(),
            folder: std::env::current_dir()
                .map_or_else(|_| String::new(), |dir| dir.display().to_string()),
            leads_session: rustix::process::getsid(None).ok() == Some(rustix::process::getpid()),
            ..Self::default()
        }
    }

    /// What the walls changed. Not behind the filter: it would not let these questions through.
    fn after(self) -> Self {
        use rustix::process::DumpableBehavior::NotDumpable;
        let capabilities = rustix::thread::capabilities(None);
        Self {
            user: rustix::process::geteuid().as_raw(),
            capabilities: capabilities.map_or(u64::MAX, |sets| sets.permitted.bits()),
            no_new_privileges: rustix::thread::no_new_privs().unwrap_or(false),
            denies_write_execute: sys::denies_write_execute(),
            open_limits: walls::rlimits::open(),
            dumpable: rustix::process::dumpable_behavior().ok() != Some(NotDumpable),
            ..self
        }
    }
}
