//! Worker processes: initializers, state, replacement, and how many there are.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sandpool::{BuildErrorKind, Instance, PoolErrorKind, PoolEvent, WorkerEnd};
use sandpool_tests::guests::{ACTOR, GO, MATH, TYPED};
use sandpool_tests::scene::builder;
use sandpool_tests::{Scene, eventually, hard_limit};

#[test]
fn case_60_an_initializer_runs_once_in_each_worker_before_its_first_item() {
    let _limit = hard_limit();
    let scene = Scene::with(ACTOR, |builder| builder.processes(2).initializer("init", 42));
    // Both workers have an item at once, so both were initialised.
    let handle = scene.pool.map_async::<_, i64>("initialised", [(1, 0), (2, 0)]).unwrap();
    scene.stage.await_starts(2);
    assert_eq!(scene.stage.inits(), [42, 42]);
    scene.stage.open(0);
    assert_eq!(handle.get().unwrap(), [42, 42]);
    let all = scene.pool.map::<_, i64>("initialised", (0..100).map(|i| (i, GO))).unwrap();
    assert!(all.iter().all(|state| *state == 42));
    assert_eq!(scene.stage.inits().len(), 2);
}

#[test]
fn an_initializer_runs_again_in_the_instance_after_a_trap() {
    let _limit = hard_limit();
    let scene = Scene::with(MATH, |builder| builder.processes(1).initializer("setup", 5));
    assert_eq!(scene.pool.apply::<_, i64>("state", &0).unwrap(), 5);
    assert!(scene.pool.apply::<_, i64>("picky", &-1).unwrap_err().task().unwrap().is_trap());
    assert_eq!(scene.pool.apply::<_, i64>("state", &0).unwrap(), 5);
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

#[test]
fn case_61_an_initializer_that_always_fails_fails_calls_with_its_cause() {
    let _limit = hard_limit();
    let made = Scene::try_with(ACTOR, |builder| builder.processes(2).initializer("init", -1));
    let scene = match made {
        Ok(scene) => scene,
        // Where a worker is initialised before the pool is handed out, that is where it is told.
        Err(error) => {
            assert_eq!(error.kind(), BuildErrorKind::Workers);
            assert!(error.to_string().contains("unreachable"), "{error}");
            return;
        }
    };
    for _ in 0..2 {
        let error = scene.pool.apply::<_, i64>("initialised", &(1, GO)).unwrap_err();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Broken);
        assert!(error.to_string().contains("unreachable"), "the cause: {error}");
        let error = scene.pool.map::<_, i64>("initialised", [(1, GO)]).unwrap_err();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Broken);
    }
    let started = scene.pool.stats().workers_started;
    assert!(started <= 20, "{started} workers were started for nothing");
    assert!(scene.stage.inits().len() <= 20 && scene.stage.starts().is_empty());
    scene.pool.close();
    scene.pool.join().unwrap();
    scene.nothing_is_lost();
}

#[test]
fn a_pending_call_learns_that_the_initializer_fails() {
    let _limit = hard_limit();
    let made = Scene::try_with(ACTOR, |builder| builder.processes(1).initializer("init", -1));
    let Ok(scene) = made else { return };
    if let Ok(mut results) = scene.pool.imap::<_, i64>("initialised", (0..).map(|i| (i, GO))) {
        let error = results.next().unwrap().unwrap_err();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Broken, "{error}");
        assert!(results.next().is_none(), "one error for the call, not one for each item");
    }
}

#[test]
fn case_62_a_pool_recovers_from_an_initializer_that_fails_once() {
    let _limit = hard_limit();
    let scene = Scene::with(ACTOR, |builder| builder.processes(2).initializer("init_flaky", 8));
    let all = scene.pool.map::<_, i64>("initialised", (0..50).map(|i| (i, GO))).unwrap();
    assert_eq!(all, [8; 50]);
    scene.all_workers();
}

#[test]
fn an_initializer_with_fresh_instances_is_a_build_error() {
    let _limit = hard_limit();
    let error = builder(MATH).initializer("setup", 1).instance(Instance::Fresh).build();
    assert_eq!(error.unwrap_err().kind(), BuildErrorKind::Usage);
    let error = builder(MATH).initializer("set-up", 1).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::NoSuchFunction);
}

#[test]
fn case_63_state_of_reused_instances_is_kept_and_not_shared() {
    let _limit = hard_limit();
    let scene = Scene::with(MATH, |builder| builder.processes(2).instance(Instance::Reuse));
    let counts = scene.pool.map::<_, i64>("count", 0..1000).unwrap();
    // Two counters that went from 1 to some n each: every number comes once or twice, and the
    // numbers that come once are the highest.
    let times = |n: i64| counts.iter().filter(|count| **count == n).count();
    let highest = *counts.iter().max().unwrap();
    let times: Vec<usize> = (1..=highest).map(times).collect();
    assert!(times.iter().all(|times| (1..=2).contains(times)), "{times:?}");
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let fresh = Scene::with(MATH, |builder| builder.processes(2));
    let counts = fresh.pool.map::<_, i64>("count", 0..1000).unwrap();
    assert!(counts.iter().all(|count| *count == 1), "fresh instances see nothing of each other");
}

/// Items of workers that were retired, and of all the others.
fn items_of_workers(scene: &Scene, events: sandpool::Events) -> (Vec<u64>, Vec<u64>) {
    scene.pool.close();
    scene.pool.join().unwrap();
    let (mut retired, mut others) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            PoolEvent::WorkerEnded { reason: WorkerEnd::Retired, items, .. } => retired.push(items),
            PoolEvent::WorkerEnded { items, .. } => others.push(items),
            _ => {}
        }
    }
    (retired, others)
}

#[test]
fn case_66_max_tasks_per_child_counts_items_and_is_exact() {
    let _limit = hard_limit();
    let scene = Scene::with(ACTOR, |builder| builder.processes(2).max_tasks_per_child(1));
    let events = scene.pool.events();
    let items = (0..20).map(|i| (i, GO));
    assert!(scene.pool.map::<_, i64>("act", items).unwrap().into_iter().eq(0..20));
    let (retired, others) = items_of_workers(&scene, events);
    // The very last ones may find the pool closed before they retire.
    assert!(retired.len() >= 18 && retired.iter().all(|items| *items == 1), "{retired:?}");
    assert!(others.iter().all(|items| *items <= 1), "{others:?}");
    assert_eq!(retired.iter().chain(&others).sum::<u64>(), 20);
    for chunk in [1, 10] {
        let scene = Scene::with(MATH, |builder| builder.processes(2).max_tasks_per_child(7));
        let events = scene.pool.events();
        let sq = scene.pool.function("sq").unwrap().chunk_size(chunk);
        assert_eq!(sq.map::<_, i64>(0..100).unwrap().len(), 100);
        let (retired, others) = items_of_workers(&scene, events);
        assert!(retired.iter().all(|items| *items == 7), "{retired:?}");
        assert!(others.iter().all(|items| *items <= 7), "{others:?}");
        assert_eq!(retired.iter().chain(&others).sum::<u64>(), 100);
    }
}

#[test]
fn a_worker_that_carries_what_a_large_item_left_is_replaced_once_small_ones_follow() {
    let _limit = hard_limit();
    for (instance, started) in [(Instance::Fresh, 2), (Instance::Reuse, 1)] {
        let scene = Scene::with(TYPED, |builder| builder.processes(1).instance(instance));
        let echo = scene.pool.function("echo").unwrap();
        let small = || {
            let items: Vec<String> = (0..6000).map(|i| i.to_string()).collect();
            assert_eq!(echo.map::<_, String>(&items).unwrap(), items);
        };
        let workers = || scene.pool.stats().workers_started;
        small();
        assert_eq!(workers(), 1, "nothing large so far");
        let large = "x".repeat(1 << 20);
        assert!(echo.apply::<_, String>(&large).unwrap() == large);
        small();
        eventually("another worker starts, if it helps", || workers() == started);
        small();
        assert_eq!(workers(), started, "once");
        let stats = scene.pool.stats();
        assert_eq!((stats.values, stats.errors), (18_001, 0));
    }
}

#[test]
fn case_69_max_tasks_per_child_of_zero_is_refused() {
    let _limit = hard_limit();
    let error = builder(MATH).max_tasks_per_child(0).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Usage);
}

#[test]
fn case_71_as_many_workers_as_were_asked_for() {
    let _limit = hard_limit();
    let error = builder(MATH).processes(0).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Usage);
    for processes in [1, 3] {
        let scene = Scene::new(MATH, processes);
        assert_eq!(scene.pool.processes(), processes);
        assert_eq!(scene.all_workers().len(), processes);
    }
}

/// The least CPU quota of this process's groups, rounded up.
fn quota() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folders = std::path::Path::new(path).ancestors();
    let quota = |folder| {
        let file = std::path::Path::new("/sys/fs/cgroup").join(folder).join("cpu.max");
        let text = std::fs::read_to_string(file).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        Some(quota.parse::<u64>().ok()?.div_ceil(period.parse().ok()?))
    };
    folders.filter_map(quota).min()
}

#[test]
fn case_73_the_default_is_what_this_process_may_use() {
    let _limit = hard_limit();
    let mask = sched_getaffinity(None).unwrap();
    let expected = quota().unwrap_or(u64::MAX).min(u64::from(mask.count()));
    let scene = Scene::with(MATH, |builder| builder);
    assert_eq!(scene.pool.processes() as u64, expected);
    // The mask is that of this thread, which builds the pool.
    let first = (0..CpuSet::MAX_CPU).find(|cpu| mask.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).unwrap();
    let scene = Scene::with(MATH, |builder| builder);
    assert_eq!(scene.pool.processes(), 1);
    eventually("it works", || scene.pool.apply::<_, i64>("sq", &3).unwrap() == 9);
}
