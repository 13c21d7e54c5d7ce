//! Each item ends once, as what happened to it, while workers are killed all the time.

use sandpool::PoolEvent;
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::{Scene, hard_limit, processes, scattered};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

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
