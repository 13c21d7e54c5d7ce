//! Eager calls: `map` and `starmap`, their errors and their inputs.

use sandpool::{CallError, ErrorPolicy, Form, PoolErrorKind, PoolEvent, Pulled, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH, TRAP};
use sandpool_tests::{Counted, Scene, eventually, hard_limit};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn squares(n: i64) -> Vec<i64> {
    (0..n).map(|x| x * x).collect()
}

#[test]
fn case_11_map_is_the_sequential_map() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    assert_eq!(pool.map::<_, i64>("sq", 0..10).unwrap(), squares(10));
    let borrowed = [3, 4];
    assert_eq!(pool.map::<_, i64>("sq", &borrowed).unwrap(), [9, 16]);
}

#[test]
fn case_12_a_chunk_size_changes_nothing() {
    let _limit = hard_limit();
    let sq = Scene::new(MATH, 2).pool;
    let sq = (sq.function("sq").unwrap(), sq);
    for size in [1, 7, 20, 100, 1000] {
        assert_eq!(sq.0.clone().chunk_size(size).map::<_, i64>(0..100).unwrap(), squares(100));
    }
}

#[test]
fn case_13_every_worker_does_some() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 4);
    let events = scene.pool.events();
    // Four items that wait for each other can only all start if all four workers have one.
    let items = (0..1000).map(|i| (i, if i < 4 { 0 } else { GO }));
    let handle = scene.pool.map_async::<_, i64>("act", items).unwrap();
    for item in 0..4 {
        scene.stage.await_start(item);
    }
    scene.stage.open(0);
    assert_eq!(handle.get().unwrap(), (0..1000).collect::<Vec<_>>());
    scene.pool.close();
    scene.pool.join().unwrap();
    let shares: Vec<u64> = events
        .filter_map(|event| match event {
            PoolEvent::WorkerEnded { items, .. } => Some(items),
            _ => None,
        })
        .collect();
    assert_eq!((shares.len(), shares.iter().sum::<u64>()), (4, 1000));
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn case_14_an_empty_input_is_an_empty_result_at_once() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let empty = std::iter::empty::<i64>;
    for sq in [scene.pool.function("sq").unwrap(), scene.pool.function("sq").unwrap().chunk_size(3)]
    {
        assert!(sq.map::<_, i64>(empty()).unwrap().is_empty());
        assert!(sq.starmap::<_, i64>(empty()).unwrap().is_empty());
        assert!(sq.map_outcomes::<_, i64>(empty()).unwrap().is_empty());
        let handle = sq.map_async::<_, i64>(empty()).unwrap();
        assert!(handle.ready() && handle.successful().unwrap());
        assert!(sq.imap::<_, i64>(empty()).unwrap().next().is_none());
        assert!(sq.imap_unordered::<_, i64>(empty()).unwrap().next().is_none());
        assert!(sq.istarmap::<_, i64>(empty()).unwrap().next().is_none());
        assert!(sq.istarmap_unordered::<_, i64>(empty()).unwrap().next().is_none());
    }
}

#[test]
fn case_15_one_item_is_a_list_of_one() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 4).pool;
    assert_eq!(pool.map::<_, i64>("sq", [3]).unwrap(), [9]);
    assert_eq!(pool.function("sq").unwrap().chunk_size(5).map::<_, i64>([3]).unwrap(), [9]);
}

#[test]
fn case_16_sizes_of_zero_are_refused_before_anything_runs() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let pulled = Counted::new();
    let items = || pulled.count((0..10).map(|i| (i, GO)));
    let act = scene.pool.function("act").unwrap();
    let zero = act.clone().chunk_size(0);
    let window = act.clone().window(0);
    let refusals = [
        zero.apply::<_, i64>(&(1, GO)).unwrap_err().pool().cloned(),
        zero.apply_async::<_, i64>(&(1, GO)).err(),
        zero.map::<_, i64>(items()).unwrap_err().pool().cloned(),
        zero.map_async::<_, i64>(items()).err(),
        zero.map_outcomes::<_, i64>(items()).unwrap_err().pool().cloned(),
        zero.starmap::<_, i64>(items()).unwrap_err().pool().cloned(),
        zero.starmap_async::<_, i64>(items()).err(),
        zero.imap::<_, i64>(items()).err(),
        zero.imap_unordered::<_, i64>(items()).err(),
        zero.istarmap::<_, i64>(items()).err(),
        zero.istarmap_unordered::<_, i64>(items()).err(),
        window.imap::<_, i64>(items()).err(),
        window.imap_unordered::<_, i64>(items()).err(),
        act.timeout(std::time::Duration::ZERO).map_async::<_, i64>(items()).err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let kind = refusal.unwrap_or_else(|| panic!("method {at} was not refused")).kind();
        assert_eq!(kind, PoolErrorKind::Usage, "method {at}");
    }
    assert_eq!((pulled.get(), scene.pool.stats().submitted), (0, 0));
    assert!(scene.stage.starts().is_empty());
}

#[test]
fn case_18_an_input_of_unknown_length_is_consumed_once() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let pulled = Counted::new();
    let mut next = 0;
    let mut ended = false;
    let items = std::iter::from_fn(|| {
        assert!(!ended, "asked again after its end");
        next += 1;
        ended = next > 1000;
        (!ended).then_some(next - 1)
    });
    assert_eq!(pool.map::<_, i64>("sq", pulled.count(items)).unwrap(), squares(1000));
    assert_eq!(pulled.get(), 1000);
}

#[test]
fn case_19_starmap_spreads_argument_lists() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let pairs = || (0..100_i64).map(|x| (x, 10 * x));
    let sums: Vec<i64> = (0..100).map(|x| 11 * x).collect();
    let add = pool.function("add").unwrap();
    for add in [add.clone(), add.chunk_size(20)] {
        assert_eq!(add.starmap::<_, i64>(pairs()).unwrap(), sums);
        assert_eq!(add.starmap_async::<_, i64>(pairs()).unwrap().get().unwrap(), sums);
        let lazy: Result<Vec<i64>, _> = add.istarmap(pairs()).unwrap().collect();
        assert_eq!(lazy.unwrap(), sums);
        let lazy: Result<Vec<i64>, _> = add.istarmap_unordered(pairs()).unwrap().collect();
        let mut lazy = lazy.unwrap();
        lazy.sort_unstable();
        assert_eq!(lazy, sums);
    }
    assert_eq!(pool.starmap::<_, i64>("sq", [(3,), (4,)]).unwrap(), [9, 16]);
}

#[test]
fn case_21_results_are_in_input_order_though_items_end_reversed() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 4);
    let handle = scene.pool.map_async::<_, i64>("act", (0..4).map(|i| (i, i))).unwrap();
    scene.stage.await_starts(4);
    for (ended, gate) in [3, 2, 1, 0].into_iter().enumerate() {
        assert!(!handle.ready());
        scene.stage.open(gate);
        eventually("one more has ended", || scene.pool.stats().values == ended as u64 + 1);
    }
    assert_eq!(handle.get().unwrap(), [0, 1, 2, 3]);
}

fn three_fail(i: i64) -> (i64, i64) {
    (i, if [2, 50, 98].contains(&i) { TRAP } else { GO })
}

#[test]
fn case_22_an_error_is_told_when_everything_has_ended() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let items = (0..100).map(three_fail).map(|(i, how)| (i, if i == 99 { 0 } else { how }));
    let handle = scene.pool.map_async::<_, i64>("act", items).unwrap();
    eventually("the others have ended", || {
        let stats = scene.pool.stats();
        (stats.values, stats.errors) == (96, 3)
    });
    assert!(!handle.wait(Some(std::time::Duration::from_millis(100))), "item 99 still runs");
    scene.stage.open(0);
    let error = handle.get().unwrap_err();
    let error = error.task().unwrap();
    assert_eq!((error.index(), error.kind()), (2, TaskErrorKind::Trapped));
    assert!(!handle.successful().unwrap());
    assert_eq!(scene.pool.stats().values, 97);
}

#[test]
fn case_23_fail_fast_returns_before_slow_items_end_and_starts_no_more() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().error_policy(ErrorPolicy::FailFast);
    let items = (0..200).map(|i| (i, if i == 1 { TRAP } else { 9 }));
    let error = act.map::<_, i64>(items).unwrap_err();
    let error = error.task().unwrap();
    assert_eq!((error.index(), error.kind()), (1, TaskErrorKind::Trapped));
    scene.nothing_is_lost();
    // Whatever else was to start would be let through now.
    scene.stage.open(9);
    let after = scene.pool.map::<_, i64>("act", (1000..1010).map(|i| (i, GO))).unwrap();
    assert_eq!(after.len(), 10);
    let late: Vec<i64> =
        scene.stage.starts().into_iter().filter(|i| (4..1000).contains(i)).collect();
    assert!(late.is_empty(), "started though cancelled: {late:?}");
}

#[test]
fn case_24_collecting_gives_one_outcome_per_item() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let outcomes = scene.pool.map_outcomes::<_, i64>("act", (0..100).map(three_fail)).unwrap();
    assert_eq!(outcomes.len(), 100);
    for (at, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(*value, at as i64),
            Err(error) => {
                assert_eq!(error.index(), at as u64);
                assert_eq!((error.kind(), error.attempts()), (TaskErrorKind::Trapped, 1));
            }
        }
    }
    let failed: Vec<_> = (0..100).filter(|at| outcomes[*at].is_err()).collect();
    assert_eq!(failed, [2, 50, 98]);
}

#[test]
fn case_25_an_error_in_a_chunk_leaves_its_neighbours_alone() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let picky = scene.pool.function("picky").unwrap().chunk_size(10);
    let outcomes = picky.map_outcomes::<_, i64>((0..10).map(|i| if i == 3 { -1 } else { i }));
    let outcomes = outcomes.unwrap();
    let values: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(values, [&0, &1, &2, &4, &5, &6, &7, &8, &9]);
    assert!(outcomes[3].as_ref().unwrap_err().is_trap());
}

/// Panics at the item with this number.
fn panics_at(at: i64) -> impl Iterator<Item = i64> {
    (0..100).inspect(move |i| assert!(*i != at, "the input is broken at {at}"))
}

#[test]
fn case_26_a_panic_of_the_input_goes_through_the_caller() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    for _ in 0..10 {
        let call = || scene.pool.map::<_, i64>("sq", panics_at(0));
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert_eq!(text, "the input is broken at 0", "the very panic, unwrapped");
        assert_eq!(scene.pool.map::<_, i64>("sq", 0..3).unwrap(), [0, 1, 4]);
    }
    scene.nothing_is_lost();
    scene.pool.close();
    scene.pool.join().unwrap();
}

#[test]
fn case_28_a_panic_half_way_through_a_sized_input_hangs_nothing() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let sized: Vec<i64> = (0..100).collect();
    for at in [1, 63, 64, 65, 99] {
        let broken = sized.iter().inspect(|i| assert!(**i != at, "broken"));
        assert!(catch_unwind(AssertUnwindSafe(|| scene.pool.map::<_, i64>("sq", broken))).is_err());
    }
    // An input that can fail without a panic gives its own error back.
    let mut given = 0;
    let source = move |out: &mut Vec<u8>| {
        given += 1;
        if given > 20 {
            return Err(std::io::Error::other("the disk is gone").into());
        }
        out.extend(b"2");
        Ok(Pulled::Document)
    };
    let error = scene.pool.function("sq").unwrap().documents(Form::Json).map(source).unwrap_err();
    let CallError::Input(error) = error else { panic!("{error:?}") };
    assert!(error.cause().unwrap().is::<std::io::Error>());
    assert_eq!(scene.pool.map::<_, i64>("sq", 0..3).unwrap(), [0, 1, 4]);
    scene.nothing_is_lost();
    scene.pool.close();
    scene.pool.join().unwrap();
}

#[test]
fn case_29_threads_map_on_one_pool_at_once() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    std::thread::scope(|threads| {
        for offset in 0..4_i64 {
            let pool = &pool;
            threads.spawn(move || {
                let range = (offset * 10_000)..(offset * 10_000 + 5_000);
                let expected: Vec<i64> = range.clone().map(|x| x * x).collect();
                assert_eq!(pool.map::<_, i64>("sq", range).unwrap(), expected);
            });
        }
    });
}
