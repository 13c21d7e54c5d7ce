//! What a host does to its pools, in pools of every size: it panics, stalls, drops them at any
//! moment, and calls them from wherever it is.
//!
//! Tests are named `dNN_what_is_promised` after the list of faults in `docs/faults.md`.

use crate::hostile::SIZES;
use sandpool::{BuildErrorKind, CallError, Callbacks, PoolErrorKind, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH, SPIN};
use sandpool_tests::scene::builder;
use sandpool_tests::{Counted, Scene, eventually, hard_limit, processes, scattered, stays};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// That a pool answers, on all of its workers.
fn works(scene: &Scene) {
    let items = || 0..50 * scene.pool.processes() as i64;
    let squares = scene.pool.map::<_, i64>("sq", items()).unwrap();
    assert!(squares.into_iter().eq(items().map(|x| x * x)));
}

#[test]
fn d62_a_callback_that_panics_fails_its_own_call_only() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(MATH, workers);
        let sq = scene.pool.function("sq").unwrap();
        for n in 0..10 {
            let other = sq.map_async::<_, i64>(0..100).unwrap();
            let callbacks = Callbacks::new().on_value(|_: &i64| panic!("on purpose"));
            let handle = sq.apply_async_with(&n, callbacks).unwrap();
            let error = handle.get().unwrap_err();
            assert!(matches!(error, CallError::Callback { .. }), "{error:?}");
            assert_eq!(other.get().unwrap().len(), 100);
        }
        works(&scene);
        scene.pool.close();
        scene.pool.join().unwrap();
    }
}

#[test]
fn d62_a_consumer_that_panics_leaves_its_pool_as_it_was() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(MATH, workers);
        for round in 0..10 {
            let results = scene.pool.imap::<_, i64>("sq", 0..).unwrap();
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                for (n, result) in results.enumerate() {
                    assert_eq!(result.unwrap(), (n * n) as i64);
                    assert!(n < 10 * round, "on purpose");
                }
            }));
            assert!(unwound.is_err());
            works(&scene);
        }
        // What the dropped iterators had under way ends as well.
        eventually("everything ends", || {
            let stats = scene.pool.stats();
            stats.submitted == stats.values + stats.errors
        });
        assert_eq!(scene.pool.stats().workers_ended, 0);
    }
}

#[test]
fn d64_ten_million_items_wait_in_the_input_while_the_consumer_stalls() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(MATH, workers);
        let pulled = Counted::new();
        let sq = scene.pool.function("sq").unwrap().window(500);
        let mut results = sq.imap::<_, i64>(pulled.count(0..10_000_000_i64)).unwrap();
        for n in 0..10 {
            assert_eq!(results.next().unwrap().unwrap(), n * n);
        }
        eventually("the window fills", || pulled.get() >= 500);
        stays("no more is pulled", || pulled.get() <= 510);
        // Another call does not wait for it.
        works(&scene);
        assert_eq!(results.next().unwrap().unwrap(), 100);
    }
}

#[test]
fn d65_a_pool_that_is_dropped_with_items_running_ends_with_them() {
    let _limit = hard_limit();
    for workers in SIZES {
        // Twice, through copies: the first of them changes nothing.
        let scene = Scene::new(ACTOR, workers);
        let pids = scene.all_workers();
        let copy = scene.pool.clone();
        let act = scene.pool.function("act").unwrap();
        let handle = act.map_async::<_, i64>((0..30).map(|i| (i, 0))).unwrap();
        drop(act);
        let Scene { pool, stage, .. } = scene;
        stage.await_starts(1);
        drop(pool);
        let late = copy.apply_async::<_, i64>("act", &(100, GO)).unwrap();
        drop(copy);
        stage.open(0);
        assert!(handle.get().unwrap().into_iter().eq(0..30), "what was accepted is done");
        assert_eq!(late.get().unwrap(), 100);
        drop((handle, late));
        eventually("they are gone", || pids.iter().all(|pid| !processes::is_alive(*pid)));
    }
}

#[test]
fn d65_a_pool_that_is_dropped_while_workers_start_leaves_none() {
    let _limit = hard_limit();
    let mut random = scattered(65);
    for workers in SIZES {
        for _ in 0..15 {
            // Each of its items starts a worker.
            let scene = Scene::with(MATH, |b| b.processes(workers).max_tasks_per_child(1));
            let sq = scene.pool.function("sq").unwrap();
            let handle = sq.map_async::<_, i64>(0..200).unwrap();
            std::thread::sleep(Duration::from_micros(random() % 8000));
            let pids = scene.workers();
            let terminated = random().is_multiple_of(2);
            if terminated {
                scene.pool.terminate();
            }
            drop((sq, scene));
            match handle.get() {
                Ok(squares) => assert!(squares.into_iter().eq((0..200).map(|x| x * x))),
                Err(error) => {
                    assert!(terminated, "{error}");
                    let kind = error.task().map(|error| error.kind());
                    assert_eq!(kind, Some(TaskErrorKind::Terminated), "{error}");
                }
            }
            drop(handle);
            eventually("they are gone", || pids.iter().all(|pid| !processes::is_alive(*pid)));
        }
    }
}

#[test]
fn d66_a_pool_that_ends_says_so_to_whoever_is_late() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(ACTOR, workers);
        let pool = &scene.pool;
        let items = (0..1000).map(|i| (i, 9));
        std::thread::scope(|threads| {
            let blocked = threads.spawn(move || pool.map::<_, i64>("act", items).map(drop));
            scene.stage.await_starts(workers);
            let began = Instant::now();
            pool.terminate();
            let error = blocked.join().unwrap().unwrap_err();
            // As the end of an item, or of a call whose input was not read to its end yet.
            let terminated = match &error {
                CallError::Task(error) => error.kind() == TaskErrorKind::Terminated,
                CallError::Pool(error) => error.kind() == PoolErrorKind::Terminated,
                _ => false,
            };
            assert!(terminated, "{error}");
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        });
        let scene = Scene::new(MATH, workers);
        scene.pool.close();
        let late: [CallError; 3] = [
            scene.pool.apply::<_, i64>("sq", &1).unwrap_err(),
            scene.pool.map::<_, i64>("sq", 0..9).unwrap_err(),
            scene.pool.imap::<_, i64>("sq", 0..9).map(drop).unwrap_err().into(),
        ];
        for error in late {
            assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Closed, "{error}");
        }
        for _ in 0..3 {
            scene.pool.join().unwrap();
            scene.pool.close();
            scene.pool.terminate();
        }
        assert!(scene.workers().is_empty());
    }
}

#[test]
fn d67_calls_come_from_callbacks_and_from_many_threads() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(MATH, workers);
        let pool = &scene.pool;
        std::thread::scope(|threads| {
            for thread in 0..12 {
                threads.spawn(move || {
                    for n in 0..20 {
                        let x = 100 * thread + n;
                        match n % 3 {
                            0 => assert_eq!(pool.apply::<_, i64>("sq", &x).unwrap(), x * x),
                            1 => {
                                let squares = pool.map::<_, i64>("sq", x..x + 20).unwrap();
                                assert!(squares.into_iter().eq((x..x + 20).map(|x| x * x)));
                            }
                            _ => {
                                let squares = pool.imap::<_, i64>("sq", x..x + 20).unwrap();
                                let squares = squares.map(Result::unwrap);
                                assert!(squares.eq((x..x + 20).map(|x| x * x)));
                            }
                        }
                    }
                });
            }
        });
        // Each calls the next one, and waits for it.
        let (sender, told) = channel();
        let (inner, outer) = (scene.pool.clone(), scene.pool.clone());
        let callbacks = Callbacks::new().on_value(move |x: &i64| {
            let (x, inner) = (*x, inner.clone());
            let nested = Callbacks::new().on_value(move |y: &i64| {
                let mapped = inner.map::<_, i64>("sq", [*y]).unwrap();
                sender.send(mapped).unwrap();
            });
            let nested = outer.function("sq").unwrap().apply_async_with(&x, nested).unwrap();
            assert_eq!(nested.get().unwrap(), x * x);
        });
        let handle = scene.pool.function("sq").unwrap().apply_async_with(&2, callbacks).unwrap();
        assert_eq!(handle.get().unwrap(), 4);
        assert_eq!(told.recv().unwrap(), [256]);
        works(&scene);
    }
}

#[test]
fn d68_numbers_of_workers_and_items_that_do_not_fit_each_other() {
    let _limit = hard_limit();
    let none = builder(MATH).processes(0).build().map(drop).unwrap_err();
    assert_eq!(none.kind(), BuildErrorKind::Usage);
    for workers in SIZES {
        let scene = Scene::new(MATH, workers);
        for items in [0, 1, 3, 7, 1000] {
            let squares = scene.pool.map::<_, i64>("sq", 0..items).unwrap();
            assert!(squares.into_iter().eq((0..items).map(|x| x * x)));
            let lazy = scene.pool.imap_unordered::<_, i64>("sq", 0..items).unwrap();
            assert_eq!(lazy.map(Result::unwrap).count(), items as usize);
        }
        assert_eq!(scene.all_workers().len(), workers);
    }
    // More than one machine has processors for.
    let scene = Scene::new(MATH, 40);
    works(&scene);
    assert_eq!(scene.all_workers().len(), 40);
}

#[test]
fn d69_times_of_all_lengths() {
    let _limit = hard_limit();
    let zero = builder(MATH).timeout(Duration::ZERO).build().map(drop).unwrap_err();
    assert_eq!(zero.kind(), BuildErrorKind::Usage);
    for workers in SIZES {
        let scene = Scene::new(ACTOR, workers);
        let act = scene.pool.function("act").unwrap();
        let none = act.clone().timeout(Duration::ZERO).apply::<_, i64>(&(0, GO)).unwrap_err();
        assert_eq!(none.pool().unwrap().kind(), PoolErrorKind::Usage, "{none}");
        for endless in [Duration::MAX, Duration::from_secs(u64::MAX)] {
            let act = act.clone().timeout(endless).deadline(endless);
            assert!(act.map::<_, i64>((0..20).map(|i| (i, GO))).unwrap().into_iter().eq(0..20));
        }
        // The shortest is over as soon as anybody looks; what is quicker may still have ended.
        let short = act.clone().timeout(Duration::from_nanos(1));
        assert!(short.apply::<_, i64>(&(1, SPIN)).unwrap_err().task().unwrap().is_timeout());
        assert_eq!(act.apply::<_, i64>(&(2, GO)).unwrap(), 2);
    }
}
