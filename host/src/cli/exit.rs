//! Exit statuses, and which error ends in which of them.
//!
//! This module must not print. The statuses are an interface: scripts branch on them.

use crate::pool::error::{BuildError, BuildErrorKind, CallError, PoolError, PoolErrorKind};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: every item has a value.
    Done,
    /// 1: it ran to its end, and some item failed (or some case of `test`).
    SomeFailed,
    /// 2: the command line cannot be meant; no such function, or nothing says which.
    Usage,
    /// 3: the task module is missing or was refused.
    Module,
    /// 4: input cannot be read or output cannot be written.
    InputOutput,
    /// 5: workers cannot be started, or end again and again.
    Pool,
    /// 6: ended before its input did, as was asked for: at the first failed item, at a deadline.
    Halted,
    /// 130: interrupted (SIGINT).
    Interrupted,
    /// 143: terminated (SIGTERM).
    Terminated,
}

impl Exit {
    /// The status that the shell sees.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Module => 3,
            Self::InputOutput => 4,
            Self::Pool => 5,
            Self::Halted => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// An error of the command line's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// Input cannot be read, or output cannot be written.
    #[error("{0}")]
    InputOutput(String),
    /// The system refused something else.
    #[error("{0}")]
    System(String),
    /// Nobody reads our results any more: no error, and nothing left to do.
    #[error("nobody reads the results")]
    ReaderGone,
}

/// The status for an error that ended the run.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<CliError>() {
        return match error {
            CliError::Usage(_) => Exit::Usage,
            CliError::InputOutput(_) => Exit::InputOutput,
            CliError::System(_) => Exit::Pool,
            CliError::ReaderGone => Exit::Done,
        };
    }
    if let Some(error) = error.downcast_ref::<BuildError>() {
        return of_build(error.kind());
    }
    if let Some(error) = error.downcast_ref::<PoolError>() {
        return of_pool(error.kind());
    }
    match error.downcast_ref::<CallError>() {
        Some(CallError::Task(_)) => Exit::SomeFailed,
        Some(CallError::Input(_)) => Exit::InputOutput,
        Some(CallError::Pool(error)) => of_pool(error.kind()),
        Some(CallError::Callback { .. }) | None => Exit::Pool,
    }
}

fn of_build(kind: BuildErrorKind) -> Exit {
    match kind {
        BuildErrorKind::Usage | BuildErrorKind::NoSuchFunction => Exit::Usage,
        BuildErrorKind::Unreadable | BuildErrorKind::Refused | BuildErrorKind::CompileLimit => {
            Exit::Module
        }
        BuildErrorKind::Workers => Exit::Pool,
    }
}

fn of_pool(kind: PoolErrorKind) -> Exit {
    match kind {
        PoolErrorKind::Usage | PoolErrorKind::NoSuchFunction | PoolErrorKind::Mismatch => {
            Exit::Usage
        }
        PoolErrorKind::Expired => Exit::Halted,
        PoolErrorKind::Closed
        | PoolErrorKind::Terminated
        | PoolErrorKind::Broken
        | PoolErrorKind::System
        | PoolErrorKind::Forked => Exit::Pool,
    }
}
