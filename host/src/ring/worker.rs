//! The worker's end of a ring: claims items, reads them, publishes results.
//!
//! This module must not know processes: it sleeps and rings through two descriptors, so a thread
//! can play the worker in a test.

use super::frame::{ALIGN, Context, HEAD, Head, ItemKind, Layout, ResultKind, Size, framed};
use super::map::{ARENA, Region, Stream};
use super::sync::Ordering;
use super::word::{Claim, Count};
use rustix::fd::OwnedFd;
use std::fmt;
use std::io;

/// How far ahead the place of a result is prepared for it, in bytes: a few quick items.
const AHEAD: u64 = 256;

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
    /// What it is; the index is its own.
    pub(crate) context: Context,
    place: Place,
}

/// Where the bytes of a claimed item are.
#[derive(Debug)]
enum Place {
    /// In the arena: so many from `at` on; the next item starts at `next`.
    Arena { at: u64, len: usize, next: u64 },
    /// Copied out, as they do not fit into the arena.
    Large,
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
    /// The result stream is free up to here, as far as was seen.
    free_to: u64,
    /// What the next item is, and how it lies, if no row begins with it.
    row: Option<(Context, Layout)>,
    /// Number of the next row of items.
    next_row: u32,
    /// How results lie now.
    results: Layout,
    /// Whether a row of results may be begun with the next value.
    may_begin: bool,
    /// The values of this function are of several sizes.
    varied: bool,
    /// Where the last row of results ended, if one has.
    row_end: Option<u64>,
    /// Number of the next item to claim; equals the number of ended ones between items.
    next: Count,
    /// What the host wanted its bell at when it was rung last; not a count before that.
    rung_at: u32,
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
            free_to: ARENA as u64,
            row: None,
            next_row: 0,
            results: Layout::Framed,
            may_begin: false,
            varied: false,
            row_end: None,
            next: Count::ZERO,
            rung_at: u32::MAX,
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
    // Returned through memory, an item is written in words and read in pairs of them, which stalls.
    #[inline(always)]
    pub(crate) fn claim(&mut self) -> Result<Option<Claimed>, Stop> {
        let control = self.region.control();
        let ended = self.next;
        let claim = control.word.claim();
        let bell_at = control.bell_at.load(Ordering::Relaxed);
        // Once is enough: a host that asks for the same again looks at the results before it sleeps.
        let due = bell_at != self.rung_at && ended.since(Count::from_bits(bell_at)) < 1 << 30;
        if due || claim == Claim::Empty || self.results_crowd() {
            if due {
                self.rung_at = bell_at;
            }
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
        if self.region.control().rows.begins(self.next_row, item) {
            self.begin_row()?;
        }
        self.read_item().map(Some)
    }

    /// Ends the item before without claiming another, for work that belongs to no item.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        if !self.region.control().word.end() {
            return Err(Stop::Condemned);
        }
        self.ring_host()
    }

    /// Whether results fill half of the arena.
    fn results_crowd(&mut self) -> bool {
        const HALF: u64 = ARENA as u64 / 2;
        self.free_to - self.results_tail < HALF && self.room() < HALF
    }

    #[cold]
    fn begin_row(&mut self) -> Result<(), Stop> {
        let said = self.region.control().rows.read(self.next_row);
        let row = said.ok_or(Stop::Broken("what is said about a row is malformed"))?;
        self.next_row = self.next_row.wrapping_add(1);
        let called = |(context, _): (Context, Layout)| (context.function, context.form);
        if self.row.map(called) != Some(called(row)) {
            self.varied = false;
        }
        self.may_begin = true;
        self.row = Some(row);
        Ok(())
    }

    #[inline(always)]
    fn read_item(&mut self) -> Result<Claimed, Stop> {
        let Some((context, layout)) = &mut self.row else {
            return Err(Stop::Broken("an item that is in no row"));
        };
        let (context, layout) = (std::mem::replace(context, context.next()), *layout);
        let at = self.items_head;
        match layout {
            Layout::Fixed(size) => {
                // It was there before it could be claimed.
                let place = Place::Arena { at, len: size.bytes(), next: at + size.stride() as u64 };
                Ok(Claimed { context, place })
            }
            Layout::Framed => self.read_framed(context),
        }
    }

    #[inline(always)]
    fn read_framed(&mut self, context: Context) -> Result<Claimed, Stop> {
        let at = self.items_head;
        self.await_bytes(HEAD as u64)?;
        let raw = self.region.head::<HEAD>(Stream::Items, at);
        let head = Head::<ItemKind>::decode(raw);
        let head = head.ok_or(Stop::Broken("the head of an item is malformed"))?;
        let need = framed(head.len).ok_or(Stop::Broken("an item is too long"))?;
        if need > ARENA as u64 {
            self.read_large(head.len)?;
            return Ok(Claimed { context, place: Place::Large });
        }
        self.await_bytes(need)?;
        // Less than `ARENA`, so it fits.
        let len = head.len as usize;
        Ok(Claimed { context, place: Place::Arena { at: at + HEAD as u64, len, next: at + need } })
    }

    /// Copies out an item that does not fit into the arena.
    #[cold]
    fn read_large(&mut self, len: u64) -> Result<(), Stop> {
        self.use_up(HEAD as u64)?;
        self.large.clear();
        self.large.reserve(usize::try_from(len).unwrap_or(0));
        while (self.large.len() as u64) < len {
            let tail = self.await_bytes(1)?;
            let there = (tail - self.items_head).min(ARENA as u64);
            // At most `ARENA`, so it fits.
            let piece = there.min(len - self.large.len() as u64);
            self.region.read(Stream::Items, self.items_head, piece as usize, &mut self.large);
            self.use_up(piece)?;
        }
        let padding = self.items_head.next_multiple_of(ALIGN as u64) - self.items_head;
        self.await_bytes(padding)?;
        self.use_up(padding)
    }

    /// Waits until `n` bytes of the item stream are there.
    #[inline]
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
    #[inline]
    pub(crate) fn bytes(&self, claimed: &Claimed) -> &[u8] {
        match claimed.place {
            Place::Arena { at, len, .. } => self.region.item_bytes(at, len),
            Place::Large => &self.large,
        }
    }

    /// Publishes the result of a claimed item, whose bytes are used up by that. Of values,
    /// [`publish_value`](Self::publish_value) takes care.
    pub(crate) fn publish(
        &mut self,
        claimed: Claimed,
        kind: ResultKind,
        parts: &[&[u8]],
    ) -> Result<(), Stop> {
        self.use_item(claimed);
        self.end_row();
        self.write_frame(kind, parts)
    }

    /// Publishes a value that consists of two parts, the second mostly empty.
    // The parts of a list of parts are written in words and read in pairs of them, which stalls.
    #[expect(clippy::ptr_arg, reason = "for the same reason: its length has just been written")]
    #[inline]
    pub(crate) fn publish_value(
        &mut self,
        claimed: Claimed,
        front: &Vec<u8>,
        body: &[u8],
    ) -> Result<(), Stop> {
        self.use_item(claimed);
        match self.results {
            Layout::Fixed(size) if size.bytes() == front.len() && body.is_empty() => {
                let end = self.results_tail + size.stride() as u64;
                if end > self.free_to {
                    self.await_room(size.stride() as u64)?;
                }
                self.region.write(Stream::Results, self.results_tail, front);
                self.region.expect_write(Stream::Results, end + AHEAD);
                self.show_results(end);
                Ok(())
            }
            Layout::Framed if body.is_empty() && (self.varied || !self.may_begin) => {
                self.publish_framed(front)
            }
            _ => self.publish_unlike(front, body),
        }
    }

    /// Publishes a value in a frame, as those before it.
    #[inline]
    fn publish_framed(&mut self, value: &[u8]) -> Result<(), Stop> {
        let end = self.results_tail + (HEAD as u64 + value.len() as u64).next_multiple_of(8);
        if end > self.free_to {
            return self.write_frame(ResultKind::Value, &[value]);
        }
        let head = Head { kind: ResultKind::Value, len: value.len() as u64 }.encode();
        self.region.write(Stream::Results, self.results_tail, &head);
        self.region.write(Stream::Results, self.results_tail + HEAD as u64, value);
        self.region.expect_write(Stream::Results, end + AHEAD);
        self.show_results(end);
        Ok(())
    }

    /// Publishes a value that is not like the one before.
    fn publish_unlike(&mut self, front: &[u8], body: &[u8]) -> Result<(), Stop> {
        if let Layout::Fixed(_) = self.results {
            self.varied = true;
            self.end_row();
        }
        let alike = self.may_begin && !self.varied && body.is_empty();
        let size = Size::of(front.len()).filter(|_| alike);
        // Only one end can be told at a time, and the host has seen the one before only if it has read
        // what lies behind it: it may have come to the very place before the end was told.
        let head = self.host_is_at();
        let seen = self.row_end.is_none_or(|end| head > end);
        let Some(size) = size.filter(|_| seen) else {
            return self.write_frame(ResultKind::Value, &[front, body]);
        };
        let need = HEAD + size.stride();
        self.await_room(need as u64)?;
        let head = Head { kind: ResultKind::Row, len: front.len() as u64 }.encode();
        self.region.write(Stream::Results, self.results_tail, &head);
        self.region.write(Stream::Results, self.results_tail + HEAD as u64, front);
        self.results = Layout::Fixed(size);
        self.show_results(self.results_tail + need as u64);
        Ok(())
    }

    /// What follows is in frames; values again side by side, if they are, in the next row of items.
    fn end_row(&mut self) {
        if let Layout::Fixed(_) = std::mem::replace(&mut self.results, Layout::Framed) {
            self.row_end = Some(self.results_tail);
            self.region.control().row_end.store(self.results_tail, Ordering::Release);
        }
        self.may_begin = false;
    }

    #[inline]
    fn use_item(&mut self, claimed: Claimed) {
        match claimed.place {
            Place::Arena { next, .. } => {
                self.items_head = next;
                self.region.control().items_head.store(next, Ordering::Release);
            }
            // A buffer that one large item needed is not kept for the small ones after it.
            Place::Large => self.large = Vec::new(),
        }
    }

    /// Publishes that this worker cannot go on.
    pub(crate) fn publish_fatal(&mut self, report: &[u8]) -> Result<(), Stop> {
        self.end_row();
        self.write_frame(ResultKind::Fatal, &[report])?;
        self.ring_host()
    }

    fn write_frame(&mut self, kind: ResultKind, parts: &[&[u8]]) -> Result<(), Stop> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let head = Head { kind, len }.encode();
        let need = framed(len).ok_or(Stop::Broken("a result is too long"))?;
        let end = self.results_tail + need;
        if end > self.free_to && need > self.room() {
            return self.write_in_pieces(&head, parts, end);
        }
        let mut position = self.results_tail;
        for part in std::iter::once(&head[..]).chain(parts.iter().copied()) {
            self.region.write(Stream::Results, position, part);
            position += part.len() as u64;
        }
        self.show_results(end);
        Ok(())
    }

    #[inline]
    fn show_results(&mut self, to: u64) {
        self.results_tail = to;
        self.region.control().results_tail.store(to, Ordering::Release);
    }

    /// How far the host has read the result stream.
    fn host_is_at(&mut self) -> u64 {
        let head = self.region.control().results_head.load(Ordering::Acquire);
        self.free_to = head + ARENA as u64;
        head
    }

    /// Bytes of the result stream that are free.
    fn room(&mut self) -> u64 {
        self.host_is_at();
        self.free_to.saturating_sub(self.results_tail)
    }

    /// Waits until `n` bytes of the result stream are free.
    fn await_room(&mut self, n: u64) -> Result<(), Stop> {
        while self.room() < n {
            self.ring_host()?;
            let head = self.results_tail + n - ARENA as u64;
            self.wait(|ring| {
                Ok(ring.region.control().results_head.load(Ordering::Acquire) >= head)
            })?;
        }
        Ok(())
    }

    /// Writes a frame that ends at `end`, and for which there is no room as a whole.
    #[cold]
    fn write_in_pieces(&mut self, head: &[u8], parts: &[&[u8]], end: u64) -> Result<(), Stop> {
        self.write_bytes(head)?;
        for part in parts {
            self.write_bytes(part)?;
        }
        // Padding is never read, only skipped; but it takes room like any byte.
        self.await_room(end - self.results_tail)?;
        self.show_results(end);
        Ok(())
    }

    /// Appends bytes to the result stream, each piece shown at once.
    fn write_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            // A frame in pieces still shows its head whole, and pieces of a useful size.
            self.await_room(bytes.len().min(ARENA / 4) as u64)?;
            // At most `ARENA`, so it fits.
            let piece = bytes.len().min(self.room() as usize);
            let (now, rest) = bytes.split_at(piece);
            self.region.write(Stream::Results, self.results_tail, now);
            self.show_results(self.results_tail + piece as u64);
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
