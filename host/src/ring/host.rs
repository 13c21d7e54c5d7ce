//! The keeper's end of a ring: hands items over, takes results, recalls, condemns.
//!
//! This module must not believe the worker: every word read from shared memory is copied once and
//! checked, and what no honest worker can write is a [`Violation`].

use super::frame::{Context, HEAD, Items};
use super::inbox::Inbox;
use super::map::{ARENA, Region, Stream};
use super::row::Rows;
use super::sync::Ordering;
use super::word::{Contended, Count, Reading};
use crate::buffers::Buffer;
use std::fmt;

/// Most items that a worker may have: far below what [`Count`] can tell apart.
const MOST: usize = 1 << 20;

/// Something that only a broken or hostile worker can have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The claim word does not fit what was published and what was seen before.
    Claims,
    /// The claim word is being written in a loop.
    Contention,
    /// A stream position moved backwards or past what exists.
    Position,
    /// The head of a result that no version of ours writes.
    Header,
    /// A result although no item was claimed for it.
    Item,
    /// A result longer than any result may be.
    Length,
    /// A failure report that cannot be decoded.
    Report,
    /// The bell was rung again and again with nothing new.
    Noise,
    /// Items were handed over and none was claimed for too long.
    Silence,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claims => "the claim word is inconsistent",
            Self::Contention => "the claim word is written in a loop",
            Self::Position => "a stream position is inconsistent",
            Self::Header => "a result header is malformed",
            Self::Item => "a result belongs to no item",
            Self::Length => "a result is longer than any may be",
            Self::Report => "a failure report is malformed",
            Self::Noise => "the bell is rung without cause",
            Self::Silence => "no item is claimed",
        })
    }
}

impl From<Contended> for Violation {
    fn from(_: Contended) -> Self {
        Self::Contention
    }
}

/// The host's end.
#[derive(Debug)]
pub(crate) struct HostRing {
    region: Region,
    /// What is outstanding, and where it lies in the item stream.
    rows: Rows,
    /// Items whose results were taken.
    ended: Count,
    /// Claims seen so far; it only grows.
    claimed: Count,
    limit: Count,
    tail: u64,
    /// Items that were pushed since the last commit.
    uncommitted: u32,
    /// Bytes of the newest item that did not fit yet.
    unsent: u64,
    results_head: u64,
    /// Bytes that both streams had carried when their memory was given back last.
    carried: u64,
}

impl HostRing {
    pub(crate) fn new(region: Region) -> Self {
        Self {
            region,
            rows: Rows::default(),
            ended: Count::ZERO,
            claimed: Count::ZERO,
            limit: Count::ZERO,
            tail: 0,
            uncommitted: 0,
            unsent: 0,
            results_head: 0,
            carried: 0,
        }
    }

    /// Items handed over whose results were not taken yet.
    #[cfg(test)]
    pub(crate) fn outstanding(&self) -> usize {
        self.rows.items()
    }

    /// Bytes of the newest item that wait for room.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent
    }

    fn room(&self) -> Result<u64, Violation> {
        let head = self.region.control().items_head.load(Ordering::Acquire);
        let used = self.tail.checked_sub(head).ok_or(Violation::Position)?;
        (ARENA as u64).checked_sub(used).ok_or(Violation::Position)
    }

    /// Whether there is room to write a piece of the newest item that is worth a wake-up.
    pub(crate) fn room_for_more(&self) -> Result<bool, Violation> {
        Ok(self.unsent > 0 && self.room()? >= self.unsent.min(ARENA as u64 / 4))
    }

    /// Appends as many items as there is room for, as a row, to be published by
    /// [`commit`](Self::commit), and tells how many. An item larger than the arena is accepted when
    /// nothing is outstanding; the rest of it must follow through [`feed`](Self::feed).
    pub(crate) fn push(&mut self, context: Context, items: Items<'_>) -> Result<usize, Violation> {
        let room = self.room()?;
        let outstanding = self.rows.items();
        if outstanding == 0 && room != ARENA as u64 {
            return Err(Violation::Position);
        }
        // At most `ARENA`, so it fits.
        let room = room as usize;
        let most = match self.unsent > 0 || self.rows.is_full() {
            true => 0,
            false => MOST.saturating_sub(outstanding),
        };
        let n = match items.fit(room).min(most) {
            0 if outstanding == 0 => items.len().min(1),
            n => n,
        };
        if n == 0 {
            return Ok(0);
        }
        let bytes = items.first(n);
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.region.write(Stream::Items, self.tail, now);
        let start = self.limit.plus(self.uncommitted);
        let row = self.rows.push(self.tail, items, n);
        self.region.control().rows.write(row, start, context, items.layout());
        self.tail += now.len() as u64;
        self.unsent = later.len() as u64;
        // At most `MOST`, so it fits.
        self.uncommitted += n as u32;
        Ok(n)
    }

    /// Writes more of the newest item, whose whole frame is given. True if something was written.
    pub(crate) fn feed(&mut self, frame: &[u8]) -> Result<bool, Violation> {
        if !self.room_for_more()? {
            return Ok(false);
        }
        // At most `ARENA`, and at most the length of the frame, so it fits.
        let piece = self.unsent.min(self.room()?) as usize;
        let from = frame.len().saturating_sub(self.unsent as usize);
        self.region.write(Stream::Items, self.tail, frame.get(from..from + piece).unwrap_or(&[]));
        self.unsent -= piece as u64;
        self.tail += piece as u64;
        self.region.control().items_tail.store(self.tail, Ordering::Release);
        Ok(true)
    }

    /// Publishes what was pushed. The caller then rings if [`must_ring`](Self::must_ring).
    pub(crate) fn commit(&mut self) -> Result<(), Violation> {
        self.region.control().items_tail.store(self.tail, Ordering::Release);
        let n = std::mem::take(&mut self.uncommitted);
        self.region.control().word.publish(n)?;
        self.limit = self.limit.plus(n);
        Ok(())
    }

    /// Whether more than a little memory is held for what has passed through.
    pub(crate) fn holds_memory(&self) -> bool {
        const LITTLE: u64 = 256 << 10;
        // Recalled items were carried, and do not count.
        (self.tail + self.results_head).saturating_sub(self.carried) > LITTLE
    }

    /// Gives that memory back, if nothing is outstanding.
    pub(crate) fn give_back(&mut self) {
        if self.rows.items() == 0 && !self.has_results() {
            self.carried = self.tail + self.results_head;
            self.region.discard();
        }
    }

    /// Asks for a bell when `n` of the outstanding items have ended.
    pub(crate) fn bell_after(&self, n: u32) {
        let at = self.ended.plus(n).bits();
        self.region.control().bell_at.store(at, Ordering::Relaxed);
    }

    /// Whether the worker sleeps and needs its bell.
    pub(crate) fn must_ring(&self) -> bool {
        self.region.control().worker_waits.must_ring()
    }

    /// Says that the keeper is going to sleep; it must look at the ring once more.
    pub(crate) fn raise(&self) {
        self.region.control().host_waits.raise();
    }

    pub(crate) fn lower(&self) {
        self.region.control().host_waits.lower();
    }

    /// Whether there are result bytes that were not taken.
    pub(crate) fn has_results(&self) -> bool {
        self.region.control().results_tail.load(Ordering::Acquire) != self.results_head
    }

    /// Reads the claim word and checks it against all that is known.
    pub(crate) fn observe(&mut self) -> Result<Reading, Violation> {
        let reading = self.region.control().word.read();
        let step = reading.claimed.since(self.claimed);
        let allowed = self.limit.since(self.claimed);
        if reading.limit != self.limit || step > allowed {
            return Err(Violation::Claims);
        }
        self.claimed = reading.claimed;
        Ok(reading)
    }

    /// Items that were claimed and whose results were not taken: the running one, and those whose
    /// results are on their way.
    pub(crate) fn claimed_unended(&self) -> u32 {
        self.claimed.since(self.ended)
    }

    /// Appends what has come of the result stream to the inbox, and gives its room back to the
    /// worker; of large values, one at a time. Tells whether the worker may have been waiting for that
    /// room, and needs its bell.
    ///
    /// It waits when less than a quarter of the arena is free, as far as it can see. Should it have
    /// missed that a call of this, which answered "no", gave back less than another quarter, then
    /// more than half is there for the next one, which answers "yes". Between the two the keeper
    /// raises its flag, which orders the first before the second for the worker.
    pub(crate) fn take(&mut self, inbox: &mut Inbox) -> Result<bool, Violation> {
        let control = self.region.control();
        let tail = control.results_tail.load(Ordering::Acquire);
        let available = tail.checked_sub(self.results_head).ok_or(Violation::Position)?;
        if available > ARENA as u64 {
            return Err(Violation::Position);
        }
        // Read after the tail, which covers nothing behind the end of a row before that is told; and
        // before the head is moved, as the worker may tell of another end then.
        inbox.row_ends(control.row_end.load(Ordering::Acquire))?;
        let at = self.results_head;
        let head = || (available >= HEAD as u64).then(|| self.region.head(Stream::Results, at));
        let began = inbox.is_empty();
        let Some(alone) = inbox.alone(head) else {
            if inbox.bytes.is_empty() {
                // At most `ARENA`, so it fits.
                inbox.bytes = Buffer::for_about(available as usize);
            }
            self.region.read(Stream::Results, at, available as usize, &mut inbox.bytes);
            self.results_head = tail;
            control.results_head.store(tail, Ordering::Release);
            return Ok(available >= ARENA as u64 / 4 && self.must_ring());
        };
        let head = if began { HEAD as u64 } else { 0 };
        let (value, padding) = alone.part(available - head);
        self.region.read(Stream::Results, at + head, value as usize, &mut alone.bytes);
        self.results_head = at + head + value + padding;
        control.results_head.store(self.results_head, Ordering::Release);
        // More may lie behind it, whose room is given back next.
        Ok(self.must_ring())
    }

    /// Marks the `n` oldest outstanding items as ended: their results were taken and checked. They
    /// must have been claimed: a result for an unclaimed item is a lie.
    pub(crate) fn end(&mut self, n: usize) -> Result<(), Violation> {
        if (self.claimed_unended() as usize) < n {
            self.observe()?;
        }
        if (self.claimed_unended() as usize) < n || self.rows.items() < n {
            return Err(Violation::Item);
        }
        self.rows.end(n);
        // At most `MOST`, so it fits.
        self.ended = self.ended.plus(n as u32);
        // An item is used up before its result is published. A worker that keeps room back would
        // be given items again and again that do not fit.
        if self.rows.items() == 0 && (self.unsent > 0 || self.room()? != ARENA as u64) {
            return Err(Violation::Position);
        }
        Ok(())
    }

    /// Takes back unclaimed items, all but the `keep` oldest of them. Gives how many came back;
    /// they are the newest ones.
    pub(crate) fn recall(&mut self, keep: u32) -> Result<usize, Violation> {
        let limit = self.region.control().word.recall(keep)?;
        let back = self.limit.since(limit) as usize;
        if back > self.limit.since(self.claimed) as usize || back > self.rows.items() {
            return Err(Violation::Claims);
        }
        self.limit = limit;
        if let Some((start, row)) = self.rows.take_back(back) {
            // The worker reads bytes of claimed items only, so these can be written over.
            self.tail = start;
            self.unsent = 0;
            self.region.control().items_tail.store(start, Ordering::Release);
            self.region.control().rows.end(row);
        }
        self.observe()?;
        Ok(back)
    }

    /// Condemns the running item, which must be the oldest outstanding one. False: it has ended.
    pub(crate) fn condemn(&mut self) -> Result<bool, Violation> {
        Ok(self.region.control().word.condemn(self.ended)?)
    }

    /// The dying words of the worker.
    pub(crate) fn note(&self) -> Option<String> {
        self.region.note()
    }
}
