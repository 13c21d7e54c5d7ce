//! What observers of a pool are told: a snapshot of counts, and a stream of typed events.
//!
//! This module must not print, nor make the pool wait for an observer.

use crate::outcome::TaskErrorKind;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const KINDS: usize = TaskErrorKind::ALL.len();

fn position(kind: TaskErrorKind) -> usize {
    TaskErrorKind::ALL.iter().position(|known| *known == kind).unwrap_or(0)
}

/// Something that happened in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A worker process is ready for items.
    WorkerStarted {
        /// Place of the worker in the pool, from 0.
        worker: usize,
        /// Its process id.
        pid: u32,
        /// Time from its start to its readiness.
        after: Duration,
    },
    /// A worker process is gone.
    WorkerEnded {
        /// Place of the worker in the pool, from 0.
        worker: usize,
        /// Its process id.
        pid: u32,
        /// Why.
        reason: WorkerEnd,
        /// Items that ended on it.
        items: u64,
    },
    /// Items have ended on a worker. Items that end together are told together.
    ItemsDone {
        /// Place of the worker in the pool, from 0.
        worker: usize,
        /// How many.
        items: u64,
        /// How many of them without a value.
        failed: u64,
    },
}

/// Why a worker process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// The pool has no more use for it.
    Closed,
    /// It had started as many items as `max_tasks_per_child` allows; or a new one is better: memory may
    /// be swapped out since, or a large item has left memory that is wiped for each of many small ones.
    Retired,
    /// It was killed because its item ran into the deadline.
    TimedOut,
    /// It was killed because the call of its item was cancelled or terminated.
    Cancelled,
    /// It ended by itself, and how (signal, exit status).
    Died(String),
    /// It broke the protocol and was killed, and how.
    Broken(String),
    /// It could not be prepared: start-up or initializer failed, and why.
    Unprepared(String),
}

/// Counts of a pool since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Items that were accepted from inputs.
    pub submitted: u64,
    /// Items that ended with a value.
    pub values: u64,
    /// Items that ended without one. `submitted` is `values` and this, once nothing is pending.
    pub errors: u64,
    /// How many ended how; kinds without any are left out.
    pub errors_by_kind: Vec<(TaskErrorKind, u64)>,
    /// Worker processes that were started.
    pub workers_started: u64,
    /// Worker processes that have ended.
    pub workers_ended: u64,
    /// Starts of items beyond each item's first.
    pub retries: u64,
    /// Items that were handed to a worker and taken back before it had claimed them.
    pub recalled: u64,
    /// Time that workers spent on items, summed.
    pub busy: Duration,
}

/// A few counts that are added at once.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    values: u64,
    errors: [u64; KINDS],
}

impl Tally {
    pub(crate) fn values(&mut self, n: u64) {
        self.values += n;
    }

    pub(crate) fn errors(&mut self, kind: TaskErrorKind, n: u64) {
        if let Some(count) = self.errors.get_mut(position(kind)) {
            *count += n;
        }
    }

    pub(crate) fn of(kind: TaskErrorKind, n: u64) -> Self {
        let mut tally = Self::default();
        tally.errors(kind, n);
        tally
    }
}

/// The living counts behind [`PoolStats`].
#[derive(Debug, Default)]
pub(crate) struct Stats {
    submitted: AtomicU64,
    values: AtomicU64,
    errors: [AtomicU64; KINDS],
    pub(crate) workers_started: AtomicU64,
    pub(crate) workers_ended: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) recalled: AtomicU64,
    pub(crate) busy_nanos: AtomicU64,
}

impl Stats {
    pub(crate) fn submitted(&self, n: u64) {
        self.submitted.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, tally: &Tally) {
        if tally.values > 0 {
            self.values.fetch_add(tally.values, Ordering::Relaxed);
        }
        for (count, more) in self.errors.iter().zip(tally.errors) {
            if more > 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> PoolStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Ends are read before submissions, so that a snapshot never shows more ends than items.
        let values = read(&self.values);
        let errors: Vec<u64> = self.errors.iter().map(read).collect();
        let by_kind = TaskErrorKind::ALL.into_iter().zip(errors.iter().copied());
        PoolStats {
            values,
            errors: errors.iter().sum(),
            errors_by_kind: by_kind.filter(|(_, n)| *n > 0).collect(),
            submitted: read(&self.submitted),
            workers_ended: read(&self.workers_ended),
            workers_started: read(&self.workers_started),
            retries: read(&self.retries),
            recalled: read(&self.recalled),
            busy: Duration::from_nanos(read(&self.busy_nanos)),
        }
    }
}

/// Events that an observer has not read are dropped beyond this many.
const BACKLOG: usize = 4096;

/// Where events go.
#[derive(Default)]
pub(crate) struct Observers {
    any: AtomicBool,
    senders: Mutex<Senders>,
    lost: AtomicUsize,
}

#[derive(Default)]
struct Senders {
    all: Vec<SyncSender<PoolEvent>>,
    /// The start of each worker that lives, for whoever comes later.
    started: Vec<PoolEvent>,
    /// Nothing will happen any more.
    closed: bool,
}

impl Observers {
    pub(crate) fn subscribe(&self) -> Events {
        let mut senders = self.lock();
        let (sender, receiver) = sync_channel(BACKLOG + senders.started.len());
        for event in &senders.started {
            // There is room for them: nobody else has the sender yet.
            let _ = sender.try_send(event.clone());
        }
        if senders.closed {
            return Events(receiver);
        }
        senders.all.push(sender);
        self.any.store(true, Ordering::Release);
        Events(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a worker has started, now and to observers that come while it lives.
    pub(crate) fn worker_started(&self, event: PoolEvent) {
        self.lock().started.push(event.clone());
        self.tell(|| event);
    }

    /// Tells that a worker has ended.
    pub(crate) fn worker_ended(&self, event: PoolEvent) {
        if let PoolEvent::WorkerEnded { pid, .. } = &event {
            let same = |known: &PoolEvent| matches!(known, PoolEvent::WorkerStarted { pid: known, .. } if known == pid);
            self.lock().started.retain(|known| !same(known));
        }
        self.tell(|| event);
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> PoolEvent) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let event = event();
        let senders = &mut self.lock().all;
        senders.retain(|sender| match sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
        self.any.store(!senders.is_empty(), Ordering::Release);
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        let mut senders = self.lock();
        senders.all.clear();
        senders.closed = true;
        self.any.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("any", &self.any).field("lost", &self.lost).finish()
    }
}

/// A stream of [`PoolEvent`]s, from [`Pool::events`](crate::Pool::events).
///
/// It begins with the start of each worker that lives. Iterating blocks until something happens, and ends when the pool's workers have ended. The pool
/// never waits for a reader: of more than 4096 unread events the newest are dropped.
#[derive(Debug)]
pub struct Events(Receiver<PoolEvent>);

impl Events {
    /// The next event if there is one already. Does not block.
    pub fn try_next(&mut self) -> Option<PoolEvent> {
        self.0.try_recv().ok()
    }

    /// The next event, or `None` if none came in `timeout` or none will come.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<PoolEvent> {
        self.0.recv_timeout(timeout).ok()
    }
}

impl Iterator for Events {
    type Item = PoolEvent;

    fn next(&mut self) -> Option<PoolEvent> {
        self.0.recv().ok()
    }
}
