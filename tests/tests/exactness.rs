//! Each item ends once, as what happened to it, while workers are killed all the time.

use sandpool::{Instance, PoolEvent, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::{Scene, hard_limit, processes};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A few numbers that look random and are the same each time.
fn scattered(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

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
    const LIMIT: Duration = Duration::from_millis(25);
    const N: u64 = 6_000;
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

/// Kills workers that were ready, one after the other, until told to stop; counts.
///
/// At most every 10 ms on average: workers that end again and again before they run anything break
/// a pool, as is promised elsewhere.
fn kill_at_random(scene: &Scene, stop: &AtomicBool, kills: &AtomicU64) {
    let mut next = scattered(11);
    let mut events = scene.pool.events();
    let mut ready: VecDeque<u32> = scene.all_workers().into();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(next() % 20_000));
        let started = std::iter::from_fn(|| events.try_next()).filter_map(|event| match event {
            PoolEvent::WorkerStarted { pid, .. } => Some(pid),
            _ => None,
        });
        ready.extend(started);
        if let Some(pid) = ready.pop_front() {
            processes::kill(pid);
            kills.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn items_end_once_while_workers_are_killed_at_random() {
    let _limit = hard_limit();
    const N: u64 = 200_000;
    for chunk in [None, Some(100)] {
        let scene = Scene::new(MATH, 3);
        let spin = scene.pool.function("spin").unwrap();
        let spin = match chunk {
            Some(size) => spin.chunk_size(size),
            None => spin,
        };
        let (stop, kills) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut died = 0;
        std::thread::scope(|threads| {
            threads.spawn(|| kill_at_random(&scene, &stop, &kills));
            let stopped = StopOnDrop(&stop);
            let mut seen = vec![false; N as usize];
            let length = |i: u64| (i % 1000) as i64 * 20;
            let mut results = spin.imap_unordered::<_, i64>((0..N).map(length)).unwrap();
            while let Some(outcome) = results.next_outcome() {
                let outcome = outcome.unwrap();
                let twice = std::mem::replace(&mut seen[outcome.index as usize], true);
                assert!(!twice, "{} ended twice", outcome.index);
                assert_eq!(outcome.attempts, 1, "nobody asked for retries");
                match outcome.result {
                    Ok(value) => assert_eq!(value, length(outcome.index)),
                    Err(error) => {
                        assert!(error.is_worker_death(), "{error}");
                        assert_eq!(error.code(), Some(-9));
                        died += 1;
                    }
                }
            }
            drop(stopped);
            assert!(seen.into_iter().all(|seen| seen), "items were lost");
        });
        let (stats, kills) = (scene.pool.stats(), kills.into_inner());
        assert_eq!((stats.submitted, stats.values + stats.errors), (N, N));
        assert_eq!((stats.errors, stats.retries), (died, 0));
        // A kill costs one item at most.
        assert!(died <= kills, "{kills} kills cost {died} items");
        assert!(kills > 10, "only {kills} kills");
    }
}

/// Stops the killer also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_item_is_started_twice_unless_retries_were_asked_for() {
    let _limit = hard_limit();
    const N: i64 = 3000;
    for retries in [0, 100] {
        let scene = Scene::new(ACTOR, 2);
        let act = scene.pool.function("act").unwrap().retries(retries).chunk_size(20);
        let (stop, kills) = (AtomicBool::new(false), AtomicU64::new(0));
        let outcomes = std::thread::scope(|threads| {
            threads.spawn(|| kill_at_random(&scene, &stop, &kills));
            let _stopped = StopOnDrop(&stop);
            act.map_outcomes::<_, i64>((0..N).map(|i| (i, GO))).unwrap()
        });
        let mut starts = scene.stage.starts();
        starts.sort_unstable();
        if retries == 0 {
            let once: BTreeSet<i64> = starts.iter().copied().collect();
            assert_eq!(starts.len(), once.len(), "an item was started twice");
            for (at, outcome) in (0..).zip(&outcomes) {
                match outcome {
                    Ok(value) => assert_eq!(*value, at),
                    Err(error) => assert!(error.is_worker_death(), "{error}"),
                }
            }
            let died = outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64;
            assert!(died <= kills.into_inner());
            assert_eq!(scene.pool.stats().retries, 0);
        } else {
            let values: Result<Vec<i64>, _> = outcomes.into_iter().collect();
            assert!(values.unwrap().into_iter().eq(0..N), "retries get every item through");
        }
    }
}
