//! What pool values, calls and keepers share: the queue of calls, who is idle, how the pool ends.
//!
//! This module must not run items or touch processes, and must never wait while it holds its lock.
//!
//! # How a pool ends
//!
//! 1. `close` refuses new calls. Calls that were accepted go on, their remaining input included.
//! 2. A call that is over leaves the queue. With the pool closed and the queue empty, keepers end.
//! 3. `terminate`, or workers that on every seat end before they run anything ([`Strikes`]), ends
//!    every call at once; keepers kill their workers and end.
//! 4. The last keeper to end wakes whoever joins. Nothing waits for feeders: one that is blocked in
//!    its input ends when the input lets it.

use super::deadlines::Deadlines;
use super::error::PoolError;
use super::processes::default_processes;
use super::recipe::Recipe;
use super::strikes::{Strike, Strikes, Suspect, Verdict};
use super::turns::Turns;
use crate::call::{Call, Stop};
use crate::description::FunctionInfo;
use crate::event::{Observers, Stats};
use crate::fences;
use crate::keeper::seat::Seat;
use crate::keeper::zygote::Nursery;
use crate::process::sys;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shared middle of a pool.
#[derive(Debug)]
pub(crate) struct Core {
    /// Those of the recipe, each for itself: a call has its own at hand.
    pub(crate) functions: Vec<Arc<FunctionInfo>>,
    pub(crate) recipe: Arc<Recipe>,
    /// What makes workers, if they are not executed.
    nursery: Option<Nursery>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) stats: Stats,
    pub(crate) observers: Observers,
    queue: Mutex<Queue>,
    /// Somebody's wait is over: a worker is ready, the pool broke, a keeper ended.
    changed: Condvar,
    idle: AtomicUsize,
    /// Virtual time of the call that was served last.
    clock: AtomicU64,
    joining: AtomicUsize,
    /// Held by a keeper that starts a worker after there was no room for one: two that try at once
    /// may each take what the other one lacks.
    scarce: Mutex<()>,
    /// Keepers must kill their workers and end.
    ending: AtomicBool,
    deadlines: Deadlines,
    /// What [`sys::forks`] said in the process that has the workers.
    forks: u32,
}

#[derive(Debug)]
struct Queue {
    calls: VecDeque<Arc<Call>>,
    /// Keepers that found nothing to do.
    idle: Vec<usize>,
    phase: Phase,
    keepers: usize,
    /// Threads that run, or wait to run, callbacks.
    callbacks: usize,
    ready_once: bool,
    strikes: Strikes,
    turns: Turns,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Open,
    Closed,
    Terminated,
    Broken(PoolError),
}

impl Core {
    pub(crate) fn new(
        recipe: Arc<Recipe>,
        seats: Vec<Seat>,
        nursery: Option<Nursery>,
    ) -> Arc<Self> {
        let queue = Queue {
            calls: VecDeque::new(),
            idle: Vec::new(),
            phase: Phase::Open,
            keepers: 0,
            callbacks: 0,
            ready_once: false,
            strikes: Strikes::new(seats.len()),
            turns: Turns::new(at_once(seats.len())),
        };
        let functions = recipe.config.description.functions.iter().cloned().map(Arc::new).collect();
        Arc::new(Self {
            functions,
            recipe,
            nursery,
            seats,
            stats: Stats::default(),
            observers: Observers::default(),
            queue: Mutex::new(queue),
            scarce: Mutex::new(()),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            joining: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            deadlines: Deadlines::default(),
            forks: sys::forks(),
        })
    }

    /// Says so in a forked copy of the pool's process. There, no keeper lives, workers are somebody
    /// else's, and any lock may be held for ever by a thread that is not there.
    ///
    /// # Errors
    /// [`PoolErrorKind::Forked`](super::error::PoolErrorKind::Forked).
    pub(crate) fn check_process(&self) -> Result<(), PoolError> {
        if sys::forks() == self.forks { Ok(()) } else { Err(PoolError::forked()) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn processes(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn someone_joins(&self) -> bool {
        self.joining.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(crate) fn nursery(&self) -> Option<&Nursery> {
        self.nursery.as_ref()
    }

    // ---- calls ----

    /// Takes a call into the queue.
    pub(crate) fn submit(&self, call: &Arc<Call>) -> Result<(), PoolError> {
        self.check_process()?;
        // Before it can be over, so that its deadline is surely forgotten then.
        if let Some(after) = call.spec.deadline {
            let watched = self.deadlines.watch(call, after);
            watched.map_err(|e| PoolError::system("cannot start the thread for a deadline", &e))?;
        }
        self.enqueue(call).inspect_err(|_| self.deadlines.forget(call))
    }

    fn enqueue(&self, call: &Arc<Call>) -> Result<(), PoolError> {
        let mut queue = self.lock();
        match &queue.phase {
            Phase::Open => {}
            Phase::Closed => return Err(PoolError::closed()),
            Phase::Terminated => return Err(PoolError::terminated()),
            Phase::Broken(error) => return Err(error.clone()),
        }
        queue.calls.push_back(Arc::clone(call));
        Ok(())
    }

    /// Calls that may have items, least served first: all of them, or as soon as there are so many
    /// that nobody is owed more than, `enough`.
    pub(crate) fn candidates(&self, enough: usize) -> Vec<Arc<Call>> {
        // Who had nothing to run is not owed the time that others had meanwhile: it would own the
        // workers until it had caught up with calls that run since yesterday.
        let level = self.clock.load(Ordering::Relaxed);
        let mut found = Vec::new();
        let mut owed_most = 0;
        let queue = self.lock();
        for call in queue.calls.iter().filter(|call| call.may_have_items()) {
            let had = call.virtual_time.fetch_max(level, Ordering::Relaxed).max(level);
            found.push((had, Arc::clone(call)));
            owed_most += usize::from(had == level);
            if owed_most == enough {
                break;
            }
        }
        drop(queue);
        found.sort_by_key(|(had, _)| *had);
        found.truncate(enough);
        found.into_iter().map(|(_, call)| call).collect()
    }

    /// A keeper took items of this call, which was the least served one.
    pub(crate) fn served(&self, call: &Call) {
        self.clock.fetch_max(call.virtual_time.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A call is over: complete, and in nobody's hands.
    pub(crate) fn call_over(&self, call: &Arc<Call>) {
        if call.spec.deadline.is_some() {
            self.deadlines.forget(call);
        }
        let mut queue = self.lock();
        // Calls end about in the order they came, so this one is near the front.
        if let Some(place) = queue.calls.iter().position(|other| Arc::ptr_eq(other, call)) {
            queue.calls.remove(place);
        }
        self.end_if_done(&mut queue);
    }

    fn end_if_done(&self, queue: &mut Queue) {
        if matches!(queue.phase, Phase::Closed) && queue.calls.is_empty() {
            self.ending.store(true, Ordering::Release);
            self.wake_all();
        }
    }

    // ---- waking keepers ----

    /// Wakes one idle keeper, if there is one: there is something to take.
    pub(crate) fn wake_idle(&self) {
        // Orders the items that were just queued before this look at the idle count, against the
        // fence in `rest`: one of both sides sees the other.
        fence(Ordering::SeqCst);
        if self.idle.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(seat) = self.take_idle().and_then(|seat| self.seats.get(seat)) {
            seat.call();
        }
    }

    /// Takes one keeper off the list of idle ones.
    pub(crate) fn take_idle(&self) -> Option<usize> {
        let mut queue = self.lock();
        let chosen = queue.idle.pop();
        self.idle.store(queue.idle.len(), Ordering::Relaxed);
        chosen
    }

    /// Wakes every keeper whose worker has items: one of them may have to end.
    pub(crate) fn wake_busy(&self) {
        self.seats.iter().filter(|seat| seat.is_busy()).for_each(Seat::wake);
    }

    fn wake_all(&self) {
        self.seats.iter().for_each(Seat::wake);
    }

    /// A keeper has nothing to do. False if there is something after all.
    pub(crate) fn rest(&self, seat: usize) -> bool {
        let mut queue = self.lock();
        if !queue.idle.contains(&seat) {
            queue.idle.push(seat);
        }
        self.idle.store(queue.idle.len(), Ordering::Relaxed);
        // A call that comes after this sees who is idle.
        let fed = queue.calls.iter().any(|call| call.is_fed());
        drop(queue);
        if fed {
            fences::heavy();
        } else {
            fence(Ordering::SeqCst);
        }
        let queue = self.lock();
        !queue.calls.iter().any(|call| call.may_have_items() && !call.is_gated())
    }

    /// A keeper has something to do again.
    pub(crate) fn unrest(&self, seat: usize) {
        let mut queue = self.lock();
        queue.idle.retain(|other| *other != seat);
        self.idle.store(queue.idle.len(), Ordering::Relaxed);
    }

    /// Keepers that have nothing to do. Asked after a fence, as in [`wake_idle`](Self::wake_idle).
    pub(crate) fn resting(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }

    /// An idle keeper asks the one with the most unclaimed items for some of them.
    pub(crate) fn ask_for_items(&self) {
        let richest = self.seats.iter().max_by_key(|seat| seat.unclaimed());
        if let Some(seat) = richest.filter(|seat| seat.unclaimed() > 0) {
            seat.ask();
        }
    }

    // ---- workers ----

    pub(crate) fn keeper_started(&self) {
        if let Some(nursery) = &self.nursery {
            nursery.enter();
        }
        self.lock().keepers += 1;
    }

    pub(crate) fn keeper_ended(&self) {
        // The last one waits for the end of the zygote, so that whoever joins does too.
        if let Some(nursery) = &self.nursery {
            nursery.leave();
        }
        let mut queue = self.lock();
        queue.keepers -= 1;
        if queue.keepers == 0 {
            self.observers.close();
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// A call has callbacks that are to run.
    pub(crate) fn callbacks_started(&self) {
        self.lock().callbacks += 1;
    }

    /// They have run.
    pub(crate) fn callbacks_ended(&self) {
        self.lock().callbacks -= 1;
        self.changed.notify_all();
    }

    /// Takes a turn to start the first worker of a seat; false if it has to wait for one.
    pub(crate) fn take_turn(&self, seat: usize) -> bool {
        self.lock().turns.take(seat)
    }

    /// Whether a seat still waits for its turn.
    pub(crate) fn waits_for_turn(&self, seat: usize) -> bool {
        self.lock().turns.is_waiting(seat)
    }

    /// A seat waits no longer; false if it has a turn already.
    pub(crate) fn leave_line(&self, seat: usize) -> bool {
        self.lock().turns.leave(seat)
    }

    /// A turn is over.
    pub(crate) fn end_turn(&self) {
        let next = self.lock().turns.end();
        if let Some(seat) = next.and_then(|seat| self.seats.get(seat)) {
            seat.wake();
        }
    }

    /// To be held while a worker is started for which there was no room before.
    pub(crate) fn scarcity(&self) -> MutexGuard<'_, ()> {
        self.scarce.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker is ready for items.
    pub(crate) fn worker_ready(&self, seat: usize) {
        let mut queue = self.lock();
        queue.strikes.ready(seat);
        if !queue.ready_once {
            queue.ready_once = true;
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Items have ended on this seat's worker, so it works.
    pub(crate) fn worker_works(&self, seat: usize) {
        if self.seats.get(seat).is_some_and(Seat::works) {
            self.lock().strikes.worked(seat);
        }
    }

    /// A worker ended, and this item would have been its next one. True if it is to be blamed: see
    /// [`Strikes::suspect`].
    pub(crate) fn suspect(&self, suspect: Suspect) -> bool {
        self.lock().strikes.suspect(Instant::now(), suspect)
    }

    /// A worker could not be started, or ended before it had run anything. Gives the time after
    /// which the seat may try again. If none of the seats gets any further, the pool breaks, and
    /// `cause` is what pending and new calls are told.
    pub(crate) fn strike(&self, seat: usize, cause: PoolError, strike: Strike) -> Duration {
        if let Some(seat) = self.seats.get(seat) {
            seat.strike();
        }
        let mut queue = self.lock();
        match queue.strikes.add(seat, strike, Instant::now()) {
            Verdict::Pause(pause) => return pause,
            Verdict::Break if matches!(queue.phase, Phase::Terminated | Phase::Broken(_)) => {
                return Duration::ZERO;
            }
            Verdict::Break => {}
        }
        queue.phase = Phase::Broken(cause.clone());
        let calls = std::mem::take(&mut queue.calls);
        self.ending.store(true, Ordering::Release);
        drop(queue);
        for call in calls {
            call.stop(Stop::Failed(cause.clone()));
        }
        self.wake_all();
        self.changed.notify_all();
        Duration::ZERO
    }

    /// Waits until the first worker is ready.
    ///
    /// # Errors
    /// If the pool broke first.
    pub(crate) fn wait_first_ready(&self) -> Result<(), PoolError> {
        let mut queue = self.lock();
        loop {
            if let Phase::Broken(error) = &queue.phase {
                return Err(error.clone());
            }
            if queue.ready_once {
                return Ok(());
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    // ---- the end ----

    /// Refuses new calls.
    pub(crate) fn close(&self) {
        if self.check_process().is_err() {
            return;
        }
        let mut queue = self.lock();
        if matches!(queue.phase, Phase::Open) {
            queue.phase = Phase::Closed;
            self.end_if_done(&mut queue);
        }
    }

    /// Ends every call and every worker.
    pub(crate) fn terminate(&self) {
        if self.check_process().is_err() {
            return;
        }
        let mut queue = self.lock();
        if matches!(queue.phase, Phase::Open | Phase::Closed) {
            queue.phase = Phase::Terminated;
        }
        let calls = std::mem::take(&mut queue.calls);
        self.ending.store(true, Ordering::Release);
        drop(queue);
        for call in calls {
            call.stop(Stop::Terminated);
        }
        self.wake_all();
    }

    /// Waits until all workers have ended; false if the deadline passed first.
    ///
    /// # Errors
    /// If the pool still takes calls: it would never end. In a forked copy.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> Result<bool, PoolError> {
        self.check_process()?;
        if matches!(self.lock().phase, Phase::Open) {
            return Err(PoolError::usage("join needs `close` or `terminate` before it"));
        }
        self.joining.fetch_add(1, Ordering::SeqCst);
        let calls = self.lock().calls.clone();
        for call in calls {
            call.release_window();
        }
        let mut queue = self.lock();
        let done = loop {
            if queue.keepers == 0 && queue.callbacks == 0 {
                break true;
            }
            queue = match deadline {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break false;
                    }
                    let waited = self.changed.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        drop(queue);
        self.joining.fetch_sub(1, Ordering::SeqCst);
        Ok(done)
    }
}

/// How many workers of a new pool are started at once.
fn at_once(seats: usize) -> usize {
    // To find out how many processors there are takes reading some files.
    if seats > 2 { default_processes().max(2) } else { seats }
}
