//! The end of a worker: what it had finished counts, what it was running is blamed, the rest goes
//! back.
//!
//! This module must not start an item again that may have been started, unless retries were asked
//! for.

use super::Parting;
use super::link::Link;
use super::worker::Worker;
use crate::call::Delivery;
use crate::call::run::Run;
use crate::event::{PoolEvent, WorkerEnd};
use crate::outcome::{Failure, Logs, TaskError, TaskErrorKind};
use crate::pool::error::{PoolError, PoolErrorKind};
use crate::pool::strikes::{Strike, Suspect};
use crate::process::Ended;
use crate::ring::Violation;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Signals with which the kernel answers what a process does.
const OWN_SIGNALS: [i32; 6] =
    [libc::SIGSYS, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

impl Link {
    /// Kills what is left of a worker, reaps it, and settles its items. Gives the pause before the
    /// next worker: none, unless this one ended too early and not for the first time.
    pub(super) fn bury(mut self, mut parting: Parting) -> Duration {
        let ended = self.worker.end();
        if !matches!(parting, Parting::Condemned(_) | Parting::Broken(_))
            && let Some(last) = self.collect_last()
        {
            parting = last;
        }
        // A word that makes no sense may hide claims: then all that it had may have been started.
        let started = match self.worker.ring.observe() {
            Ok(_) => self.worker.ring.claimed_unended() as usize,
            Err(_) => self.flight.len(),
        };
        let started =
            if started == 0 { usize::from(self.is_suspect(&parting, ended)) } else { started };
        // The end that an item is blamed for is no strike: else two such items in a row would be
        // the end of a pool of one. Where nothing works any more, the ends before it are enough.
        let worked = self.worker.items > 0 || started > 0;
        let was_idle = self.flight.len() == 0 && self.core.recipe.config.initializer.is_none();
        let legs = self.flight.pop_back(self.flight.len().saturating_sub(started));
        self.core
            .stats
            .recalled
            .fetch_add(legs.iter().map(|leg| leg.span.len() as u64).sum(), Ordering::Relaxed);
        for leg in legs {
            leg.call.give_back(leg.span);
        }
        self.blame(&parting, ended);
        self.seat().show(0, 0);
        self.core.stats.workers_ended.fetch_add(1, Ordering::Relaxed);
        let (seat, pid, items) = (self.seat, self.worker.pid(), self.worker.items);
        let reason = WorkerEnd::of(&parting, ended);
        let worker = seat;
        self.core.observers.worker_ended(PoolEvent::WorkerEnded { worker, pid, reason, items });
        let cause = match &parting {
            Parting::Unprepared(failure) => {
                Some(format!("the initializer failed: {}", failure.message))
            }
            Parting::Died | Parting::Broken(_) if !worked => {
                Some(death(&mut self.worker, &parting, ended).message)
            }
            _ => None,
        };
        let Some(cause) = cause else { return Duration::ZERO };
        // A worker that was idle may have been ended by somebody.
        let strike = if was_idle { Strike::Passing } else { Strike::Lasting };
        self.core.strike(seat, PoolError::new(PoolErrorKind::Broken, cause), strike)
    }

    /// Whether the next item of a worker that died is to be blamed although it was not begun, as
    /// far as the worker said: several have died there. Else an item that makes
    /// workers lie about their claims could end one after the other, until the pool breaks.
    fn is_suspect(&self, parting: &Parting, ended: Ended) -> bool {
        let Some(front) = self.flight.front() else { return false };
        // Somebody may end or stop many workers at once, all of them in turn given the same item.
        let by_itself = match parting {
            Parting::Broken(violation) => *violation != Violation::Silence,
            Parting::Died => match ended {
                Ended::Status(_) => true,
                Ended::Signal(signal) => OWN_SIGNALS.contains(&signal),
                Ended::Unknown => false,
            },
            _ => false,
        };
        by_itself
            // Where nothing ever works, it is not the item.
            && self.core.stats.snapshot().values > 0
            && self.core.recipe.config.initializer.is_none()
            && self.core.suspect(Suspect {
                item: (front.call.id, front.span.first()),
                seat: self.seat,
                proven: self.worker.items > 0 || self.seat().has_worked(),
            })
    }

    /// Takes the results that the worker published before it died. Gives a better reason for its
    /// end, if it left one.
    fn collect_last(&mut self) -> Option<Parting> {
        // Half a frame, or a lie, ends the collection; what came before it was whole.
        match self.gather() {
            Err(unprepared @ Parting::Unprepared(_)) => Some(unprepared),
            _ => None,
        }
    }

    /// Ends the items that the worker had started and not finished.
    fn blame(&mut self, parting: &Parting, ended: Ended) {
        let now = Instant::now();
        let ran = now.saturating_duration_since(self.seen.1);
        let elapsed = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        while let Some(mut leg) = self.flight.pop_front(1) {
            let attempts = leg.span.attempts + 1;
            let failure = match parting {
                Parting::Condemned(TaskErrorKind::TimedOut) => {
                    let limit = leg.call.spec.timeout.unwrap_or_default();
                    let millis = |time: std::time::Duration| time.as_millis() as u64;
                    Failure {
                        used: Some((millis(ran), millis(limit))),
                        ..Failure::new(
                            TaskErrorKind::TimedOut,
                            format!("ran for {} ms of {} ms", millis(ran), millis(limit)),
                        )
                    }
                }
                Parting::Condemned(kind) => Failure::new(*kind, ""),
                Parting::Closed => Failure::new(TaskErrorKind::Terminated, ""),
                _ => death(&mut self.worker, parting, ended),
            };
            let kind = failure.kind.unwrap_or(TaskErrorKind::WorkerDied);
            if leg.call.spec.retry.wants(kind, attempts) {
                leg.span.attempts = attempts;
                leg.call.give_back(leg.span);
                continue;
            }
            let (index, item_bytes) = (leg.span.first(), leg.span.size() as u64);
            let error = TaskError::new(index, attempts, failure, Logs::default());
            let runs = vec![Run::failed(error)];
            leg.call.deliver(Delivery { runs, item_bytes, elapsed });
            let worker = self.seat;
            self.core.observers.tell(|| PoolEvent::ItemsDone { worker, items: 1, failed: 1 });
        }
    }
}

/// How the standard library begins what it says of an allocation that failed.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// What the end of a worker is called.
fn death(worker: &mut Worker, parting: &Parting, ended: Ended) -> Failure {
    let mut message = match parting {
        Parting::Broken(violation) => format!("the worker broke the protocol: {violation}"),
        _ => format!("the worker {ended}"),
    };
    if ended == Ended::Signal(libc::SIGSYS) {
        // Where memory ends, the standard library says so and then aborts, which the filter stops.
        let words = worker.last_words();
        match words.find(OUT_OF_MEMORY).and_then(|at| words.get(at..)) {
            Some(words) => {
                let words: String = words.chars().take(80).collect();
                message = format!(
                    "the worker had no memory left outside of the guest (see `worker_memory`): {words}"
                );
            }
            None => message.push_str(": the seccomp wall refused a system call"),
        }
    }
    if let Some(note) = worker.ring.note() {
        message.push_str(": ");
        message.push_str(&note);
    }
    Failure { code: ended.code(), ..Failure::new(TaskErrorKind::WorkerDied, message) }
}
