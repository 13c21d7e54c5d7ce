//! The claim word: who may run which item, decided by single compare-and-swaps.
//!
//! This module must not touch item bytes; it is checked by loom in `tests/loom`.
//!
//! ```text
//! bit 63 ........ 33 | 32 ........ 2 |     1     |    0
//!     limit (31 bit) | claimed (31)  | condemned | running
//! ```
//!
//! `claimed` counts the items that were ever claimed, `limit` those that may be, both modulo 2^31.
//! The item with number `claimed - 1` runs while `running` is set. One word, because claiming,
//! recalling and condemning exclude each other only if they fight for the same bits: a recall that
//! could miss a claim would start an item twice, a condemnation that could miss an end would kill
//! the item after it.

use super::sync::{AtomicU64, Ordering};

const RUNNING: u64 = 1;
const CONDEMNED: u64 = 2;
const CLAIMED_SHIFT: u32 = 2;
const LIMIT_SHIFT: u32 = 33;
const COUNT_MASK: u64 = (1 << 31) - 1;

/// A count of items modulo 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(u32);

impl Count {
    pub(crate) const ZERO: Self = Self(0);

    fn new(bits: u64) -> Self {
        // Masked to 31 bits, so the cast keeps every bit.
        Self((bits & COUNT_MASK) as u32)
    }

    pub(crate) fn plus(self, n: u32) -> Self {
        Self::new(u64::from(self.0) + u64::from(n))
    }

    /// How far `self` is ahead of `earlier`.
    pub(crate) fn since(self, earlier: Self) -> u32 {
        Self::new(u64::from(self.0.wrapping_sub(earlier.0))).0
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self::new(u64::from(bits))
    }
}

/// One reading of the claim word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) claimed: Count,
    pub(crate) limit: Count,
    pub(crate) running: bool,
    pub(crate) condemned: bool,
}

impl Reading {
    fn decode(bits: u64) -> Self {
        Self {
            claimed: Count::new(bits >> CLAIMED_SHIFT),
            limit: Count::new(bits >> LIMIT_SHIFT),
            running: bits & RUNNING != 0,
            condemned: bits & CONDEMNED != 0,
        }
    }

    fn encode(self) -> u64 {
        u64::from(self.limit.0) << LIMIT_SHIFT
            | u64::from(self.claimed.0) << CLAIMED_SHIFT
            | if self.condemned { CONDEMNED } else { 0 }
            | if self.running { RUNNING } else { 0 }
    }
}

/// What the worker may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Run the item with this number.
    Item(Count),
    /// Nothing is published; the item before has ended.
    Empty,
    /// The item before was condemned: its result does not count and a kill is on its way.
    Condemned,
}

/// The host tried more often than any honest worker could make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contended;

// An honest worker changes the word once per item; losing this often means that it is being
// written in a loop to keep the host busy.
const HOST_ATTEMPTS: u32 = 10_000;

/// The claim word itself.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    #[allow(dead_code, reason = "only the model checker makes one: shared memory starts as zeros")]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn read(&self) -> Reading {
        Reading::decode(self.0.load(Ordering::Acquire))
    }

    /// Worker: ends the item it was running, if any, and claims the next.
    #[inline]
    pub(crate) fn claim(&self) -> Claim {
        let mut bits = self.0.load(Ordering::Acquire);
        loop {
            let now = Reading::decode(bits);
            if now.condemned {
                return Claim::Condemned;
            }
            let (next, answer) = if now.claimed == now.limit {
                if !now.running {
                    return Claim::Empty;
                }
                (Reading { running: false, ..now }, Claim::Empty)
            } else {
                let next = Reading { claimed: now.claimed.plus(1), running: true, ..now };
                (next, Claim::Item(now.claimed))
            };
            match self.swap(bits, next) {
                Ok(()) => return answer,
                Err(actual) => bits = actual,
            }
        }
    }

    /// Worker: ends the item it was running, if any, and claims none. False if it was condemned.
    pub(crate) fn end(&self) -> bool {
        let mut bits = self.0.load(Ordering::Acquire);
        loop {
            let now = Reading::decode(bits);
            if now.condemned {
                return false;
            }
            match self.swap(bits, Reading { running: false, ..now }) {
                Ok(()) => return true,
                Err(actual) => bits = actual,
            }
        }
    }

    /// Host: lets the worker claim `n` more items.
    pub(crate) fn publish(&self, n: u32) -> Result<(), Contended> {
        self.update(|now| Some(Reading { limit: now.limit.plus(n), ..now })).map(|_| ())
    }

    /// Host: takes back unclaimed items, all but `keep` of them. Gives the limit that now holds.
    pub(crate) fn recall(&self, keep: u32) -> Result<Count, Contended> {
        let lowered = |now: Reading| {
            let unclaimed = now.limit.since(now.claimed);
            (unclaimed > keep).then(|| Reading { limit: now.claimed.plus(keep), ..now })
        };
        Ok(match self.update(lowered)? {
            Ok(new) => new.limit,
            Err(unchanged) => unchanged.limit,
        })
    }

    /// Host: condemns the item with number `item`. False if it has ended already.
    pub(crate) fn condemn(&self, item: Count) -> Result<bool, Contended> {
        let condemned = |now: Reading| {
            let runs = now.running && now.claimed == item.plus(1);
            runs.then_some(Reading { condemned: true, ..now })
        };
        Ok(self.update(condemned)?.is_ok())
    }

    /// Applies `change` atomically: `Ok` with the new reading, `Err` with the one left unchanged.
    fn update(
        &self,
        change: impl Fn(Reading) -> Option<Reading>,
    ) -> Result<Result<Reading, Reading>, Contended> {
        let mut bits = self.0.load(Ordering::Acquire);
        for _ in 0..HOST_ATTEMPTS {
            let now = Reading::decode(bits);
            let Some(next) = change(now) else { return Ok(Err(now)) };
            match self.swap(bits, next) {
                Ok(()) => return Ok(Ok(next)),
                Err(actual) => bits = actual,
            }
        }
        Err(Contended)
    }

    fn swap(&self, from: u64, to: Reading) -> Result<(), u64> {
        self.0.compare_exchange(from, to.encode(), Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }
}
