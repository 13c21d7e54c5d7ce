//! One submitted call: its input on the way in, its outcomes on the way out, and who waits for it.
//!
//! This module must not touch workers; keepers take spans from a call and bring outcomes back.
//!
//! A call is *complete* when its input has ended and every accepted item has ended. It is *over*
//! when, besides, no keeper holds an item of it. Its lock is held for a few moves of memory only:
//! inputs are pulled, items encoded and results decoded outside of it.

mod accept;
pub(crate) mod block;
pub(crate) mod chunk;
pub(crate) mod feed;
pub(crate) mod intake;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod stock;
pub(crate) mod store;
pub(crate) mod wait;

use crate::description::FunctionInfo;
use crate::event::Tally;
use crate::outcome::TaskErrorKind;
use crate::pool::core::Core;
use crate::pool::error::{InputError, PoolError};
use block::{Block, Span, SpanQueue};
use chunk::{Cost, Plan, Supply};
use intake::Intake;
use run::Run;
use spec::Spec;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};
use store::Store;

/// One submitted call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) spec: Spec,
    /// The function that it runs.
    pub(crate) function: Arc<FunctionInfo>,
    pub(crate) core: Arc<Core>,
    inner: Mutex<Inner>,
    /// Outcomes, completeness, readiness.
    changed: Condvar,
    /// Room in the window.
    room: Condvar,
    /// What the feeder has shown, and is not accepted yet.
    intake: Intake,
    /// The feeder must take the lock before it shows another item.
    feeder_called: AtomicBool,
    /// Set with `stop`, for a quick look.
    stopped: AtomicBool,
    /// No other call of this process has it: an address would be used again.
    pub(crate) id: u64,
    /// Worker time that this call has had, in nanoseconds, on the clock of the queue.
    pub(crate) virtual_time: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    pending: SpanQueue,
    /// Items that were accepted since the last block was closed.
    open: Block,
    input: Input,
    /// Bytes of items that have not ended.
    item_bytes: u64,
    /// Outcomes that the consumer has taken, as far as it has told.
    yielded: u64,
    /// Bytes of results that were not yielded.
    result_bytes: u64,
    /// Items that keepers hold.
    in_flight: usize,
    stop: Option<Stop>,
    cost: Cost,
    wakers: Vec<Waker>,
    /// Those who wait for outcomes, and those who wait for the end.
    waiting: [usize; 2],
    /// The feeder waits for room.
    feeder_waits: bool,
    /// False while callbacks have yet to run.
    callbacks_done: bool,
    /// What a panicking callback said.
    callback_panic: Option<String>,
    /// The call was removed from the queue.
    over: bool,
    /// Results are thrown away.
    discard: bool,
    /// The call was stopped before its input had ended: what there is, is not all.
    cut_short: bool,
}

#[derive(Debug)]
enum Input {
    Open,
    Ended,
    /// It panicked or failed; told once to an iterator, always to a handle.
    Failed(InputError),
}

/// Why a call ends before its time.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// Nobody wants its outcomes. A worker that still runs an item of it then is killed.
    Cancelled { kill_at: Instant },
    /// The pool was terminated.
    Terminated,
    /// It took longer than it was given.
    Expired(Duration),
    /// The pool cannot go on, or what the caller gave cannot be used.
    Failed(PoolError),
}

/// Outcomes of one call that a keeper brings back together.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) runs: Vec<Run>,
    /// Bytes of the items that these are the outcomes of.
    pub(crate) item_bytes: u64,
    /// Worker time they took.
    pub(crate) elapsed: Duration,
}

/// What a keeper takes from a call.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) span: Span,
    /// Items that may still be outstanding when the next chunk is taken.
    pub(crate) ahead: usize,
    pub(crate) per_item: Option<Duration>,
    /// A moment later there will be more.
    pub(crate) streams: bool,
}

/// Bytes of items that a feeder gets ahead of the workers, and items for each worker whatever their
/// size. What lies in more memory than that has fallen out of the processor's caches when it is
/// handed over: items of 1 MiB took half as long again.
const LEAD: usize = 2 << 20;
const LEAST_LEAD: usize = 2;

/// So many quick items at once are a stream of them.
const STREAM: usize = 8;

/// Calls so far, of all pools.
static CALLS: AtomicU64 = AtomicU64::new(0);

impl Call {
    pub(crate) fn new(core: Arc<Core>, spec: Spec) -> Arc<Self> {
        let inner = Inner {
            store: Store::new(spec.order),
            pending: SpanQueue::default(),
            open: Block::default(),
            input: Input::Open,
            item_bytes: 0,
            yielded: 0,
            result_bytes: 0,
            in_flight: 0,
            stop: None,
            cost: Cost::default(),
            wakers: Vec::new(),
            waiting: [0; 2],
            feeder_waits: false,
            callbacks_done: !spec.callbacks,
            callback_panic: None,
            over: false,
            discard: false,
            cut_short: false,
        };
        Arc::new(Self {
            function: Arc::clone(&core.functions[spec.function as usize]),
            spec,
            core,
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            room: Condvar::new(),
            intake: Intake::default(),
            feeder_called: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            id: CALLS.fetch_add(1, Ordering::Relaxed),
            virtual_time: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it is held is a bug of ours; the state it guards is consistent between
        // statements, and a second panic here would only hide the first.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a feeder shows its items.
    pub(crate) fn is_fed(&self) -> bool {
        self.spec.window.is_some()
    }

    /// Whether a keeper may find something here.
    pub(crate) fn may_have_items(&self) -> bool {
        self.intake.stock.has_items()
    }

    // ---- towards the workers ----

    /// Takes the next items, at most `most`, for a worker that has `outstanding` items before it.
    pub(crate) fn take(&self, outstanding: usize, most: usize) -> Option<Handover> {
        let mut inner = self.lock();
        self.absorb(&mut inner);
        if inner.stop.is_some() || self.gates(&inner) {
            return None;
        }
        let open = matches!(inner.input, Input::Open);
        let processes = self.core.processes();
        let supply = Supply {
            queued: inner.queued_items(),
            processes,
            window: open.then(|| self.window_items(&inner).min(inner.lead_items(processes))),
        };
        let mut plan = self.spec.chunk.plan(&inner.cost, supply);
        if inner.is_full(&self.spec) && !self.core.someone_joins() {
            // Only the item that all results wait for is let through, not its whole chunk.
            plan = Plan { items: 1, ahead: 0, least: 1 };
        }
        if outstanding > plan.ahead || (outstanding > 0 && plan.items < plan.least) {
            return None;
        }
        if inner.pending.items() == 0 {
            inner.close_block();
        }
        let span = inner.pending.take(plan.items.min(most))?;
        inner.in_flight += span.len();
        let per_item = inner.cost.per_item();
        self.note_queued(&inner);
        self.wake_feeder(&inner);
        // Of quick items that come in numbers, more are about to come.
        let streams = open && plan.ahead > 0 && span.len() >= STREAM;
        Some(Handover { span, ahead: plan.ahead, per_item, streams })
    }

    /// Takes back items that were not started, to the front of the queue.
    pub(crate) fn give_back(self: &Arc<Self>, span: Span) {
        let mut inner = self.lock();
        inner.in_flight -= span.len();
        // After a stop they have ended already, and only their number matters.
        if inner.stop.is_none() {
            inner.pending.put_back(span);
            self.note_queued(&inner);
        }
        self.leave(inner);
        self.core.wake_idle();
    }

    /// Takes outcomes. Outcomes of items that have ended already are dropped.
    pub(crate) fn deliver(self: &Arc<Self>, delivery: Delivery) {
        let Delivery { runs, item_bytes, elapsed } = delivery;
        let items = runs.iter().map(Run::len).sum::<u64>() as usize;
        let mut inner = self.lock();
        inner.in_flight -= items;
        inner.item_bytes = inner.item_bytes.saturating_sub(item_bytes);
        inner.cost.learn(items, elapsed);
        let mut tally = Tally::default();
        let mut failed = 0;
        let Inner { store, result_bytes, .. } = &mut *inner;
        for run in runs {
            store.end(run, |ended| {
                *result_bytes += ended.size();
                failed += tally.hear(ended);
            });
        }
        if inner.discard {
            inner.result_bytes = 0;
        }
        self.core.stats.add(&tally);
        let stops = failed > 0 && self.spec.fail_fast && inner.stop.is_none();
        if stops {
            self.stop_locked(&mut inner, Stop::Cancelled { kill_at: Instant::now() });
        }
        // Ends make room for bytes, and a better estimate makes the window wider; but results may
        // be larger than the items were.
        self.absorb(&mut inner);
        self.wake_feeder(&inner);
        if inner.is_crowded(&self.spec) {
            self.call_feeder();
        }
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.virtual_time.fetch_add(nanos, Ordering::Relaxed);
        self.leave(inner);
        if stops {
            self.core.wake_busy();
        }
    }

    /// What an item is known to cost a worker.
    pub(crate) fn cost(&self) -> Option<Duration> {
        self.lock().cost.per_item()
    }

    /// Throws results away from now on, those that are here included.
    pub(crate) fn discard_results(&self) {
        let mut inner = self.lock();
        inner.store.discard();
        inner.result_bytes = 0;
        inner.discard = true;
    }

    /// Whether more results of this call would only pile up.
    pub(crate) fn is_gated(&self) -> bool {
        self.spec.window.is_some() && self.gates(&self.lock())
    }

    /// While somebody joins, results are kept, however many.
    fn gates(&self, inner: &Inner) -> bool {
        inner.is_gated(&self.spec) && !self.core.someone_joins()
    }

    /// When a worker that runs an item of this call must be killed for it: a stopped call's items
    /// are worth nothing any more.
    pub(crate) fn kill_at(&self) -> Option<Instant> {
        // Against `wake_busy`: either it sees that this keeper is busy, or this sees the stop.
        if !self.stopped.load(Ordering::SeqCst) {
            return None;
        }
        match self.lock().stop {
            Some(Stop::Cancelled { kill_at }) => Some(kill_at),
            Some(Stop::Terminated | Stop::Expired(_) | Stop::Failed(_)) => Some(Instant::now()),
            None => None,
        }
    }

    /// Whether it ended before its time.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    // ---- ends ----

    /// Ends the call before its time: items that have not ended end now.
    pub(crate) fn stop(self: &Arc<Self>, stop: Stop) {
        let mut inner = self.lock();
        if inner.stop.is_some() || inner.is_complete() {
            return;
        }
        self.stop_locked(&mut inner, stop);
        self.leave(inner);
        self.core.wake_busy();
    }

    /// Ends the call as [`stop`](Self::stop) does, on behalf of a consumer that is gone.
    pub(crate) fn cancel(self: &Arc<Self>, grace: Duration) {
        self.stop(Stop::Cancelled { kill_at: Instant::now() + grace });
    }

    fn stop_locked(&self, inner: &mut Inner, stop: Stop) {
        let (kind, limit) = match stop {
            Stop::Cancelled { .. } => (TaskErrorKind::Cancelled, None),
            Stop::Terminated | Stop::Failed(_) => (TaskErrorKind::Terminated, None),
            Stop::Expired(limit) => (TaskErrorKind::TimedOut, Some(limit)),
        };
        self.absorb(inner);
        inner.stop = Some(stop);
        self.stopped.store(true, Ordering::SeqCst);
        self.call_feeder();
        inner.pending.clear();
        inner.open = Block::default();
        inner.item_bytes = 0;
        if matches!(inner.input, Input::Open) {
            inner.input = Input::Ended;
            inner.cut_short = true;
        }
        let ended = inner.store.end_all(|items| Run::stopped(items, kind, limit));
        self.core.stats.add(&Tally::of(kind, ended));
        self.note_queued(inner);
        self.room.notify_all();
    }

    /// Leaves the lock after a change: wakes whoever waits, and takes the call out of the queue if
    /// it is over.
    fn leave(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        let over = !inner.over && inner.is_complete() && inner.in_flight == 0;
        inner.over |= over;
        let wakers = std::mem::take(&mut inner.wakers);
        let complete = inner.is_complete();
        let waiting = match inner.waiting {
            [0, 0] => false,
            [0, _] => complete,
            _ => complete || inner.store.has_next(),
        };
        drop(inner);
        if waiting {
            self.changed.notify_all();
        }
        for waker in wakers {
            waker.wake();
        }
        if over {
            self.core.call_over(self);
        }
    }

    fn note_queued(&self, inner: &Inner) {
        self.intake.stock.queued(inner.queued_items());
    }
}

impl Tally {
    /// Counts the items of a run, and gives the number of those without a value.
    fn hear(&mut self, run: &Run) -> u64 {
        let mut failed = 0;
        for (kind, n) in run.errors() {
            self.errors(kind, n);
            failed += n;
        }
        self.values(run.len() - failed);
        failed
    }
}

impl Inner {
    /// Moves the open block to where keepers take from.
    fn close_block(&mut self) {
        let next = self.open.next(self.store.accepted());
        let block = std::mem::replace(&mut self.open, next);
        if !block.is_empty() {
            self.pending.push_back(Span::whole(block));
        }
    }

    /// Items that nobody has taken.
    fn queued_items(&self) -> usize {
        self.pending.items() + self.open.len()
    }

    fn queued_bytes(&self) -> usize {
        self.pending.bytes() + self.open.size()
    }

    /// How many items like those that wait a feeder gets ahead of that many workers.
    fn lead_items(&self, processes: usize) -> u64 {
        let one = self.queued_bytes() / self.queued_items().max(1);
        (LEAD / one.max(1)).max(LEAST_LEAD * processes) as u64
    }

    /// Whether items may still come in: not once the input has ended, which a consumer may say too.
    fn is_accepting(&self) -> bool {
        self.stop.is_none() && matches!(self.input, Input::Open)
    }

    fn is_complete(&self) -> bool {
        let closed = !matches!(self.input, Input::Open);
        closed && self.store.ended() == self.store.accepted()
    }

    /// Whether items and results fill the window.
    fn is_crowded(&self, spec: &Spec) -> bool {
        let held = self.item_bytes + self.result_bytes;
        spec.window.as_ref().is_some_and(|window| held >= window.bytes)
    }

    /// Whether the results that are here fill the window.
    fn is_full(&self, spec: &Spec) -> bool {
        let Some(window) = &spec.window else { return false };
        self.result_bytes > 0
            && self.result_bytes >= window.bytes
            && !window.open.load(Ordering::Relaxed)
    }

    fn is_gated(&self, spec: &Spec) -> bool {
        if !self.is_full(spec) {
            return false;
        }
        // The item that all results wait for must run, or nothing would ever be yielded.
        let next = self.pending.first_index().unwrap_or_else(|| self.open.first());
        next != self.store.head() || spec.order == store::Order::Completion
    }
}
