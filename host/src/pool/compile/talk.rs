//! What the host and a compiler say to each other: greeting, module, answer, artifact.
//!
//! This module must not believe the compiler: a hostile module may own that process. Lengths are
//! checked before they are used, the artifact goes into a file in memory and not through ours, and
//! what comes after it is a fault.

use super::timed::Timed;
use super::{MOMENT, Means, greeting};
use crate::compiled::Compiled;
use crate::description::Description;
use crate::limits::CompileLimits;
use crate::process::{Child, fds};
use crate::walls::rlimits::Budget;
use crate::wire::control::{CompilerAnswer, CompilerSetup, Hello, OUT_OF_MEMORY, receive, send};
use rustix::fd::AsFd as _;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

/// Largest artifact that is taken from a compiler.
const MAX_ARTIFACT: u64 = 2 << 30;
/// Bytes of an artifact that are moved at once.
const PIECE: usize = 256 << 10;

/// What a compiler comes to.
pub(super) enum Answer {
    Made(Compiled),
    /// The module cannot be used, and why, in one line.
    Refused(String),
}

/// Why there is no answer.
pub(super) enum Fault {
    /// It did not greet.
    Mute,
    /// The time for compiling is over.
    Late,
    /// It closed its stream.
    BrokenOff,
    /// Its memory ended.
    OutOfMemory,
    /// What it says cannot be true.
    Nonsense(String),
    /// Something on our side.
    System(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::TimedOut => Self::Late,
            Kind::UnexpectedEof | Kind::BrokenPipe | Kind::ConnectionReset => Self::BrokenOff,
            Kind::InvalidData => Self::Nonsense(one_line(&error.to_string())),
            _ => Self::System(error),
        }
    }
}

/// One talk.
pub(super) struct Talk<'a> {
    timed: Timed<'a>,
    module: &'a [u8],
    means: &'a Means<'a>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(
        child: &'a Child,
        module: &'a [u8],
        means: &'a Means<'a>,
    ) -> Result<Self, Fault> {
        let until = Instant::now() + greeting(&means.limits);
        let timed = Timed::new(child, Some(until)).map_err(Fault::System)?;
        Ok(Self { timed, module, means })
    }

    pub(super) fn run(mut self) -> Result<Answer, Fault> {
        self.greet()?;
        self.timed.until = Instant::now().checked_add(self.means.limits.timeout);
        self.ask()?;
        let mut front = OUT_OF_MEMORY;
        self.timed.read_exact(&mut front)?;
        if front == OUT_OF_MEMORY {
            return Err(Fault::OutOfMemory);
        }
        match receive(front.chain(&mut self.timed))? {
            CompilerAnswer::Refused(reason) => Ok(Answer::Refused(one_line(&reason))),
            CompilerAnswer::Unsealed(why) => Err(Fault::System(io::Error::other(one_line(&why)))),
            CompilerAnswer::Compiled { description, artifact_len } => {
                let made = self.take(*description, artifact_len)?;
                self.end()?;
                Ok(Answer::Made(made))
            }
        }
    }

    fn greet(&mut self) -> Result<(), Fault> {
        let hello: Hello = receive(&mut self.timed).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Fault::Mute,
            _ => Fault::from(error),
        })?;
        hello.check().map_err(|mismatch| Fault::System(io::Error::other(mismatch)))
    }

    fn ask(&mut self) -> Result<(), Fault> {
        let bytes = fds::sealed_file("sandpool-module", self.module).map_err(Fault::System)?;
        // The first thing that we say, so there is room for it.
        fds::send_fds(self.timed.stream(), &[bytes.as_fd()])?;
        let setup = CompilerSetup {
            settings: self.means.settings,
            sandbox: self.means.sandbox,
            budget: budget(&self.means.limits),
            module_len: self.module.len() as u64,
            host_pid: std::process::id(),
        };
        Ok(send(&mut self.timed, &setup)?)
    }

    /// Takes the artifact, no more than was announced and may be.
    fn take(&mut self, description: Description, len: u64) -> Result<Compiled, Fault> {
        let limit = MAX_ARTIFACT.min(self.means.limits.memory);
        if len > limit {
            return Err(Fault::Nonsense(format!(
                "an artifact of {len} bytes, where no more than {limit} are possible"
            )));
        }
        let told = (description.module_size, description.artifact_size);
        if told != (self.module.len() as u64, len) || description.functions.is_empty() {
            return Err(Fault::Nonsense("a description of another module".to_owned()));
        }
        if !description.functions.iter().all(|function| function.signature.is_possible()) {
            return Err(Fault::Nonsense("types that no module can have".to_owned()));
        }
        let mut file = fds::open_file("sandpool-artifact").map_err(Fault::System)?;
        let mut piece = vec![0; PIECE];
        let mut left = len;
        while left > 0 {
            let room = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let count = self.timed.read(&mut piece[..room])?;
            if count == 0 {
                return Err(Fault::BrokenOff);
            }
            file.write_all(&piece[..count]).map_err(Fault::System)?;
            left -= count as u64;
        }
        let artifact = fds::seal(file).map_err(Fault::System)?;
        Ok(Compiled { description, artifact, artifact_len: len })
    }

    /// Checks that there is nothing behind the artifact. A compiler that does not end by itself is
    /// killed, but has done what it was for.
    fn end(&mut self) -> Result<(), Fault> {
        self.timed.until = Some(Instant::now() + MOMENT);
        match self.timed.read(&mut [0]) {
            Ok(1..) => Err(Fault::Nonsense("more bytes than its artifact has".to_owned())),
            Ok(0) | Err(_) => Ok(()),
        }
    }
}

/// What the process may use up. The system counts whole seconds, and our own clock is to be first:
/// it says what happened.
fn budget(limits: &CompileLimits) -> Budget {
    let seconds = limits.timeout.as_secs().saturating_add(1);
    Budget { data: limits.memory, cpu: Some(Duration::from_secs(seconds)), files: false }
}

/// The compiler had the module's bytes in its hands, so its words may be anybody's.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2000).collect()
}
