//! From a module to an artifact: out of the cache, or out of a compiler process.
//!
//! This module must not compile anything itself, nor trust what the compiler process says: the
//! host waits for it no longer than allowed ([`timed`]), checks lengths ([`talk`]), and the artifact
//! is only ever loaded by workers. Callers who want the same at the same time share one compiler
//! ([`share`]).

mod share;
mod talk;
mod timed;
mod verdict;

use super::error::{BuildError, BuildErrorKind};
use super::module::{MAX_MODULE, TaskModule};
use crate::cache::{Cache, Key};
use crate::compiled::Compiled;
use crate::description::EngineSettings;
use crate::limits::CompileLimits;
use crate::process::watch::poll_until;
use crate::process::{Child, Ended, Program, Role, spawn};
use crate::walls::Sandbox;
use rustix::event::{PollFd, PollFlags};
use share::Errand;
use std::time::{Duration, Instant};
use talk::{Answer, Fault, Talk};

/// Longest silence of a child that has been started and is to greet.
pub(crate) const GREETING: Duration = Duration::from_secs(30);
/// Time for a compiler to end once it has said all.
const MOMENT: Duration = Duration::from_secs(1);

/// How a module is compiled, and where artifacts are kept.
#[derive(Clone, Debug)]
pub(crate) struct Means<'a> {
    pub(crate) settings: EngineSettings,
    pub(crate) sandbox: Sandbox,
    pub(crate) limits: CompileLimits,
    pub(crate) program: &'a Program,
    pub(crate) cache: &'a Cache,
}

/// Finds or makes the artifact of a module.
pub(crate) fn obtain(module: &TaskModule, means: &Means<'_>) -> Result<Compiled, BuildError> {
    if means.limits.timeout.is_zero() {
        let text = "the time for compiling must be longer than zero";
        return Err(BuildError::new(BuildErrorKind::Usage, text));
    }
    find_or_make(module.bytes(), means).map_err(|error| error.of(module.name()))
}

/// As [`obtain`], of bytes that have no name: others may have given them another.
fn find_or_make(module: &[u8], means: &Means<'_>) -> Result<Compiled, BuildError> {
    if module.len() as u64 > MAX_MODULE {
        let text = format!("is larger than {} MiB", MAX_MODULE >> 20);
        return Err(BuildError::new(BuildErrorKind::Refused, text));
    }
    let store = means.cache.open();
    let key = Key::of(module, means.settings);
    let find = || store.as_ref()?.get(&key);
    if let Some(found) = find() {
        return Ok(found);
    }
    let errand = Errand {
        key: key.clone(),
        program: means.program.clone(),
        sandbox: means.sandbox,
        limits: means.limits,
    };
    let compiled = share::once(errand, || {
        // Other processes with the same folder do not wait for us longer than for a compiler.
        let patience = Instant::now().checked_add(means.limits.timeout);
        let until = patience.unwrap_or_else(|| Instant::now() + GREETING);
        let _turn = store.as_ref().and_then(|store| store.turn(&key, until));
        // Somebody may have done it since we looked.
        if let Some(found) = find() {
            return Ok(found);
        }
        let made = compile(module, means)?;
        if let Some(store) = &store {
            store.put(&key, &made);
        }
        Ok(made)
    })?;
    compiled.share().map_err(|error| failed(format!("cannot share the artifact: {error}")))
}

fn failed(text: String) -> BuildError {
    BuildError::new(BuildErrorKind::Workers, text)
}

/// Compiles in a process of its own.
fn compile(module: &[u8], means: &Means<'_>) -> Result<Compiled, BuildError> {
    let mut child =
        spawn(Role::Compiler, means.program).map_err(|error| failed(error.to_string()))?;
    let talked = Talk::new(&child, module, means).and_then(Talk::run);
    child.close_control();
    let fault = match talked {
        Ok(answer) => {
            child.reap_soon();
            return match answer {
                Answer::Made(made) => Ok(made),
                Answer::Refused(why) => Err(BuildError::new(BuildErrorKind::Refused, why)),
            };
        }
        Err(fault) => fault,
    };
    // Whatever it is doing, dropping the child kills it.
    Err(match fault {
        Fault::BrokenOff => verdict::of(end_of(&mut child), &means.limits),
        Fault::Late => verdict::late(&means.limits),
        Fault::OutOfMemory => verdict::out_of_memory(&means.limits),
        Fault::Nonsense(what) => {
            let text = format!("the compiler process answers nonsense: {what}");
            BuildError::new(BuildErrorKind::Refused, text)
        }
        Fault::Mute => failed(format!(
            "the compiler process did not become one within {} s (does the worker program link \
             sandpool, and call `sandpool::init()` where there is no hook before `main`?)",
            greeting(&means.limits).as_secs_f64()
        )),
        Fault::System(error) => failed(format!("the compiler process: {error}")),
    })
}

/// Longest silence of a compiler that is to greet: no longer than compiling may take.
fn greeting(limits: &CompileLimits) -> Duration {
    GREETING.min(limits.timeout)
}

/// How a child that closed its stream has ended; `None` if it goes on without it.
fn end_of(child: &mut Child) -> Option<Ended> {
    let deadline = Instant::now() + MOMENT;
    while Instant::now() < deadline {
        let mut set = [PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN)];
        poll_until(&mut set, Some(deadline));
        if !set[0].revents().is_empty() {
            return Some(child.reap());
        }
    }
    None
}
