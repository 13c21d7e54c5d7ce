//! A worker that is given items and begins none of them: it was stopped, or it plays dead. And one
//! that plays busy: a result comes, slowly and for as long as it can be.
//!
//! This module must not end a worker that may have begun an item: how long an item may take is the
//! user's to say, and whoever stops a worker in the middle of one may want to look at it.
//!
//! What is counted is looks, some time apart, and not time: a machine that was suspended, or a
//! frozen group of processes, wakes up with much time gone in which no worker could do anything.
//! A worker that is ended by mistake costs two milliseconds and no item, as it had begun none.

use super::Parting;
use super::link::{FIRST_LOOK, Link};
use crate::ring::Violation;
use crate::ring::word::Count;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = if cfg!(test) { Duration::from_millis(400) } else { Duration::from_secs(1) };
/// Looks in a row that find nothing begun.
const LOOKS: u32 = 5;

/// What was seen of a worker that has items and runs none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// Its claims then.
    claimed: Count,
    looked: Instant,
    looks: u32,
}

impl Link {
    /// Looks whether the worker begins what it was given. Tells when to look again, if that is
    /// before `due`.
    pub(super) fn watch_silence(
        &mut self,
        due: Option<Instant>,
    ) -> Result<Option<Instant>, Parting> {
        // What it did not begin may have been taken away again, and is given to it once more.
        if self.is_idle() {
            return Ok(due);
        }
        let silent = self.worker.ring.claimed_unended() == 0 && !self.worker.ring.has_results();
        if !silent {
            self.worker.silence = None;
            return Ok(due);
        }
        let now = Instant::now();
        let claimed = self.seen.0;
        let fresh = Silence { claimed, looked: now, looks: 0 };
        let mut known =
            self.worker.silence.filter(|known| known.claimed == claimed).unwrap_or(fresh);
        // What it was given in this moment it cannot have begun.
        let next = |known: Silence| {
            Some(known.looked.checked_add(LOOK)?.max(self.since.checked_add(FIRST_LOOK)?))
        };
        if next(known).is_some_and(|next| now >= next) {
            known.looked = now;
            known.looks += 1;
        }
        let next = next(known);
        self.worker.silence = Some(known);
        if known.looks >= LOOKS && self.may_not_be_silent() {
            return Err(Violation::Silence.into());
        }
        Ok([due, next].into_iter().flatten().min())
    }

    /// Looks at the front of a result that has not come as a whole. A claim comes before the first byte
    /// of its result; else a worker that claims nothing would never be silent.
    pub(super) fn watch_front(&self, none: bool) -> Result<(), Parting> {
        let claimed = self.worker.ring.claimed_unended() > 0;
        // An initializer that fails says so without a claim.
        match none || claimed || self.core.recipe.config.initializer.is_some() {
            true => Ok(()),
            false => Err(Violation::Item.into()),
        }
    }

    /// Takes the results of the `n` items that had ended when the worker's claims were looked at:
    /// all of them are there as a whole. Else its time could be put off by results that go on coming.
    pub(super) fn take_ended(&mut self, n: u32) -> Result<(), Parting> {
        let before = self.worker.items;
        self.gather()?;
        match self.worker.items - before >= u64::from(n) {
            true => Ok(()),
            false => Err(Violation::Claims.into()),
        }
    }

    /// Whether there is nothing that the worker may be doing before its first item.
    fn may_not_be_silent(&self) -> bool {
        // An initializer without a deadline may take as long as it likes; but not in a process
        // that does not run.
        self.core.recipe.config.initializer.is_none() || self.worker.is_stopped()
    }
}
