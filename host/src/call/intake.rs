//! Where a feeder shows items, one at a time, without the call's lock: a queue of words between the
//! feeder and whoever holds that lock.
//!
//! This module must not wait, and must not decide what is accepted.
//!
//! An item must be seen before its feeder pulls the next one, which may block for ever. Taking the
//! call's lock for each cost as much as all else that a trivial item needs of the host.

use super::block::Block;
use super::stock::Stock;
use crate::ring::frame::{ALIGN, HEAD};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words that it has room for. What does not fit goes through the lock.
const ROOM: usize = 1 << 14;
const WORD: usize = size_of::<u64>();

/// Items that were shown and not taken, as they travel. One thread shows, and one at a time takes.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    words: OnceLock<Box<[AtomicU64]>>,
    /// Counts words, and the items of the call's queue.
    pub(super) stock: Stock,
}

impl Intake {
    /// Feeder: shows the frame of an item. False if there is no room for it.
    #[inline]
    pub(super) fn show(&self, frame: &[u8]) -> bool {
        const { assert!(WORD == ALIGN && HEAD == WORD) };
        let words = self.words.get_or_init(|| (0..ROOM).map(|_| AtomicU64::new(0)).collect());
        let (from, used) = self.stock.shown();
        let len = frame.len() / WORD;
        if len > ROOM - used {
            return false;
        }
        for (at, word) in frame.chunks_exact(WORD).enumerate() {
            let place = words.get(from.wrapping_add(at) % ROOM);
            if let (Some(place), Some(word)) = (place, word.first_chunk()) {
                place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
        }
        self.stock.show(from.wrapping_add(len));
        true
    }

    /// Holder of the lock: whether there is something to take.
    #[inline]
    pub(super) fn has_items(&self) -> bool {
        let (from, to) = self.stock.to_move();
        from != to
    }

    /// Holder of the lock: moves all items behind those of a block. The number of those that are
    /// queued must be told to the stock afterwards.
    pub(super) fn take(&self, block: &mut Block) {
        let Some(words) = self.words.get() else { return };
        let (moved, shown) = self.stock.to_move();
        self.stock.moving();
        let (from, len) = (moved % ROOM, shown.wrapping_sub(moved));
        let end = (from + len).min(ROOM);
        let piece = |range: Range<usize>| words.get(range).unwrap_or(&[]);
        block.push_words([piece(from..end), piece(0..len - (end - from))]);
        self.stock.moved(shown);
    }

    /// Holder of the lock: throws all items away.
    pub(super) fn clear(&self) {
        let (_, shown) = self.stock.to_move();
        self.stock.moved(shown);
    }
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

    #[test]
    fn what_is_shown_is_taken_as_it_was() {
        let intake = Intake::default();
        let items: Vec<Vec<u8>> = (0..100_u8).map(|i| vec![i; usize::from(i)]).collect();
        let mut expected = Block::starting_at(7);
        for item in &items {
            expected.push(item);
            assert!(intake.show(&frame(item)));
        }
        let mut block = Block::starting_at(7);
        intake.take(&mut block);
        assert!(!intake.has_items());
        assert_eq!(Span::whole(block).frames().bytes, Span::whole(expected).frames().bytes);
    }

    #[test]
    fn it_goes_round_and_refuses_what_it_has_no_room_for() {
        let intake = Intake::default();
        let (large, small) = (frame(&[1; 8 * (ROOM - 100)]), frame(&[2; 8 * 50]));
        for _ in 0..10 {
            let mut block = Block::default();
            assert!(intake.show(&large) && intake.show(&small));
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
        let shown = std::iter::repeat_with(|| intake.show(&item)).take_while(|shown| *shown);
        assert_eq!(shown.count(), ROOM);
        let mut block = Block::default();
        intake.take(&mut block);
        assert_eq!((block.len(), intake.has_items()), (ROOM, false));
    }
}
