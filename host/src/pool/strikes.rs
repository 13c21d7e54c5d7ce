//! Which seats cannot keep a worker, how long each of them pauses, and when that is the end of the
//! pool.
//!
//! This module must not know workers or read a clock: it is told what happened, and when.
//!
//! A seat *fails* when its workers end again and again before they end an item, or when the system
//! has had no room for one for some seconds. It then pauses longer and longer before it tries
//! again, so that no seat makes a spawn storm; the pool goes on with the others. Only when every
//! seat fails can nothing be done for anybody, and the pool breaks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Early ends of workers that break a pool, besides one for each of its seats.
const STRIKES: usize = 5;
/// A pool breaks only if each of its seats has at least so many of them.
const EACH: usize = 2;
/// How long the end of an idle worker is remembered.
const STRIKE_TIME: Duration = Duration::from_secs(10);
/// How long there may be no room for a worker before that counts as failing.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause, doubled with every further strike.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What tells against a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Its idle worker ended: somebody may have wanted that. Forgotten after [`STRIKE_TIME`].
    Passing,
    /// Its worker ended, or did not become ready, before it had ended an item. Remembered until an
    /// item has ended on this seat: what fails slowly must not fail for ever.
    Lasting,
    /// The system has no room for a worker just now.
    NoRoom,
    /// Its worker can never be one: another build, an artifact that it cannot load, no program.
    Refused,
    /// Nothing that the pool promises can be kept.
    Fatal,
}

/// What follows from a strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The seat tries again after this time.
    Pause(Duration),
    /// Nothing can be run any more.
    Break,
}

/// The strikes of all seats.
#[derive(Debug)]
pub(crate) struct Strikes {
    seats: Vec<Record>,
    /// Items at whose turn a worker ended without having begun them.
    suspects: VecDeque<Suspicion>,
}

/// An item at whose turn a worker ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    /// Its call's number, and its index.
    pub(crate) item: (u64, u64),
    pub(crate) seat: usize,
    /// Items have ended on this seat before, so its workers are none that can do nothing.
    pub(crate) proven: bool,
}

#[derive(Debug)]
struct Suspicion {
    first: Suspect,
    /// Some seat was proven, or there were several.
    certain: bool,
    times: u32,
    last: Instant,
}

/// Workers that end at an item's turn before it is blamed. Not fewer: whoever gives a result and
/// then dies brings suspicion on the item behind it.
const SUSPICIONS: u32 = 3;
/// Suspects that are remembered.
const SUSPECTS: usize = 64;

#[derive(Debug, Default)]
struct Record {
    early: VecDeque<(Strike, Instant)>,
    /// Since when there is no room, and how often that was found out.
    no_room: Option<(Instant, u32)>,
    refused: bool,
}

impl Record {
    fn forget(&mut self, now: Instant) {
        self.early.retain(|(strike, at)| {
            *strike != Strike::Passing || now.saturating_duration_since(*at) < STRIKE_TIME
        });
    }

    fn starves(&self, now: Instant) -> bool {
        self.no_room.is_some_and(|(since, _)| now.saturating_duration_since(since) >= PATIENCE)
    }

    fn fails(&self, now: Instant) -> bool {
        self.early.len() >= EACH || self.starves(now) || self.refused
    }
}

impl Strikes {
    pub(crate) fn new(seats: usize) -> Self {
        let seats = (0..seats).map(|_| Record::default()).collect();
        Self { seats, suspects: VecDeque::new() }
    }

    /// Notes a strike against a seat.
    pub(crate) fn add(&mut self, seat: usize, strike: Strike, now: Instant) -> Verdict {
        self.seats.iter_mut().for_each(|record| record.forget(now));
        let Some(record) = self.seats.get_mut(seat) else { return Verdict::Break };
        let pause = match strike {
            Strike::Fatal => return Verdict::Break,
            Strike::NoRoom => {
                let (_, times) = record.no_room.get_or_insert((now, 0));
                *times = times.saturating_add(1);
                pause(*times)
            }
            Strike::Refused => {
                record.refused = true;
                LONGEST_PAUSE
            }
            Strike::Passing | Strike::Lasting => {
                record.no_room = None;
                record.early.push_back((strike, now));
                // The first one costs no time: a worker that was killed is replaced at once.
                let before = record.early.len().saturating_sub(1);
                pause(u32::try_from(before).unwrap_or(u32::MAX))
            }
        };
        let all_fail = self.seats.iter().all(|record| record.fails(now));
        let early: usize = self.seats.iter().map(|record| record.early.len()).sum();
        let hopeless = self.seats.iter().any(|record| record.starves(now) || record.refused);
        if all_fail && (hopeless || early >= STRIKES + self.seats.len()) {
            return Verdict::Break;
        }
        Verdict::Pause(pause)
    }

    /// A worker ended when it was this item's turn. True if that has happened too often, and not
    /// just to workers of one seat that can do nothing: then it is the item, or rather a worker
    /// that says it had not begun it and lies.
    pub(crate) fn suspect(&mut self, now: Instant, suspect: Suspect) -> bool {
        self.suspects.retain(|known| now.saturating_duration_since(known.last) < STRIKE_TIME);
        let known = self.suspects.iter().position(|known| known.first.item == suspect.item);
        let mut known = known.and_then(|at| self.suspects.remove(at)).unwrap_or(Suspicion {
            first: suspect,
            certain: false,
            times: 0,
            last: now,
        });
        known.certain |= suspect.proven || suspect.seat != known.first.seat;
        known.times = known.times.saturating_add(1);
        known.last = now;
        if known.certain && known.times >= SUSPICIONS {
            return true;
        }
        self.suspects.truncate(SUSPECTS - 1);
        self.suspects.push_front(known);
        false
    }

    /// A worker is ready on a seat: there is room, and it is none that can never be one.
    pub(crate) fn ready(&mut self, seat: usize) {
        if let Some(record) = self.seats.get_mut(seat) {
            record.no_room = None;
            record.refused = false;
        }
    }

    /// Items have ended on a seat.
    pub(crate) fn worked(&mut self, seat: usize) {
        if let Some(record) = self.seats.get_mut(seat) {
            *record = Record::default();
        }
    }
}

/// The pause after the `n`-th strike that costs one.
fn pause(n: u32) -> Duration {
    match n {
        0 => Duration::ZERO,
        n => FIRST_PAUSE.saturating_mul(1 << (n - 1).min(16)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Strikes one seat as soon as it tries again, until the pool breaks or `time` is over. Gives
    /// how often it tried, and whether the pool broke.
    fn loop_on(strikes: &mut Strikes, strike: Strike, time: Duration) -> (usize, bool) {
        let start = Instant::now();
        let (mut at, mut tries) = (start, 0);
        while at < start + time {
            tries += 1;
            match strikes.add(0, strike, at) {
                Verdict::Break => return (tries, true),
                Verdict::Pause(pause) => at += pause + ms(2),
            }
        }
        (tries, false)
    }

    #[test]
    fn one_death_costs_no_pause() {
        let mut strikes = Strikes::new(1);
        let now = Instant::now();
        assert_eq!(strikes.add(0, Strike::Passing, now), Verdict::Pause(Duration::ZERO));
        strikes.worked(0);
        assert_eq!(strikes.add(0, Strike::Lasting, now), Verdict::Pause(Duration::ZERO));
        assert_eq!(strikes.add(0, Strike::Lasting, now), Verdict::Pause(ms(10)));
        assert_eq!(strikes.add(0, Strike::Lasting, now), Verdict::Pause(ms(20)));
    }

    #[test]
    fn a_seat_beside_one_that_works_pauses_longer_and_longer_and_never_breaks_the_pool() {
        for strike in [Strike::Lasting, Strike::Passing, Strike::NoRoom] {
            let mut strikes = Strikes::new(2);
            let (tries, broke) = loop_on(&mut strikes, strike, Duration::from_secs(100));
            // Some seven until the pause is a second long, or ten while they are remembered.
            assert!(!broke && (90..=200).contains(&tries), "{strike:?}: {tries}");
        }
    }

    #[test]
    fn a_pool_of_which_no_seat_works_breaks_soon() {
        for strike in [Strike::Lasting, Strike::Passing] {
            let (tries, broke) = loop_on(&mut Strikes::new(1), strike, Duration::from_secs(100));
            assert!(broke && tries == 6, "{strike:?}: {tries}");
        }
        let mut strikes = Strikes::new(3);
        let now = Instant::now();
        let verdicts: Vec<_> = (0..9).map(|n| strikes.add(n % 3, Strike::Lasting, now)).collect();
        let broken = verdicts.iter().position(|verdict| *verdict == Verdict::Break);
        assert_eq!(broken, Some(7), "{verdicts:?}");
    }

    #[test]
    fn want_of_room_is_waited_out_for_some_seconds_and_then_breaks_a_pool_without_workers() {
        let mut strikes = Strikes::new(1);
        let (tries, broke) = loop_on(&mut strikes, Strike::NoRoom, Duration::from_secs(100));
        assert!(broke && (10..=20).contains(&tries), "{tries}");
        let mut strikes = Strikes::new(1);
        let (_, broke) = loop_on(&mut strikes, Strike::NoRoom, ms(4500));
        assert!(!broke);
        strikes.ready(0);
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(strikes.add(0, Strike::NoRoom, later), Verdict::Pause(ms(10)));
    }

    #[test]
    fn an_item_at_which_several_workers_end_is_blamed() {
        let mut strikes = Strikes::new(2);
        let now = Instant::now();
        let of = |call, seat, proven| Suspect { item: (call, 7), seat, proven };
        let mut ends = |suspects: &[Suspect]| -> Vec<bool> {
            suspects.iter().map(|suspect| strikes.suspect(now, *suspect)).collect()
        };
        let proven = [of(1, 0, true), of(1, 0, false), of(1, 0, false), of(1, 0, true)];
        assert_eq!(ends(&proven), [false, false, true, false], "and then it is settled");
        let one_seat = [of(2, 0, false); 10];
        assert_eq!(ends(&one_seat), [false; 10], "it may be the seat");
        assert_eq!(ends(&[of(2, 1, false)]), [true], "it is not the seat");
        let turns = [of(3, 0, false), of(4, 0, false), of(3, 1, false), of(4, 1, false)];
        assert_eq!(ends(&turns), [false; 4]);
        assert_eq!(ends(&turns[..2]), [true; 2]);
        for index in 0..1000 {
            strikes.suspect(now, Suspect { item: (3, index), seat: 0, proven: true });
        }
        assert!(strikes.suspects.len() <= SUSPECTS);
        assert!(!strikes.suspect(now + Duration::from_secs(60), of(5, 0, true)));
        assert_eq!(strikes.suspects.len(), 1, "that was long ago");
    }

    #[test]
    fn what_cannot_get_better_breaks_a_pool_once_it_is_so_for_all_seats() {
        let now = Instant::now();
        let mut strikes = Strikes::new(1);
        assert_eq!(strikes.add(0, Strike::Refused, now), Verdict::Break);
        let mut strikes = Strikes::new(2);
        let pause = Verdict::Pause(LONGEST_PAUSE);
        assert_eq!(strikes.add(0, Strike::Refused, now), pause);
        assert_eq!(strikes.add(0, Strike::Refused, now), pause);
        strikes.ready(0);
        assert_eq!(strikes.add(1, Strike::Refused, now), pause);
        assert_eq!(strikes.add(0, Strike::Refused, now), Verdict::Break);
    }

    #[test]
    fn what_breaks_a_promise_breaks_at_once() {
        let mut strikes = Strikes::new(8);
        assert_eq!(strikes.add(3, Strike::Fatal, Instant::now()), Verdict::Break);
    }
}
