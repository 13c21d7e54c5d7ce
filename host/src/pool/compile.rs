//! From a module to an artifact: out of the cache, or out of a compiler process.
//!
//! This module must not compile anything itself, nor trust what the compiler process says: lengths
//! are checked, and the artifact is only ever loaded by workers.

use super::error::{BuildError, BuildErrorKind};
use super::module::TaskModule;
use crate::cache::{Cache, Key};
use crate::description::{Description, EngineSettings};
use crate::process::{Program, Role, fds, spawn};
use crate::walls::Sandbox;
use crate::walls::rlimits::Budget;
use crate::wire::control::{CompilerAnswer, CompilerSetup, Hello, receive, send};
use rustix::fd::{AsFd as _, OwnedFd};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longest silence of a child that has been started and is to greet.
pub(crate) const GREETING: Duration = Duration::from_secs(30);
/// What compiling one module may take.
const BUDGET: Budget = Budget { data: 4 << 30, cpu: Some(Duration::from_secs(60)), files: false };
/// Largest artifact that is taken from a compiler.
const MAX_ARTIFACT: u64 = 2 << 30;

/// A usable module.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) description: Description,
    /// Sealed: nobody can change it any more.
    pub(crate) artifact: OwnedFd,
    pub(crate) artifact_len: u64,
}

/// Finds or makes the artifact of a module.
pub(crate) fn obtain(
    module: &TaskModule,
    settings: EngineSettings,
    program: &Program,
    sandbox: Sandbox,
    cache: &Cache,
) -> Result<Compiled, BuildError> {
    let store = cache.open();
    let key = Key::of(module.bytes(), settings);
    let cached = store.as_ref().and_then(|store| store.get(&key));
    let (description, artifact) = match cached {
        Some(found) => found,
        None => {
            let made = compile(module, settings, program, sandbox)?;
            if let Some(store) = &store {
                store.put(&key, &made.0, &made.1);
            }
            made
        }
    };
    let artifact_len = artifact.len() as u64;
    let artifact = fds::sealed_file("sandpool-artifact", &artifact).map_err(|error| {
        let text = format!("cannot keep the artifact of `{}` in memory: {error}", module.name());
        BuildError::new(BuildErrorKind::Workers, text)
    })?;
    Ok(Compiled { description, artifact, artifact_len })
}

/// Compiles in a process of its own.
fn compile(
    module: &TaskModule,
    settings: EngineSettings,
    program: &Program,
    sandbox: Sandbox,
) -> Result<(Description, Vec<u8>), BuildError> {
    let name = module.name();
    let failed = |text: String| BuildError::new(BuildErrorKind::Workers, text);
    let mut child = spawn(Role::Compiler, program).map_err(|error| failed(error.to_string()))?;
    let talked = child.control().and_then(|control| talk(control, module, settings, sandbox));
    child.close_control();
    match talked {
        Ok(Ok(made)) => {
            child.reap_soon();
            Ok(made)
        }
        Ok(Err(reason)) => {
            Err(BuildError::new(BuildErrorKind::Refused, format!("`{name}`: {reason}")))
        }
        Err(error) if is_broken_off(&error) => {
            let ended = child.reap_soon();
            Err(BuildError::new(
                BuildErrorKind::Refused,
                format!("`{name}`: the compiler process {ended} before it had an answer"),
            ))
        }
        Err(error) => Err(failed(format!("`{name}`: the compiler process: {error}"))),
    }
}

fn is_broken_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset)
}

type Answer = Result<(Description, Vec<u8>), String>;

fn talk(
    control: &UnixStream,
    module: &TaskModule,
    settings: EngineSettings,
    sandbox: Sandbox,
) -> io::Result<Answer> {
    let bytes = fds::sealed_file("sandpool-module", module.bytes())?;
    control.set_read_timeout(Some(GREETING))?;
    let hello: Hello = receive(control).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::other(format!(
            "it did not become one within {} s (does the worker program link sandpool, and call \
             `sandpool::init()` where there is no hook before `main`?)",
            GREETING.as_secs()
        )),
        _ => error,
    })?;
    // How long compiling may take is not for this place to say; if the process ends, so does the
    // stream.
    control.set_read_timeout(None)?;
    if let Err(mismatch) = hello.check() {
        return Err(io::Error::other(mismatch));
    }
    fds::send_fds(control, &[bytes.as_fd()])?;
    let module_len = module.bytes().len() as u64;
    let host_pid = std::process::id();
    let setup = CompilerSetup { settings, sandbox, budget: BUDGET, module_len, host_pid };
    send(control, &setup)?;
    match receive(control)? {
        CompilerAnswer::Refused(reason) => Ok(Err(one_line(&reason))),
        CompilerAnswer::Unsealed(reason) => Err(io::Error::other(one_line(&reason))),
        CompilerAnswer::Compiled { description, artifact_len } => {
            if artifact_len > MAX_ARTIFACT {
                let limit = MAX_ARTIFACT >> 20;
                return Ok(Err(format!("its artifact is larger than {limit} MiB")));
            }
            let mut artifact = Vec::new();
            control.take(artifact_len).read_to_end(&mut artifact)?;
            if artifact.len() as u64 != artifact_len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Ok((*description, artifact)))
        }
    }
}

/// The compiler had the module's bytes in its hands, so its words may be anybody's.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2000).collect()
}
