//! What can go wrong with a pool or a call as a whole, as opposed to one item.
//!
//! This module must not know how: it holds the types, their texts and their predicates.

use crate::outcome::TaskError;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a pool could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    kind: BuildErrorKind,
    message: String,
}

/// Sorts of [`BuildError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// An option has a value that it cannot have, or two options exclude each other.
    Usage,
    /// The module cannot be read.
    Unreadable,
    /// The module cannot be used: not Wasm, invalid, an import that nobody provides, too many parts,
    /// or it brings the compiler down.
    Refused,
    /// Compiling the module takes more time or memory than [`CompileLimits`](crate::CompileLimits)
    /// give it.
    CompileLimit,
    /// No such function, or nothing says which.
    NoSuchFunction,
    /// Workers cannot be started.
    Workers,
}

impl BuildError {
    pub(crate) fn new(kind: BuildErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The same, about the module of this name.
    pub(crate) fn of(self, name: &str) -> Self {
        Self { message: format!("`{name}`: {}", self.message), ..self }
    }

    /// What sort of error this is.
    #[must_use]
    pub fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

/// Why a pool does not take a call, or cannot finish it.
#[derive(Clone, Debug)]
pub struct PoolError {
    kind: PoolErrorKind,
    message: Arc<str>,
}

/// Sorts of [`PoolError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolErrorKind {
    /// The pool was closed.
    Closed,
    /// The pool was terminated.
    Terminated,
    /// Workers end again and again before they run an item; the message names the first cause.
    Broken,
    /// An argument that cannot be meant, such as a chunk size of 0.
    Usage,
    /// The module has no such function.
    NoSuchFunction,
    /// The arguments, or the wanted result, do not fit the function's signature.
    Mismatch,
    /// The call took longer than the deadline it was given, and its input was not read to the end.
    Expired,
    /// The system refused something, such as a thread.
    System,
    /// This process is a copy, made by `fork`, of the one that has the pool.
    Forked,
}

impl PoolError {
    pub(crate) fn new(kind: PoolErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn expired(limit: Duration) -> Self {
        let text = format!(
            "the call had not ended after its {} ms; the rest of its input was not read",
            limit.as_millis()
        );
        Self::new(PoolErrorKind::Expired, text)
    }

    pub(crate) fn closed() -> Self {
        Self::new(PoolErrorKind::Closed, "the pool is closed")
    }

    pub(crate) fn terminated() -> Self {
        Self::new(PoolErrorKind::Terminated, "the pool was terminated")
    }

    pub(crate) fn forked() -> Self {
        let text = "the pool belongs to the process that this one was forked from; build another";
        Self::new(PoolErrorKind::Forked, text)
    }

    pub(crate) fn usage(message: impl Into<Arc<str>>) -> Self {
        Self::new(PoolErrorKind::Usage, message)
    }

    pub(crate) fn mismatch(message: String) -> Self {
        Self::new(PoolErrorKind::Mismatch, message)
    }

    pub(crate) fn system(what: &str, error: &std::io::Error) -> Self {
        Self::new(PoolErrorKind::System, format!("{what}: {error}"))
    }

    /// What sort of error this is.
    #[must_use]
    pub fn kind(&self) -> PoolErrorKind {
        self.kind
    }

    /// Tells whether the pool was closed or terminated.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        matches!(self.kind, PoolErrorKind::Closed | PoolErrorKind::Terminated)
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PoolError {}

/// The input of a call panicked or failed.
#[derive(Clone, Debug)]
pub struct InputError {
    message: Arc<str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl InputError {
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = format!("the input panicked: {}", panic_text(panic)).into();
        Self { message, source: None }
    }

    pub(crate) fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self { message: error.to_string().into(), source: Some(Arc::from(error)) }
    }

    /// The error that the input gave, if it gave one and did not panic.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InputError {}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a value that is no text".to_owned(),
    }
}

/// What a call, or one step of an iterator, can end in instead of a value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// One item has no value.
    Task(TaskError),
    /// The pool does not take the call or cannot finish it.
    Pool(PoolError),
    /// The input panicked or failed; what came before it was delivered.
    Input(InputError),
    /// A callback of the call panicked.
    Callback {
        /// What it panicked with.
        panic: String,
        /// The error that the call had ended in before, if the error callback was the one.
        cause: Option<Box<CallError>>,
    },
}

impl CallError {
    /// The item's error, if that is what this is.
    #[must_use]
    pub fn task(&self) -> Option<&TaskError> {
        match self {
            Self::Task(error) => Some(error),
            _ => None,
        }
    }

    /// The pool's error, if that is what this is.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolError> {
        match self {
            Self::Pool(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(error) => error.fmt(f),
            Self::Pool(error) => error.fmt(f),
            Self::Input(error) => error.fmt(f),
            Self::Callback { panic, .. } => write!(f, "a callback panicked: {panic}"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their texts are this error's own text.
            Self::Task(_) | Self::Pool(_) => None,
            Self::Input(error) => error.source.as_deref().and_then(|cause| cause.source()),
            Self::Callback { cause, .. } => cause.as_deref().map(|cause| cause as _),
        }
    }
}

impl From<PoolError> for CallError {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<TaskError> for CallError {
    fn from(error: TaskError) -> Self {
        Self::Task(error)
    }
}
