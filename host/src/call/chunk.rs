//! How many items travel together: an economy, decided from the measured cost of items.
//!
//! This module must not change what is computed or in which order it is given out.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Worth of work in one chunk: long against a hand-over (some 10 µs), short against a human.
const TARGET: Duration = Duration::from_millis(1);
/// Most items of one automatic chunk.
const MOST: usize = 4096;
/// From this cost on an item is not handed over before its worker is free: the gap between two
/// items is below a thousandth, and an item that waits behind another could have run elsewhere.
const SLOW: Duration = Duration::from_millis(20);

/// What the caller asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Chunk {
    /// Adapt to the measured cost.
    #[default]
    Auto,
    /// Exactly so many, except at the end of the input.
    Size(NonZeroUsize),
}

/// A running estimate of what one item costs a worker.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    nanos: Option<u64>,
}

impl Cost {
    /// Learns that `items` items took `elapsed` on one worker, hand-over included.
    pub(crate) fn learn(&mut self, items: usize, elapsed: Duration) {
        let Some(items) = u64::try_from(items).ok().filter(|n| *n > 0) else { return };
        let seen = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) / items;
        self.nanos = Some(match self.nanos {
            // Small first chunks overrate the cost (they carry the whole hand-over), so a lower
            // reading is believed at once, a higher one by half.
            Some(old) if seen > old => old.midpoint(seen),
            _ => seen,
        });
    }

    pub(crate) fn per_item(&self) -> Option<Duration> {
        self.nanos.map(Duration::from_nanos)
    }

    /// Items of the next automatic chunk, if there were enough of them.
    fn ideal(&self) -> usize {
        match self.nanos {
            None => 1,
            Some(nanos) => {
                let target = u64::try_from(TARGET.as_nanos()).unwrap_or(u64::MAX);
                usize::try_from(target / nanos.max(1)).unwrap_or(MOST).clamp(1, MOST)
            }
        }
    }
}

/// What a keeper should do next for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Items of the next chunk.
    pub(crate) items: usize,
    /// Items that may be outstanding when it is handed over.
    pub(crate) ahead: usize,
}

impl Chunk {
    /// Plans the next chunk when `queued` items wait for `processes` workers.
    pub(crate) fn plan(self, cost: &Cost, queued: usize, processes: usize, last: bool) -> Plan {
        let items = match self {
            Self::Size(size) => size.get(),
            Self::Auto => {
                // Towards the end chunks shrink, so that all workers finish together.
                let shares = if last { 2 * processes } else { processes };
                cost.ideal().min(queued.div_ceil(shares.max(1))).max(1)
            }
        };
        let slow = cost.per_item().is_none_or(|cost| cost >= SLOW);
        let ahead = if slow { 0 } else { items.div_ceil(2) };
        Plan { items, ahead }
    }

    /// Items of a chunk as it is now, for the default window.
    pub(crate) fn size(self, cost: &Cost) -> usize {
        match self {
            Self::Size(size) => size.get(),
            Self::Auto => cost.ideal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(nanos: u64) -> Cost {
        let mut cost = Cost::default();
        cost.learn(1, Duration::from_nanos(nanos));
        cost
    }

    #[test]
    fn unknown_and_slow_items_travel_alone_and_are_not_prefetched() {
        let alone = Plan { items: 1, ahead: 0 };
        assert_eq!(Chunk::Auto.plan(&Cost::default(), 1000, 2, false), alone);
        assert_eq!(Chunk::Auto.plan(&cost(100_000_000), 1000, 2, false), alone);
    }

    #[test]
    fn quick_items_travel_together_and_fewer_of_them_at_the_end() {
        assert_eq!(Chunk::Auto.plan(&cost(100), 1_000_000, 2, false).items, MOST);
        assert_eq!(Chunk::Auto.plan(&cost(10_000), 1_000_000, 2, false).items, 100);
        assert_eq!(Chunk::Auto.plan(&cost(100), 100, 2, true).items, 25);
        assert_eq!(Chunk::Auto.plan(&cost(100), 0, 2, true).items, 1);
    }

    #[test]
    fn an_explicit_size_is_honoured() {
        let seven = Chunk::Size(NonZeroUsize::new(7).expect("not zero"));
        assert_eq!(seven.plan(&cost(100_000_000), 2, 8, true).items, 7);
    }

    #[test]
    fn a_lower_cost_is_believed_at_once_a_higher_one_by_half() {
        let mut cost = cost(1000);
        cost.learn(10, Duration::from_nanos(1000));
        assert_eq!(cost.per_item(), Some(Duration::from_nanos(100)));
        cost.learn(1, Duration::from_nanos(300));
        assert_eq!(cost.per_item(), Some(Duration::from_nanos(200)));
    }
}
