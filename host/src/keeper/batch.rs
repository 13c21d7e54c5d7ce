//! What a worker tells, turned into outcomes: with little for each result, and nothing believed
//! before it was checked.
//!
//! This module must not talk to the worker; it reads what was copied out of the ring.

use super::Parting;
use super::bounds::Bounds;
use super::flight::{Flight, Leg};
use crate::buffers::Buffer;
use crate::call::run::{Note, Results, Run};
use crate::call::{Call, Delivery};
use crate::description::Form;
use crate::outcome::TaskError;
use crate::ring::frame::ResultKind;
use crate::ring::host::Found;
use crate::ring::{HostRing, Violation};
use crate::wire::report;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Outcomes of one call that came together.
#[derive(Debug)]
pub(super) struct Batch {
    call: Arc<Call>,
    runs: Vec<Run>,
    item_bytes: u64,
}

impl Batch {
    /// Outcomes in it, and how many of them are no values.
    pub(super) fn count(&self) -> (u64, u64) {
        let failed = |run: &Run| run.errors().map(|(_, n)| n).sum::<u64>();
        (self.runs.iter().map(Run::len).sum(), self.runs.iter().map(failed).sum())
    }

    pub(super) fn deliver(self, elapsed: Duration) {
        let Self { call, runs, item_bytes } = self;
        call.deliver(Delivery { runs, item_bytes, elapsed });
    }
}

/// What was read of the results of a worker.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) batches: Vec<Batch>,
    /// Items that are to be started again.
    pub(super) again: Vec<Leg>,
    /// Items that these results ended.
    pub(super) items: usize,
    /// What is wrong with the result behind them.
    pub(super) parting: Option<Parting>,
}

/// Reads whole results off the front of `inbox` and takes their items off the flight. What remains
/// is the front of a result that has not come as a whole.
pub(super) fn sort(
    ring: &mut HostRing,
    flight: &mut Flight,
    inbox: &mut Buffer,
    bounds: Bounds,
) -> Sorted {
    let observed = ring.observe();
    let claimed = observed.map_or(0, |_| ring.claimed_unended() as usize);
    let mut reader = Reader { ring, taken: inbox, at: 0, left: claimed, bounds };
    let (mut piles, mut again) = (Vec::<Pile>::new(), Vec::new());
    let mut parting = observed.err().map(Parting::from);
    while let (None, Some(leg)) = (&parting, flight.front()) {
        let mut pile = match piles.pop() {
            Some(pile) if Arc::ptr_eq(&pile.call, &leg.call) => pile,
            other => {
                piles.extend(other);
                Pile::new(&leg.call, reader.at)
            }
        };
        let (read, end) = reader.read(leg, &mut pile);
        piles.push(pile);
        flight.pop_front(read);
        match end {
            End::Leg => {}
            End::Again => again.extend(flight.pop_front(1)),
            End::Results => break,
            End::Broken(violation) => parting = Some(violation.into()),
        }
    }
    let parting = parting.or_else(|| reader.beyond());
    let (read, items) = (reader.at, claimed - reader.left);
    Sorted { batches: cut(inbox, read, piles), again, items, parting }
}

/// Gives each call its part of the frames, all of which are taken off.
fn cut(inbox: &mut Buffer, read: usize, piles: Vec<Pile>) -> Vec<Batch> {
    if read == 0 {
        return Vec::new();
    }
    let mut frames = split(inbox, read);
    let alone = piles.len() == 1;
    let part = |pile: Pile| {
        // Mostly all are of one call, and nothing is copied again. Else each call has its own, so
        // that what is kept of one keeps nothing of another.
        let own = match alone {
            true => std::mem::take(&mut frames),
            false => frames.get(pile.from..pile.to).unwrap_or(&[]).to_vec().into(),
        };
        pile.batch(own)
    };
    piles.into_iter().filter(|pile| !pile.stretches.is_empty()).map(part).collect()
}

/// Takes the first bytes off. The smaller part is copied, so that neither keeps a buffer that is far
/// too large for it: results wait as long as their consumer likes.
fn split(inbox: &mut Buffer, at: usize) -> Buffer {
    let (front, rest) = inbox.split_at_checked(at).unwrap_or((inbox, &[]));
    if front.len() < rest.len() {
        let front = front.to_vec();
        inbox.drain(..at);
        return front.into();
    }
    let rest = rest.to_vec();
    let mut front = std::mem::replace(inbox, rest.into());
    front.truncate(at);
    front
}

/// What is behind the results that [`Reader::read`] read.
enum End {
    /// Perhaps results for the next leg.
    Leg,
    /// The leg's next item, which is to be started again.
    Again,
    /// Nothing that ends an item.
    Results,
    /// Something that makes no sense.
    Broken(Violation),
}

/// Reads results one after the other.
struct Reader<'a> {
    ring: &'a HostRing,
    taken: &'a [u8],
    at: usize,
    /// Claimed items that have no result so far. Whatever else lies there belongs to no item.
    left: usize,
    bounds: Bounds,
}

impl Reader<'_> {
    /// Reads results of a leg onto a pile, and tells how many.
    fn read(&mut self, leg: &Leg, pile: &mut Pile) -> (usize, End) {
        let len = leg.span.len();
        let most = len.min(self.left);
        let (from, noted) = (self.at, pile.notes.len());
        let (mut read, mut to) = (0, from);
        let end = loop {
            if read == most {
                break if most == len { End::Leg } else { End::Results };
            }
            let Ok(Some(found)) = self.ring.find(self.taken, to) else { break End::Results };
            match self.note(&found, leg, read, pile.from) {
                Ok(note) => pile.notes.extend(note.map(|note| (to - pile.from, note))),
                Err(End::Again) => {
                    self.at = found.next;
                    self.left -= 1;
                    break End::Again;
                }
                Err(end) => break end,
            }
            to = found.next;
            self.at = to;
            read += 1;
        };
        self.left -= read;
        pile.add(leg, read, from..to, noted);
        (read, end)
    }

    /// What a result is besides a value, for the item that is `at` places into a leg.
    #[inline]
    fn note(&self, found: &Found, leg: &Leg, at: usize, base: usize) -> Result<Option<Note>, End> {
        let mut bytes = self.taken.get(found.bytes.clone()).unwrap_or(&[]);
        match found.kind {
            ResultKind::Value => self.bounds.value(bytes.len()).map(|()| None).map_err(End::Broken),
            ResultKind::LoggedValue => {
                let logs = report::decode_logs(&mut bytes);
                let logs = logs.ok_or(End::Broken(Violation::Report))?;
                self.bounds.logs(&logs).map_err(End::Broken)?;
                self.bounds.value(bytes.len()).map_err(End::Broken)?;
                Ok(Some(Note::Logs(logs, found.bytes.end - bytes.len() - base)))
            }
            ResultKind::Failure => {
                let (mut failure, logs) =
                    report::decode_failure(bytes).ok_or(End::Broken(Violation::Report))?;
                self.bounds.logs(&logs).map_err(End::Broken)?;
                let payload = failure.payload.as_ref().map_or(0, Vec::len);
                self.bounds.value(payload).map_err(End::Broken)?;
                // Only binary payloads become Rust values again; the message has all of them as text.
                let spec = &leg.call.spec;
                failure.payload = failure.payload.filter(|_| spec.form == Form::Binary);
                let attempts = leg.span.attempts + 1;
                let error = TaskError::new(leg.span.first() + at as u64, attempts, failure, logs);
                match spec.retry.wants(error.kind(), attempts) {
                    true => Err(End::Again),
                    false => Ok(Some(Note::Error(error))),
                }
            }
            ResultKind::Fatal => Err(End::Results),
        }
    }

    /// What a whole result means that no item is left for.
    fn beyond(&self) -> Option<Parting> {
        match self.ring.find(self.taken, self.at) {
            Ok(None) => None,
            Ok(Some(found)) if found.kind == ResultKind::Fatal => {
                let report = self.taken.get(found.bytes).and_then(report::decode_failure);
                Some(match report {
                    Some((failure, _)) => Parting::Unprepared(failure),
                    None => Violation::Report.into(),
                })
            }
            Ok(Some(_)) => Some(Violation::Item.into()),
            Err(violation) => Some(violation.into()),
        }
    }
}

/// Results of one call that lie one after the other.
struct Pile {
    call: Arc<Call>,
    /// Where their frames are. All other places are counted from `from` on.
    from: usize,
    to: usize,
    notes: Vec<(usize, Note)>,
    stretches: Vec<Stretch>,
    item_bytes: u64,
}

/// Results of items in a row.
struct Stretch {
    index: u64,
    len: u64,
    attempts: u32,
    frames: Range<usize>,
    notes: Range<usize>,
}

impl Pile {
    fn new(call: &Arc<Call>, from: usize) -> Self {
        let call = Arc::clone(call);
        Self { call, from, to: from, notes: Vec::new(), stretches: Vec::new(), item_bytes: 0 }
    }

    /// Adds what was read for the first `len` items of a leg: these frames, and the notes from
    /// `noted` on.
    fn add(&mut self, leg: &Leg, len: usize, frames: Range<usize>, noted: usize) {
        if len == 0 {
            return;
        }
        self.to = frames.end;
        self.item_bytes += leg.span.clone().take_front(len).size() as u64;
        self.stretches.push(Stretch {
            index: leg.span.first(),
            len: len as u64,
            attempts: leg.span.attempts + 1,
            frames: frames.start - self.from..frames.end - self.from,
            notes: noted..self.notes.len(),
        });
    }

    fn batch(self, frames: Buffer) -> Batch {
        let results = Arc::new(Results::new(frames, self.notes));
        let run = |Stretch { index, len, attempts, frames, notes }| {
            Run::told((index, len, attempts), &results, frames, notes)
        };
        let runs = self.stretches.into_iter().map(run).collect();
        Batch { call: self.call, runs, item_bytes: self.item_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_part_keeps_a_buffer_that_is_far_too_large() {
        for (at, len) in [(0, 9), (16, 1 << 20), (1 << 19, 1 << 20), ((1 << 20) - 8, 1 << 20)] {
            let all: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
            let mut inbox = Buffer::from(all.clone());
            let front = split(&mut inbox, at);
            assert_eq!((front.as_slice(), inbox.as_slice()), all.split_at(at));
            assert!(front.capacity() <= 2 * at.max(1), "{at} of {len}: {}", front.capacity());
        }
    }
}
