//! The iterator of a lazy call.
//!
//! This module must not pull from the input; the call's feeder does.

use super::error::CallError;
use super::handle::{self, Decode};
use crate::call::Call;
use crate::call::run::Run;
use crate::call::wait::Next;
use crate::outcome::{Logs, TaskError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long an unfinished item of a dropped iterator may go on before its worker is killed.
const GRACE: Duration = Duration::from_millis(50);

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
    hand: Hand,
    state: State,
}

/// Outcomes that have left the call and are yielded next.
#[derive(Debug)]
struct Hand {
    run: Run,
    /// What there was of them when the call was last told that they are yielded.
    told: (u64, u64),
    /// After so many of them it is told again.
    stride: u64,
}

impl Hand {
    fn new(run: Run, stride: u64) -> Self {
        Self { told: (run.len(), run.size()), run, stride }
    }

    /// Tells the call what was yielded, if that is worth it, or the hand is empty.
    #[inline]
    fn tell(&mut self, call: &Call) {
        let (len, size) = self.told;
        let yielded = len - self.run.len();
        if yielded > 0 && (yielded >= self.stride || self.run.len() == 0) {
            self.told = (self.run.len(), self.run.size());
            call.yielded(yielded, size.saturating_sub(self.told.1));
        }
    }
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
        Self { call, decode, hand: Hand::new(Run::none(), 1), state: State::Live }
    }

    /// The next result, if there is one within `timeout`. Python: `next(timeout)`.
    ///
    /// # Errors
    /// [`Timeout`] if there is none yet; the iterator is as it was.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<R, CallError>>, Timeout> {
        Ok(self.step_within(timeout)?.map(|step| step.and_then(Outcome::into_value)))
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
        self.step_within(timeout)
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

    fn step_within(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<Outcome<R>, CallError>>, Timeout> {
        // Mostly it is here, and the clock costs as much as all else that is done for an outcome.
        match self.in_hand() {
            Some(out) => Ok(Some(Ok(out))),
            None => self.step(Instant::now().checked_add(timeout)),
        }
    }

    fn step(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<Outcome<R>, CallError>>, Timeout> {
        if self.state == State::Ended {
            return Ok(None);
        }
        if let Some(out) = self.in_hand() {
            return Ok(Some(Ok(out)));
        }
        if let Err(forked) = self.call.core.check_process() {
            self.state = State::Ended;
            return Ok(Some(Err(forked.into())));
        }
        let next = self.call.next(deadline).ok_or(Timeout)?;
        Ok(self.found(next))
    }

    /// The next outcome of those that have left the call.
    #[inline]
    fn in_hand(&mut self) -> Option<Outcome<R>> {
        let out = self.hand.run.next()?;
        let (index, attempts) = (out.index, out.attempts);
        let logs = out.logs.cloned().unwrap_or_default();
        let result = handle::decode(&self.call, out, self.decode);
        self.hand.tell(&self.call);
        Some(Outcome { index, attempts, logs, result })
    }

    /// As [`in_hand`](Self::in_hand), but only the value: there may be millions of them.
    #[inline]
    fn value_in_hand(&mut self) -> Option<Result<R, CallError>> {
        let out = self.hand.run.next()?;
        let result = handle::decode(&self.call, out, self.decode);
        self.hand.tell(&self.call);
        Some(result.map_err(CallError::Task))
    }

    fn found(&mut self, next: Next) -> Option<Result<Outcome<R>, CallError>> {
        match next {
            Next::Run(run, stride) => {
                self.hand = Hand::new(run, stride);
                self.in_hand().map(Ok)
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
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(value) = self.value_in_hand() {
            return Some(value);
        }
        self.next_outcome().map(|step| step.and_then(Outcome::into_value))
    }
}

impl<R> std::iter::FusedIterator for Imap<R> {}

impl<R> Drop for Imap<R> {
    fn drop(&mut self) {
        if self.state == State::Live && self.call.core.check_process().is_ok() {
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
        if let Some(out) = self.in_hand() {
            return Poll::Ready(Some(out.into_value()));
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
