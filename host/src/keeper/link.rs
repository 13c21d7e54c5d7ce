//! What it takes to look after one worker: the worker itself, its items, its clock.
//!
//! Whoever holds a link is the worker's keeper for that time: its own thread, or the caller of one
//! `apply` that found it idle, which saves two thread switches. This module must not start or bury
//! workers, and must not wait for anything but the one `poll` in [`Worker::sleep`].
//!
//! One turn reads top to bottom: collect results, deliver them, share what an idle worker could
//! run, top up, enforce deadlines; then, if there are items out, sleep.

use super::batch::{self, Batch, Took};
use super::flight::Flight;
use super::seat::Seat;
use super::share::Shared;
use super::worker::Worker;
use super::{ANNOUNCED, KILL_LOOK, LONGEST_LOOK, Parting, SLACK};
use crate::call::Call;
use crate::call::block::Span;
use crate::event::PoolEvent;
use crate::outcome::{Failure, TaskErrorKind};
use crate::pool::core::Core;
use crate::process::watch::overslept;
use crate::ring::Violation;
use crate::ring::map::ARENA;
use crate::ring::word::Count;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A worker is looked after no sooner. A time nearer than the kernel's tick (4 ms at 250 Hz) sets the
/// processor's own timer, at every sleep and again at every wake-up: 10 µs each in a virtual machine,
/// which made items of 0.2 ms 8 % slower.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(5);
/// How often a worker is looked after that takes longer than expected, and how many items it ends
/// in that time if they are not the cause.
const LATE: Duration = Duration::from_millis(1);
const CRAWL: u64 = 4;
/// A worker without items is looked after so often, and so long a time apart, while its keeper
/// expects more of them at any moment.
const LOOKS: u32 = 2;
const LINGER: Duration = Duration::from_micros(50);

/// One worker with all that its keeper knows of it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) core: Arc<Core>,
    pub(super) seat: usize,
    pub(super) worker: Worker,
    /// What the worker has.
    pub(super) flight: Flight,
    /// The claim that was seen last, and when it was first seen: an item's clock.
    pub(super) seen: (Count, Instant),
    /// Since when the worker's time is not accounted for.
    pub(super) since: Instant,
    /// How long it had items before that and did not begin them, since it last began one.
    pub(super) waited: Duration,
    /// Items that may be outstanding when the next chunk is taken, and their expected cost.
    ahead: usize,
    pub(super) per_item: Option<Duration>,
    /// The chunk takes longer than expected.
    pub(super) wary: bool,
    /// It does so because its items are slow: results are announced one by one. Else the worker has
    /// to share its processor, and bells would only slow it down further.
    crawls: bool,
    /// When a worker that takes longer is looked after next, and the items that had ended on it
    /// when it was last.
    look: (Instant, u64),
    /// The worker rang since the last turn.
    rung: bool,
    /// How often to look for more items before the worker counts as idle.
    looks: u32,
    /// The ring holds more memory than an idle worker needs, as far as was said.
    holds_memory: bool,
}

impl Link {
    pub(super) fn new(core: Arc<Core>, seat: usize, worker: Worker) -> Self {
        let now = Instant::now();
        Self {
            core,
            seat,
            worker,
            flight: Flight::default(),
            seen: (Count::ZERO, now),
            since: now,
            waited: Duration::ZERO,
            ahead: 0,
            per_item: None,
            wary: false,
            crawls: false,
            look: (now, 0),
            rung: false,
            looks: 0,
            holds_memory: false,
        }
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.core.seats[self.seat]
    }

    /// Whether the worker has nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.flight.len() == 0
    }

    /// Waits a moment for more items, if the worker has none and they are about to come: else each
    /// of them would ring for a keeper, while they are quicker than a bell. False if it is idle.
    pub(super) fn linger(&mut self) -> Result<bool, Parting> {
        if !self.is_idle() || self.looks == 0 {
            return Ok(false);
        }
        self.looks -= 1;
        self.sleep(Instant::now().checked_add(LINGER)).map(|()| true)
    }

    /// Whether the ring has come to hold memory that an idle worker does not need. Said once.
    pub(super) fn holds_memory(&mut self) -> bool {
        let held = std::mem::replace(&mut self.holds_memory, self.worker.ring.holds_memory());
        self.holds_memory && !held
    }

    /// Gives memory back, as the worker has had nothing for a while.
    pub(super) fn give_back(&mut self) {
        if self.is_idle() && self.worker.ring.holds_memory() {
            self.worker.ring.give_back();
            self.holds_memory = false;
        }
    }

    /// Whether the worker has an item of this call.
    pub(super) fn works_for(&self, call: &Arc<Call>) -> bool {
        self.flight.calls().any(|other| Arc::ptr_eq(other, call))
    }

    /// One turn, all but the sleep. Tells when to take the next one at the latest.
    pub(super) fn work(&mut self) -> Result<Option<Instant>, Parting> {
        let progress = self.collect()?;
        if self.core.is_ending() {
            return Err(Parting::Closed);
        }
        if self.core.recipe.max_tasks.is_some_and(|most| self.worker.items >= most) {
            return Err(Parting::Retired);
        }
        // Its memory is searched for dirty pages in a way that overlooks what was swapped out.
        let swapped = self.worker.swap.look(Instant::now());
        if (swapped || self.worker.ballast.is_too_much()) && self.is_idle() {
            return Err(Parting::Retired);
        }
        if std::mem::take(&mut self.rung) && self.worker.is_noisy(progress) {
            return Err(Violation::Noise.into());
        }
        let held = self.drop_unwanted()?;
        let shared = self.share()?;
        if self.worker.ring.unsent() > 0 {
            self.feed()?;
        } else if shared == Shared::Some {
            self.looks = self.looks.max(u32::from(self.is_idle()));
        } else if !held {
            self.top_up()?;
        }
        let due = self.enforce()?;
        let due = self.watch_silence(due)?;
        self.seat().show(self.flight.len(), self.unclaimed());
        Ok(match (shared, due) {
            (Shared::Perhaps(look), Some(due)) => Some(due.min(look)),
            (Shared::Perhaps(look), None) => Some(look),
            _ => due,
        })
    }

    /// Takes the results that are there and delivers them. Tells whether there were any.
    fn collect(&mut self) -> Result<bool, Parting> {
        if !self.worker.ring.has_results() {
            return Ok(false);
        }
        self.gather().map(|()| true)
    }

    /// Takes the results that are there, which frees their room, and delivers them.
    pub(super) fn gather(&mut self) -> Result<(), Parting> {
        let mut batches = Vec::new();
        // Large ones come one at a time; others, and what is not whole, as they are there. Meanwhile
        // more may come: no more is taken than can have been there.
        let end = loop {
            match self.take_results(&mut batches) {
                Ok(Took::Alone) if self.worker.ring.has_results() => {}
                Ok(_) => break Ok(()),
                Err(parting) => break Err(parting),
            }
            if batches.iter().map(Batch::bytes).sum::<u64>() >= ARENA as u64 {
                break Ok(());
            }
        };
        // Together, as nobody can tell how much of the time each of them took.
        self.deliver(batches);
        end
    }

    /// Takes results, of large ones the first.
    fn take_results(&mut self, batches: &mut Vec<Batch>) -> Result<Took, Parting> {
        let Worker { ring, inbox, .. } = &mut self.worker;
        if ring.take(inbox)? {
            self.worker.wake();
        }
        let Worker { ring, inbox, bounds, .. } = &mut self.worker;
        let sorted = batch::sort(ring, &mut self.flight, inbox, *bounds);
        // A large result comes in pieces, and must not be moved again for each of them.
        inbox.make_room();
        self.worker.items += sorted.items as u64;
        let bytes = sorted.batches.iter().map(Batch::bytes).sum();
        self.worker.ballast.note(sorted.items as u64, bytes);
        let ended = self.worker.ring.end(sorted.items);
        for leg in sorted.again {
            leg.call.give_back(leg.span.again());
        }
        batches.extend(sorted.batches);
        match sorted.parting {
            // Only where there is an initializer can it fail; elsewhere this is a lie.
            Some(Parting::Unprepared(_)) if self.core.recipe.config.initializer.is_none() => {
                Err(Violation::Header.into())
            }
            Some(parting) => Err(parting),
            None => {
                ended?;
                self.watch_front(self.worker.inbox.is_empty())?;
                Ok(sorted.took)
            }
        }
    }

    fn deliver(&mut self, batches: Vec<Batch>) {
        if batches.iter().all(|batch| batch.count().0 == 0) {
            return;
        }
        let now = Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut self.since, now));
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.core.stats.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.core.worker_works(self.seat);
        let parts = batch::parts(&batches, elapsed);
        for (batch, part) in batches.into_iter().zip(parts) {
            let (items, failed) = batch.count();
            batch.deliver(part);
            let worker = self.seat;
            self.core.observers.tell(|| PoolEvent::ItemsDone { worker, items, failed });
        }
    }

    pub(super) fn unclaimed(&self) -> usize {
        self.flight.len().saturating_sub(self.worker.ring.claimed_unended() as usize)
    }

    /// Condemns the running item if its time is up. Else tells when to look again.
    fn enforce(&mut self) -> Result<Option<Instant>, Parting> {
        let Some(front) = self.flight.front() else { return Ok(None) };
        let reading = self.worker.ring.observe()?;
        let timeout = front.call.spec.timeout;
        // Asked before the clock: a time that is "now" must have come.
        let killed = front.call.kill_at();
        let now = Instant::now();
        if reading.claimed != self.seen.0 {
            (self.seen, self.waited) = ((reading.claimed, now), Duration::ZERO);
        }
        let unended = self.worker.ring.claimed_unended();
        // A result is published before its item ends, so only a liar has claims without either.
        let lies = unended > 1 || (unended == 1 && !reading.running);
        if lies && !self.worker.ring.has_results() {
            return Err(Violation::Claims.into());
        }
        if timeout.is_none() && killed.is_none() {
            return Ok(None);
        }
        let limit = timeout.and_then(|limit| self.seen.1.checked_add(limit));
        let (due, kind) = match (limit, killed) {
            (Some(limit), Some(kill)) if kill < limit => (Some(kill), TaskErrorKind::Cancelled),
            (Some(limit), _) => (Some(limit), TaskErrorKind::TimedOut),
            (None, kill) => (kill, TaskErrorKind::Cancelled),
        };
        let is_due = due.is_some_and(|due| now >= due);
        if lies && is_due {
            // Not what runs, as far as the worker says, but results come.
            return self.take_ended(unended - u32::from(reading.running)).map(|()| Some(now));
        }
        // A claim that nobody sees starts no clock. Looking eight times in the time that an item
        // has keeps a kill within an eighth of its deadline. Once a second, as a sleep that takes much
        // longer than that is how it is seen that this process was stopped.
        let look = timeout.map_or(KILL_LOOK, |limit| (limit / 8).clamp(KILL_LOOK, LONGEST_LOOK));
        let look = now.checked_add(look);
        if !reading.running {
            let prepared = self.enforce_preparation(now, timeout)?;
            return Ok([look, prepared].into_iter().flatten().min());
        }
        // With its result taken already, or results still on their way, what runs is another item.
        if unended != 1 {
            return Ok(look);
        }
        if !is_due {
            return Ok([due, look].into_iter().flatten().min());
        }
        if self.worker.ring.condemn()? {
            return Err(Parting::Condemned(kind));
        }
        // It has ended in this instant: collect it.
        Ok(Some(now))
    }

    /// An initializer has the time that an item has.
    fn enforce_preparation(
        &self,
        now: Instant,
        timeout: Option<Duration>,
    ) -> Result<Option<Instant>, Parting> {
        let (Some(_), Some(limit)) = (&self.core.recipe.config.initializer, timeout) else {
            return Ok(None);
        };
        let left = limit.saturating_sub(self.waited);
        let due = self.seen.1.max(self.since).checked_add(left);
        if due.is_some_and(|due| now >= due) {
            let message = format!("it ran into the deadline of {limit:?}");
            let failure = Failure::new(TaskErrorKind::TimedOut, message);
            return Err(Parting::Unprepared(failure));
        }
        Ok(due)
    }

    /// Writes more of an item that the ring has not got all of.
    fn feed(&mut self) -> Result<(), Parting> {
        if self.worker.ring.feed(self.flight.last_item())? {
            self.worker.is_noisy(true);
            self.worker.ring_if_asleep();
        }
        Ok(())
    }

    /// Hands items over, if the worker has few enough.
    fn top_up(&mut self) -> Result<(), Parting> {
        let most = match self.core.recipe.max_tasks {
            Some(most) => most.saturating_sub(self.worker.items + self.flight.len() as u64),
            None => u64::MAX,
        };
        let retires = self.worker.swap.is_on() || self.worker.ballast.is_too_much();
        if self.flight.len() > self.ahead || most == 0 || retires {
            return Ok(());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        // A few are enough, nearly always: there may be thousands, one for each `apply_async`.
        for enough in [8, usize::MAX] {
            let calls = self.core.candidates(enough);
            for call in &calls {
                if self.hand_over(call, most)? {
                    return Ok(());
                }
                // It waits for this worker to be free. Others that go on being prefetched would see
                // to it that this never comes.
                if self.flight.len() > 0 && call.may_have_items() && !call.is_gated() {
                    return Ok(());
                }
            }
            if calls.len() < enough {
                break;
            }
        }
        Ok(())
    }

    /// Hands over what the call has for this worker. False if that is nothing now.
    fn hand_over(&mut self, call: &Arc<Call>, most: usize) -> Result<bool, Parting> {
        let Some(mut handover) = call.take(self.flight.len(), most) else { return Ok(false) };
        self.core.served(call);
        // One wake-up came for all that was queued at once: pass it on.
        if call.may_have_items() {
            self.core.wake_idle();
        }
        if self.flight.len() == 0 {
            self.since = Instant::now();
        }
        let context = call.spec.context(&handover.span);
        let accepted = match self.worker.ring.push(context, handover.span.items()) {
            Ok(accepted) => accepted,
            Err(violation) => {
                // Nothing of it was published.
                call.give_back(handover.span);
                return Err(violation.into());
            }
        };
        let now = handover.span.take_front(accepted);
        let rest = handover.span;
        if !now.is_empty() {
            self.retries_started(&now);
            self.flight.push(call, now);
            self.worker.ring.commit()?;
            self.worker.ring_if_asleep();
            (self.ahead, self.per_item) = (handover.ahead, handover.per_item);
            self.looks = if handover.streams { LOOKS } else { 0 };
            (self.wary, self.crawls) = (false, false);
            self.look.1 = self.worker.items;
        }
        if !rest.is_empty() {
            call.give_back(rest);
        }
        self.seat().show(self.flight.len(), self.unclaimed());
        Ok(true)
    }

    fn retries_started(&self, span: &Span) {
        if span.attempts > 0 {
            self.core.stats.retries.fetch_add(span.len() as u64, Ordering::Relaxed);
        }
    }

    /// Sleeps while there are items out, until there is something to do.
    pub(super) fn sleep(&mut self, due: Option<Instant>) -> Result<(), Parting> {
        let look = self.announce();
        self.worker.ring.raise();
        let room_to_feed = self.worker.ring.room_for_more()?;
        if self.worker.ring.has_results() || room_to_feed {
            self.worker.ring.lower();
            return Ok(());
        }
        let deadline = [due, look].into_iter().flatten().min();
        let woken = self.worker.sleep(self.core.seats[self.seat].bell(), deadline);
        self.worker.ring.lower();
        if let Some(late) = overslept(deadline) {
            // No item is billed for the time in which this process was stopped.
            self.seen.1 += late;
            self.since += late;
        }
        if woken.called {
            self.seat().quiet();
        }
        if woken.ended {
            return Err(Parting::Died);
        }
        self.rung = woken.rung;
        self.wary |= look.is_some_and(|look| Instant::now() >= look);
        Ok(())
    }

    /// Tells the worker when to ring. Gives the time to look if it has not rung by then.
    fn announce(&mut self) -> Option<Instant> {
        let outstanding = self.flight.len();
        if outstanding < 2 {
            self.worker.ring.bell_after(1);
            return None;
        }
        let now = Instant::now();
        if self.wary && now >= self.look.0 {
            let ended = self.worker.items;
            self.crawls = ended - self.look.1 < CRAWL;
            self.look = (now.checked_add(LATE).unwrap_or(now), ended);
        }
        let per_item = self.per_item.unwrap_or(ANNOUNCED);
        let until = match outstanding.saturating_sub(self.ahead) {
            _ if per_item >= ANNOUNCED || self.crawls => 1,
            // Nothing more was there to be handed over: the end of all rings anyway.
            0 => outstanding,
            until => until,
        };
        let until = u32::try_from(until.max(1)).unwrap_or(u32::MAX);
        self.worker.ring.bell_after(until);
        if self.crawls {
            // Only for what it could give to whoever rests by then.
            return now.checked_add(LONGEST_LOOK);
        }
        if !self.wary {
            let look = (per_item.saturating_mul(2 * until) + SLACK).max(FIRST_LOOK);
            self.look.0 = now.checked_add(look).unwrap_or(now);
        }
        Some(self.look.0)
    }
}
