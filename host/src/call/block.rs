//! Encoded items, many in one buffer, and runs of them that are handed around.
//!
//! They lie here as they travel, so that handing a run over is one copy. This module must not know
//! calls or workers.

use crate::buffers::Buffer;
use crate::ring::frame::{HEAD, Head, ItemKind, Items, Layout, Size, append};
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
    bytes: Buffer,
    lies: Lies,
    /// Items of this call are of several sizes: they are framed from the first one on.
    varied: bool,
}

/// How the items lie in the bytes of a block.
#[derive(Debug)]
enum Lies {
    /// Side by side, all of this size.
    Fixed(Size),
    /// In frames that end at these places.
    Framed(Vec<usize>),
}

impl Default for Lies {
    fn default() -> Self {
        Self::Framed(Vec::new())
    }
}

impl Block {
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// An empty one that will hold about as much as this one.
    pub(crate) fn next(&self, first: u64) -> Self {
        let bytes = Buffer::for_about(self.bytes.len());
        let (lies, varied) = match &self.lies {
            Lies::Framed(ends) if !ends.is_empty() => {
                (Lies::Framed(Vec::with_capacity(ends.len().min(FULL_ITEMS))), true)
            }
            _ => (Lies::default(), self.varied),
        };
        Self { first, bytes, lies, varied }
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
        let start = self.bytes.len();
        match &mut self.lies {
            Lies::Fixed(size) => {
                let size = *size;
                let done = encode(&mut self.bytes);
                if done.is_err() {
                    self.bytes.truncate(start);
                    return done;
                }
                match self.bytes.len() - start == size.bytes() {
                    true => self.bytes.resize(start + size.stride(), 0),
                    false => self.frame_all(size, start),
                }
            }
            Lies::Framed(ends) => {
                append(&mut self.bytes, encode)?;
                ends.push(self.bytes.len());
                if start == 0 && !self.varied {
                    self.unframe_first();
                }
            }
        }
        Ok(())
    }

    /// Turns the frame of the first item into one of many items of its size, if it is small.
    fn unframe_first(&mut self) {
        let frame = Head::<ItemKind>::read(&self.bytes, 0);
        let size = frame.and_then(|(_, place, _)| Size::of(place.len()));
        if let Some(size) = size {
            self.bytes.drain(..HEAD);
            self.bytes.resize(size.stride(), 0);
            self.lies = Lies::Fixed(size);
        }
    }

    /// Puts items of this size into frames, and one that is not from `start` on.
    #[cold]
    fn frame_all(&mut self, size: Size, start: usize) {
        let mut framed = Self { first: self.first, varied: true, ..Self::default() };
        let (fixed, other) = self.bytes.split_at_checked(start).unwrap_or((&self.bytes, &[]));
        let fixed = fixed.chunks_exact(size.stride()).map(|item| item.get(..size.bytes()));
        for item in fixed.chain([Some(other)]) {
            let push = |out: &mut Vec<u8>| {
                out.extend_from_slice(item.unwrap_or(&[]));
                Ok::<(), std::convert::Infallible>(())
            };
            let Ok(()) = framed.push_with(push);
        }
        *self = framed;
    }

    /// A block of one item, whose frame is given.
    pub(super) fn of_frame(first: u64, frame: Buffer) -> Self {
        let lies = Lies::Framed(vec![frame.len()]);
        Self { first, bytes: frame, lies, varied: true }
    }

    /// Whether items that lie like this can be appended as they are.
    pub(super) fn takes(&self, layout: Layout) -> bool {
        match (&self.lies, layout) {
            (Lies::Fixed(size), Layout::Fixed(other)) => *size == other,
            (Lies::Framed(ends), Layout::Fixed(_)) => ends.is_empty(),
            (Lies::Framed(_), Layout::Framed) => true,
            (Lies::Fixed(_), Layout::Framed) => false,
        }
    }

    /// Appends items that lie like this in some words, which come in two pieces, and
    /// [fit](Self::takes).
    pub(super) fn push_words(&mut self, pieces: [&[AtomicU64]; 2], layout: Layout) {
        let mut at = self.bytes.len();
        for words in pieces {
            let from = self.bytes.len();
            self.bytes.resize(from + size_of_val(words), 0);
            let places = self.bytes.get_mut(from..).unwrap_or_default().chunks_exact_mut(8);
            for (place, word) in places.zip(words) {
                place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
        }
        match (&mut self.lies, layout) {
            (lies, Layout::Fixed(size)) => *lies = Lies::Fixed(size),
            (Lies::Framed(ends), Layout::Framed) => {
                while let Some((_, _, next)) = Head::<ItemKind>::read(&self.bytes, at) {
                    ends.push(next);
                    at = next;
                }
            }
            (Lies::Fixed(_), Layout::Framed) => {}
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.lies {
            Lies::Fixed(size) => self.bytes.len() / size.stride(),
            Lies::Framed(ends) => ends.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= FULL_ITEMS || self.bytes.len() >= FULL_BYTES
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Where some items lie.
    fn place(&self, items: Range<usize>) -> Range<usize> {
        let edge = |at: usize| match (&self.lies, at.checked_sub(1)) {
            (Lies::Fixed(size), _) => at * size.stride(),
            (Lies::Framed(ends), Some(before)) => {
                ends.get(before).copied().unwrap_or(self.bytes.len())
            }
            (Lies::Framed(_), None) => 0,
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
    pub(crate) fn items(&self) -> Items<'_> {
        let place = self.block.place(self.from..self.to);
        let bytes = self.block.bytes.get(place.clone()).unwrap_or(&[]);
        match &self.block.lies {
            Lies::Fixed(size) => Items::fixed(bytes, *size),
            Lies::Framed(ends) => {
                let ends = ends.get(self.from..self.to).unwrap_or(&[]);
                Items::framed(bytes, ends, place.start)
            }
        }
    }

    /// The last item as it travels.
    pub(crate) fn last_item(&self) -> &[u8] {
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

/// Spans that wait, lowest index first, and how many items and bytes they hold.
#[derive(Debug, Default)]
pub(crate) struct SpanQueue {
    spans: VecDeque<Span>,
    items: usize,
    bytes: usize,
}

impl SpanQueue {
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn first_index(&self) -> Option<u64> {
        self.spans.front().map(Span::first)
    }

    pub(crate) fn push_back(&mut self, span: Span) {
        if !span.is_empty() {
            self.items += span.len();
            self.bytes += span.size();
            self.spans.push_back(span);
        }
    }

    /// Takes a span back. Its place is that of its index: a consumer in input order waits for the
    /// lowest one, whoever brought others back after it.
    pub(crate) fn put_back(&mut self, span: Span) {
        if !span.is_empty() {
            self.items += span.len();
            self.bytes += span.size();
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
        self.bytes -= taken.size();
        Some(taken)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::frame::HEAD;

    fn block(first: u64, items: &[&str]) -> Block {
        let mut block = Block::starting_at(first);
        for item in items {
            block.push(item.as_bytes());
        }
        block
    }

    fn read(span: &Span) -> Vec<(u64, String)> {
        let bytes = span.items().bytes;
        let mut at = 0;
        let items = std::iter::from_fn(|| match span.items().layout() {
            Layout::Framed => {
                let (_, place, next) = Head::<ItemKind>::read(bytes, at)?;
                at = next;
                bytes.get(place)
            }
            Layout::Fixed(size) => {
                let item = bytes.get(at..at + size.bytes());
                at += size.stride();
                item
            }
        });
        (span.first()..).zip(items.map(|item| String::from_utf8_lossy(item).into_owned())).collect()
    }

    #[test]
    fn spans_split_at_both_ends_and_keep_their_indexes() {
        for (items, sizes) in
            [(["a", "", "ccc", "d"], [HEAD, 2 * HEAD]), (["aa", "bb", "cc", "dd"], [0, HEAD])]
        {
            let mut span = Span::whole(block(10, &items));
            let front = span.take_front(1);
            let back = span.take_back(1);
            assert_eq!(read(&front), [(10, items[0].into())]);
            assert_eq!(read(&span), [(11, items[1].into()), (12, items[2].into())]);
            assert_eq!(read(&back), [(13, items[3].into())]);
            let [head, last] = sizes;
            assert_eq!(span.last_item(), &span.items().bytes[span.size() - last..]);
            assert_eq!(span.size(), 2 * head + if head > 0 { HEAD } else { 2 * HEAD });
            assert!(span.take_front(9).len() == 2 && span.is_empty());
        }
    }

    #[test]
    fn items_of_one_size_have_no_frames_until_there_is_another() {
        let all = ["one", "two", "six", "seven", "ten"];
        for n in 1..=all.len() {
            let span = Span::whole(block(0, &all[..n]));
            let layout = if n < 4 { Layout::of(3) } else { Layout::Framed };
            assert_eq!(span.items().layout(), layout);
            let expected: Vec<_> = (0..).zip(all[..n].iter().map(|s| (*s).to_owned())).collect();
            assert_eq!((span.len(), read(&span)), (n, expected));
        }
        let mut next = block(0, &all).next(5);
        next.push(b"again");
        assert_eq!(Span::whole(next).items().layout(), Layout::Framed, "from the first one on");
        let mut block = Block::default();
        (0..3).for_each(|_| block.push(b""));
        assert_eq!((block.len(), block.is_empty()), (3, false), "without bytes");
    }

    #[test]
    fn a_failed_encoding_leaves_no_trace() {
        for (items, size) in [(&["x"][..], HEAD), (&["x", "yy"], 4 * HEAD)] {
            let mut one = block(0, items);
            let failed: Result<(), ()> = one.push_with(|out| {
                out.extend(b"half");
                Err(())
            });
            assert!(failed.is_err());
            assert_eq!((one.len(), one.size()), (items.len(), size));
        }
    }

    #[test]
    fn a_queue_gives_runs_in_order_and_takes_them_back_in_front() {
        let mut queue = SpanQueue::default();
        queue.push_back(Span::whole(block(0, &["a", "b", "c"])));
        queue.push_back(Span::whole(block(3, &["d"])));
        assert_eq!(queue.items(), 4);
        let bytes = queue.bytes();
        let run = queue.take(2).expect("there are items");
        assert_eq!(queue.bytes(), bytes - run.size());
        queue.put_back(run);
        assert_eq!((queue.items(), queue.bytes(), queue.first_index()), (4, bytes, Some(0)));
        let (first, second) = (queue.take(1).expect("0"), queue.take(1).expect("1"));
        queue.put_back(first);
        queue.put_back(second);
        assert_eq!(queue.first_index(), Some(0), "whichever comes back last");
        let order: Vec<u64> = std::iter::from_fn(|| queue.take(10)).map(|s| s.first()).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
