//! What a call was asked to be: plain data that does not change while it runs.
//!
//! This module must not know how any of it is done.

use super::block::Span;
use super::chunk::Chunk;
use super::store::Order;
use crate::description::Form;
use crate::outcome::TaskErrorKind;
use crate::ring::frame::Context;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What a call was asked to be.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Index of the function in the description.
    pub(crate) function: u32,
    pub(crate) form: Form,
    /// The item is always an argument list.
    pub(crate) star: bool,
    pub(crate) order: Order,
    pub(crate) chunk: Chunk,
    /// `None` for eager calls: everything is accepted and kept.
    pub(crate) window: Option<Window>,
    pub(crate) timeout: Option<Duration>,
    /// Wall clock of the whole call.
    pub(crate) deadline: Option<Duration>,
    pub(crate) retry: Retry,
    /// The first error ends the call.
    pub(crate) fail_fast: bool,
    /// Callbacks run before the call turns ready.
    pub(crate) callbacks: bool,
    /// The caller will drive an idle worker itself, so none is to be woken for the first item.
    pub(crate) driven: bool,
}

impl Spec {
    /// What a worker is told of the items of a span.
    pub(crate) fn context(&self, span: &Span) -> Context {
        Context {
            index: span.first(),
            attempt: span.attempts,
            function: self.function,
            form: self.form,
            star: self.star,
        }
    }
}

/// How far a lazy call may be ahead of its consumer.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Items pulled and not yielded; `None` adapts to the chunk.
    pub(crate) items: Option<u64>,
    /// Bytes of items and results together.
    pub(crate) bytes: u64,
    /// No consumer holds it any more: results are kept or thrown away.
    pub(crate) open: Arc<AtomicBool>,
}

/// Which items are started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// How often, besides the first time.
    pub(crate) limit: u32,
    pub(crate) kinds: Vec<TaskErrorKind>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { limit: 0, kinds: vec![TaskErrorKind::WorkerDied, TaskErrorKind::TimedOut] }
    }
}

impl Retry {
    /// Whether an item that was started `attempts` times and ended so is started again.
    pub(crate) fn wants(&self, kind: TaskErrorKind, attempts: u32) -> bool {
        attempts <= self.limit && self.kinds.contains(&kind)
    }
}
