//! The handle of an asynchronous call.
//!
//! This module must not change a call except by `cancel`.

use super::error::{CallError, PoolError};
use super::submit::typed;
use crate::buffers::Buffer;
use crate::call::Call;
use crate::call::run::{Apart, Out, Run, Value};
use crate::call::wait::End;
use crate::outcome::{Failure, TaskError, TaskErrorKind};
use serde::de::DeserializeOwned;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Makes what the caller wants of all outcomes of a complete call, in input order.
pub(super) type Finish<T> = fn(&Arc<Call>, Outs) -> Result<T, CallError>;

/// The handle of an asynchronous call. Python: `multiprocessing.pool.AsyncResult`.
///
/// It is a [`Future`] as well. Dropping it does not cancel the call; [`cancel`](Self::cancel) does.
#[must_use = "a handle that is dropped leaves its call running"]
pub struct AsyncResult<T> {
    call: Arc<Call>,
    finish: Finish<T>,
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

impl<T> AsyncResult<T> {
    pub(super) fn new(call: Arc<Call>, finish: Finish<T>) -> Self {
        Self { call, finish }
    }

    /// Blocks until the call is ready and gives its result. May be called again.
    ///
    /// # Errors
    /// What the call ended in.
    ///
    /// # Blocking
    /// Until every item has ended and callbacks have returned.
    ///
    /// # Worker death
    /// Ends as [`TaskErrorKind::WorkerDied`] for the item concerned; this never hangs.
    pub fn get(&self) -> Result<T, CallError> {
        self.call.core.check_process()?;
        self.call.wait_ready(None);
        self.finish_with(Outs::kept(&self.call))
    }

    /// As [`get`](Self::get), but gives up after `timeout`, with `None`. The call goes on, and may
    /// be asked again.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Option<Result<T, CallError>> {
        if let Err(forked) = self.call.core.check_process() {
            return Some(Err(forked.into()));
        }
        self.wait(Some(timeout)).then(|| self.finish_with(Outs::kept(&self.call)))
    }

    /// Waits until the call is ready, at most for `timeout`, and tells whether it is. Python's
    /// `wait` tells nothing.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.call.core.check_process().is_ok() && self.call.wait_ready(deadline)
    }

    /// Whether the call is ready, with a value or an error. Does not block.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.call.is_ready()
    }

    /// Whether the call ended without an error.
    ///
    /// # Errors
    /// [`PoolErrorKind::Usage`](crate::PoolErrorKind::Usage) before it is ready, as in Python.
    pub fn successful(&self) -> Result<bool, PoolError> {
        if !self.ready() {
            return Err(PoolError::usage("the call is not ready"));
        }
        let failed = |run: &Run| run.errors().next().is_some();
        let complete = matches!(self.call.end(), End::Complete);
        Ok(complete && !self.call.outs().iter().any(failed))
    }

    /// Ends the call: items that have not ended are [`TaskErrorKind::Cancelled`] at once, a worker
    /// that runs one of them is killed. Items that have ended stay as they are.
    pub fn cancel(&self) {
        self.call.cancel(Duration::ZERO);
    }

    /// As `get`, for a handle that nobody else has.
    pub(super) fn take(self) -> Result<T, CallError> {
        self.finish_with(Outs::taken(&self.call))
    }

    fn finish_with(&self, outs: Outs) -> Result<T, CallError> {
        let result = (self.finish)(&self.call, outs);
        match self.call.end() {
            End::Callback(panic) => {
                Err(CallError::Callback { panic, cause: result.err().map(Box::new) })
            }
            _ => result,
        }
    }
}

impl<T> Future for AsyncResult<T> {
    type Output = Result<T, CallError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.poll_ready(context).map(|()| self.finish_with(Outs::kept(&self.call)))
    }
}

/// The outcomes of a call in input order, until it is complete.
pub(super) struct Outs {
    call: Arc<Call>,
    next: std::vec::IntoIter<Run>,
    /// There are more to be taken.
    more: bool,
}

impl Outs {
    /// Outcomes that stay with the call, for a handle that may be asked again.
    pub(super) fn kept(call: &Arc<Call>) -> Self {
        Self { call: Arc::clone(call), next: call.outs().into_iter(), more: false }
    }

    /// Outcomes that leave the call as they come, so that decoding them overlaps with the work on
    /// those after them, and there are never two lists of them.
    pub(super) fn taken(call: &Arc<Call>) -> Self {
        Self { call: Arc::clone(call), next: Vec::new().into_iter(), more: true }
    }

    /// Shows each outcome to `see`.
    #[inline]
    pub(super) fn each(self, mut see: impl FnMut(Out<'_>)) {
        for mut run in self {
            while let Some(out) = run.next() {
                see(out);
            }
        }
    }
}

impl Iterator for Outs {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.next.as_slice().is_empty() && self.more {
            self.next = self.call.take_outs().into_iter();
        }
        self.next.next()
    }
}

/// What ended the call as a whole, if something did.
fn whole(call: &Call) -> Result<(), CallError> {
    match call.end() {
        End::Pool(error) => Err(CallError::Pool(error)),
        End::Input(error) => Err(CallError::Input(error)),
        End::Complete | End::Callback(_) => Ok(()),
    }
}

/// One item's value.
pub(super) fn single<R: DeserializeOwned>(call: &Arc<Call>, outs: Outs) -> Result<R, CallError> {
    let mut found = None;
    outs.each(|out| found = Some(decode(call, out, typed())));
    whole(call)?;
    match found {
        Some(outcome) => outcome.map_err(CallError::Task),
        None => Err(CallError::Pool(PoolError::terminated())),
    }
}

/// Every item's value, or the error that stands for the call.
pub(super) fn all<R: DeserializeOwned>(call: &Arc<Call>, outs: Outs) -> Result<Vec<R>, CallError> {
    let mut values = Vec::with_capacity(usize::try_from(call.accepted()).unwrap_or(0));
    let mut blamed = Blamed::default();
    outs.each(|out| match decode(call, out, typed()) {
        Ok(value) => values.push(value),
        Err(error) => blamed.hear(error),
    });
    whole(call)?;
    blamed.0.map_or(Ok(values), |error| Err(CallError::Task(error)))
}

/// The error that stands for a call: that of the lowest index, but not one that only followed from
/// another. Errors are heard in input order.
#[derive(Debug, Default)]
pub(super) struct Blamed(pub(super) Option<TaskError>);

impl Blamed {
    pub(super) fn hear(&mut self, error: TaskError) {
        let follows = |known: &TaskError| known.kind() == TaskErrorKind::Cancelled;
        if self.0.as_ref().is_none_or(|known| follows(known) && !follows(&error)) {
            self.0 = Some(error);
        }
    }
}

/// Every item's outcome.
pub(super) fn outcomes<R: DeserializeOwned>(
    call: &Arc<Call>,
    outs: Outs,
) -> Result<Vec<Result<R, TaskError>>, CallError> {
    let mut outcomes = Vec::with_capacity(usize::try_from(call.accepted()).unwrap_or(0));
    outs.each(|out| outcomes.push(decode(call, out, typed())));
    whole(call)?;
    Ok(outcomes)
}

/// Makes what a consumer wants of a value.
pub(super) struct Decode<R> {
    pub(super) value: fn(&Call, Value<'_>) -> Result<R, Failure>,
    /// Of one that has a buffer of its own.
    pub(super) large: fn(&Call, Buffer) -> Result<R, Failure>,
}

impl<R> Clone for Decode<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Decode<R> {}

/// Decodes one outcome.
#[inline]
pub(super) fn decode<R>(call: &Call, out: Out<'_>, decode: Decode<R>) -> Result<R, TaskError> {
    let decoded = match out.result {
        Ok(value) => (decode.value)(call, value),
        Err(apart) => match *apart {
            Apart::Value(buffer) => (decode.large)(call, buffer),
            Apart::Error(error) => return Err(error),
        },
    };
    decoded.map_err(|failure| {
        TaskError::new(out.index, out.attempts, failure, out.logs.cloned().unwrap_or_default())
    })
}
