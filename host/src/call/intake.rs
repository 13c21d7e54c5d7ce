//! Where a feeder shows items, one at a time, without the call's lock: a queue of words between the
//! feeder and whoever holds that lock.
//!
//! This module must not wait, and must not decide what is accepted.
//!
//! An item must be seen before its feeder pulls the next one, which may block for ever. Taking the
//! call's lock for each cost as much as all else that a trivial item needs of the host.

use super::block::Block;
use super::stock::Stock;
use crate::ring::frame::{ALIGN, HEAD, Head, ItemKind, Layout, Size};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Words that it has room for. What does not fit goes through the lock.
const ROOM: usize = 1 << 14;
const WORD: usize = size_of::<u64>();

/// Items that were shown and not taken, as they travel. One thread shows, and one at a time takes.
#[derive(Debug)]
pub(crate) struct Intake {
    words: OnceLock<Box<[AtomicU64]>>,
    /// How they lie there: a size, or one of the numbers below.
    layout: AtomicU32,
    /// Counts words, and the items of the call's queue.
    pub(super) stock: Stock,
}

/// Nothing was shown so far.
const UNKNOWN: u32 = u32::MAX;
const FRAMED: u32 = u32::MAX - 1;

impl Default for Intake {
    fn default() -> Self {
        let layout = AtomicU32::new(UNKNOWN);
        Self { words: OnceLock::new(), layout, stock: Stock::default() }
    }
}

impl Intake {
    /// Feeder: shows an item, whose frame is given. False if there is no room for it, or if it lies
    /// otherwise than those before it.
    #[inline]
    pub(super) fn show(&self, frame: &[u8]) -> bool {
        const { assert!(WORD == ALIGN && HEAD == WORD) };
        let words = self.words.get_or_init(|| (0..ROOM).map(|_| AtomicU64::new(0)).collect());
        let Some(item) = self.part(frame) else { return false };
        let (from, used) = self.stock.shown();
        let len = item.len() / WORD;
        if len > ROOM - used {
            return false;
        }
        for (at, word) in item.chunks_exact(WORD).enumerate() {
            let place = words.get(from.wrapping_add(at) % ROOM);
            if let (Some(place), Some(word)) = (place, word.first_chunk()) {
                place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
        }
        self.stock.show(from.wrapping_add(len));
        true
    }

    /// Whether items were of one size so far, and are shown without their heads.
    #[inline]
    pub(super) fn shows_bytes(&self) -> bool {
        matches!(self.layout(), Some(Layout::Fixed(_)))
    }

    /// Feeder: shows an item as [`show`](Self::show) does, whose bytes alone are given.
    #[inline]
    pub(super) fn show_bytes(&self, item: &[u8]) -> bool {
        let (Some(Layout::Fixed(size)), Some(words)) = (self.layout(), self.words.get()) else {
            return false;
        };
        let (from, used) = self.stock.shown();
        let len = size.stride() / WORD;
        if item.len() != size.bytes() || len > ROOM - used {
            return false;
        }
        for at in 0..len {
            let mut word = [0; WORD];
            let bytes = item.get(at * WORD..).unwrap_or(&[]);
            match bytes.first_chunk() {
                Some(whole) => word = *whole,
                None => word.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte),
            }
            if let Some(place) = words.get(from.wrapping_add(at) % ROOM) {
                place.store(u64::from_le_bytes(word), Ordering::Relaxed);
            }
        }
        self.stock.show(from.wrapping_add(len));
        true
    }

    /// What of a frame is shown: of an item that is like all others, its bytes alone.
    #[inline]
    fn part<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        match self.layout() {
            Some(Layout::Framed) => Some(frame),
            Some(Layout::Fixed(size)) if size_of_item(frame) == Some(size.bytes()) => {
                // Of one without bytes, the head takes the place of the word that it has.
                frame.get(frame.len().checked_sub(size.stride())?..)
            }
            _ => None,
        }
    }

    /// How items lie here, once there was one.
    #[inline]
    fn layout(&self) -> Option<Layout> {
        match self.layout.load(Ordering::Relaxed) {
            UNKNOWN => None,
            size => Some(Size::of(size as usize).map_or(Layout::Framed, Layout::Fixed)),
        }
    }

    /// Feeder, holding the lock, with nothing shown: items lie from now on so that this one can be
    /// shown. Those that were not of one size once are framed for good.
    pub(super) fn lay_out_for(&self, frame: &[u8]) {
        if self.part(frame).is_some() {
            return;
        }
        let size = size_of_item(frame).and_then(Size::of);
        let layout = match (self.layout(), size) {
            // At most 1024, so it fits.
            (None, Some(size)) => size.bytes() as u32,
            _ => FRAMED,
        };
        self.layout.store(layout, Ordering::Relaxed);
    }

    /// Holder of the lock: whether there is something to take.
    #[inline]
    pub(super) fn has_items(&self) -> bool {
        let (from, to) = self.stock.to_move();
        from != to
    }

    /// Holder of the lock: whether what is here can be moved behind the items of a block.
    pub(super) fn suits(&self, block: &Block) -> bool {
        self.layout().is_none_or(|layout| block.takes(layout))
    }

    /// Holder of the lock: moves all items behind those of a block, which must suit. The number of
    /// those that are queued must be told to the stock afterwards.
    pub(super) fn take(&self, block: &mut Block) {
        let (Some(words), Some(layout)) = (self.words.get(), self.layout()) else { return };
        let (moved, shown) = self.stock.to_move();
        self.stock.moving();
        let (from, len) = (moved % ROOM, shown.wrapping_sub(moved));
        let end = (from + len).min(ROOM);
        let piece = |range: Range<usize>| words.get(range).unwrap_or(&[]);
        block.push_words([piece(from..end), piece(0..len - (end - from))], layout);
        self.stock.moved(shown);
    }

    /// Holder of the lock: throws all items away.
    pub(super) fn clear(&self) {
        let (_, shown) = self.stock.to_move();
        self.stock.moved(shown);
    }
}

/// Bytes of the item in a frame.
#[inline]
fn size_of_item(frame: &[u8]) -> Option<usize> {
    let head = Head::<ItemKind>::decode(*frame.first_chunk()?)?;
    usize::try_from(head.len).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::block::Span;
    use crate::ring::frame::append;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let appended = append(&mut frame, |out| {
            out.extend_from_slice(bytes);
            Ok::<(), ()>(())
        });
        assert!(appended.is_ok());
        frame
    }

    /// Shows an item as a feeder does that holds the lock.
    fn show(intake: &Intake, frame: &[u8]) -> bool {
        intake.lay_out_for(frame);
        intake.show(frame)
    }

    fn taken(intake: &Intake) -> Block {
        let mut block = Block::starting_at(7);
        assert!(intake.suits(&block));
        intake.take(&mut block);
        assert!(!intake.has_items());
        block
    }

    fn block(items: &[Vec<u8>]) -> Block {
        let mut block = Block::starting_at(7);
        items.iter().for_each(|item| block.push(item));
        block
    }

    #[test]
    fn what_is_shown_is_taken_as_it_was() {
        for size in [0, 1, 8, 9, Size::MOST] {
            let items: Vec<Vec<u8>> = (0..10_u8).map(|i| vec![i; size]).collect();
            let intake = Intake::default();
            assert!(show(&intake, &frame(&items[0])));
            assert_eq!(intake.show_bytes(&items[1]), intake.shows_bytes());
            let at = 1 + usize::from(intake.shows_bytes());
            assert!(items[at..].iter().all(|item| show(&intake, &frame(item))));
            assert!(!intake.show_bytes(&vec![0; size + 1]), "of another size");
            let (found, expected) = (Span::whole(taken(&intake)), Span::whole(block(&items)));
            assert_eq!((found.len(), found.size()), (10, expected.size()));
            assert_eq!(found.items().layout(), Layout::of(size));
            if size > 0 {
                assert_eq!(found.items().bytes, expected.items().bytes);
            }
        }
    }

    #[test]
    fn what_is_not_of_one_size_is_framed_from_then_on() {
        let intake = Intake::default();
        let items: Vec<Vec<u8>> = [5, 5, 6, 5].map(|len| vec![len; usize::from(len)]).to_vec();
        let frames: Vec<Vec<u8>> = items.iter().map(|item| frame(item)).collect();
        assert!(show(&intake, &frames[0]) && intake.show(&frames[1]));
        assert!(!intake.show(&frames[2]), "not without the lock");
        let two = taken(&intake);
        assert_eq!((two.len(), two.size()), (2, 16));
        assert!(show(&intake, &frames[2]) && intake.show(&frames[3]));
        assert!(!intake.suits(&two));
        let rest = taken(&intake);
        let framed: Vec<u8> = frames[2..].concat();
        assert_eq!(Span::whole(rest).items().bytes, framed);
    }

    #[test]
    fn it_goes_round_and_refuses_what_it_has_no_room_for() {
        let intake = Intake::default();
        let (large, small) = (frame(&[1; 8 * (ROOM - 100)]), frame(&[2; 8 * 50]));
        for _ in 0..10 {
            let mut block = Block::default();
            assert!(show(&intake, &large) && intake.show(&small));
            assert!(!intake.show(&small), "no room");
            intake.take(&mut block);
            assert_eq!((block.len(), block.size()), (2, large.len() + small.len()));
            assert!(intake.show(&small));
            intake.clear();
            assert!(!intake.has_items());
        }
        assert!(!intake.show(&frame(&[3; 8 * ROOM])), "never");
    }

    #[test]
    fn the_smallest_items_fill_it() {
        let intake = Intake::default();
        let item = frame(&[]);
        intake.lay_out_for(&item);
        let shown = std::iter::repeat_with(|| intake.show(&item)).take_while(|shown| *shown);
        assert_eq!(shown.count(), ROOM);
        assert_eq!(taken(&intake).len(), ROOM);
    }
}
