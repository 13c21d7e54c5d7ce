//! Results that were copied out of the ring and are not read yet, and how they are read.
//!
//! This module must not touch shared memory, and must not believe a byte of what it reads.

use super::Violation;
use super::frame::{ALIGN, HEAD, Head, ResultKind, Size, framed};
use crate::buffers::Buffer;
use std::ops::Range;

/// A keeper reads all that has come, each time: of an honest worker there are two ends, rarely three.
const MOST_ENDS: usize = 1000;

/// A value of so many bytes is read into a buffer of its own, behind nothing else: so it need not be
/// copied again for whoever wants it.
const ALONE: u64 = 64 << 10;
/// Most room that is made for a result which has not come as a whole.
const MOST_RESERVED: u64 = 64 << 20;

/// What came out of the result stream and was not read.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) bytes: Buffer,
    /// A large value that was begun; `bytes` are empty then.
    alone: Option<Alone>,
    /// Where the first of them lay in the stream.
    position: u64,
    /// What the values are that they begin with, if they are values side by side.
    row: Option<Size>,
    /// Where such rows end, oldest first; those whose end was not read, and perhaps one more.
    row_ends: Vec<u64>,
    /// Longest result that is accepted, in bytes.
    max_result: u64,
}

/// A large value, as far as it has come.
#[derive(Debug)]
pub(super) struct Alone {
    pub(super) bytes: Buffer,
    /// Bytes that have not come, and what fills its frame up behind them.
    missing: u64,
    padding: u64,
}

/// What lies at some place of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many values side by side, from there on.
    Values { size: Size, count: usize },
    /// A whole frame.
    Frame {
        kind: ResultKind,
        /// Where its bytes lie.
        bytes: Range<usize>,
        /// Where the next one starts.
        next: usize,
    },
}

/// A place up to which an inbox was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: usize,
    row: Option<Size>,
}

impl Inbox {
    pub(crate) fn new(max_result: u64) -> Self {
        let bytes = Buffer::default();
        Self { bytes, alone: None, position: 0, row: None, row_ends: Vec::new(), max_result }
    }

    /// Where the worker says that its newest row ends. There are not more of them than rows whose
    /// results were not read.
    pub(super) fn row_ends(&mut self, position: u64) -> Result<(), Violation> {
        if self.row_ends.last() == Some(&position) {
            return Ok(());
        }
        if self.row_ends.len() >= MOST_ENDS {
            return Err(Violation::Position);
        }
        self.row_ends.push(position);
        Ok(())
    }

    /// The large value that is read next, if what comes next belongs to one; `head` looks at the word
    /// that comes next.
    #[inline]
    pub(super) fn alone(
        &mut self,
        head: impl FnOnce() -> Option<[u8; HEAD]>,
    ) -> Option<&mut Alone> {
        if self.alone.is_none() && self.bytes.is_empty() && (self.row.is_none() || self.row_ended())
        {
            self.alone = self.begin_alone(head()?);
        }
        self.alone.as_mut()
    }

    fn row_ended(&self) -> bool {
        self.rest_of_row(0) == (0, true)
    }

    fn begin_alone(&mut self, head: [u8; HEAD]) -> Option<Alone> {
        let Head { kind, len } = Head::<ResultKind>::decode(head)?;
        // Whatever is wrong is found where all else is read.
        if kind != ResultKind::Value || len < ALONE || len > self.max_result {
            return None;
        }
        let framed = framed(len)?;
        self.row = None;
        self.position = self.position.wrapping_add(framed);
        // It mostly becomes the consumer's, who frees it: used again, a buffer of the feeder's would
        // be freed among that thread's memory, of which the allocator then gives the end back.
        let bytes = Vec::with_capacity(len.min(MOST_RESERVED) as usize).into();
        Some(Alone { bytes, missing: len, padding: framed - HEAD as u64 - len })
    }

    /// A large value that has come as a whole.
    pub(crate) fn take_alone(&mut self) -> Option<Buffer> {
        let whole = |alone: &mut Alone| alone.missing == 0 && alone.padding == 0;
        let alone = self.alone.take_if(whole)?;
        self.forget_row_ends();
        Some(alone.bytes)
    }

    /// Whether nothing has come that was not read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.alone.is_none()
    }

    /// Where nothing was read.
    pub(crate) fn start(&self) -> Mark {
        Mark { at: 0, row: self.row }
    }

    /// What lies at a mark, which moves past what only says how to read the rest; `None` if not all
    /// of it has come.
    #[inline]
    pub(crate) fn find(&self, mark: &mut Mark) -> Result<Option<Found>, Violation> {
        loop {
            let Some(size) = mark.row else {
                match self.frame(mark.at)? {
                    Some(Found::Frame { kind: ResultKind::Row, bytes, next }) => {
                        mark.row = Some(Size::of(bytes.len()).ok_or(Violation::Header)?);
                        mark.at = next;
                        continue;
                    }
                    found => return Ok(found),
                }
            };
            let (there, ended) = self.rest_of_row(mark.at);
            // It shows whole values, and ends a row behind one.
            if !there.is_multiple_of(size.stride()) {
                return Err(Violation::Position);
            }
            if there > 0 {
                return Ok(Some(Found::Values { size, count: there / size.stride() }));
            }
            if !ended {
                return Ok(None);
            }
            mark.row = None;
        }
    }

    /// Bytes from `at` on that belong to a row which lies there, and whether it ends behind them.
    /// An end that lies elsewhere is that of another row.
    fn rest_of_row(&self, at: usize) -> (usize, bool) {
        let there = self.bytes.len().saturating_sub(at);
        let here = self.position.wrapping_add(at as u64);
        let ends = self.row_ends.iter().map(|end| end.wrapping_sub(here));
        match ends.min().map(usize::try_from) {
            Some(Ok(rest)) if rest <= there => (rest, true),
            _ => (there, false),
        }
    }

    /// The frame at `at`. Of one that begins a row, the bytes are those of its first value, be they
    /// there or not.
    #[inline]
    pub(crate) fn frame(&self, at: usize) -> Result<Option<Found>, Violation> {
        let Some(&raw) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<HEAD>) else {
            return Ok(None);
        };
        let Head { kind, len } = Head::<ResultKind>::decode(raw).ok_or(Violation::Header)?;
        if len > self.max_result {
            return Err(Violation::Length);
        }
        let framed = framed(len).and_then(|len| usize::try_from(len).ok());
        let next = framed.and_then(|len| at.checked_add(len)).ok_or(Violation::Length)?;
        let start = at + HEAD;
        // Less than the frame, so it fits.
        let bytes = start..start + len as usize;
        Ok(match kind {
            ResultKind::Row => Some(Found::Frame { kind, bytes, next: start }),
            _ => (next <= self.bytes.len()).then_some(Found::Frame { kind, bytes, next }),
        })
    }

    /// Makes room for what has not come of the frame at its front, if there is one.
    pub(crate) fn make_room(&mut self) {
        let head = self.bytes.first_chunk().copied().filter(|_| self.row.is_none());
        let head = head.and_then(Head::<ResultKind>::decode);
        let head = head.filter(|head| head.kind != ResultKind::Row && head.len <= self.max_result);
        let len = head.and_then(|head| framed(head.len));
        let len = len.and_then(|len| usize::try_from(len).ok());
        let missing = len.map_or(0, |len| len.saturating_sub(self.bytes.len()));
        // On every platform this is far below what a size can be.
        self.bytes.reserve(missing.min(MOST_RESERVED as usize));
    }

    /// Forgets the ends that were read past, but for the last one, as it is told again until there is
    /// another.
    fn forget_row_ends(&mut self) {
        let last = self.row_ends.pop();
        self.row_ends.retain(|end| end.wrapping_sub(self.position) < u64::MAX / 2);
        self.row_ends.extend(last);
    }

    /// Takes off what was read. The smaller part is copied, so that neither keeps a buffer that is
    /// far too large for it: results wait as long as their consumer likes.
    pub(crate) fn take(&mut self, mark: Mark) -> Buffer {
        let Mark { at, row } = mark;
        (self.position, self.row) = (self.position.wrapping_add(at as u64), row);
        self.forget_row_ends();
        let (front, rest) = self.bytes.split_at_checked(at).unwrap_or((&self.bytes, &[]));
        if front.len() < rest.len() {
            let front = front.to_vec();
            self.bytes.drain(..at);
            return front.into();
        }
        let rest = rest.to_vec();
        let mut front = std::mem::replace(&mut self.bytes, rest.into());
        front.truncate(at);
        front
    }
}

impl Alone {
    /// Of so many bytes that are there, those that belong to the value, and to its frame behind it.
    pub(super) fn part(&mut self, available: u64) -> (u64, u64) {
        let value = available.min(self.missing);
        let padding = (available - value).min(self.padding);
        self.missing -= value;
        self.padding -= padding;
        (value, padding)
    }
}

const _: () = assert!(HEAD == ALIGN, "the head of a row is as long as its place");

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(bytes: &[u8]) -> Inbox {
        Inbox { bytes: bytes.to_vec().into(), ..Inbox::new(1 << 30) }
    }

    fn head(kind: ResultKind, len: u64) -> [u8; HEAD] {
        Head { kind, len }.encode()
    }

    fn row(size: usize) -> Size {
        Size::of(size).expect("it is small")
    }

    #[test]
    fn neither_part_keeps_a_buffer_that_is_far_too_large() {
        for (at, len) in [(0, 9), (16, 1 << 20), (1 << 19, 1 << 20), ((1 << 20) - 8, 1 << 20)] {
            let all: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
            let mut inbox = inbox(&all);
            let front = inbox.take(Mark { at, row: None });
            assert_eq!((front.as_slice(), inbox.bytes.as_slice()), all.split_at(at));
            assert!(front.capacity() <= 2 * at.max(1), "{at} of {len}: {}", front.capacity());
        }
    }

    #[test]
    fn a_row_goes_on_until_its_end_is_told() {
        let mut inbox = inbox(&[&head(ResultKind::Row, 5)[..], &[1; 16]].concat());
        let mut mark = inbox.start();
        let two = Found::Values { size: row(5), count: 2 };
        assert_eq!(inbox.find(&mut mark), Ok(Some(two)));
        assert_eq!(mark.at, HEAD);
        mark.at += 16;
        assert_eq!(inbox.find(&mut mark), Ok(None));
        inbox.take(mark);
        inbox.bytes.extend([2; 8]);
        inbox.bytes.extend(head(ResultKind::Value, 0));
        assert!(inbox.row_ends(32).is_ok());
        let mut mark = inbox.start();
        assert_eq!(inbox.find(&mut mark), Ok(Some(Found::Values { size: row(5), count: 1 })));
        mark.at += 8;
        let empty = Found::Frame { kind: ResultKind::Value, bytes: 16..16, next: 16 };
        assert_eq!(inbox.find(&mut mark), Ok(Some(empty)));
    }

    /// Takes bytes of the stream in, so many at a time, as a ring does.
    fn give(inbox: &mut Inbox, mut stream: &[u8], at_a_time: usize) -> Vec<Buffer> {
        let mut values = Vec::new();
        while !stream.is_empty() {
            let there = stream.len().min(at_a_time);
            let began = inbox.is_empty();
            let head = stream[..there].first_chunk().copied();
            let taken = match inbox.alone(|| head) {
                None => {
                    inbox.bytes.extend_from_slice(&stream[..there]);
                    there
                }
                Some(alone) => {
                    let head = if began { HEAD } else { 0 };
                    let (value, padding) = alone.part((there - head) as u64);
                    let end = head + value as usize;
                    alone.bytes.extend_from_slice(&stream[head..end]);
                    end + padding as usize
                }
            };
            stream = &stream[taken..];
            values.extend(inbox.take_alone());
        }
        values
    }

    #[test]
    fn a_large_value_has_a_buffer_of_its_own_however_it_comes() {
        let large = |len: u64, byte| {
            let mut frame = head(ResultKind::Value, len).to_vec();
            frame.resize(HEAD + len as usize, byte);
            frame.resize(frame.len().next_multiple_of(ALIGN), 0xff);
            frame
        };
        let stream = [large(ALONE, 1), large(ALONE + 3, 2), large(ALONE + 8, 3)].concat();
        for at_a_time in [8, 1000, 1 << 16, (1 << 16) + 8, 1 << 20] {
            let mut inbox = inbox(&[]);
            let values = give(&mut inbox, &stream, at_a_time);
            let found: Vec<_> = values.iter().map(|value| (value.len() as u64, value[9])).collect();
            assert_eq!(found, [(ALONE, 1), (ALONE + 3, 2), (ALONE + 8, 3)], "{at_a_time}");
            assert_eq!((inbox.position, inbox.is_empty()), (stream.len() as u64, true));
        }
    }

    #[test]
    fn what_is_not_large_or_lies_behind_others_is_read_with_them() {
        let small = head(ResultKind::Value, ALONE - 8);
        let logged = head(ResultKind::LoggedValue, ALONE);
        for front in [small, logged, head(ResultKind::Value, 1 << 40), [0xff; HEAD]] {
            let mut inbox = inbox(&[]);
            assert!(inbox.alone(|| Some(front)).is_none(), "{front:?}");
        }
        let large = || Some(head(ResultKind::Value, ALONE));
        assert!(inbox(&[0; 8]).alone(large).is_none(), "behind others");
        let mut in_row = Inbox { row: Some(row(8)), ..inbox(&[]) };
        assert!(in_row.alone(large).is_none(), "bytes of a row");
        assert!(in_row.row_ends(0).is_ok());
        assert!(in_row.alone(large).is_some(), "behind its end");
    }

    #[test]
    fn ends_of_rows_that_never_were_fill_no_memory() {
        let mut inbox = inbox(&[]);
        let refused = (0..1 << 20).find(|n| inbox.row_ends(u64::MAX - 9 * n).is_err());
        assert_eq!(refused, Some(MOST_ENDS as u64));
        // Read, they are forgotten.
        inbox.take(Mark { at: 0, row: None });
        assert!(inbox.row_ends.len() <= 1 && inbox.row_ends(7).is_ok());
    }

    #[test]
    fn what_no_honest_worker_writes_is_refused() {
        let find = |bytes: &[u8], end| {
            let mut inbox = inbox(bytes);
            assert!(inbox.row_ends(end).is_ok());
            inbox.find(&mut inbox.start())
        };
        let values = |head: [u8; HEAD], len| [&head[..], &vec![0; len]].concat();
        let wide = head(ResultKind::Row, Size::MOST as u64 + 1);
        assert_eq!(find(&wide, 0), Err(Violation::Header));
        let half = values(head(ResultKind::Row, 16), 24);
        assert_eq!(find(&half, 0), Err(Violation::Position), "half a value");
        assert_eq!(find(&half, 16), Err(Violation::Position), "an end within one");
        assert_eq!(find(&values(head(ResultKind::Value, 1 << 40), 8), 0), Err(Violation::Length));
        // An end that lies elsewhere says nothing.
        let one = Found::Values { size: row(16), count: 1 };
        for end in [0, 7, 25, u64::MAX] {
            let found = find(&values(head(ResultKind::Row, 16), 16), end);
            assert_eq!(found, Ok(Some(one.clone())), "{end}");
        }
    }
}
