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
    /// Takes unclaimed items of stopped calls away from the worker.
    pub(super) fn drop_stopped(&mut self) -> Result<(), Parting> {
        if self.flight.calls().any(|call| call.kill_at().is_some()) {
            self.worker.ring.observe()?;
            self.recall(0)?;
        }
        Ok(())
    }

    /// Takes unclaimed items away whose results nobody has room for: chunks were measured out in
    /// time, and their results may turn out to be large.
    pub(super) fn drop_gated(&mut self) -> Result<(), Parting> {
        if self.flight.len() < 2 || !self.flight.calls().any(|call| call.is_gated()) {
            return Ok(());
        }
        self.worker.ring.observe()?;
        // One item stays with a worker that has claimed none: it may be the one that all results
        // wait for, and must not wander to and fro.
        let keep = usize::from(self.worker.ring.claimed_unended() == 0);
        self.recall(keep)
    }

    /// Gives half of what the worker has not claimed to workers that have nothing.
    pub(super) fn share(&mut self) -> Result<Shared, Parting> {
        let asked = self.seat().was_asked() || (self.wary && self.core.resting() > 0);
        let only = self.flight.len() < 2;
        if !asked || (only && self.worker.ring.claimed_unended() > 0) {
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
        }
        let expected = self.per_item.unwrap_or(ANNOUNCED).saturating_mul(unclaimed as u32);
        // What is done sooner than it can be moved stays.
        if expected < SLACK && !self.wary && self.since.elapsed() < SLACK {
            return Ok(Shared::Nothing);
        }
        self.recall(unclaimed / 2)?;
        Ok(Shared::Some)
    }

    /// Recalls unclaimed items, all but `keep`, to the queues of their calls.
    fn recall(&mut self, keep: usize) -> Result<(), Parting> {
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        let back = self.worker.ring.recall(keep)?;
        self.core.stats.recalled.fetch_add(back as u64, Ordering::Relaxed);
        let legs = self.flight.pop_back(back);
        self.seat().show(self.flight.len(), self.unclaimed());
        for leg in legs {
            leg.call.give_back(leg.span);
        }
        Ok(())
    }
}
