//! Whose worker is started when, while a pool comes up: a few at once, as there are processors.
//!
//! This module must not know workers or wait; it only keeps the line.
//!
//! Sixty workers that start at once on two processors are all late, the first as the last; and a pool
//! that ends soon has paid for all of them.

use std::collections::VecDeque;

/// The line.
#[derive(Debug)]
pub(crate) struct Turns {
    free: usize,
    waiting: VecDeque<usize>,
}

impl Turns {
    /// So many at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { free: at_once.max(1), waiting: VecDeque::new() }
    }

    /// Takes a turn for a seat; false if it has to wait in line for one.
    pub(crate) fn take(&mut self, seat: usize) -> bool {
        if self.free > 0 {
            self.free -= 1;
            return true;
        }
        self.waiting.push_back(seat);
        false
    }

    /// Whether a seat is in line. One that was and is no more has a turn.
    pub(crate) fn is_waiting(&self, seat: usize) -> bool {
        self.waiting.contains(&seat)
    }

    /// Takes a seat out of the line; false if it has a turn already.
    pub(crate) fn leave(&mut self, seat: usize) -> bool {
        let place = self.waiting.iter().position(|other| *other == seat);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// A turn is over. Gives the seat that has it now, if one waits.
    pub(crate) fn end(&mut self) -> Option<usize> {
        let next = self.waiting.pop_front();
        self.free += usize::from(next.is_none());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_pass_on_in_order_and_none_is_lost() {
        let mut turns = Turns::new(2);
        assert!(turns.take(0) && turns.take(1));
        assert!(!turns.take(2) && !turns.take(3) && !turns.take(4));
        assert_eq!(turns.end(), Some(2));
        assert!(!turns.is_waiting(2) && turns.is_waiting(3));
        assert!(turns.leave(3), "it goes without");
        assert!(!turns.leave(2), "it has a turn");
        assert_eq!(turns.end(), Some(4));
        assert_eq!((turns.end(), turns.end()), (None, None));
        assert!(turns.take(5) && turns.take(6) && !turns.take(7));
    }

    #[test]
    fn there_is_always_a_turn() {
        assert!(Turns::new(0).take(0));
    }
}
