//! A keeper: the thread that owns one worker, from its start to its grave, again and again.
//!
//! This module must not be driven by anybody else: it pulls, and nothing is pushed to it.
//!
//! A turn of work is in [`link`], the end of a worker in [`burial`]. While its worker has nothing,
//! a keeper leaves the link on its [`seat`], where the caller of an `apply` may borrow it
//! ([`drive`]); so there is always exactly one who works with a worker.

mod ballast;
pub(crate) mod batch;
pub(crate) mod bounds;
mod burial;
pub(crate) mod drive;
pub(crate) mod flight;
pub(crate) mod link;
mod order;
pub(crate) mod seat;
mod share;
mod silence;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start what they like")]
mod tests;
pub(crate) mod worker;
pub(crate) mod zygote;

use crate::buffers;
use crate::event::{PoolEvent, WorkerEnd};
use crate::outcome::{Failure, TaskErrorKind};
use crate::pool::core::Core;
use crate::pool::error::{PoolError, PoolErrorKind, panic_text};
use crate::pool::strikes::Strike;
use crate::ring::Violation;
use link::Link;
use order::{Order, StartError};
use seat::{Post, Seat, Woken};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use worker::Worker;

/// From this cost on each result is announced by itself.
const ANNOUNCED: Duration = Duration::from_millis(2);
/// Shortest time between two looks at a clock.
const KILL_LOOK: Duration = Duration::from_millis(1);
/// Longest time between two looks at the clock of an item with a timeout.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// After so long without items, memory is given back that passing them has touched: at once, it
/// would be touched again by the next call.
const IDLE: Duration = Duration::from_millis(500);
/// Slack before a keeper looks after a chunk that takes longer than expected.
const SLACK: Duration = Duration::from_micros(300);

/// Up to so many items of a worker the next one is made while it still works, where that is cheap.
const SHORT_LIVED: u64 = 100;

/// Longest wait for others whose workers start.
const TURN: Duration = Duration::from_millis(100);

/// Why a worker's time is over.
#[derive(Debug)]
pub(crate) enum Parting {
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

/// Starts the thread of the keeper on `seat`.
pub(crate) fn start(core: &Arc<Core>, seat: usize) -> io::Result<()> {
    core.keeper_started();
    let keeper = Keeper { core: Arc::clone(core), seat };
    let thread = std::thread::Builder::new().name(format!("sandpool-keeper-{seat}"));
    let spawned = thread.spawn(move || {
        // A panic here is a bug of ours; it must not leave anybody waiting.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| keeper.run())) {
            let text = format!("a keeper panicked: {}", panic_text(&*panic));
            let cause = PoolError::new(PoolErrorKind::Broken, text);
            keeper.core.strike(keeper.seat, cause, Strike::Fatal);
        }
        keeper.core.keeper_ended();
    });
    spawned.map(drop).inspect_err(|_| core.keeper_ended())
}

/// One keeper.
#[derive(Debug)]
struct Keeper {
    core: Arc<Core>,
    seat: usize,
}

impl Keeper {
    fn seat(&self) -> &Seat {
        &self.core.seats[self.seat]
    }

    fn run(&self) {
        let ending = || self.core.is_ending();
        let (mut no_room, mut spare) = (false, None);
        let mut turn = self.await_turn(ending);
        while !ending() {
            let began = Instant::now();
            let alone = no_room.then(|| self.core.scarcity());
            let started = self.start_worker(spare.take(), ending);
            drop(alone);
            if std::mem::take(&mut turn) {
                self.core.end_turn();
            }
            no_room = matches!(started, Err(StartError::NoRoom(_)));
            let (reason, strike) = match started {
                Ok(worker) => {
                    self.welcome(&worker, began.elapsed());
                    spare = self.order_spare();
                    let link = Link::new(Arc::clone(&self.core), self.seat, worker);
                    self.seat().pause(self.keep(link), ending);
                    continue;
                }
                Err(StartError::Interrupted) => return,
                Err(StartError::Refused(reason)) => (reason, Strike::Refused),
                Err(StartError::NoRoom(reason)) => (reason, Strike::NoRoom),
                Err(StartError::Failed(reason)) => (reason, Strike::Lasting),
            };
            let pause = self.core.strike(self.seat, broken(&reason), strike);
            self.seat().pause(pause, ending);
        }
    }

    /// Waits for a turn to start the first worker, but not for long: others may hang. Tells whether
    /// it has come to one.
    fn await_turn(&self, ending: impl Fn() -> bool) -> bool {
        if self.core.take_turn(self.seat) {
            return true;
        }
        self.seat().pause(TURN, || ending() || !self.core.waits_for_turn(self.seat));
        !self.core.leave_line(self.seat)
    }

    fn start_worker(
        &self,
        spare: Option<Order>,
        ending: impl Fn() -> bool,
    ) -> Result<Worker, StartError> {
        let fetch = |order: Order| order.fetch(&self.core, self.seat().bell(), &ending);
        match spare.map(fetch) {
            // Somebody may have killed it, or the zygote, long ago.
            None | Some(Err(StartError::Failed(_))) => Order::place(&self.core).and_then(fetch),
            Some(started) => started,
        }
    }

    /// Has the worker after this one made meanwhile, if it will soon be needed.
    fn order_spare(&self) -> Option<Order> {
        let soon = self.core.recipe.max_tasks.is_some_and(|most| most <= SHORT_LIVED);
        let cheap = self.core.nursery().is_some();
        // If it fails, it fails again when it is needed, and then somebody listens.
        if soon && cheap { Order::place(&self.core).ok() } else { None }
    }

    fn welcome(&self, worker: &Worker, after: Duration) {
        self.core.worker_ready(self.seat);
        self.core.stats.workers_started.fetch_add(1, Ordering::Relaxed);
        let (worker, pid) = (self.seat, worker.pid());
        self.core.observers.worker_started(PoolEvent::WorkerStarted { worker, pid, after });
    }

    /// Works with one worker until its time is over. Gives the pause before the next one.
    fn keep(&self, mut link: Link) -> Duration {
        let (link, parting) = loop {
            match link.work() {
                Err(parting) => break (link, parting),
                Ok(_) if link.is_idle() => match link.linger() {
                    Ok(true) => {}
                    Ok(false) => match self.park(link) {
                        Post { link: back, parting: None } => link = back,
                        Post { link, parting: Some(parting) } => break (link, parting),
                    },
                    Err(parting) => break (link, parting),
                },
                Ok(due) => {
                    if let Err(parting) = link.sleep(due) {
                        break (link, parting);
                    }
                }
            }
        };
        // A wake-up that came meanwhile is another keeper's now.
        self.core.wake_idle();
        link.bury(parting)
    }

    /// Leaves the link on the seat until there is something to do.
    fn park(&self, link: Link) -> Post {
        let pidfd = link.worker.pidfd_copy();
        self.seat().park(Post { link, parting: None });
        if self.core.rest(self.seat) {
            self.core.ask_for_items();
        } else {
            self.seat().call();
        }
        let mut late = Some(Instant::now() + IDLE);
        loop {
            let woken = self.seat().doze(pidfd.as_ref(), late);
            let back = self.seat().take();
            if woken == Woken::Late {
                // On loan, it says only once that it holds memory, and may have done so.
                late = back.is_none().then(|| Instant::now() + IDLE);
                buffers::clear();
                if let Some(mut post) = back {
                    post.link.give_back();
                    self.seat().park(post);
                }
                continue;
            }
            self.core.unrest(self.seat);
            match back {
                Some(Post { link, parting: None }) if woken == Woken::Ended => {
                    return Post { link, parting: Some(Parting::Died) };
                }
                Some(post) => return post,
                // Somebody drives the worker, and will call when it is given back.
                None => self.seat().await_return(),
            }
        }
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
