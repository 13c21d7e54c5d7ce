//! The worker's end of a ring: claims items, reads them, publishes results.
//!
//! This module must not know processes: it sleeps and rings through two descriptors, so a thread
//! can play the worker in a test.

use super::frame::{ITEM_HEADER, ItemHeader, RESULT_HEADER, ResultHeader, ResultKind, framed};
use super::map::{ARENA, Region, Stream};
use super::sync::Ordering;
use super::word::{Claim, Count};
use rustix::fd::OwnedFd;
use std::fmt;
use std::io;

/// Why the worker stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The host closed its end of the bell, or is gone.
    HostGone,
    /// The item just run was condemned; a kill is on its way.
    Condemned,
    /// The ring holds something that our host does not write.
    Broken(&'static str),
    /// A system call failed.
    Io(io::Error),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostGone => f.write_str("the host is gone"),
            Self::Condemned => f.write_str("its item was condemned"),
            Self::Broken(what) => f.write_str(what),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A claimed item.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) header: ItemHeader,
    item: Count,
    /// Where the next item starts, if this one lies in the arena; else it was copied out.
    next_start: Option<u64>,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct WorkerRing {
    region: Region,
    /// Read end of the pipe that the host rings.
    bell: OwnedFd,
    /// Write end of the pipe that wakes the host; does not block.
    host_bell: OwnedFd,
    items_head: u64,
    results_tail: u64,
    /// Number of the next item to claim; equals the number of ended ones between items.
    next: Count,
    /// The bytes of an item that did not fit into the arena.
    large: Vec<u8>,
}

impl WorkerRing {
    pub(crate) fn new(region: Region, bell: OwnedFd, host_bell: OwnedFd) -> Self {
        Self {
            region,
            bell,
            host_bell,
            items_head: 0,
            results_tail: 0,
            next: Count::ZERO,
            large: Vec::new(),
        }
    }

    /// Waits until there is an item to claim, or says why there will be none. Claims nothing.
    pub(crate) fn await_item(&mut self) -> Result<(), Stop> {
        loop {
            if self.has_item()? {
                return Ok(());
            }
            self.wait(Self::has_item)?;
        }
    }

    fn has_item(&self) -> Result<bool, Stop> {
        let now = self.region.control().word.read();
        if now.condemned {
            return Err(Stop::Condemned);
        }
        Ok(now.claimed != now.limit)
    }

    /// Ends the item before, claims the next one if it is there already, and wakes the host if it
    /// wants to know.
    pub(crate) fn claim(&mut self) -> Result<Option<Claimed>, Stop> {
        let control = self.region.control();
        let ended = self.next;
        let claim = control.word.claim();
        let due = ended.since(Count::from_bits(control.bell_at.load(Ordering::Relaxed))) < 1 << 30;
        if due || claim == Claim::Empty || self.results_crowd() {
            self.ring_host()?;
        }
        let item = match claim {
            Claim::Item(item) => item,
            Claim::Empty => return Ok(None),
            Claim::Condemned => return Err(Stop::Condemned),
        };
        if item != self.next {
            return Err(Stop::Broken("claims out of step"));
        }
        self.next = item.plus(1);
        self.read_item(item).map(Some)
    }

    /// Ends the item before without claiming another, for work that belongs to no item.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        if !self.region.control().word.end() {
            return Err(Stop::Condemned);
        }
        self.ring_host()
    }

    fn results_crowd(&self) -> bool {
        let head = self.region.control().results_head.load(Ordering::Relaxed);
        self.results_tail.wrapping_sub(head) > ARENA as u64 / 2
    }

    fn read_item(&mut self, item: Count) -> Result<Claimed, Stop> {
        self.await_bytes(ITEM_HEADER as u64)?;
        let raw = self.region.header::<ITEM_HEADER>(Stream::Items, self.items_head);
        let header = ItemHeader::decode(&raw).ok_or(Stop::Broken("an item header is malformed"))?;
        let need = framed(ITEM_HEADER, header.len).ok_or(Stop::Broken("an item is too long"))?;
        if need <= ARENA as u64 {
            self.await_bytes(need)?;
            return Ok(Claimed { header, item, next_start: Some(self.items_head + need) });
        }
        self.use_up(ITEM_HEADER as u64)?;
        self.large.clear();
        while (self.large.len() as u64) < header.len {
            let tail = self.await_bytes(1)?;
            let there = (tail - self.items_head).min(ARENA as u64);
            let wanted = header.len - self.large.len() as u64;
            // At most `ARENA`, so it fits.
            let piece = there.min(wanted);
            self.region.read(Stream::Items, self.items_head, piece as usize, &mut self.large);
            self.use_up(piece)?;
        }
        let padding = self.items_head.next_multiple_of(super::frame::ALIGN) - self.items_head;
        self.items_head += padding;
        Ok(Claimed { header, item, next_start: None })
    }

    /// Waits until `n` bytes of the item stream are there.
    fn await_bytes(&mut self, n: u64) -> Result<u64, Stop> {
        loop {
            let tail = self.region.control().items_tail.load(Ordering::Acquire);
            if tail.wrapping_sub(self.items_head) >= n {
                return Ok(tail);
            }
            let wanted = self.items_head + n;
            self.wait(|ring| {
                Ok(ring.region.control().items_tail.load(Ordering::Acquire) >= wanted)
            })?;
        }
    }

    fn use_up(&mut self, n: u64) -> Result<(), Stop> {
        self.items_head += n;
        self.region.control().items_head.store(self.items_head, Ordering::Release);
        self.ring_host()
    }

    /// The bytes of a claimed item.
    pub(crate) fn bytes(&self, claimed: &Claimed) -> &[u8] {
        match claimed.next_start {
            // Checked against `ARENA` when it was read.
            Some(_) => self
                .region
                .item_bytes(self.items_head + ITEM_HEADER as u64, claimed.header.len as usize),
            None => &self.large,
        }
    }

    /// Publishes the result of a claimed item, whose bytes are used up by that.
    pub(crate) fn publish(
        &mut self,
        claimed: Claimed,
        kind: ResultKind,
        parts: &[&[u8]],
    ) -> Result<(), Stop> {
        match claimed.next_start {
            Some(next_start) => self.items_head = next_start,
            // A buffer that one large item needed is not kept for the small ones after it.
            None => self.large = Vec::new(),
        }
        self.region.control().items_head.store(self.items_head, Ordering::Release);
        self.write_frame(claimed.item, kind, parts)
    }

    /// Publishes that this worker cannot go on.
    pub(crate) fn publish_fatal(&mut self, report: &[u8]) -> Result<(), Stop> {
        self.write_frame(self.next, ResultKind::Fatal, &[report])?;
        self.ring_host()
    }

    fn write_frame(&mut self, item: Count, kind: ResultKind, parts: &[&[u8]]) -> Result<(), Stop> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let header = ResultHeader { len, item, kind }.encode();
        let need = framed(RESULT_HEADER, len).ok_or(Stop::Broken("a result is too long"))?;
        let start = self.results_tail;
        let fits = need <= self.room();
        self.write_bytes(&header, fits)?;
        for part in parts {
            self.write_bytes(part, fits)?;
        }
        // Padding is never read, only skipped; but it takes room like any byte.
        let end = start + need;
        while self.room() < end - self.results_tail {
            self.ring_host()?;
            self.wait(|ring| Ok(ring.room() >= end - ring.results_tail))?;
        }
        self.results_tail = end;
        self.region.control().results_tail.store(self.results_tail, Ordering::Release);
        Ok(())
    }

    fn room(&self) -> u64 {
        let head = self.region.control().results_head.load(Ordering::Acquire);
        (ARENA as u64).saturating_sub(self.results_tail.wrapping_sub(head))
    }

    /// Appends bytes to the result stream. `fits`: there is room for all, and the tail is moved by
    /// the caller; else each piece is published at once and room is waited for.
    fn write_bytes(&mut self, mut bytes: &[u8], fits: bool) -> Result<(), Stop> {
        if fits {
            self.region.write(Stream::Results, self.results_tail, bytes);
            self.results_tail += bytes.len() as u64;
            return Ok(());
        }
        while !bytes.is_empty() {
            // A frame in pieces still shows its header whole, and pieces of a useful size.
            let least = bytes.len().min(ARENA / 4) as u64;
            if self.room() < least {
                self.ring_host()?;
                self.wait(|ring| Ok(ring.room() >= least))?;
                continue;
            }
            let piece = bytes.len().min(self.room() as usize);
            let (now, rest) = bytes.split_at(piece);
            self.region.write(Stream::Results, self.results_tail, now);
            self.results_tail += piece as u64;
            self.region.control().results_tail.store(self.results_tail, Ordering::Release);
            self.ring_host()?;
            bytes = rest;
        }
        Ok(())
    }

    fn ring_host(&self) -> Result<(), Stop> {
        if !self.region.control().host_waits.must_ring() {
            return Ok(());
        }
        match rustix::io::write(&self.host_bell, &[1]) {
            // A full pipe is a bell that rings already.
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(rustix::io::Errno::PIPE) => Err(Stop::HostGone),
            Err(errno) => Err(Stop::Io(errno.into())),
        }
    }

    /// Sleeps until the host rings, unless `ready` says that there is no need to.
    fn wait(&self, ready: impl Fn(&Self) -> Result<bool, Stop>) -> Result<(), Stop> {
        let flag = &self.region.control().worker_waits;
        flag.raise();
        if ready(self)? {
            flag.lower();
            return Ok(());
        }
        match rustix::io::read(&self.bell, &mut [0_u8; 64]) {
            Ok(0) => Err(Stop::HostGone),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(Stop::Io(errno.into())),
        }
    }

    /// Leaves a few words for the host, for when this process dies.
    pub(crate) fn leave_note(&self, note: &str) {
        self.region.leave_note(note);
    }
}
