//! The outcomes of one call: each item's exactly once, given out in the order the call wants.
//!
//! This module must not know where outcomes come from, nor wait for them.

use crate::outcome::{Logs, TaskError};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Slots kept with [`Order::Completion`]: one item that takes for ever must not keep a slot for each
/// item after it.
const SLOTS: usize = 1 << 16;

/// How one item ended. Small, as a call may hold millions of these.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    /// An encoded value: one of many that share a buffer.
    Value(Arc<Values>, u32),
    /// It has no value.
    Error(TaskError),
}

impl Out {
    /// The encoded value; empty for an error.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Value(values, at) => values.bytes(*at),
            Self::Error(_) => &[],
        }
    }

    /// Bytes that are held for it.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Value(values, at) => {
                let logs = values.mark(*at).map_or(0, |mark| mark.logs.size());
                self.bytes().len() as u64 + logs
            }
            Self::Error(error) => error.size(),
        }
    }

    /// How many times the item was started.
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Value(values, at) => values.mark(*at).map_or(1, |mark| mark.attempts),
            Self::Error(error) => error.attempts(),
        }
    }

    /// What the item wrote.
    pub(crate) fn logs(&self) -> Logs {
        match self {
            Self::Value(values, at) => {
                values.mark(*at).map(|mark| mark.logs.clone()).unwrap_or_default()
            }
            Self::Error(error) => error.logs().clone(),
        }
    }
}

/// Encoded values that came together, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// By place, for the few that have something to tell besides their value.
    marks: Vec<(u32, Mark)>,
}

#[derive(Debug)]
struct Mark {
    attempts: u32,
    logs: Logs,
}

impl Values {
    /// Where the next bytes go.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a value that lies in the buffer, and gives its place.
    pub(crate) fn add(&mut self, range: Range<usize>, attempts: u32, logs: Option<Logs>) -> u32 {
        // Far fewer come together than there are numbers.
        let place = u32::try_from(self.ranges.len()).unwrap_or(u32::MAX);
        if attempts > 1 || logs.is_some() {
            self.marks.push((place, Mark { attempts, logs: logs.unwrap_or_default() }));
        }
        self.ranges.push(range);
        place
    }

    fn bytes(&self, at: u32) -> &[u8] {
        let range = self.ranges.get(at as usize).cloned().unwrap_or_default();
        self.bytes.get(range).unwrap_or(&[])
    }

    fn mark(&self, at: u32) -> Option<&Mark> {
        let found = self.marks.binary_search_by_key(&at, |(place, _)| *place).ok()?;
        self.marks.get(found).map(|(_, mark)| mark)
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
    /// Index of the first slot. Every item before it has ended, but for stragglers.
    base: u64,
    slots: VecDeque<Slot>,
    /// With [`Order::Completion`]: items before `base` that still wait.
    stragglers: BTreeSet<u64>,
    /// With [`Order::Completion`]: what can be given out.
    ready: VecDeque<(u64, Out)>,
    ended: u64,
    /// Outcomes are thrown away.
    discards: bool,
}

impl Store {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            base: 0,
            slots: VecDeque::new(),
            stragglers: BTreeSet::new(),
            ready: VecDeque::new(),
            ended: 0,
            discards: false,
        }
    }

    /// Items that were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// Items that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// Throws outcomes away from now on, those that are here included.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.ready.clear();
        for slot in &mut self.slots {
            if let Slot::Ended(out) = slot {
                *out = None;
            }
        }
        self.forget_front();
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
        if self.stragglers.remove(&index) {
            if !self.discards {
                self.ready.push_back((index, out));
            }
            self.ended += 1;
            return true;
        }
        let Some(slot) = self.place(index).and_then(|place| self.slots.get_mut(place)) else {
            return false;
        };
        if !matches!(slot, Slot::Waiting) {
            return false;
        }
        match self.order {
            _ if self.discards => {
                *slot = Slot::Ended(None);
                self.forget_front();
            }
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
        loop {
            match self.slots.front() {
                Some(Slot::Ended(None)) => {}
                Some(Slot::Waiting)
                    if (self.discards || self.order == Order::Completion)
                        && self.slots.len() > SLOTS =>
                {
                    self.stragglers.insert(self.base);
                }
                _ => return,
            }
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
            .chain(self.stragglers.iter().copied())
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
        let mut values = Values::default();
        values.buffer().resize(tag, 0);
        let at = values.add(0..tag, 1, None);
        Out::Value(Arc::new(values), at)
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
    fn an_item_that_takes_for_ever_keeps_no_slots_of_others() {
        let mut store = Store::new(Order::Completion);
        let many = 3 * SLOTS as u64;
        store.accept(many as usize);
        for index in 1..many {
            assert!(store.end(index, out(0)), "item {index}");
        }
        assert_eq!(drain(&mut store).len() as u64, many - 1);
        assert!(store.slots.len() <= SLOTS && store.stragglers.len() == 1);
        assert_eq!((store.accepted(), store.ended()), (many, many - 1));
        assert!(store.end(0, out(7)) && !store.end(0, out(7)), "it ends late, and once");
        assert_eq!(drain(&mut store), [(0, 7)]);
        assert_eq!(store.ended(), many);
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
