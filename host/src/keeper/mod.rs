//! A keeper: the thread that owns one worker, from its start to its grave, again and again.
//!
//! This module must not be driven by anybody else: it pulls, and nothing is pushed to it. It must
//! not wait for anything but the one `poll` in [`worker::Worker::sleep`].
//!
//! One turn reads top to bottom: collect results, deliver them, share what an idle worker could
//! run, enforce deadlines, top up, sleep. A worker ends in [`burial`].

pub(crate) mod batch;
mod burial;
pub(crate) mod flight;
pub(crate) mod seat;
#[cfg(test)]
mod tests;
pub(crate) mod worker;

use crate::event::{PoolEvent, WorkerEnd};
use crate::outcome::{Failure, TaskErrorKind};
use crate::pool::core::{Core, Strike};
use crate::pool::error::{PoolError, PoolErrorKind, panic_text};
use crate::ring::Violation;
use crate::ring::word::Count;
use batch::Batch;
use flight::Flight;
use seat::Seat;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use worker::{StartError, Worker};

/// From this cost on each result is announced by itself.
const ANNOUNCED: Duration = Duration::from_micros(250);
/// Shortest time between two looks at a clock.
const KILL_LOOK: Duration = Duration::from_millis(1);
/// Slack before a keeper looks after a chunk that takes longer than expected.
const SLACK: Duration = Duration::from_micros(300);

/// Why a worker's time is over.
#[derive(Debug)]
enum Parting {
    /// The pool ends.
    Closed,
    /// It has started as many items as it may.
    Retired,
    /// Its running item was condemned, as this kind of error.
    Condemned(TaskErrorKind),
    /// It is gone.
    Died,
    /// It broke the protocol.
    Broken(Violation),
    /// Its instance cannot be prepared.
    Unprepared(Failure),
}

impl From<Violation> for Parting {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// One keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    core: Arc<Core>,
    seat: usize,
    /// What the worker has.
    flight: Flight,
    /// The claim that was seen last, and when it was first seen: an item's clock.
    seen: (Count, Instant),
    /// Since when the worker's time is not accounted for.
    since: Instant,
    /// Items that may be outstanding when the next chunk is taken, and their expected cost.
    ahead: usize,
    per_item: Option<Duration>,
    /// The chunk takes longer than expected: results are announced one by one.
    wary: bool,
    /// The worker rang since the last turn.
    rung: bool,
}

/// Starts the thread of the keeper on `seat`.
pub(crate) fn start(core: &Arc<Core>, seat: usize) -> io::Result<()> {
    let now = Instant::now();
    let mut keeper = Keeper {
        core: Arc::clone(core),
        seat,
        flight: Flight::default(),
        seen: (Count::ZERO, now),
        since: now,
        ahead: 0,
        per_item: None,
        wary: false,
        rung: false,
    };
    core.keeper_started();
    let thread = std::thread::Builder::new().name(format!("sandpool-keeper-{seat}"));
    let spawned = thread.spawn(move || {
        let core = Arc::clone(&keeper.core);
        // A panic here is a bug of ours; it must not leave anybody waiting.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| keeper.run())) {
            let text = format!("a keeper panicked: {}", panic_text(&*panic));
            core.strike(PoolError::new(PoolErrorKind::Broken, text), Strike::Fatal);
        }
        core.keeper_ended();
    });
    spawned.map(drop).inspect_err(|_| core.keeper_ended())
}

impl Keeper {
    fn seat(&self) -> &Seat {
        &self.core.seats[self.seat]
    }

    fn run(&mut self) {
        while !self.core.is_ending() {
            let began = Instant::now();
            let core = Arc::clone(&self.core);
            match Worker::start(&core.recipe, self.seat().bell(), || core.is_ending()) {
                Ok(worker) => {
                    self.core.worker_ready();
                    self.core.stats.workers_started.fetch_add(1, Ordering::Relaxed);
                    let (worker_id, pid, after) = (self.seat, worker.pid(), began.elapsed());
                    self.core.observers.tell(|| PoolEvent::WorkerStarted {
                        worker: worker_id,
                        pid,
                        after,
                    });
                    self.keep(worker);
                }
                Err(StartError::Interrupted) => return,
                Err(StartError::Refused(reason)) => {
                    self.core.strike(broken(&reason), Strike::Fatal)
                }
                Err(StartError::Failed(reason)) => {
                    self.core.strike(broken(&reason), Strike::Lasting);
                    // What failed for want of room needs a moment; the strikes bound the tries.
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    fn keep(&mut self, mut worker: Worker) {
        let now = Instant::now();
        (self.seen, self.since) = ((Count::ZERO, now), now);
        (self.ahead, self.per_item, self.wary) = (0, None, false);
        let parting = loop {
            if let Err(parting) = self.turn(&mut worker) {
                break parting;
            }
        };
        self.core.unrest(self.seat);
        // A wake-up that came meanwhile is another keeper's now.
        self.core.wake_idle();
        self.bury(worker, parting);
    }

    fn turn(&mut self, worker: &mut Worker) -> Result<(), Parting> {
        let progress = self.collect(worker)?;
        if self.core.is_ending() {
            return Err(Parting::Closed);
        }
        if self.core.recipe.max_tasks.is_some_and(|most| worker.items >= most) {
            return Err(Parting::Retired);
        }
        if std::mem::take(&mut self.rung) && worker.is_noisy(progress) {
            return Err(Violation::Noise.into());
        }
        self.drop_stopped(worker)?;
        self.share(worker)?;
        self.top_up(worker)?;
        let due = self.enforce(worker)?;
        self.sleep(worker, due)
    }

    /// Takes the results that are there and delivers them. Tells whether there were any.
    fn collect(&mut self, worker: &mut Worker) -> Result<bool, Parting> {
        if !worker.ring.has_results() {
            return Ok(false);
        }
        self.gather(worker).map(|()| true)
    }

    /// Takes the results that are there, frees their room, and delivers them.
    fn gather(&mut self, worker: &mut Worker) -> Result<(), Parting> {
        let mut batches = vec![Batch::default()];
        let taken = loop {
            let Some(batch) = batches.last_mut() else { break Ok(()) };
            match batch.take(worker, &mut self.flight) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                // Only where there is an initializer can it fail; elsewhere this is a lie.
                Err(Parting::Unprepared(_)) if self.core.recipe.config.initializer.is_none() => {
                    break Err(Violation::Header.into());
                }
                Err(parting) => break Err(parting),
            }
            if batch.is_ripe(&self.flight) {
                batches.push(Batch::default());
            }
        };
        worker.ring.release();
        worker.ring_if_asleep();
        let items: usize = batches.iter().map(Batch::len).sum();
        if items > 0 {
            let now = Instant::now();
            let elapsed = now.duration_since(std::mem::replace(&mut self.since, now));
            // What came together has cost alike, as far as anybody can tell.
            let each = elapsed / u32::try_from(items).unwrap_or(u32::MAX);
            for batch in batches.iter_mut().filter(|batch| batch.len() > 0) {
                self.deliver(batch, each.saturating_mul(batch.len() as u32));
            }
        }
        taken
    }

    fn deliver(&mut self, batch: &mut Batch, elapsed: Duration) {
        let (items, failed) = batch.deliver(&self.core, elapsed);
        self.core.worker_works();
        let worker = self.seat;
        self.core.observers.tell(|| PoolEvent::ItemsDone { worker, items, failed });
    }

    fn unclaimed(&self, worker: &Worker) -> usize {
        self.flight.len().saturating_sub(worker.ring.claimed_unended() as usize)
    }

    /// Takes unclaimed items of stopped calls away from the worker.
    fn drop_stopped(&mut self, worker: &mut Worker) -> Result<(), Parting> {
        if self.flight.calls().any(|call| call.kill_at().is_some()) {
            worker.ring.observe()?;
            self.recall(worker, 0)?;
        }
        Ok(())
    }

    /// Recalls unclaimed items, all but `keep`, to the queues of their calls.
    fn recall(&mut self, worker: &mut Worker, keep: usize) -> Result<(), Parting> {
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        let back = worker.ring.recall(keep)?;
        self.core.stats.recalled.fetch_add(back as u64, Ordering::Relaxed);
        let legs = self.flight.pop_back(back);
        self.seat().show(self.flight.len(), self.unclaimed(worker));
        for leg in legs {
            leg.call.give_back(leg.span);
        }
        Ok(())
    }

    /// Gives half of what the worker has not claimed to workers that have nothing.
    fn share(&mut self, worker: &mut Worker) -> Result<(), Parting> {
        let asked = self.seat().was_asked() || (self.wary && self.core.someone_rests());
        if !asked || self.flight.len() < 2 {
            return Ok(());
        }
        worker.ring.observe()?;
        let unclaimed = self.unclaimed(worker);
        let expected = self.per_item.unwrap_or(ANNOUNCED).saturating_mul(unclaimed as u32);
        // What is done sooner than it can be moved stays.
        let worth = expected >= SLACK || self.wary || self.since.elapsed() >= SLACK;
        if unclaimed == 0 || !worth {
            return Ok(());
        }
        self.recall(worker, unclaimed / 2)
    }

    /// Condemns the running item if its time is up. Else tells when to look again.
    fn enforce(&mut self, worker: &mut Worker) -> Result<Option<Instant>, Parting> {
        let Some(front) = self.flight.front() else { return Ok(None) };
        let reading = worker.ring.observe()?;
        let timeout = front.call.spec.timeout;
        // Asked before the clock: a time that is "now" must have come.
        let killed = front.call.kill_at();
        let now = Instant::now();
        if reading.claimed != self.seen.0 {
            self.seen = (reading.claimed, now);
        }
        if timeout.is_none() && killed.is_none() {
            return Ok(None);
        }
        // A claim that nobody sees starts no clock. Looking eight times in the time that an item
        // has keeps a kill within an eighth of its deadline.
        let look = timeout.map_or(KILL_LOOK, |limit| (limit / 8).max(KILL_LOOK));
        let look = now.checked_add(look);
        if !reading.running {
            let prepared = self.enforce_preparation(now)?;
            return Ok([look, prepared].into_iter().flatten().min());
        }
        // With its result taken already, or results still on their way, what runs is another item.
        if worker.ring.claimed_unended() != 1 {
            return Ok(look);
        }
        let limit = timeout.and_then(|limit| self.seen.1.checked_add(limit));
        let (due, kind) = match (limit, killed) {
            (Some(limit), Some(kill)) if kill < limit => (Some(kill), TaskErrorKind::Cancelled),
            (Some(limit), _) => (Some(limit), TaskErrorKind::TimedOut),
            (None, kill) => (kill, TaskErrorKind::Cancelled),
        };
        if due.is_none_or(|due| now < due) {
            return Ok([due, look].into_iter().flatten().min());
        }
        if worker.ring.condemn()? {
            return Err(Parting::Condemned(kind));
        }
        // It has ended in this instant: collect it.
        Ok(Some(now))
    }

    /// An initializer has the time that an item has.
    fn enforce_preparation(&self, now: Instant) -> Result<Option<Instant>, Parting> {
        let config = &self.core.recipe.config;
        let (Some(_), Some(limit)) = (&config.initializer, config.limits.timeout) else {
            return Ok(None);
        };
        let due = self.seen.1.max(self.since).checked_add(limit);
        if due.is_some_and(|due| now >= due) {
            let message = format!("the initializer ran into the deadline of {limit:?}");
            let failure = Failure::new(TaskErrorKind::TimedOut, message);
            return Err(Parting::Unprepared(failure));
        }
        Ok(due)
    }

    /// Hands items over, if the worker has few enough.
    fn top_up(&mut self, worker: &mut Worker) -> Result<(), Parting> {
        if worker.ring.unsent() > 0 {
            if worker.ring.feed(self.flight.back_bytes())? {
                worker.is_noisy(true);
                worker.ring_if_asleep();
            }
            return Ok(());
        }
        let most = match self.core.recipe.max_tasks {
            Some(most) => most.saturating_sub(worker.items + self.flight.len() as u64),
            None => u64::MAX,
        };
        if self.flight.len() > self.ahead || most == 0 {
            return Ok(());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        for call in self.core.candidates() {
            let Some(mut handover) = call.take(self.flight.len(), most) else { continue };
            self.core.served(&call);
            // One wake-up came for all that was queued at once: pass it on.
            if call.may_have_items() {
                self.core.wake_idle();
            }
            if self.flight.len() == 0 {
                self.since = Instant::now();
            }
            let accepted = batch::push(worker, &call.spec, &handover.span)?;
            let now = handover.span.take_front(accepted);
            let rest = handover.span;
            if !now.is_empty() {
                self.retries_started(&now);
                self.flight.push(&call, now);
                worker.ring.commit()?;
                worker.ring_if_asleep();
                (self.ahead, self.per_item) = (handover.ahead, handover.per_item);
                self.wary = false;
            }
            if !rest.is_empty() {
                call.give_back(rest);
            }
            self.seat().show(self.flight.len(), self.unclaimed(worker));
            return Ok(());
        }
        Ok(())
    }

    fn retries_started(&self, span: &crate::call::block::Span) {
        if span.attempts > 0 {
            self.core.stats.retries.fetch_add(span.len() as u64, Ordering::Relaxed);
        }
    }

    /// Sleeps until there is something to do.
    fn sleep(&mut self, worker: &mut Worker, due: Option<Instant>) -> Result<(), Parting> {
        let outstanding = self.flight.len();
        self.seat().show(outstanding, self.unclaimed(worker));
        if outstanding == 0 {
            if !self.core.rest(self.seat) {
                self.core.unrest(self.seat);
                return Ok(());
            }
            self.core.ask_for_items();
        }
        let look = self.announce(worker, outstanding);
        worker.ring.raise();
        let room_to_feed = worker.ring.room_for_more()?;
        if worker.ring.has_results() || room_to_feed {
            worker.ring.lower();
            return Ok(());
        }
        let deadline = [due, look].into_iter().flatten().min();
        let woken = worker.sleep(self.seat().bell(), deadline);
        worker.ring.lower();
        if woken.called {
            self.seat().quiet();
        }
        if outstanding == 0 {
            self.core.unrest(self.seat);
        }
        if woken.ended {
            return Err(Parting::Died);
        }
        self.rung = woken.rung;
        self.wary |= look.is_some_and(|look| Instant::now() >= look);
        Ok(())
    }

    /// Tells the worker when to ring. Gives the time to look if it has not rung by then.
    fn announce(&self, worker: &Worker, outstanding: usize) -> Option<Instant> {
        let per_item = self.per_item.unwrap_or(ANNOUNCED);
        if self.wary || outstanding < 2 {
            worker.ring.bell_after(1);
            return None;
        }
        let until = match outstanding.saturating_sub(self.ahead) {
            _ if per_item >= ANNOUNCED => 1,
            // Nothing more was there to be handed over: the end of all rings anyway.
            0 => outstanding,
            until => until,
        };
        let until = u32::try_from(until.max(1)).unwrap_or(u32::MAX);
        worker.ring.bell_after(until);
        Instant::now().checked_add(per_item.saturating_mul(2 * until) + SLACK)
    }
}

fn broken(reason: &str) -> PoolError {
    PoolError::new(PoolErrorKind::Broken, format!("workers cannot be started: {reason}"))
}

impl WorkerEnd {
    fn of(parting: &Parting, ended: crate::process::Ended) -> Self {
        match parting {
            Parting::Closed => Self::Closed,
            Parting::Retired => Self::Retired,
            Parting::Condemned(TaskErrorKind::TimedOut) => Self::TimedOut,
            Parting::Condemned(_) => Self::Cancelled,
            Parting::Died => Self::Died(ended.to_string()),
            Parting::Broken(violation) => Self::Broken(violation.to_string()),
            Parting::Unprepared(failure) => Self::Unprepared(failure.message.clone()),
        }
    }
}
