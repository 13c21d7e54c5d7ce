//! What it means that a compiler process has ended without an answer, in words for its user.
//!
//! This module must not look at processes; it is told how one ended.

use crate::child::STATUS_PANICKED;
use crate::limits::CompileLimits;
use crate::pool::error::{BuildError, BuildErrorKind};
use crate::process::Ended;
use rustix::process::Signal;

const MORE_TIME: &str = "raise `compile_timeout` (`--compile-timeout`) if you trust the module";
const MORE_MEMORY: &str = "raise `compile_memory` (`--compile-memory`) if you trust the module";

/// The wall clock ran out.
pub(super) fn late(limits: &CompileLimits) -> BuildError {
    let limit = seconds(limits);
    let text = format!("takes longer than {limit} to compile: {MORE_TIME}");
    BuildError::new(BuildErrorKind::CompileLimit, text)
}

/// It was refused memory.
pub(super) fn out_of_memory(limits: &CompileLimits) -> BuildError {
    let text =
        format!("takes more than {} of memory to compile: {MORE_MEMORY}", size(limits.memory));
    BuildError::new(BuildErrorKind::CompileLimit, text)
}

/// It ended so; `None`: it closed its stream and went on.
pub(super) fn of(ended: Option<Ended>, limits: &CompileLimits) -> BuildError {
    let Some(ended) = ended else {
        let text = "the compiler process stopped talking before it had an answer";
        return BuildError::new(BuildErrorKind::Refused, text);
    };
    let limit = |text: String| BuildError::new(BuildErrorKind::CompileLimit, text);
    let refused = |why: &str| {
        let text = format!("the compiler process {ended} before it had an answer{why}");
        BuildError::new(BuildErrorKind::Refused, text)
    };
    let signal = match ended {
        Ended::Signal(signal) => Signal::from_named_raw(signal),
        Ended::Status(STATUS_PANICKED) => {
            return refused(": it panicked, which is a bug that this module brings out");
        }
        Ended::Status(_) | Ended::Unknown => None,
    };
    match signal {
        Some(Signal::XCPU) => limit(format!(
            "takes more than {} of processor time to compile: {MORE_TIME}",
            seconds(limits)
        )),
        Some(Signal::KILL) => limit(format!(
            "the compiler process {ended} before it had an answer: it ran out of its {} \
             of processor time, the system ran out of memory, or somebody did it by hand",
            seconds(limits)
        )),
        Some(Signal::ABORT) => limit(format!(
            "the compiler process {ended} before it had an answer: most likely {} of \
             memory were not enough, or its stack was not; {MORE_MEMORY}",
            size(limits.memory)
        )),
        Some(Signal::SYS) => refused(
            ": it made a system call that its walls forbid, so the module attacks the compiler, \
             or the walls are wrong for this system",
        ),
        Some(Signal::SEGV | Signal::BUS) => {
            refused(": this module breaks the compiler, most likely its stack")
        }
        _ => refused(""),
    }
}

fn seconds(limits: &CompileLimits) -> String {
    format!("{} s", limits.timeout.as_secs_f64())
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mib => format!("{mib} MiB"),
    }
}
