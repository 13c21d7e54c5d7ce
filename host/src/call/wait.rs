//! Waiting for a call: the next outcome of an iterator, the end of a handle, room for a feeder.
//!
//! This module must not change what happened; it only blocks until something has.

use super::run::Run;
use super::{Call, Inner, Input, LEAD, LEAST_LEAD, Stop};
use crate::pool::error::{CallError, InputError, PoolError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

/// What an iterator finds.
#[derive(Debug)]
pub(crate) enum Next {
    /// Some outcomes, and after how many of them their consumer should tell that it has them.
    Run(Run, u64),
    /// The input failed, or the pool cannot go on: told once.
    Failed(CallError),
    End,
}

/// What a feeder may pull before it has to ask again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) items: u64,
    /// After so many bytes it asks again, too.
    pub(super) bytes: u64,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// The next outcomes, or the end.
    Outcomes,
    /// That the call is complete, or ready.
    End,
}

/// What ended a whole call, for handles.
#[derive(Debug)]
pub(crate) enum End {
    /// Every item has its outcome.
    Complete,
    Input(InputError),
    Pool(PoolError),
    Callback(String),
}

impl Call {
    fn wait_until<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        what: Awaited,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, Inner>> {
        inner.waiting[what as usize] += 1;
        let mut inner = match deadline {
            None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    inner.waiting[what as usize] -= 1;
                    return None;
                }
                let waited = self.changed.wait_timeout(inner, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        inner.waiting[what as usize] -= 1;
        Some(inner)
    }

    /// The next outcomes; `None` if the deadline passed first.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Option<Next> {
        let mut inner = self.lock();
        loop {
            if let Some(next) = self.look(&mut inner) {
                return Some(next);
            }
            inner = self.wait_until(inner, Awaited::Outcomes, deadline)?;
        }
    }

    /// The next outcomes, or a wake-up when there may be some.
    #[cfg_attr(not(feature = "stream"), expect(dead_code, reason = "for streams"))]
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut inner = self.lock();
        match self.look(&mut inner) {
            Some(next) => Poll::Ready(next),
            None => {
                inner.remember(context);
                Poll::Pending
            }
        }
    }

    fn look(&self, inner: &mut Inner) -> Option<Next> {
        while let Some(run) = inner.store.pop() {
            if matches!(inner.stop, Some(Stop::Failed(_))) && run.is_terminated() {
                // One clear error for the call is told instead of one for each item.
                continue;
            }
            let part = |whole: u64| (whole / 8).max(1);
            let crowded = self.spec.window.as_ref().is_some_and(|w| run.size() > part(w.bytes));
            let stride = if crowded { 1 } else { part(self.window_items(inner)) };
            return Some(Next::Run(run, stride));
        }
        if !inner.is_complete() {
            return None;
        }
        if let Some(Stop::Failed(error)) = &inner.stop {
            let error = error.clone();
            inner.stop = Some(Stop::Terminated);
            inner.cut_short = false;
            return Some(Next::Failed(CallError::Pool(error)));
        }
        if matches!(inner.stop, Some(Stop::Terminated)) && inner.cut_short {
            inner.cut_short = false;
            return Some(Next::Failed(CallError::Pool(PoolError::terminated())));
        }
        if let Some(Stop::Expired(limit)) = inner.stop
            && inner.cut_short
        {
            inner.cut_short = false;
            return Some(Next::Failed(CallError::Pool(PoolError::expired(limit))));
        }
        if let Input::Failed(error) = &inner.input {
            let error = error.clone();
            inner.input = Input::Ended;
            return Some(Next::Failed(CallError::Input(error)));
        }
        Some(Next::End)
    }

    /// The consumer has taken so many outcomes with so many bytes, which is room in the window.
    pub(crate) fn yielded(&self, outcomes: u64, bytes: u64) {
        let mut inner = self.lock();
        inner.yielded += outcomes;
        inner.result_bytes = inner.result_bytes.saturating_sub(bytes);
        self.wake_feeder(&inner);
        drop(inner);
        if self.may_have_items() {
            self.core.wake_idle();
        }
    }

    /// A feeder is woken when a quarter of the window is free, not for every single item; what was
    /// pulled before keeps consumer and workers going meanwhile.
    pub(super) fn wake_feeder(&self, inner: &Inner) {
        if !inner.feeder_waits || !self.has_room(inner) || self.leads(inner, LEAD / 2) {
            return;
        }
        let window = self.window_items(inner);
        let used = inner.store.accepted() - inner.yielded;
        let idle = inner.store.ended() == inner.store.accepted();
        let released = self.core.someone_joins()
            || self.spec.window.as_ref().is_some_and(|window| window.open.load(Ordering::SeqCst));
        if idle || released || window.saturating_sub(used) >= (window / 4).max(1) {
            self.room.notify_all();
        }
    }

    pub(super) fn window_items(&self, inner: &Inner) -> u64 {
        let chunk = self.spec.chunk.travel(&inner.cost);
        let ahead = chunk.saturating_mul(4).saturating_mul(self.core.processes());
        let default = ahead.max(64) as u64;
        self.spec.window.as_ref().map_or(u64::MAX, |window| window.items.unwrap_or(default))
    }

    /// What may be pulled now, if anything.
    fn room(&self, inner: &Inner) -> Option<Room> {
        let Some(window) = &self.spec.window else {
            return Some(Room { items: u64::MAX, bytes: u64::MAX });
        };
        let released = window.open.load(Ordering::SeqCst) || self.core.someone_joins();
        // Released, results are kept or thrown away; items are still pulled no faster than they run.
        let (used, held) = match released {
            true => (inner.store.accepted() - inner.store.ended(), inner.item_bytes),
            false => {
                let used = inner.store.accepted() - inner.yielded;
                (used, inner.item_bytes + inner.result_bytes)
            }
        };
        if used == 0 {
            let bytes = window.bytes.saturating_sub(held).max(1);
            return Some(Room { items: self.window_items(inner).max(1), bytes });
        }
        let room = Room {
            items: self.window_items(inner).saturating_sub(used),
            bytes: window.bytes.saturating_sub(held),
        };
        (room.items > 0 && room.bytes > 0).then_some(room)
    }

    /// Whether so many bytes are ahead of the workers that more of them would do no good.
    fn leads(&self, inner: &Inner, bytes: usize) -> bool {
        inner.queued_bytes() >= bytes && inner.queued_items() >= LEAST_LEAD * self.core.processes()
    }

    fn has_room(&self, inner: &Inner) -> bool {
        self.room(inner).is_some()
    }

    /// Feeder: waits until items may be pulled, and tells how many. `None` if none will be wanted.
    pub(super) fn await_room(&self) -> Option<Room> {
        let mut inner = self.lock();
        loop {
            self.absorb(&mut inner);
            self.feeder_called.store(false, Ordering::Relaxed);
            if !inner.is_accepting() {
                return None;
            }
            if let Some(room) = self.room(&inner).filter(|_| !self.leads(&inner, LEAD)) {
                let lead = LEAD.saturating_sub(inner.queued_bytes()).max(1) as u64;
                return Some(Room { bytes: room.bytes.min(lead), ..room });
            }
            inner.feeder_waits = true;
            inner = self.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.feeder_waits = false;
        }
    }

    /// Makes the feeder ask for room before its next item: there may be less, or none any more.
    pub(super) fn call_feeder(&self) {
        self.feeder_called.store(true, Ordering::Relaxed);
    }

    /// Feeder: whether it must ask for room now.
    #[inline]
    pub(super) fn calls_feeder(&self) -> bool {
        self.feeder_called.load(Ordering::Relaxed)
    }

    /// Nobody holds the window any more: someone joins, or the results are not wanted.
    pub(crate) fn release_window(&self) {
        let inner = self.lock();
        drop(inner);
        self.room.notify_all();
        if self.may_have_items() {
            self.core.wake_idle();
        }
    }

    // ---- handles ----

    /// Whether the call is ready: complete, and its callbacks have run.
    pub(crate) fn is_ready(&self) -> bool {
        let inner = self.lock();
        inner.is_complete() && inner.callbacks_done
    }

    /// Waits until the call is ready. False if the deadline passed first.
    pub(crate) fn wait_ready(&self, deadline: Option<Instant>) -> bool {
        let mut inner = self.lock();
        while !(inner.is_complete() && inner.callbacks_done) {
            match self.wait_until(inner, Awaited::End, deadline) {
                Some(again) => inner = again,
                None => return false,
            }
        }
        true
    }

    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.is_complete() && inner.callbacks_done {
            return Poll::Ready(());
        }
        inner.remember(context);
        Poll::Pending
    }

    /// Waits until the call is complete, callbacks or not: for the thread that runs them.
    pub(crate) fn wait_complete(&self) {
        let mut inner = self.lock();
        while !inner.is_complete() {
            match self.wait_until(inner, Awaited::End, None) {
                Some(again) => inner = again,
                None => return,
            }
        }
    }

    /// The callbacks have run; `panic` is what one of them panicked with.
    pub(crate) fn callbacks_ran(self: &Arc<Self>, panic: Option<String>) {
        let mut inner = self.lock();
        inner.callbacks_done = true;
        inner.callback_panic = panic;
        self.leave(inner);
    }

    /// How a ready call ended as a whole.
    pub(crate) fn end(&self) -> End {
        let inner = self.lock();
        match (&inner.callback_panic, &inner.stop, &inner.input) {
            (Some(panic), _, _) => End::Callback(panic.clone()),
            (_, Some(Stop::Failed(error)), _) => End::Pool(error.clone()),
            (_, _, Input::Failed(error)) => End::Input(error.clone()),
            (_, Some(Stop::Terminated), _) if inner.cut_short => End::Pool(PoolError::terminated()),
            (_, Some(Stop::Expired(limit)), _) if inner.cut_short => {
                End::Pool(PoolError::expired(*limit))
            }
            _ => End::Complete,
        }
    }

    /// Looks at every outcome in input order, of a complete call, outside of the lock.
    pub(crate) fn outs(&self) -> Vec<Run> {
        self.lock().store.iter().cloned().collect()
    }

    /// Waits for the next outcomes in input order and takes those that are here; none when the call
    /// is complete and all were taken. For callers that nobody shares the call with.
    pub(crate) fn take_outs(&self) -> Vec<Run> {
        let mut inner = self.lock();
        loop {
            let taken: Vec<Run> = std::iter::from_fn(|| inner.store.pop()).collect();
            if !taken.is_empty() || inner.is_complete() {
                return taken;
            }
            match self.wait_until(inner, Awaited::Outcomes, None) {
                Some(again) => inner = again,
                None => return taken,
            }
        }
    }

    /// Items that were pulled from the input so far.
    pub(crate) fn accepted(&self) -> u64 {
        let mut inner = self.lock();
        self.absorb(&mut inner);
        inner.store.accepted()
    }
}

impl Inner {
    fn remember(&mut self, context: &Context<'_>) {
        // One task at a time waits for a handle or a stream: the one that asked last.
        self.wakers.clear();
        self.wakers.push(context.waker().clone());
    }
}
