//! The iterator of a lazy call.
//!
//! This module must not pull from the input; the call's feeder does.

use super::error::CallError;
use super::handle;
use crate::call::Call;
use crate::call::store::Out;
use crate::call::wait::Next;
use crate::outcome::{Failure, Logs, TaskError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long an unfinished item of a dropped iterator may go on before its worker is killed.
const GRACE: Duration = Duration::from_millis(50);

/// Turns an outcome with a value into what the iterator yields.
pub(super) type Decode<R> = fn(&Call, &Out) -> Result<R, Failure>;

/// Results of a lazy call, in the order its method promises.
///
/// It keeps what it needs alive: results can be iterated after the [`Pool`](crate::Pool) is gone.
/// Dropping it unfinished cancels what it has not yielded: unclaimed items are recalled, and a
/// worker still running one of its items after a grace of 50 ms is killed.
/// [`detach`](Self::detach) lets everything run instead.
///
/// With the feature `stream` it is a `futures_core::Stream` as well.
#[must_use = "dropping it cancels the call"]
pub struct Imap<R> {
    call: Arc<Call>,
    decode: Decode<R>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Ended,
    Detached,
}

/// One item's end, with what there is to know of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome<R> {
    /// The item's index, 0-based, over the whole call.
    pub index: u64,
    /// How many times the item was started: more than 1 only with retries.
    pub attempts: u32,
    /// What the guest wrote while it ran the item.
    pub logs: Logs,
    /// The value, or the item's error.
    pub result: Result<R, TaskError>,
}

impl<R> fmt::Debug for Imap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<R> Imap<R> {
    pub(super) fn new(call: Arc<Call>, decode: Decode<R>) -> Self {
        Self { call, decode, state: State::Live }
    }

    /// The next result, if there is one within `timeout`. Python: `next(timeout)`.
    ///
    /// # Errors
    /// [`Timeout`] if there is none yet; the iterator is as it was.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<R, CallError>>, Timeout> {
        let deadline = Instant::now().checked_add(timeout);
        Ok(self.step(deadline)?.map(|step| step.and_then(Outcome::into_value)))
    }

    /// The next outcome with its index, attempts and logs; `None` at the end. An error of the call
    /// as a whole (its input failed, the pool cannot go on) comes once, in place of an outcome.
    pub fn next_outcome(&mut self) -> Option<Result<Outcome<R>, CallError>> {
        self.step(None).unwrap_or(None)
    }

    /// As [`next_outcome`](Self::next_outcome), but gives up after `timeout`.
    ///
    /// # Errors
    /// [`Timeout`] if there is none yet; the iterator is as it was.
    pub fn next_outcome_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<Outcome<R>, CallError>>, Timeout> {
        self.step(Instant::now().checked_add(timeout))
    }

    /// The same results, each with its item's index.
    pub fn indexed(self) -> Indexed<R> {
        Indexed(self)
    }

    /// Lets every item run and throws the results away; nothing holds the input back any more.
    /// `pool.imap_unordered(..)?.detach(); pool.close(); pool.join()?` runs everything.
    pub fn detach(mut self) {
        self.state = State::Detached;
        if let Some(window) = &self.call.spec.window {
            window.open.store(true, Ordering::SeqCst);
        }
        self.call.discard_results();
        self.call.release_window();
    }

    /// Items that were pulled from the input so far.
    #[must_use]
    pub fn pulled(&self) -> u64 {
        self.call.accepted()
    }

    /// Stops pulling items: those that were pulled run and are yielded, then the iterator ends. It
    /// does not wait for the input: an item that the input is just about to give is not run.
    pub fn stop_input(&self) {
        self.call.end_input(None);
        self.call.release_window();
    }

    fn step(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<Outcome<R>, CallError>>, Timeout> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let next = self.call.next(deadline).ok_or(Timeout)?;
        Ok(self.found(next))
    }

    fn found(&mut self, next: Next) -> Option<Result<Outcome<R>, CallError>> {
        match next {
            Next::Out(index, out) => {
                let result = handle::decode(&self.call, index, &out, self.decode);
                Some(Ok(Outcome { index, attempts: out.attempts(), logs: out.logs(), result }))
            }
            Next::Failed(error) => Some(Err(error)),
            Next::End => {
                self.state = State::Ended;
                None
            }
        }
    }
}

impl<R> Outcome<R> {
    fn into_value(self) -> Result<R, CallError> {
        self.result.map_err(CallError::Task)
    }
}

/// There is no result yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no result within the timeout")]
pub struct Timeout;

impl<R> Iterator for Imap<R> {
    type Item = Result<R, CallError>;

    /// Blocks until the next result is there.
    fn next(&mut self) -> Option<Self::Item> {
        self.next_outcome().map(|step| step.and_then(Outcome::into_value))
    }
}

impl<R> std::iter::FusedIterator for Imap<R> {}

impl<R> Drop for Imap<R> {
    fn drop(&mut self) {
        if self.state == State::Live {
            self.call.cancel(GRACE);
        }
    }
}

#[cfg(feature = "stream")]
impl<R> futures_core::Stream for Imap<R> {
    type Item = Result<R, CallError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        use std::task::Poll;
        if self.state == State::Ended {
            return Poll::Ready(None);
        }
        match self.call.poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(next) => {
                let found = self.found(next);
                Poll::Ready(found.map(|step| step.and_then(Outcome::into_value)))
            }
        }
    }
}

/// Results with the indexes of their items, from [`Imap::indexed`].
#[derive(Debug)]
#[must_use = "dropping it cancels the call"]
pub struct Indexed<R>(Imap<R>);

impl<R> Iterator for Indexed<R> {
    /// An item's index and result; an error of the call as a whole has no index.
    type Item = Result<(u64, Result<R, TaskError>), CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_outcome().map(|step| step.map(|outcome| (outcome.index, outcome.result)))
    }
}
