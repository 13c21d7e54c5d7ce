//! Encoded items, many in one buffer, and runs of them that are handed around.
//!
//! They lie here as they travel, so that handing a run over is one copy. This module must not know
//! calls or workers.

use crate::buffers::Buffer;
use crate::ring::frame::{Frames, Head, ItemKind, append};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Items of a block end at latest here: what a block is worth handing over as.
const FULL_ITEMS: usize = 4096;
const FULL_BYTES: usize = 256 * 1024;

/// Encoded items in a row. Their bytes are kept until the last of them has ended, as any of them
/// may have to run on another worker.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Index of the first item.
    first: u64,
    /// Where the frame of each item ends in `bytes`.
    ends: Vec<usize>,
    bytes: Buffer,
}

impl Block {
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { first, ends: Vec::new(), bytes: Buffer::default() }
    }

    /// An empty one that will hold about as much as this one.
    pub(crate) fn next(&self, first: u64) -> Self {
        let bytes = Buffer::for_about(self.bytes.len());
        Self { first, ends: Vec::with_capacity(self.ends.len().min(FULL_ITEMS)), bytes }
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, item: &[u8]) {
        let pushed = self.push_with(|out| {
            out.extend_from_slice(item);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = pushed;
    }

    /// Appends an item that `encode` writes; nothing is appended if it fails.
    #[inline]
    pub(crate) fn push_with<E>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        append(&mut self.bytes, encode)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// A block of one item, whose frame is given.
    pub(super) fn of_frame(first: u64, frame: Buffer) -> Self {
        Self { first, ends: vec![frame.len()], bytes: frame }
    }

    /// Appends items whose frames consist of these words, in two pieces.
    pub(super) fn push_words(&mut self, pieces: [&[AtomicU64]; 2]) {
        let mut at = self.bytes.len();
        for words in pieces {
            let from = self.bytes.len();
            self.bytes.resize(from + size_of_val(words), 0);
            let places = self.bytes.get_mut(from..).unwrap_or_default().chunks_exact_mut(8);
            for (place, word) in places.zip(words) {
                place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
        }
        while let Some((_, _, next)) = Head::<ItemKind>::read(&self.bytes, at) {
            self.ends.push(next);
            at = next;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= FULL_ITEMS || self.bytes.len() >= FULL_BYTES
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Where the frames of some items lie.
    fn place(&self, items: Range<usize>) -> Range<usize> {
        let edge = |at: usize| match at.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(self.bytes.len()),
            None => 0,
        };
        edge(items.start)..edge(items.end)
    }
}

/// A run of items of one block, all started equally often before.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    block: Arc<Block>,
    from: usize,
    to: usize,
    /// How many times these items were started before.
    pub(crate) attempts: u32,
}

impl Span {
    pub(crate) fn whole(block: Block) -> Self {
        let to = block.len();
        Self { block: Arc::new(block), from: 0, to, attempts: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.to - self.from
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Index of the first item.
    pub(crate) fn first(&self) -> u64 {
        self.block.first + self.from as u64
    }

    /// Bytes that it takes in its block.
    pub(crate) fn size(&self) -> usize {
        self.block.place(self.from..self.to).len()
    }

    /// The items as they travel.
    pub(crate) fn frames(&self) -> Frames<'_> {
        let place = self.block.place(self.from..self.to);
        let ends = self.block.ends.get(self.from..self.to).unwrap_or(&[]);
        Frames::new(self.block.bytes.get(place.clone()).unwrap_or(&[]), ends, place.start)
    }

    /// The frame of the last item.
    pub(crate) fn last_frame(&self) -> &[u8] {
        let place = self.block.place(self.to.saturating_sub(1)..self.to);
        self.block.bytes.get(place).unwrap_or(&[])
    }

    /// Takes the first `n` items off (or all, if there are fewer).
    pub(crate) fn take_front(&mut self, n: usize) -> Self {
        let middle = self.from + n.min(self.len());
        let front = Self { to: middle, ..self.clone() };
        self.from = middle;
        front
    }

    /// The same items, started once more than before.
    pub(crate) fn again(self) -> Self {
        Self { attempts: self.attempts + 1, ..self }
    }

    /// Takes the last `n` items off (or all, if there are fewer).
    pub(crate) fn take_back(&mut self, n: usize) -> Self {
        let middle = self.to - n.min(self.len());
        let back = Self { from: middle, ..self.clone() };
        self.to = middle;
        back
    }
}

/// Spans that wait, lowest index first, and how many items they hold.
#[derive(Debug, Default)]
pub(crate) struct SpanQueue {
    spans: VecDeque<Span>,
    items: usize,
}

impl SpanQueue {
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    pub(crate) fn first_index(&self) -> Option<u64> {
        self.spans.front().map(Span::first)
    }

    pub(crate) fn push_back(&mut self, span: Span) {
        if !span.is_empty() {
            self.items += span.len();
            self.spans.push_back(span);
        }
    }

    /// Takes a span back. Its place is that of its index: a consumer in input order waits for the
    /// lowest one, whoever brought others back after it.
    pub(crate) fn put_back(&mut self, span: Span) {
        if !span.is_empty() {
            self.items += span.len();
            let place = self.spans.partition_point(|other| other.first() < span.first());
            self.spans.insert(place, span);
        }
    }

    /// Takes up to `n` items in a row.
    pub(crate) fn take(&mut self, n: usize) -> Option<Span> {
        let front = self.spans.front_mut()?;
        let taken = front.take_front(n);
        if front.is_empty() {
            self.spans.pop_front();
        }
        self.items -= taken.len();
        Some(taken)
    }

    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.items = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::frame::{HEAD, Head, ItemKind};

    fn block(first: u64, items: &[&str]) -> Block {
        let mut block = Block::starting_at(first);
        for item in items {
            block.push(item.as_bytes());
        }
        block
    }

    fn read(span: &Span) -> Vec<(u64, String)> {
        let frames = span.frames().bytes;
        let mut at = 0;
        let items = std::iter::from_fn(|| {
            let (head, bytes, next) = Head::<ItemKind>::read(frames, at)?;
            at = next;
            Some((head, String::from_utf8_lossy(&frames[bytes]).into_owned()))
        });
        (span.first()..).zip(items.map(|(_, text)| text)).collect()
    }

    #[test]
    fn spans_split_at_both_ends_and_keep_their_indexes() {
        let mut span = Span::whole(block(10, &["a", "", "ccc", "d"]));
        let front = span.take_front(1);
        let back = span.take_back(1);
        assert_eq!(read(&front), [(10, "a".into())]);
        assert_eq!(read(&span), [(11, String::new()), (12, "ccc".into())]);
        assert_eq!(read(&back), [(13, "d".into())]);
        assert_eq!(span.last_frame(), &span.frames().bytes[HEAD..]);
        assert_eq!(span.size(), HEAD + 2 * HEAD);
        assert!(span.take_front(9).len() == 2 && span.is_empty());
    }

    #[test]
    fn a_failed_encoding_leaves_no_trace() {
        let mut one = block(0, &["x"]);
        let failed: Result<(), ()> = one.push_with(|out| {
            out.extend(b"half");
            Err(())
        });
        assert!(failed.is_err());
        assert_eq!((one.len(), one.size()), (1, 2 * HEAD));
    }

    #[test]
    fn a_queue_gives_runs_in_order_and_takes_them_back_in_front() {
        let mut queue = SpanQueue::default();
        queue.push_back(Span::whole(block(0, &["a", "b", "c"])));
        queue.push_back(Span::whole(block(3, &["d"])));
        assert_eq!(queue.items(), 4);
        let run = queue.take(2).expect("there are items");
        queue.put_back(run);
        assert_eq!((queue.items(), queue.first_index()), (4, Some(0)));
        let (first, second) = (queue.take(1).expect("0"), queue.take(1).expect("1"));
        queue.put_back(first);
        queue.put_back(second);
        assert_eq!(queue.first_index(), Some(0), "whichever comes back last");
        let order: Vec<u64> = std::iter::from_fn(|| queue.take(10)).map(|s| s.first()).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
