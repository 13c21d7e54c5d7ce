//! The second wall: what the operating system denies a worker or a compiler, whatever runs in it.
//!
//! This module must not know items, rings or engines. It must not weaken a wall because another
//! one stands: each is there for the day the others fall.
//!
//! A process goes behind its walls one way, in two steps: [`confine`] before it touches anything
//! that a stranger wrote (the artifact, the module), [`seal`] before the first guest instruction.

pub(crate) mod filter;
pub(crate) mod identity;
pub(crate) mod landlock;
pub(crate) mod lists;
pub(crate) mod rlimits;

use crate::process::sys;
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// Whether workers and compilers stand behind the walls of the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sandbox {
    /// Every mandatory wall, or the pool is not built: no new privileges, a seccomp allow-list,
    /// Landlock, resource limits; memory that is never writable and executable where the kernel
    /// can promise it (Linux 6.3). The default.
    #[default]
    Strict,
    /// None of them: only WebAssembly stands between a task module and this user's files. For a
    /// module that is trusted anyway, on a machine that lacks a wall.
    Off,
}

/// One isolation mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wall {
    NoNewPrivileges,
    DenyWriteExecute,
    ResourceLimits,
    Identity,
    Landlock,
    Undumpable,
    Seccomp,
}

impl Wall {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no-new-privileges",
            Self::DenyWriteExecute => "memory-deny-write-execute",
            Self::ResourceLimits => "resource limits",
            Self::Identity => "identity",
            Self::Landlock => "Landlock",
            Self::Undumpable => "undumpable",
            Self::Seccomp => "seccomp",
        }
    }
}

/// A wall that cannot be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) wall: Wall,
    pub(crate) reason: String,
}

impl Missing {
    pub(crate) fn new(wall: Wall, reason: impl fmt::Display) -> Self {
        Self { wall, reason: reason.to_string() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the wall `{}` cannot be raised: {}; `sandpool doctor` shows what this machine has, \
             and only turning the sandbox off runs modules without",
            self.wall.name(),
            self.reason
        )
    }
}

/// What a process is to be able to do behind its walls.
#[derive(Debug)]
pub(crate) struct Profile {
    /// Its system calls, in the two steps.
    pub(crate) loading: Vec<&'static [lists::Entry]>,
    pub(crate) serving: Vec<&'static [lists::Entry]>,
    /// The descriptors that the lists name.
    pub(crate) fds: lists::Fds,
    /// Folders that stay reachable.
    pub(crate) folders: Vec<landlock::Folder>,
    pub(crate) rlimits: rlimits::Budget,
}

impl Profile {
    /// A worker's, by what its module imports and was granted.
    pub(crate) fn worker(
        wasi: bool,
        folders: Vec<landlock::Folder>,
        fds: lists::Fds,
        data: u64,
    ) -> Self {
        let mut serving = vec![lists::SERVING];
        if wasi {
            serving.push(lists::WASI);
        }
        if !folders.is_empty() {
            serving.push(lists::FILES);
        }
        if folders.iter().any(|folder| !folder.read_only) {
            serving.push(lists::WRITABLE_FILES);
        }
        let mut loading = serving.clone();
        loading.push(lists::LOADING);
        let rlimits = rlimits::Budget { data, cpu: None, files: !folders.is_empty() };
        Self { loading, serving, fds, folders, rlimits }
    }

    /// A compiler's.
    pub(crate) fn compiler(fds: lists::Fds, rlimits: rlimits::Budget) -> Self {
        Self {
            loading: Vec::new(),
            serving: vec![lists::COMPILING],
            fds,
            folders: Vec::new(),
            rlimits,
        }
    }
}

/// What every child gives up as soon as it runs, before it knows what it is for. The sandbox may
/// yet turn out to be off, so a kernel that cannot is no error here.
pub(crate) fn first() {
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = sys::deny_write_execute();
    identity::drop_administration();
}

/// Where memory runs out, a worker is to go before its host.
pub(crate) fn offer_to_oom_killer() {
    // Without `/proc` the kernel decides as it likes.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Takes files, network, other processes, identity and privileges away; gives the version of
/// Landlock that holds.
///
/// # Errors
/// The first mandatory wall that cannot be raised. The process must not go on then.
pub(crate) fn confine(profile: &Profile) -> Result<i32, Missing> {
    let abi = confine_without_filter(profile)?;
    if !profile.loading.is_empty() {
        filter::install(&profile.loading, &profile.fds)?;
    }
    Ok(abi)
}

/// The first step without its filter; gives the version of Landlock that holds.
pub(crate) fn confine_without_filter(profile: &Profile) -> Result<i32, Missing> {
    no_new_privileges()?;
    let _ = sys::deny_write_execute();
    rlimits::early()?;
    drop_identity(profile)?;
    let abi = landlock::restrict(&profile.folders)?;
    undumpable()?;
    Ok(abi)
}

/// As [`confine`], for a process that loads as a worker does and then only makes copies of itself:
/// it may make them, and read what they must open.
///
/// # Errors
/// As for [`confine`].
pub(crate) fn confine_zygote(profile: &Profile) -> Result<(), Missing> {
    confine_zygote_without_filter(profile)?;
    let mut lists = profile.loading.clone();
    lists.push(lists::FORKING);
    filter::install(&lists, &profile.fds)
}

/// As [`confine_without_filter`], for a zygote.
pub(crate) fn confine_zygote_without_filter(profile: &Profile) -> Result<(), Missing> {
    no_new_privileges()?;
    let _ = sys::deny_write_execute();
    rlimits::early_but_children()?;
    drop_identity(profile)?;
    landlock::restrict_zygote(&profile.folders)?;
    undumpable()
}

/// Takes away from the copy of a confined zygote what the zygote still had; gives the version of
/// Landlock that holds. Whatever else [`confine`] does, the copy has inherited.
///
/// # Errors
/// As for [`confine`].
pub(crate) fn confine_copy(profile: &Profile) -> Result<i32, Missing> {
    rlimits::no_children()?;
    let abi = landlock::restrict(&profile.folders)?;
    undumpable()?;
    Ok(abi)
}

/// Opens the page map of this process, a copy, in the place of its original's: asked about that
/// one, the kernel would tell of pages that this process has not got, and what one item leaves
/// behind would reach the next.
///
/// # Errors
/// If it cannot be opened. The process must not serve then.
pub(crate) fn renew_pagemap(profile: &Profile, sandbox: Sandbox) -> io::Result<()> {
    let Some(number) = profile.fds.pagemap else { return Ok(()) };
    // What an undumpable process has in `/proc` belongs to root, which this one is not.
    if sandbox == Sandbox::Strict {
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    let opened = std::fs::File::open("/proc/self/pagemap");
    if sandbox == Sandbox::Strict {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    sys::replace(number, &opened?.into())
}

/// Takes away what only loading needed. After this the process can compute, and talk to its host.
///
/// # Errors
/// As for [`confine`].
pub(crate) fn seal(profile: &Profile) -> Result<(), Missing> {
    // Hash maps ask the kernel for their keys once; behind the filter that would be a death.
    let _ = std::hash::RandomState::new();
    rlimits::late(&profile.rlimits)?;
    filter::install(&profile.serving, &profile.fds)
}

/// Takes the death signal and the dumpable flag back, so it comes before both.
fn drop_identity(profile: &Profile) -> Result<(), Missing> {
    identity::drop_privileges(profile.folders.is_empty())?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Missing::new(Wall::Identity, format!("no death signal: {errno}")))
}

pub(crate) fn no_new_privileges() -> Result<(), Missing> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| Missing::new(Wall::NoNewPrivileges, errno))
}

/// Hides memory and descriptors from other processes of the same user.
pub(crate) fn undumpable() -> Result<(), Missing> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| Missing::new(Wall::Undumpable, errno))
}
