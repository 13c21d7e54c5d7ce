//! The keeper's end of a ring: hands items over, takes results, recalls, condemns.
//!
//! This module must not believe the worker: every word read from shared memory is copied once and
//! checked, and what no honest worker can write is a [`Violation`].

use super::frame::{ITEM_HEADER, ItemHeader, RESULT_HEADER, ResultHeader, framed};
use super::map::{ARENA, Region, Stream};
use super::sync::Ordering;
use super::word::{Contended, Count, Reading};
use std::collections::VecDeque;
use std::fmt;

/// Something that only a broken or hostile worker can have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The claim word does not fit what was published and what was seen before.
    Claims,
    /// The claim word is being written in a loop.
    Contention,
    /// A stream position moved backwards or past what exists.
    Position,
    /// A result header that no version of ours writes.
    Header,
    /// A result for an item that is not the one whose turn it is.
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
            Self::Item => "a result is not that of the item whose turn it is",
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

/// A whole frame that was copied out of the result stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) header: ResultHeader,
    /// Where its bytes lie in the buffer given to [`HostRing::take`].
    pub(crate) start: usize,
}

/// A frame of which only the front has come.
#[derive(Debug)]
struct Partial {
    header: ResultHeader,
    bytes: Vec<u8>,
    /// Stream bytes still to come, padding included.
    missing: u64,
}

/// The host's end.
#[derive(Debug)]
pub(crate) struct HostRing {
    region: Region,
    /// Where each outstanding item starts in the item stream, oldest first.
    starts: VecDeque<u64>,
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
    partial: Option<Partial>,
    /// Longest result frame that is accepted, in bytes.
    max_result: u64,
}

impl HostRing {
    pub(crate) fn new(region: Region, max_result: u64) -> Self {
        Self {
            region,
            starts: VecDeque::new(),
            ended: Count::ZERO,
            claimed: Count::ZERO,
            limit: Count::ZERO,
            tail: 0,
            uncommitted: 0,
            unsent: 0,
            results_head: 0,
            partial: None,
            max_result,
        }
    }

    /// Items handed over whose results were not taken yet.
    #[cfg(test)]
    pub(crate) fn outstanding(&self) -> usize {
        self.starts.len()
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

    /// Appends an item, to be published by [`commit`](Self::commit). False if there is no room.
    /// An item larger than the arena is accepted when nothing is outstanding; the rest of it must
    /// follow through [`feed`](Self::feed).
    pub(crate) fn push(&mut self, header: ItemHeader, bytes: &[u8]) -> Result<bool, Violation> {
        let Some(need) = framed(ITEM_HEADER, bytes.len() as u64) else { return Ok(false) };
        let room = self.room()?;
        if self.starts.is_empty() && room != ARENA as u64 {
            return Err(Violation::Position);
        }
        // The margin keeps `Count` differences far from wrapping, whatever the item size.
        let full = self.unsent > 0 || self.starts.len() >= 1 << 20;
        let fits = need <= room;
        let goes_in_pieces = need > ARENA as u64 && self.starts.is_empty() && room == ARENA as u64;
        if full || !(fits || goes_in_pieces) {
            return Ok(false);
        }
        self.starts.push_back(self.tail);
        self.region.write(Stream::Items, self.tail, &header.encode());
        let first = bytes.len().min(ARENA - ITEM_HEADER);
        self.region.write(Stream::Items, self.tail + ITEM_HEADER as u64, &bytes[..first]);
        self.unsent = (bytes.len() - first) as u64;
        self.tail += if fits { need } else { (ITEM_HEADER + first) as u64 };
        self.uncommitted += 1;
        Ok(true)
    }

    /// Writes more of the newest item, whose whole bytes are given. True if something was written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<bool, Violation> {
        if !self.room_for_more()? {
            return Ok(false);
        }
        let piece = self.unsent.min(self.room()?);
        let from = bytes.len().saturating_sub(self.unsent as usize);
        let part = bytes.get(from..from + piece as usize).unwrap_or(&[]);
        self.region.write(Stream::Items, self.tail, part);
        self.unsent -= piece;
        self.tail += piece;
        if self.unsent == 0 {
            self.tail = self.tail.next_multiple_of(super::frame::ALIGN);
        }
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

    /// Takes the next whole result and appends its bytes to `out`; `None` if there is none yet.
    /// Call [`release`](Self::release) after a run of these.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) -> Result<Option<Taken>, Violation> {
        let tail = self.region.control().results_tail.load(Ordering::Acquire);
        let available = tail.checked_sub(self.results_head).ok_or(Violation::Position)?;
        if available > ARENA as u64 {
            return Err(Violation::Position);
        }
        if let Some(partial) = self.partial.take() {
            return self.take_more(partial, available, out);
        }
        if available == 0 {
            return Ok(None);
        }
        if available < RESULT_HEADER as u64 {
            return Err(Violation::Position);
        }
        let raw = self.region.header::<RESULT_HEADER>(Stream::Results, self.results_head);
        let header = ResultHeader::decode(&raw).ok_or(Violation::Header)?;
        if header.len > self.max_result {
            return Err(Violation::Length);
        }
        if header.item != self.ended {
            return Err(Violation::Item);
        }
        let need = framed(RESULT_HEADER, header.len).ok_or(Violation::Length)?;
        if need > available {
            self.results_head += RESULT_HEADER as u64;
            let missing = need - RESULT_HEADER as u64;
            let partial = Partial { header, bytes: Vec::new(), missing };
            return self.take_more(partial, available - RESULT_HEADER as u64, out);
        }
        let start = out.len();
        let position = self.results_head + RESULT_HEADER as u64;
        // `need <= available <= ARENA`, so the length fits.
        self.region.read(Stream::Results, position, header.len as usize, out);
        self.results_head += need;
        Ok(Some(Taken { header, start }))
    }

    fn take_more(
        &mut self,
        mut partial: Partial,
        available: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<Taken>, Violation> {
        let piece = partial.missing.min(available);
        let wanted = (partial.header.len - partial.bytes.len() as u64).min(piece) as usize;
        self.region.read(Stream::Results, self.results_head, wanted, &mut partial.bytes);
        self.results_head += piece;
        partial.missing -= piece;
        if partial.missing > 0 {
            self.partial = Some(partial);
            return Ok(None);
        }
        let start = out.len();
        if out.is_empty() {
            *out = partial.bytes;
        } else {
            out.extend_from_slice(&partial.bytes);
        }
        Ok(Some(Taken { header: partial.header, start }))
    }

    /// Marks the oldest outstanding item as ended, after its result was taken and checked. It must
    /// have been claimed: a result for an unclaimed item is a lie.
    pub(crate) fn end(&mut self) -> Result<(), Violation> {
        if self.claimed == self.ended {
            self.observe()?;
        }
        if self.claimed == self.ended || self.starts.pop_front().is_none() {
            return Err(Violation::Item);
        }
        // An item is used up before its result is published. A worker that keeps room back would
        // be given items again and again that do not fit.
        if self.starts.is_empty() && (self.unsent > 0 || self.room()? != ARENA as u64) {
            return Err(Violation::Position);
        }
        self.ended = self.ended.plus(1);
        Ok(())
    }

    /// Gives the room of taken results back to the worker.
    pub(crate) fn release(&self) {
        self.region.control().results_head.store(self.results_head, Ordering::Release);
    }

    /// Takes back unclaimed items, all but the `keep` oldest of them. Gives how many came back;
    /// they are the newest ones.
    pub(crate) fn recall(&mut self, keep: u32) -> Result<usize, Violation> {
        let limit = self.region.control().word.recall(keep)?;
        let back = self.limit.since(limit) as usize;
        if back > self.limit.since(self.claimed) as usize || back > self.starts.len() {
            return Err(Violation::Claims);
        }
        self.limit = limit;
        let first = self.starts.len() - back;
        if let Some(&start) = self.starts.get(first) {
            self.starts.truncate(first);
            // The worker reads bytes of claimed items only, so these can be written over.
            self.tail = start;
            self.unsent = 0;
            self.region.control().items_tail.store(start, Ordering::Release);
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
