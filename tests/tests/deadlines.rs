//! Time-outs among quick items: exactly the items that run too long end so.
//!
//! In the program whose tests run one after the other, as the clock of an item is a clock on the
//! wall: on a machine that is busy with other tests, a quick item may be off its processor for as
//! long as a slow one runs.

use super::alone;
use sandpool::{Instance, TaskErrorKind};
use sandpool_tests::guests::MATH;
use sandpool_tests::{Scene, hard_limit, scattered};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// `count` places among `n` items.
fn places(n: u64, count: usize) -> BTreeSet<u64> {
    let mut next = scattered(7);
    let mut places = BTreeSet::new();
    while places.len() < count {
        places.insert(next() % n);
    }
    places
}

#[test]
fn of_a_million_items_exactly_the_endless_ones_time_out() {
    let _limit = hard_limit();
    let _alone = alone();
    const N: u64 = 1_000_000;
    let endless = places(N, 200);
    let scene = Scene::with(MATH, |builder| builder.processes(2).instance(Instance::Reuse));
    let slow = scene.pool.function("slow").unwrap().timeout(Duration::from_millis(80));
    let input = {
        let endless = endless.clone();
        (0..N).map(move |i| if endless.contains(&i) { -1 } else { i as i64 })
    };
    let mut seen = vec![false; N as usize];
    let mut results = slow.imap_unordered::<_, i64>(input).unwrap();
    while let Some(outcome) = results.next_outcome() {
        let outcome = outcome.unwrap();
        let index = outcome.index;
        assert!(!std::mem::replace(&mut seen[index as usize], true), "{index} ended twice");
        assert_eq!(outcome.attempts, 1);
        match outcome.result {
            Ok(value) => assert_eq!(value, 2 * index as i64, "-2 is that of an endless one"),
            Err(error) => {
                assert!(error.is_timeout(), "{error}");
                assert!(endless.contains(&index), "the wrong item was killed: {error}");
                assert_eq!(error.index(), index);
            }
        }
    }
    assert!(seen.into_iter().all(|seen| seen));
    let stats = scene.pool.stats();
    assert_eq!((stats.submitted, stats.values, stats.errors), (N, N - 200, 200));
    assert_eq!(stats.errors_by_kind, [(TaskErrorKind::TimedOut, 200)]);
    assert_eq!((stats.workers_ended, stats.retries), (200, 0));
}

/// Turns of `spin` that take about this long in a worker.
fn turns(scene: &Scene, wanted: Duration) -> i64 {
    const SAMPLE: i64 = 20_000_000;
    let timed = |_| {
        let began = Instant::now();
        scene.pool.apply::<_, i64>("spin", &SAMPLE).unwrap();
        began.elapsed()
    };
    let sample = (0..5).map(timed).min().unwrap();
    (SAMPLE as f64 * wanted.as_secs_f64() / sample.as_secs_f64()) as i64
}

#[test]
fn items_that_end_about_when_their_time_is_up_never_cost_their_neighbours() {
    let _limit = hard_limit();
    let _alone = alone();
    const LIMIT: Duration = Duration::from_millis(60);
    const N: u64 = 2_000;
    let scene = Scene::with(MATH, |builder| builder.processes(2).instance(Instance::Reuse));
    let limit = turns(&scene, LIMIT);
    // Every twentieth item takes between 0.95 and 1.1 of its time; the others take none.
    let is_slow = |i: u64| i % 20 == 10;
    let length = move |i: u64| {
        if is_slow(i) { limit / 100 * (95 + (i / 20) as i64 % 15) } else { 1 }
    };
    for chunk in [20, 7] {
        let spin = scene.pool.function("spin").unwrap().timeout(LIMIT).chunk_size(chunk);
        let mut seen = vec![false; N as usize];
        let mut results = spin.imap_unordered::<_, i64>((0..N).map(length)).unwrap();
        while let Some(outcome) = results.next_outcome() {
            let outcome = outcome.unwrap();
            let index = outcome.index;
            assert!(!std::mem::replace(&mut seen[index as usize], true), "{index} ended twice");
            match outcome.result {
                Ok(value) => assert_eq!(value, length(index)),
                Err(error) => assert!(error.is_timeout() && is_slow(index), "wrong: {error}"),
            }
        }
        assert!(seen.into_iter().all(|seen| seen), "items were lost");
    }
    assert_eq!(scene.pool.stats().submitted, 5 + 2 * N);
    scene.nothing_is_lost();
}
