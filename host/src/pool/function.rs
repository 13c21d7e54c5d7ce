//! A function of the module with options, and the ten methods on it.
//!
//! This module must not know how items travel; it encodes, submits, and hands out handles.

use super::callbacks::Callbacks;
use super::core::Core;
use super::documents::Documents;
use super::error::{CallError, PoolError, PoolErrorKind};
use super::handle::{self, AsyncResult};
use super::iter::Imap;
use super::submit::{Plan, Shape};
use crate::call::spec::Retry;
use crate::call::store::Order;
use crate::codec;
use crate::description::{Form, FunctionInfo};
use crate::outcome::{TaskError, TaskErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of items and results of a lazy call, by default.
const WINDOW_BYTES: u64 = 64 << 20;

/// What an eager call does with errors of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorPolicy {
    /// Everything runs; then the error of the lowest failed index is returned. The default, and
    /// what Python does (which returns the first error to arrive).
    #[default]
    Wait,
    /// The first error ends the call: running items are killed, the rest is cancelled.
    FailFast,
}

/// A function of the pool's module, with options for calls through it.
///
/// Options are checked where the call is made, before anything runs. A function does not keep its
/// pool open: with the last [`Pool`](crate::Pool) gone, calls through it are refused.
#[derive(Clone, Debug)]
#[must_use = "a function does nothing until it is called"]
pub struct Function {
    pub(super) core: Arc<Core>,
    pub(super) id: u32,
    pub(super) chunk: Option<usize>,
    pub(super) window: Option<usize>,
    pub(super) window_bytes: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) retry: Retry,
    pub(super) policy: ErrorPolicy,
}

impl Function {
    pub(super) fn new(core: &Arc<Core>, name: Option<&str>) -> Result<Self, PoolError> {
        let id = core
            .recipe
            .config
            .description
            .choose(name)
            .map_err(|text| PoolError::new(PoolErrorKind::NoSuchFunction, text))?;
        Ok(Self {
            core: Arc::clone(core),
            id,
            chunk: None,
            window: None,
            window_bytes: WINDOW_BYTES,
            timeout: core.recipe.config.limits.timeout,
            deadline: None,
            retry: Retry::default(),
            policy: ErrorPolicy::default(),
        })
    }

    // ---- options ----

    /// Items that travel together: an economy, never visible in results. Of quick items a worker may
    /// have several such chunks at a time. 0 is refused by every method. Default: adapts to the
    /// measured cost of items.
    pub fn chunk_size(self, items: usize) -> Self {
        Self { chunk: Some(items), ..self }
    }

    /// Items of a lazy call that may be pulled from the input and not yet yielded. 0 is refused.
    /// Default: max(64, 4 × workers × chunk), where a chunk of quick items is as many as take 4 ms,
    /// at most 4096, whatever the chunk size.
    ///
    /// Of large items fewer are pulled: no more than take 2 MiB, and two for each worker, wait for one.
    pub fn window(self, items: usize) -> Self {
        Self { window: Some(items), ..self }
    }

    /// Bytes of items and results that a lazy call may hold before it stops pulling. One item is
    /// always let in. Default: 64 MiB.
    pub fn window_bytes(self, bytes: u64) -> Self {
        Self { window_bytes: bytes, ..self }
    }

    /// Wall clock of each item, from its start on a worker; the worker is killed then. Zero is
    /// refused. Default: the pool's.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Wall clock of a whole call, from its submission. What has not ended then ends as `TimedOut`:
    /// items that wait are not run, the workers of those that run are killed, and an input that
    /// was not read to its end is told of by one last error, [`PoolErrorKind::Expired`]. Zero is
    /// refused. Default: none.
    ///
    /// An eager call whose input blocks the calling thread returns when the input lets it.
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// How often an item is started again after it ended in one of the kinds of
    /// [`retry_on`](Self::retry_on). Default: 0, no item is ever started twice.
    pub fn retries(mut self, times: u32) -> Self {
        self.retry.limit = times;
        self
    }

    /// The ends that are retried. Default: `WorkerDied` and `TimedOut`.
    pub fn retry_on(mut self, kinds: impl IntoIterator<Item = TaskErrorKind>) -> Self {
        self.retry.kinds = kinds.into_iter().collect();
        self
    }

    /// What eager calls do with errors. Default: [`ErrorPolicy::Wait`].
    pub fn error_policy(self, policy: ErrorPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Name, parameters and result.
    #[must_use]
    pub fn info(&self) -> &FunctionInfo {
        &self.core.recipe.config.description.functions[self.id as usize]
    }

    /// The same function over encoded documents instead of Rust values.
    pub fn documents(&self, form: Form) -> Documents {
        Documents::new(self.clone(), form)
    }

    /// The function's own error behind a [`TaskErrorKind::Failed`], as a Rust value; `None` if the
    /// error carries no value, or is of another kind, or does not fit `E`.
    #[must_use]
    pub fn error_value<E: DeserializeOwned>(&self, error: &TaskError) -> Option<E> {
        codec::from_value(self.info().error_type(), error.payload()?).ok()
    }

    // ---- eager ----

    /// Runs one item and blocks for its outcome. Python: `Pool.apply`; the argument is an item, so
    /// several parameters are one tuple.
    ///
    /// # Errors
    /// The item's error, or the pool's.
    ///
    /// # Blocking
    /// Until the item has ended.
    pub fn apply<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        argument: &A,
    ) -> Result<R, CallError> {
        AsyncResult::new(self.run_one(argument)?, handle::single).take()
    }

    /// Submits one item and returns at once. Python: `Pool.apply_async`.
    ///
    /// # Errors
    /// If the pool is closed, or the argument does not fit the parameters.
    pub fn apply_async<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        argument: &A,
    ) -> Result<AsyncResult<R>, PoolError> {
        let call = self.submit_one(argument, Plan::eager(Shape::Item, None))?;
        Ok(AsyncResult::new(call, handle::single))
    }

    /// As [`apply_async`](Self::apply_async), with callbacks.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async), and if no thread can be started for the callbacks.
    pub fn apply_async_with<A: Serialize + ?Sized, R: DeserializeOwned + Send + 'static>(
        &self,
        argument: &A,
        callbacks: Callbacks<R>,
    ) -> Result<AsyncResult<R>, PoolError> {
        let prepared = callbacks.prepare(handle::single)?;
        let call = self.submit_one(argument, Plan::eager(Shape::Item, Some(())))?;
        prepared.attach(&call);
        Ok(AsyncResult::new(call, handle::single))
    }

    /// Runs every item of an input, which this thread drains, and gives the results in input order.
    /// Python: `Pool.map`.
    ///
    /// # Errors
    /// By the [`error_policy`](Self::error_policy), or the pool's error. A panic of the input goes
    /// on through here, after the call was cancelled.
    ///
    /// # Blocking
    /// Until every item has ended.
    pub fn map<I, R>(&self, items: I) -> Result<Vec<R>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.map_async(items)?.take()
    }

    /// As [`map`](Self::map), but returns once the input is drained. Python: `Pool.map_async`.
    ///
    /// # Errors
    /// If the pool is closed, an option cannot be meant, or the first item does not fit.
    ///
    /// # Blocking
    /// As long as the input takes.
    pub fn map_async<I, R>(&self, items: I) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        let call = self.submit_all(items, Shape::Item, None)?;
        Ok(AsyncResult::new(call, handle::all))
    }

    /// As [`map_async`](Self::map_async), with callbacks for the whole call.
    ///
    /// # Errors
    /// As [`map_async`](Self::map_async), and if no thread can be started for the callbacks.
    pub fn map_async_with<I, R>(
        &self,
        items: I,
        callbacks: Callbacks<Vec<R>>,
    ) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned + Send + 'static,
    {
        let prepared = callbacks.prepare(handle::all)?;
        let call = self.submit_all(items, Shape::Item, Some(()))?;
        prepared.attach(&call);
        Ok(AsyncResult::new(call, handle::all))
    }

    /// As [`map`](Self::map), but collects one outcome per item, errors among them.
    ///
    /// # Errors
    /// Only those of the call as a whole.
    ///
    /// # Blocking
    /// Until every item has ended.
    pub fn map_outcomes<I, R>(&self, items: I) -> Result<Vec<Result<R, TaskError>>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        // Failing fast would leave items without an outcome of their own.
        let collecting = self.clone().error_policy(ErrorPolicy::Wait);
        let call = collecting.submit_all(items, Shape::Item, None)?;
        AsyncResult::new(call, handle::outcomes).take()
    }

    /// As [`map`](Self::map), but each item is an argument list. Python: `Pool.starmap`.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    ///
    /// # Blocking
    /// Until every item has ended.
    pub fn starmap<I, R>(&self, items: I) -> Result<Vec<R>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.starmap_async(items)?.take()
    }

    /// As [`starmap`](Self::starmap), but returns once the input is drained. Python:
    /// `Pool.starmap_async`.
    ///
    /// # Errors
    /// As [`map_async`](Self::map_async).
    pub fn starmap_async<I, R>(&self, items: I) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        let call = self.submit_all(items, Shape::Arguments, None)?;
        Ok(AsyncResult::new(call, handle::all))
    }

    /// As [`starmap_async`](Self::starmap_async), with callbacks for the whole call.
    ///
    /// # Errors
    /// As [`map_async_with`](Self::map_async_with).
    pub fn starmap_async_with<I, R>(
        &self,
        items: I,
        callbacks: Callbacks<Vec<R>>,
    ) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned + Send + 'static,
    {
        let prepared = callbacks.prepare(handle::all)?;
        let call = self.submit_all(items, Shape::Arguments, Some(()))?;
        prepared.attach(&call);
        Ok(AsyncResult::new(call, handle::all))
    }

    // ---- lazy ----

    /// Runs the items of an input lazily and yields results in input order. Python: `Pool.imap`,
    /// but with a bounded window: a feeder thread pulls from the input, starting now, and pulls not
    /// one item more than the [`window`](Self::window) until a result is yielded.
    ///
    /// An item's error is yielded at its place, and the iteration goes on. If the input panics,
    /// what came before is yielded, then the error, once.
    ///
    /// # Errors
    /// If the pool is closed, or an option cannot be meant.
    pub fn imap<I, R>(&self, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.submit_lazy(items, Shape::Item, Order::Input)
    }

    /// As [`imap`](Self::imap), but yields results as items end. Python: `Pool.imap_unordered`.
    ///
    /// # Errors
    /// As [`imap`](Self::imap).
    pub fn imap_unordered<I, R>(&self, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.submit_lazy(items, Shape::Item, Order::Completion)
    }

    /// As [`imap`](Self::imap), but each item is an argument list. Python lacks this one.
    ///
    /// # Errors
    /// As [`imap`](Self::imap).
    pub fn istarmap<I, R>(&self, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.submit_lazy(items, Shape::Arguments, Order::Input)
    }

    /// As [`imap_unordered`](Self::imap_unordered), but each item is an argument list.
    ///
    /// # Errors
    /// As [`imap`](Self::imap).
    pub fn istarmap_unordered<I, R>(&self, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.submit_lazy(items, Shape::Arguments, Order::Completion)
    }
}
