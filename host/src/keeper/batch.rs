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
use crate::ring::frame::{Layout, ResultKind};
use crate::ring::inbox::{Found, Mark};
use crate::ring::{HostRing, Inbox, Violation};
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

    /// Bytes of the items and of their results.
    pub(super) fn bytes(&self) -> u64 {
        self.item_bytes + self.runs.iter().map(Run::size).sum::<u64>()
    }

    pub(super) fn deliver(self, elapsed: Duration) {
        let Self { call, runs, item_bytes } = self;
        call.deliver(Delivery { runs, item_bytes, elapsed });
    }
}

/// How much of the time in which these came belongs to each of them: by what an item of its call is
/// known to cost, which only one that came alone can tell.
pub(super) fn parts(batches: &[Batch], elapsed: Duration) -> Vec<Duration> {
    if batches.len() == 1 {
        return vec![elapsed];
    }
    let known = |batch: &Batch| batch.call.cost().map(|cost| cost.as_secs_f64().max(1e-9));
    let costs: Vec<Option<f64>> = batches.iter().map(known).collect();
    let (sum, n) = costs.iter().flatten().fold((0.0, 0_u32), |(sum, n), cost| (sum + cost, n + 1));
    // Of what nobody knows, it is taken to be like the others.
    let usual = if n > 0 { sum / f64::from(n) } else { 1.0 };
    let weight =
        |(batch, cost): (&Batch, &Option<f64>)| batch.count().0 as f64 * cost.unwrap_or(usual);
    let weights: Vec<f64> = batches.iter().zip(&costs).map(weight).collect();
    let all = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.into_iter().map(|weight| elapsed.mul_f64(weight / all)).collect()
}

/// What was taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// All that there was.
    All,
    /// A large value; others may lie behind it.
    Alone,
}

/// What was read of the results of a worker.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) took: Took,
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
    inbox: &mut Inbox,
    bounds: Bounds,
) -> Sorted {
    let observed = ring.observe();
    let claimed = observed.map_or(0, |_| ring.claimed_unended() as usize);
    if let Some(value) = inbox.take_alone() {
        let parting = observed.err().map(Parting::from);
        return match (parting, claimed > 0) {
            (None, true) => sort_alone(flight, value, bounds),
            (parting, _) => Sorted::broken(parting.unwrap_or(Violation::Item.into())),
        };
    }
    let mut reader = Reader { inbox, mark: inbox.start(), left: claimed, bounds };
    let (mut piles, mut again) = (Vec::<Pile>::new(), Vec::new());
    let mut parting = observed.err().map(Parting::from);
    while let (None, Some(leg)) = (&parting, flight.front()) {
        let mut pile = match piles.pop() {
            Some(pile) if Arc::ptr_eq(&pile.call, &leg.call) => pile,
            other => {
                piles.extend(other);
                Pile::new(&leg.call, reader.mark.at)
            }
        };
        let (read, end) = reader.read(leg, &mut pile);
        piles.push(pile);
        flight.pop_front(read);
        match end {
            End::Stretch => {}
            End::Again => again.extend(flight.pop_front(1)),
            End::Results => break,
            End::Broken(violation) => parting = Some(violation.into()),
        }
    }
    let parting = parting.or_else(|| reader.beyond());
    let (read, items) = (reader.mark, claimed - reader.left);
    Sorted { took: Took::All, batches: cut(inbox, read, piles), again, items, parting }
}

/// As [`sort`] for one large value.
fn sort_alone(flight: &mut Flight, value: Buffer, bounds: Bounds) -> Sorted {
    if let Err(violation) = bounds.value(value.len()) {
        return Sorted::broken(violation.into());
    }
    let Some(Leg { call, span }) = flight.pop_front(1) else {
        return Sorted::broken(Violation::Item.into());
    };
    let item_bytes = span.size() as u64;
    let runs = vec![Run::alone((span.first(), span.attempts + 1), value)];
    let batches = vec![Batch { call, runs, item_bytes }];
    Sorted { took: Took::Alone, batches, again: Vec::new(), items: 1, parting: None }
}

impl Sorted {
    fn broken(parting: Parting) -> Self {
        let (batches, again) = (Vec::new(), Vec::new());
        Self { took: Took::Alone, batches, again, items: 0, parting: Some(parting) }
    }
}

/// Gives each call its part of what was read, all of which is taken off.
fn cut(inbox: &mut Inbox, read: Mark, piles: Vec<Pile>) -> Vec<Batch> {
    if read.at == 0 {
        return Vec::new();
    }
    let mut bytes = inbox.take(read);
    let alone = piles.len() == 1;
    let part = |pile: Pile| {
        // Mostly all are of one call, and nothing is copied again. Else each call has its own, so
        // that what is kept of one keeps nothing of another.
        let own = match alone {
            true => std::mem::take(&mut bytes),
            false => bytes.get(pile.from..pile.to).unwrap_or(&[]).to_vec().into(),
        };
        pile.batch(own)
    };
    piles.into_iter().filter(|pile| !pile.stretches.is_empty()).map(part).collect()
}

/// What is behind the results that [`Reader::read`] read.
enum End {
    /// Perhaps more: for the next leg, or laid out otherwise.
    Stretch,
    /// The leg's next item, which is to be started again.
    Again,
    /// Nothing that ends an item.
    Results,
    /// Something that makes no sense.
    Broken(Violation),
}

/// Reads results one after the other.
struct Reader<'a> {
    inbox: &'a Inbox,
    mark: Mark,
    /// Claimed items that have no result so far. Whatever else lies there belongs to no item.
    left: usize,
    bounds: Bounds,
}

impl Reader<'_> {
    /// Reads results of a leg onto a pile as long as they lie alike, and tells how many.
    fn read(&mut self, leg: &Leg, pile: &mut Pile) -> (usize, End) {
        let most = leg.span.len().min(self.left);
        if most == 0 {
            return (0, End::Results);
        }
        let mut mark = self.mark;
        match self.inbox.find(&mut mark) {
            Ok(Some(Found::Values { size, count })) => {
                if let Err(violation) = self.bounds.value(size.bytes()) {
                    return (0, End::Broken(violation));
                }
                let n = count.min(most);
                let from = mark.at;
                mark.at += n * size.stride();
                self.mark = mark;
                self.left -= n;
                pile.add(leg, n, (Layout::Fixed(size), from..mark.at), pile.notes.len());
                (n, End::Stretch)
            }
            Ok(Some(Found::Frame { .. })) => {
                self.mark = mark;
                self.read_frames(leg, most, pile)
            }
            Ok(None) | Err(_) => (0, End::Results),
        }
    }

    /// Reads frames, at most so many. The first of them lies at the mark.
    fn read_frames(&mut self, leg: &Leg, most: usize, pile: &mut Pile) -> (usize, End) {
        let (noted, start) = (pile.notes.len(), self.mark.at);
        let (mut read, mut to) = (0, start);
        let end = loop {
            if read == most {
                break End::Stretch;
            }
            let Ok(Some(Found::Frame { kind, bytes, next })) = self.inbox.frame(to) else {
                break End::Results;
            };
            if kind == ResultKind::Row {
                break End::Stretch;
            }
            match self.note(kind, bytes, (leg, read), pile.from) {
                Ok(None) => {}
                Ok(Some(note)) => pile.notes.push((to - pile.from, note)),
                Err(End::Again) => {
                    self.mark.at = next;
                    self.left -= read + 1;
                    pile.add(leg, read, (Layout::Framed, start..to), noted);
                    return (read, End::Again);
                }
                Err(end) => break end,
            }
            to = next;
            read += 1;
        };
        self.mark.at = to;
        self.left -= read;
        pile.add(leg, read, (Layout::Framed, start..to), noted);
        (read, end)
    }

    /// What a result is besides a value, for the item that is so many places into a leg.
    #[inline]
    fn note(
        &self,
        kind: ResultKind,
        place: Range<usize>,
        (leg, at): (&Leg, usize),
        base: usize,
    ) -> Result<Option<Note>, End> {
        let end = place.end;
        let mut bytes = self.inbox.bytes.get(place).unwrap_or(&[]);
        match kind {
            ResultKind::Value => self.bounds.value(bytes.len()).map(|()| None).map_err(End::Broken),
            ResultKind::LoggedValue => {
                let logs = report::decode_logs(&mut bytes);
                let logs = logs.ok_or(End::Broken(Violation::Report))?;
                self.bounds.logs(&logs).map_err(End::Broken)?;
                self.bounds.value(bytes.len()).map_err(End::Broken)?;
                Ok(Some(Note::Logs(logs, end - bytes.len() - base)))
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
            ResultKind::Fatal | ResultKind::Row => Err(End::Results),
        }
    }

    /// What a whole result means that no item is left for.
    fn beyond(&self) -> Option<Parting> {
        match self.inbox.find(&mut { self.mark }) {
            Ok(None) => None,
            Ok(Some(Found::Frame { kind: ResultKind::Fatal, bytes, .. })) => {
                let report = self.inbox.bytes.get(bytes).and_then(report::decode_failure);
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
    /// Where they are. All other places are counted from `from` on.
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
    layout: Layout,
    place: Range<usize>,
    notes: Range<usize>,
}

impl Pile {
    fn new(call: &Arc<Call>, from: usize) -> Self {
        let call = Arc::clone(call);
        Self { call, from, to: from, notes: Vec::new(), stretches: Vec::new(), item_bytes: 0 }
    }

    /// Adds what was read for the first `len` items of a leg: so it lies, with the notes from
    /// `noted` on.
    fn add(
        &mut self,
        leg: &Leg,
        len: usize,
        (layout, place): (Layout, Range<usize>),
        noted: usize,
    ) {
        self.to = place.end;
        self.item_bytes += leg.span.clone().take_front(len).size() as u64;
        self.stretches.push(Stretch {
            index: leg.span.first(),
            len: len as u64,
            attempts: leg.span.attempts + 1,
            layout,
            place: place.start - self.from..place.end - self.from,
            notes: noted..self.notes.len(),
        });
    }

    fn batch(self, bytes: Buffer) -> Batch {
        let results = Arc::new(Results::new(bytes, self.notes));
        let run = |Stretch { index, len, attempts, layout, place, notes }| {
            Run::told((index, len, attempts), &results, (layout, place), notes)
        };
        let runs = self.stretches.into_iter().map(run).collect();
        Batch { call: self.call, runs, item_bytes: self.item_bytes }
    }
}
