//! Results that were copied out of the ring and are not read yet, and how they are read.
//!
//! This module must not touch shared memory, and must not believe a byte of what it reads.

use super::Violation;
use super::frame::{ALIGN, HEAD, Head, ResultKind, Size, framed};
use crate::buffers::Buffer;
use std::ops::Range;

/// A keeper reads all that has come, each time: of an honest worker there are two ends, rarely three.
const MOST_ENDS: usize = 1000;

/// What came out of the result stream and was not read.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) bytes: Buffer,
    /// Where the first of them lay in the stream.
    position: u64,
    /// What the values are that they begin with, if they are values side by side.
    row: Option<Size>,
    /// Where such rows end, oldest first; those whose end was not read, and perhaps one more.
    row_ends: Vec<u64>,
    /// Longest result that is accepted, in bytes.
    max_result: u64,
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
        Self { bytes: Buffer::default(), position: 0, row: None, row_ends: Vec::new(), max_result }
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

    /// Bytes that have not come of the frame at its front, if there is one.
    pub(crate) fn missing(&self) -> usize {
        let head = self.bytes.first_chunk().copied().filter(|_| self.row.is_none());
        let head = head.and_then(Head::<ResultKind>::decode);
        let head = head.filter(|head| head.kind != ResultKind::Row && head.len <= self.max_result);
        let len = head.and_then(|head| framed(head.len));
        let len = len.and_then(|len| usize::try_from(len).ok());
        len.map_or(0, |len| len.saturating_sub(self.bytes.len()))
    }

    /// Takes off what was read. The smaller part is copied, so that neither keeps a buffer that is
    /// far too large for it: results wait as long as their consumer likes.
    pub(crate) fn take(&mut self, mark: Mark) -> Buffer {
        let Mark { at, row } = mark;
        (self.position, self.row) = (self.position.wrapping_add(at as u64), row);
        // The last one stays, as it is told again until there is another.
        let last = self.row_ends.pop();
        self.row_ends.retain(|end| end.wrapping_sub(self.position) < u64::MAX / 2);
        self.row_ends.extend(last);
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
