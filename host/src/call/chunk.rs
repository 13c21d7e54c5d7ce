//! How many items travel together: an economy, decided from the measured cost of items.
//!
//! This module must not change what is computed or in which order it is given out.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Worth of work in one chunk: long against a hand-over (some 20 µs), short against a human.
const TARGET: Duration = Duration::from_millis(4);
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
    /// Items that are handed over next.
    pub(crate) items: usize,
    /// Items that may be outstanding when they are.
    pub(crate) ahead: usize,
    /// Fewer than this are not worth it while others are outstanding.
    pub(crate) least: usize,
}

/// What a call has for its workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supply {
    /// Items that wait.
    pub(crate) queued: usize,
    /// Workers that they wait for.
    pub(crate) processes: usize,
    /// Whether more may come, and then how many at most are out at a time.
    pub(crate) window: Option<u64>,
}

impl Chunk {
    /// Plans what to hand over next.
    pub(crate) fn plan(self, cost: &Cost, supply: Supply) -> Plan {
        let Supply { queued, processes, window } = supply;
        let processes = processes.max(1);
        let ideal = cost.ideal();
        // Towards the end there is less of it, so that all workers finish together.
        let shares = if window.is_none() { 2 * processes } else { processes };
        let share = ideal.min(queued.div_ceil(shares)).max(1);
        let (items, one) = match self {
            // As many whole chunks as fit: they can be taken back one by one, and a hand-over for
            // each would cost more than quick items do.
            Self::Size(size) => ((share / size).max(1).saturating_mul(size.get()), size.get()),
            Self::Auto => (share, 1),
        };
        let slow = cost.per_item().is_none_or(|cost| cost >= SLOW);
        if slow {
            return Plan { items, ahead: 0, least: 1 };
        }
        // A call whose input is slower than its workers is not to be given out in crumbs.
        let part = |window: u64| usize::try_from(window).unwrap_or(usize::MAX) / (4 * processes);
        let least = window.map_or(1, |window| part(window).min(ideal / 4).max(1));
        Plan { items, ahead: ideal.max(one).div_ceil(2), least }
    }

    /// Items that travel together as it is now, for the default window. Of quick ones that is
    /// several chunks of an explicit size: a window of a few would be used up at every wake-up.
    pub(crate) fn travel(self, cost: &Cost) -> usize {
        match self {
            Self::Size(size) => cost.ideal().max(size.get()),
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

    fn plan(chunk: Chunk, nanos: u64, queued: usize, window: Option<u64>) -> Plan {
        chunk.plan(&cost(nanos), Supply { queued, processes: 2, window })
    }

    #[test]
    fn unknown_and_slow_items_travel_alone_and_are_not_prefetched() {
        let alone = Plan { items: 1, ahead: 0, least: 1 };
        let supply = Supply { queued: 1000, processes: 2, window: Some(u64::MAX) };
        assert_eq!(Chunk::Auto.plan(&Cost::default(), supply), alone);
        assert_eq!(plan(Chunk::Auto, 100_000_000, 1000, Some(u64::MAX)), alone);
    }

    #[test]
    fn quick_items_travel_together_and_fewer_of_them_at_the_end() {
        assert_eq!(plan(Chunk::Auto, 10, 1_000_000, Some(u64::MAX)).items, MOST);
        assert_eq!(plan(Chunk::Auto, 10_000, 1_000_000, Some(u64::MAX)).items, 400);
        assert_eq!(plan(Chunk::Auto, 100, 100, None).items, 25);
        assert_eq!(plan(Chunk::Auto, 100, 0, None).items, 1);
    }

    #[test]
    fn crumbs_are_not_handed_over_behind_others_but_in_a_small_window() {
        assert_eq!(plan(Chunk::Auto, 10_000, 10, Some(u64::MAX)).least, 100);
        assert_eq!(plan(Chunk::Auto, 10_000, 10, Some(64)).least, 8);
        assert_eq!(plan(Chunk::Auto, 10_000, 10, Some(1)).least, 1);
        assert_eq!(plan(Chunk::Auto, 10_000, 10, None).least, 1, "no more will come");
    }

    #[test]
    fn an_explicit_size_is_that_of_what_travels_together() {
        let seven = Chunk::Size(NonZeroUsize::new(7).expect("not zero"));
        assert_eq!(plan(seven, 100_000_000, 2, None).items, 7);
        assert_eq!(plan(seven, 10_000, 1000, Some(u64::MAX)).items, 399, "several at a time");
        assert_eq!(plan(seven, 10_000, 10, Some(u64::MAX)).items, 7);
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
