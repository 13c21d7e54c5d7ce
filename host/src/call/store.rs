//! The outcomes of one call: each item's exactly once, given out in the order the call wants.
//!
//! This module must not know where outcomes come from, nor wait for them.

use crate::outcome::{Logs, TaskError};
use std::collections::VecDeque;
use std::sync::Arc;

/// How one item ended.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    /// An encoded value: a range of a buffer that many results share.
    Value { buffer: Arc<Vec<u8>>, start: usize, end: usize, attempts: u32, logs: Option<Box<Logs>> },
    /// It has no value.
    Error(TaskError),
}

impl Out {
    /// The encoded value; empty for an error.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Value { buffer, start, end, .. } => buffer.get(*start..*end).unwrap_or(&[]),
            Self::Error(_) => &[],
        }
    }

    /// Bytes that are held for it.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Value { start, end, .. } => (end - start) as u64,
            Self::Error(_) => 0,
        }
    }
}

/// The order in which outcomes are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the input.
    Input,
    /// That of their ends.
    Completion,
}

/// The state of an item that was accepted.
#[derive(Debug)]
enum Slot {
    Waiting,
    /// It has ended; its outcome is here, unless it was given out or waits in `ready`.
    Ended(Option<Out>),
}

/// All outcomes of a call that were not given out yet.
#[derive(Debug)]
pub(crate) struct Store {
    order: Order,
    /// Index of the first slot. Every item before it has ended and was given out.
    base: u64,
    slots: VecDeque<Slot>,
    /// With [`Order::Completion`]: what can be given out.
    ready: VecDeque<(u64, Out)>,
    ended: u64,
}

impl Store {
    pub(crate) fn new(order: Order) -> Self {
        Self { order, base: 0, slots: VecDeque::new(), ready: VecDeque::new(), ended: 0 }
    }

    /// Items that were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// Items that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// Accepts `n` more items.
    pub(crate) fn accept(&mut self, n: usize) {
        self.slots.extend(std::iter::repeat_with(|| Slot::Waiting).take(n));
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.base)?).ok()
    }

    /// Ends an item. False, and nothing changes, if it has ended before: that is what makes the
    /// first word about an item the only one.
    pub(crate) fn end(&mut self, index: u64, out: Out) -> bool {
        let Some(slot) = self.place(index).and_then(|place| self.slots.get_mut(place)) else {
            return false;
        };
        if !matches!(slot, Slot::Waiting) {
            return false;
        }
        match self.order {
            Order::Input => *slot = Slot::Ended(Some(out)),
            Order::Completion => {
                *slot = Slot::Ended(None);
                self.ready.push_back((index, out));
                self.forget_front();
            }
        }
        self.ended += 1;
        true
    }

    fn forget_front(&mut self) {
        while matches!(self.slots.front(), Some(Slot::Ended(None))) {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    /// Gives out the next outcome, if it is there.
    pub(crate) fn pop(&mut self) -> Option<(u64, Out)> {
        match self.order {
            Order::Completion => self.ready.pop_front(),
            Order::Input => {
                let Some(Slot::Ended(out)) = self.slots.front_mut() else { return None };
                let out = out.take()?;
                let index = self.base;
                self.forget_front();
                Some((index, out))
            }
        }
    }

    /// With [`Order::Input`]: index of the item that all later ones wait for.
    pub(crate) fn head(&self) -> u64 {
        self.base
    }

    /// Looks at all outcomes in input order without giving them out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Out> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Ended(out) => out.as_ref(),
            Slot::Waiting => None,
        })
    }

    /// Ends every item that still waits with what `out` says for its index.
    pub(crate) fn end_all(&mut self, mut out: impl FnMut(u64) -> Out) -> u64 {
        let waiting: Vec<u64> = (self.base..)
            .zip(&self.slots)
            .filter(|(_, slot)| matches!(slot, Slot::Waiting))
            .map(|(index, _)| index)
            .collect();
        for &index in &waiting {
            self.end(index, out(index));
        }
        waiting.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, TaskErrorKind};

    fn out(tag: usize) -> Out {
        let buffer = Arc::new(vec![0; tag]);
        Out::Value { buffer, start: 0, end: tag, attempts: 1, logs: None }
    }

    fn drain(store: &mut Store) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| store.pop()).map(|(index, out)| (index, out.size())).collect()
    }

    #[test]
    fn input_order_waits_for_the_first() {
        let mut store = Store::new(Order::Input);
        store.accept(3);
        assert!(store.end(2, out(2)) && store.end(1, out(1)));
        assert_eq!(drain(&mut store), []);
        assert!(store.end(0, out(0)));
        assert_eq!(drain(&mut store), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!((store.accepted(), store.ended()), (3, 3));
    }

    #[test]
    fn completion_order_gives_what_is_there() {
        let mut store = Store::new(Order::Completion);
        store.accept(3);
        assert!(store.end(2, out(2)) && store.end(0, out(0)));
        assert_eq!(drain(&mut store), [(2, 2), (0, 0)]);
        assert_eq!((store.accepted(), store.ended()), (3, 2));
    }

    #[test]
    fn an_item_ends_once_and_only_if_it_was_accepted() {
        for order in [Order::Input, Order::Completion] {
            let mut store = Store::new(order);
            store.accept(2);
            assert!(!store.end(2, out(1)), "never accepted");
            assert!(store.end(0, out(1)));
            assert!(!store.end(0, out(9)), "ended before");
            assert_eq!(drain(&mut store), [(0, 1)]);
            assert!(!store.end(0, out(9)), "given out before");
            assert_eq!(store.ended(), 1);
        }
    }

    #[test]
    fn ending_all_ends_just_those_that_wait() {
        let mut store = Store::new(Order::Input);
        store.accept(3);
        store.end(1, out(1));
        let error = |index| {
            let failure = Failure::new(TaskErrorKind::Terminated, "");
            Out::Error(TaskError::new(index, 0, failure, Logs::default()))
        };
        assert_eq!(store.end_all(error), 2);
        let kinds: Vec<bool> =
            std::iter::from_fn(|| store.pop()).map(|(_, o)| matches!(o, Out::Error(_))).collect();
        assert_eq!(kinds, [true, false, true]);
    }
}
