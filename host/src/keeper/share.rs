//! Taking back what a worker was given and has not begun: for workers that have nothing, and where
//! nobody wants it any more.
//!
//! This module must not take an item that was claimed, and must not have one wander between workers:
//! each move wakes a keeper, and on a single processor the keepers could keep the workers from it.

use super::link::{FIRST_LOOK, Link};
use super::{ANNOUNCED, Parting, SLACK};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What came of a look for items that others could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    /// Nobody asks, or there is nothing to give.
    Nothing,
    /// Something went back to its queue, where those who asked come for it: whoever gave it must
    /// let them, or it would go to and fro for as long as the worker is busy.
    Some,
    /// The only item may be begun at any moment. If it is not by this time, somebody else may try.
    Perhaps(Instant),
}

impl Link {
    /// Takes unclaimed items away that nobody wants now: those of stopped calls, and those whose results
    /// have no room, as chunks were measured out in time, and results may turn out to be large. While
    /// an item of such a call runs, this is true, and what was handed over behind it would come back.
    pub(super) fn drop_unwanted(&mut self) -> Result<bool, Parting> {
        let stopped = self.flight.calls().any(|call| call.kill_at().is_some());
        if !stopped && !self.flight.calls().any(|call| call.is_gated()) {
            return Ok(false);
        }
        self.worker.ring.observe()?;
        // One item stays with a worker that has claimed none: it may be the one that all results
        // wait for, and must not wander to and fro.
        let keep = usize::from(!stopped && self.worker.ring.claimed_unended() == 0);
        self.recall(keep)?;
        Ok(!self.is_idle())
    }

    /// Gives half of what the worker has not claimed to workers that have nothing.
    pub(super) fn share(&mut self) -> Result<Shared, Parting> {
        let asked = self.seat().was_asked() || self.wary;
        let only = self.flight.len() < 2;
        // Whoever asked may have found something else since.
        let nobody = !asked || self.core.resting() == 0;
        if nobody || (only && self.worker.ring.claimed_unended() > 0) {
            return Ok(Shared::Nothing);
        }
        self.worker.ring.observe()?;
        let unclaimed = self.unclaimed();
        if unclaimed == 0 {
            return Ok(Shared::Nothing);
        }
        if only {
            // It moves only if the worker does not even begin it, and has had the processor's time.
            let patience = self.since.checked_add(FIRST_LOOK);
            if let Some(until) = patience.filter(|until| Instant::now() < *until) {
                self.seat().ask_later();
                return Ok(Shared::Perhaps(until));
            }
            self.watch_silence(None)?;
        }
        let expected = self.per_item.unwrap_or(ANNOUNCED).saturating_mul(unclaimed as u32);
        // What is done sooner than it can be moved stays.
        if expected < SLACK && !self.wary && self.since.elapsed() < SLACK {
            return Ok(Shared::Nothing);
        }
        match self.recall(unclaimed / 2)? {
            0 => Ok(Shared::Nothing),
            _ => Ok(Shared::Some),
        }
    }

    /// Recalls unclaimed items, all but `keep`, to the queues of their calls. Gives how many came back.
    fn recall(&mut self, keep: usize) -> Result<usize, Parting> {
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        let back = self.worker.ring.recall(keep)?;
        self.core.stats.recalled.fetch_add(back as u64, Ordering::Relaxed);
        let legs = self.flight.pop_back(back);
        if self.is_idle() {
            self.waited += self.since.elapsed();
        }
        self.seat().show(self.flight.len(), self.unclaimed());
        for leg in legs {
            leg.call.give_back(leg.span);
        }
        Ok(back)
    }
}
