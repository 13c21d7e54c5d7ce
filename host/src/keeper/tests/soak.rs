//! A long run while workers are killed all the time: each item ends once, as what happened to it,
//! and none is started twice.
//!
//! The whole run, a million items, is
//! `SANDPOOL_TEST_LIMIT=900 cargo test --lib soak::whole -- --ignored --nocapture`.

use super::lab::{Site, alone, children, private_memory};
use super::{PATIENCE, end};
use crate::outcome::TaskErrorKind;
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
/// Time between two kills.
const PACE: Duration = Duration::from_millis(50);
/// The least that an item takes.
const ITEM: Duration = Duration::from_micros(20);

/// Kills a random child every now and then, until told to stop. Gives the number of kills.
fn kill_at_random(stop: &AtomicBool) -> u64 {
    let mut kills = 0;
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        next += PACE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let workers = children();
        let Some(at) = (random >> 33).checked_rem(workers.len() as u64) else { continue };
        // Children are reaped by their keepers only, so the number means this one or nobody.
        let pid = Pid::from_raw(workers[at as usize] as i32).unwrap();
        kills += u64::from(kill_process(pid, Signal::KILL).is_ok());
    }
    kills
}

/// Rounds of the guest's loop that take at least as long as an item is to take.
fn rounds(site: &Site) -> i64 {
    let pool = site.builder(1).build().unwrap();
    let many = 200_000_000;
    pool.apply::<_, i64>("count", &1_000_000).unwrap();
    let before = Instant::now();
    pool.apply::<_, i64>("count", &many).unwrap();
    let rounds = many as f64 * ITEM.as_secs_f64() * 1.2 / before.elapsed().as_secs_f64();
    end(&pool);
    rounds as i64 + 1
}

fn soak(items: usize, least_kills: u64) {
    let site = Site::new(&[]).journal(items);
    let base = rounds(&site);
    // That run has claimed as well.
    let site = Site::new(&[]).journal(items);
    let pool = site.builder(WORKERS).build().unwrap();
    let count = pool.function("count").unwrap();
    let value = move |index: usize| base + (index % 100) as i64;
    let stop = AtomicBool::new(false);
    let mut ends = vec![0_u8; items];
    let mut died = vec![false; items];
    let mut early = 0;
    let before = Instant::now();
    let kills = std::thread::scope(|threads| {
        let killer = threads.spawn(|| kill_at_random(&stop));
        let mut results = count.imap_unordered::<_, i64>((0..items).map(value)).unwrap();
        let mut ended = 0;
        while let Some(outcome) = results.next_outcome() {
            let outcome = outcome.unwrap();
            let index = outcome.index as usize;
            ends[index] += 1;
            match outcome.result {
                Ok(got) => assert_eq!(got, value(index)),
                Err(error) => {
                    assert_eq!(error.kind(), TaskErrorKind::WorkerDied, "{error}");
                    died[index] = true;
                }
            }
            ended += 1;
            if ended == items / 5 {
                early = private_memory();
            }
        }
        stop.store(true, Ordering::Relaxed);
        killer.join().unwrap()
    });
    let took = before.elapsed();
    let grown = private_memory().saturating_sub(early);
    let deaths = died.iter().filter(|died| **died).count() as u64;
    let claims = site.claims();
    println!(
        "{items} items of {base} rounds in {took:?}, {kills} kills, {} workers, {deaths} items died \
         with theirs, {grown} bytes more at the end than after a fifth",
        pool.stats().workers_started
    );
    assert!(ends.iter().all(|ends| *ends == 1), "each item ends once");
    assert!(claims.iter().all(|claims| *claims <= 1), "no item is started twice");
    let unmarked = (0..items).filter(|at| claims[*at] == 0 && !died[*at]).count();
    assert_eq!(unmarked, 0, "items with values were started");
    assert!(deaths <= kills, "{deaths} items died of {kills} kills");
    assert!(kills >= least_kills, "only {kills} kills");
    assert!(took >= ITEM * (items as u32) / (WORKERS as u32), "items were too short: {took:?}");
    assert!(grown < 16 << 20, "{grown} bytes more");
    let start = Instant::now();
    while children().len() != WORKERS {
        assert!(start.elapsed() < PATIENCE, "{:?}", children());
        std::thread::sleep(Duration::from_millis(1));
    }
    end(&pool);
    assert_eq!(pool.stats().submitted, items as u64);
}

#[test]
fn short() {
    alone(|| soak(120_000, 20));
}

#[test]
#[ignore = "takes a minute"]
fn whole() {
    alone(|| soak(1_000_000, 100));
}
