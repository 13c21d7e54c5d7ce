//! Which role this process plays, decided before `main` by the name it was started under.
//!
//! This module must not do anything in a process that is an ordinary host.
//!
//! The library is linked into somebody's executable; that executable, started again under one of
//! the names below, becomes what the name says and never reaches its `main`. The name travels in
//! `argv[0]`, as an environment variable would stay visible to the code that runs there.

use std::ffi::OsStr;

const WORKER: &str = "sandpool-role: worker";
const COMPILER: &str = "sandpool-role: compiler";
const ZYGOTE: &str = "sandpool-role: zygote";
const PROBE: &str = "sandpool-role: probe";

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs items.
    Worker,
    /// Loads an artifact and becomes workers, by forking.
    Zygote,
    /// Turns one module into an artifact.
    Compiler,
    /// Attacks its own walls, so that it is known whether they hold.
    Probe,
}

impl Role {
    /// The name the child is started under.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Worker => WORKER,
            Self::Zygote => ZYGOTE,
            Self::Compiler => COMPILER,
            Self::Probe => PROBE,
        }
    }

    fn from_name(name: &OsStr) -> Option<Self> {
        [Self::Worker, Self::Zygote, Self::Compiler, Self::Probe]
            .into_iter()
            .find(|role| name == role.name())
    }

    /// The role this process was started for; `None` for an ordinary host.
    pub(crate) fn of_this_process() -> Option<Self> {
        Self::from_name(&std::env::args_os().next()?)
    }
}

/// Becomes a worker or a compiler if this process was started as one, and then does not return.
///
/// There is no need to call this where the library's hook runs before `main`: in every executable,
/// test and doctest on Linux with glibc. Elsewhere, and in a program that is given to
/// [`PoolBuilder::worker_program`](crate::PoolBuilder::worker_program), call it as the first thing
/// in `main`. In an ordinary process it does nothing and costs nothing worth measuring.
pub fn init() {
    if let Some(role) = Role::of_this_process() {
        crate::child::run(role)
    }
}
