//! How an item ends: a value, or one [`TaskError`].
//!
//! This module must not know where outcomes come from: it is a leaf.

use std::fmt;

/// Why an item has no value. Exactly one of these, for every submitted item without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The function returned its own error (the `err` side of its `result`).
    Failed,
    /// The guest hit a Wasm trap.
    Trapped,
    /// The deadline of the item passed; its worker was killed.
    TimedOut,
    /// Memory growth was refused and the item then trapped or exited.
    OutOfMemory,
    /// The fuel of the item was used up.
    OutOfFuel,
    /// The encoded result was larger than the limit.
    OutputTooLarge,
    /// The guest exited with this status other than 0, or in the middle of a function.
    Exited,
    /// The worker process died while it was running this item; or three workers in turn ended by
    /// themselves when they were to begin it ([`Pool`](crate::Pool), "Worker death").
    WorkerDied,
    /// The item does not fit the parameters of the function, or could not be encoded.
    BadInput,
    /// The result is not what its type, or the wanted Rust type, allows.
    BadOutput,
    /// The call was cancelled before this item had ended.
    Cancelled,
    /// The pool was terminated before this item had ended.
    Terminated,
}

impl TaskErrorKind {
    /// Every kind, in the order of their wire codes.
    pub const ALL: [Self; 12] = [
        Self::Failed,
        Self::Trapped,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::OutOfFuel,
        Self::OutputTooLarge,
        Self::Exited,
        Self::WorkerDied,
        Self::BadInput,
        Self::BadOutput,
        Self::Cancelled,
        Self::Terminated,
    ];

    /// The name used in records of the command line: snake case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Trapped => "trapped",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutputTooLarge => "output_too_large",
            Self::Exited => "exited",
            Self::WorkerDied => "worker_died",
            Self::BadInput => "bad_input",
            Self::BadOutput => "bad_output",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
        }
    }
}

/// What the guest wrote while it ran one item: tails, capped by
/// [`Limits::log`](crate::Limits::log).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// What it wrote to standard output (empty for commands, whose output is the result).
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, and what it logged.
    pub stderr: Vec<u8>,
    /// Bytes that were dropped from the front of both because of the cap.
    pub dropped: u64,
}

impl Logs {
    /// Bytes that are held for it.
    pub(crate) fn size(&self) -> u64 {
        (self.stdout.len() + self.stderr.len()) as u64
    }

    /// Tells whether the item wrote nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && self.dropped == 0
    }
}

/// The facts of a failure, without the item they belong to: what the guest layer reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Option<TaskErrorKind>,
    /// Lower-case fragment that says what happened.
    pub(crate) message: String,
    /// Demangled Wasm frames, one per line; empty where there are none.
    pub(crate) backtrace: String,
    /// Exit status of a guest, or signal/status of a worker.
    pub(crate) code: Option<i32>,
    /// What was used of what limit, in the unit of the limit.
    pub(crate) used: Option<(u64, u64)>,
    /// The encoded `err` payload of the function, in the form of the call.
    pub(crate) payload: Option<Vec<u8>>,
}

impl Failure {
    pub(crate) fn new(kind: TaskErrorKind, message: impl Into<String>) -> Self {
        Self { kind: Some(kind), message: message.into(), ..Self::default() }
    }
}

/// The error of one item.
#[derive(Clone)]
pub struct TaskError(Box<Repr>);

#[derive(Clone, Debug)]
struct Repr {
    index: u64,
    attempts: u32,
    failure: Failure,
    logs: Logs,
}

impl TaskError {
    pub(crate) fn new(index: u64, attempts: u32, failure: Failure, logs: Logs) -> Self {
        Self(Box::new(Repr { index, attempts, failure, logs }))
    }

    /// What kind of end this is.
    #[must_use]
    pub fn kind(&self) -> TaskErrorKind {
        self.0.failure.kind.unwrap_or(TaskErrorKind::BadOutput)
    }

    /// The item's index, 0-based, over the whole call.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.0.index
    }

    /// How many times the item was started: 0 if it never was, more than 1 only with retries.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// What happened: one lower-case line. For [`TaskErrorKind::Failed`] with a string error it is
    /// that string; with another error type, that value as JSON.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.failure.message
    }

    /// The demangled Wasm backtrace, one frame a line, if the guest trapped.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        let text = self.0.failure.backtrace.as_str();
        (!text.is_empty()).then_some(text)
    }

    /// The guest's exit status ([`TaskErrorKind::Exited`]), or the worker's: a signal as a
    /// negative number, a status as it is ([`TaskErrorKind::WorkerDied`]).
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.0.failure.code
    }

    /// What was used, of what limit (bytes, units of fuel, or milliseconds).
    #[must_use]
    pub fn used_of_limit(&self) -> Option<(u64, u64)> {
        self.0.failure.used
    }

    /// What the guest wrote while it ran the item.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.0.logs
    }

    /// Bytes that are held for it.
    pub(crate) fn size(&self) -> u64 {
        let Repr { failure, logs, .. } = &*self.0;
        let payload = failure.payload.as_ref().map_or(0, Vec::len);
        let texts = failure.message.len() + failure.backtrace.len();
        (payload + texts) as u64 + logs.size()
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.0.failure.payload.as_deref()
    }

    /// Tells whether the guest trapped.
    #[must_use]
    pub fn is_trap(&self) -> bool {
        self.kind() == TaskErrorKind::Trapped
    }

    /// Tells whether the item ran into its deadline.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind() == TaskErrorKind::TimedOut
    }

    /// Tells whether the worker process died.
    #[must_use]
    pub fn is_worker_death(&self) -> bool {
        self.kind() == TaskErrorKind::WorkerDied
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr { index, attempts, failure, logs } = &*self.0;
        f.debug_struct("TaskError")
            .field("index", index)
            .field("kind", &self.kind())
            .field("message", &failure.message)
            .field("code", &failure.code)
            .field("used_of_limit", &failure.used)
            .field("attempts", attempts)
            .field("backtrace", &failure.backtrace)
            .field("stderr", &String::from_utf8_lossy(&logs.stderr))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}: {}", self.index(), self.kind().name())?;
        match self.message() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

impl std::error::Error for TaskError {}
