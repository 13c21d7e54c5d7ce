//! The outcomes of one call: each item's exactly once, given out in the order the call wants.
//!
//! This module must not know where outcomes come from, nor wait for them.

use super::run::Run;
use std::collections::BTreeMap;
use std::ops::Range;

/// The order in which outcomes are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the input.
    Input,
    /// That of their ends.
    Completion,
}

/// All outcomes of a call that were not given out yet.
#[derive(Debug)]
pub(crate) struct Store {
    order: Order,
    accepted: u64,
    ended: u64,
    /// Items that have not ended.
    waiting: Indexes,
    /// Outcomes that are here: by the index of their first item, or by the number of their arrival.
    runs: BTreeMap<u64, Run>,
    /// The key of the run that is given out next, or of the one that arrives next.
    next: u64,
    /// Outcomes are thrown away.
    discards: bool,
}

impl Store {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            accepted: 0,
            ended: 0,
            waiting: Indexes::default(),
            runs: BTreeMap::new(),
            next: 0,
            discards: false,
        }
    }

    /// Items that were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Items that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// Throws outcomes away from now on, those that are here included.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.runs.clear();
    }

    /// Accepts `n` more items.
    pub(crate) fn accept(&mut self, n: usize) {
        let from = self.accepted;
        self.accepted += n as u64;
        self.waiting.add(from..self.accepted);
    }

    /// Ends the items of a run, but for those that have ended before: that is what makes the first
    /// word about an item the only one. `heard` is told of what was the first word.
    pub(crate) fn end(&mut self, mut run: Run, mut heard: impl FnMut(&Run)) {
        let end = run.index() + run.len();
        while let Some(part) = self.waiting.take(run.index()..end) {
            // What ended before is dropped, lowest index first.
            run.skip(part.start - run.index());
            let first_word = run.take_front(part.end - part.start);
            heard(&first_word);
            self.ended += first_word.len();
            self.keep(first_word);
        }
    }

    /// Ends every item that has not ended, as runs that `end` makes.
    pub(crate) fn end_all(&mut self, end: impl Fn(Range<u64>) -> Run) -> u64 {
        let mut ended = 0;
        while let Some(rest) = self.waiting.take(0..self.accepted) {
            ended += rest.end - rest.start;
            self.keep(end(rest));
        }
        self.ended += ended;
        ended
    }

    fn keep(&mut self, run: Run) {
        if self.discards {
            return;
        }
        let key = match self.order {
            Order::Input => run.index(),
            Order::Completion => {
                self.next += 1;
                self.next
            }
        };
        self.runs.insert(key, run);
    }

    /// Whether there are outcomes to give out.
    pub(crate) fn has_next(&self) -> bool {
        let first = self.runs.first_key_value();
        first.is_some_and(|(key, _)| self.order == Order::Completion || *key == self.next)
    }

    /// Gives out the next outcomes, if they are there.
    pub(crate) fn pop(&mut self) -> Option<Run> {
        let first = self.runs.first_entry()?;
        if self.order == Order::Input {
            if *first.key() != self.next {
                return None;
            }
            self.next += first.get().len();
        }
        Some(first.remove())
    }

    /// With [`Order::Input`]: index of the item that all later ones wait for.
    pub(crate) fn head(&self) -> u64 {
        self.next
    }

    /// Looks at all outcomes in input order without giving them out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }
}

/// A set of indexes, mostly long runs of them: each run's end by its start.
#[derive(Debug, Default)]
struct Indexes(BTreeMap<u64, u64>);

impl Indexes {
    /// Adds indexes behind all others.
    fn add(&mut self, range: Range<u64>) {
        match self.0.last_entry() {
            Some(mut last) if *last.get() == range.start => *last.get_mut() = range.end,
            _ if range.is_empty() => {}
            _ => drop(self.0.insert(range.start, range.end)),
        }
    }

    /// Takes the first run of them out that lies in `range`.
    fn take(&mut self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let around = self.0.range(..=range.start).next_back();
        let around = around.filter(|(_, end)| **end > range.start);
        let (&start, &end) = around.or_else(|| self.0.range(range.clone()).next())?;
        let taken = start.max(range.start)..end.min(range.end);
        match self.0.get_mut(&start) {
            Some(end) if start < taken.start => *end = taken.start,
            _ => drop(self.0.remove(&start)),
        }
        if taken.end < end {
            self.0.insert(taken.end, end);
        }
        Some(taken)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some of them of one")]
mod tests {
    use super::*;
    use crate::outcome::TaskErrorKind;

    fn run(items: Range<u64>) -> Run {
        Run::stopped(items, TaskErrorKind::TimedOut, None)
    }

    /// Ends items and gives those for which this was the first word.
    fn end(store: &mut Store, items: Range<u64>) -> Vec<Range<u64>> {
        let mut heard = Vec::new();
        store.end(run(items), |run| heard.push(run.index()..run.index() + run.len()));
        heard
    }

    fn drain(store: &mut Store) -> Vec<Range<u64>> {
        std::iter::from_fn(|| store.pop()).map(|run| run.index()..run.index() + run.len()).collect()
    }

    #[test]
    fn input_order_waits_for_the_first() {
        let mut store = Store::new(Order::Input);
        store.accept(3);
        assert_eq!(end(&mut store, 1..3), [1..3]);
        assert_eq!(drain(&mut store), []);
        assert_eq!(end(&mut store, 0..1), [0..1]);
        assert_eq!(drain(&mut store), [0..1, 1..3]);
        assert_eq!((store.accepted(), store.ended()), (3, 3));
    }

    #[test]
    fn completion_order_gives_what_is_there() {
        let mut store = Store::new(Order::Completion);
        store.accept(3);
        assert!(end(&mut store, 2..3) == [2..3] && end(&mut store, 0..1) == [0..1]);
        assert_eq!(drain(&mut store), [2..3, 0..1]);
        assert_eq!((store.accepted(), store.ended()), (3, 2));
    }

    #[test]
    fn an_item_ends_once_and_only_if_it_was_accepted() {
        for order in [Order::Input, Order::Completion] {
            let mut store = Store::new(order);
            store.accept(2);
            assert_eq!(end(&mut store, 2..5), [], "never accepted");
            assert_eq!(end(&mut store, 0..1), [0..1]);
            assert_eq!(end(&mut store, 0..1), [], "ended before");
            assert_eq!(drain(&mut store), [0..1]);
            assert_eq!(end(&mut store, 0..1), [], "given out before");
            assert_eq!(store.ended(), 1);
            assert_eq!(end(&mut store, 0..9), [1..2], "but for the one that waits");
            assert_eq!(store.ended(), 2);
        }
    }

    #[test]
    fn an_item_that_takes_for_ever_costs_nothing_for_others() {
        let mut store = Store::new(Order::Completion);
        const MANY: u64 = 100_000;
        store.accept(MANY as usize);
        for index in 1..MANY {
            assert_eq!(end(&mut store, index..index + 1), [index..index + 1]);
        }
        assert_eq!(drain(&mut store).len() as u64, MANY - 1);
        assert_eq!(store.waiting.0.len(), 1);
        assert_eq!((store.accepted(), store.ended()), (MANY, MANY - 1));
        assert_eq!(end(&mut store, 0..1), [0..1], "late");
        assert!(end(&mut store, 0..1).is_empty(), "and once");
        assert_eq!(drain(&mut store), [0..1]);
        assert_eq!(store.ended(), MANY);
    }

    #[test]
    fn ending_all_ends_just_those_that_wait() {
        let mut store = Store::new(Order::Input);
        store.accept(5);
        end(&mut store, 1..2);
        end(&mut store, 3..4);
        assert_eq!(store.end_all(run), 3);
        assert_eq!(drain(&mut store), [0..1, 1..2, 2..3, 3..4, 4..5]);
        assert_eq!((store.ended(), store.end_all(run)), (5, 0));
    }

    #[test]
    fn what_is_discarded_still_ends_once() {
        let mut store = Store::new(Order::Input);
        store.accept(3);
        end(&mut store, 0..1);
        store.discard();
        assert_eq!(end(&mut store, 0..3), [1..3]);
        assert_eq!(drain(&mut store), []);
        assert_eq!(store.ended(), 3);
    }
}
