//! Lazy calls: what they yield, what they pull, and how they end.

use sandpool::{CallError, PoolErrorKind, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::{Counted, Scene, eventually, hard_limit, stays};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Items that a default window never exceeds: 4 × 2 workers × the largest chunk.
const LARGEST_WINDOW: u64 = 4 * 2 * 8192;

#[test]
fn case_31_imap_yields_in_order_then_ends_and_stays_ended() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let mut results = pool.imap::<_, i64>("sq", 0..10).unwrap();
    for x in 0..10 {
        assert_eq!(results.next().unwrap().unwrap(), x * x);
    }
    for _ in 0..3 {
        assert!(results.next().is_none());
    }
}

#[test]
fn case_32_chunks_keep_the_order_and_next_timeout() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let sq = pool.function("sq").unwrap().chunk_size(100);
    let mut results = sq.imap::<_, i64>(0..1000).unwrap();
    let first = results.next_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(first.unwrap(), 0);
    let rest: Vec<i64> = results.map(Result::unwrap).collect();
    assert!(rest.into_iter().eq((1..1000).map(|x| x * x)));
}

#[test]
fn case_33_imap_unordered_yields_each_result_once() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let sq = pool.function("sq").unwrap();
    for sq in [sq.clone(), sq.clone().chunk_size(1), sq.chunk_size(100)] {
        let mut seen = vec![false; 1000];
        for step in sq.imap_unordered::<_, i64>(0..1000).unwrap().indexed() {
            let (index, result) = step.unwrap();
            assert_eq!(result.unwrap(), (index * index) as i64);
            assert!(!std::mem::replace(&mut seen[index as usize], true), "{index} came twice");
        }
        assert!(seen.into_iter().all(|seen| seen));
    }
}

#[test]
fn case_34_a_slow_first_item_is_waited_for_in_order_only() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let items = |gate| (0..10).map(move |i| (i, if i == 0 { gate } else { GO }));
    let mut unordered = scene.pool.imap_unordered::<_, i64>("act", items(0)).unwrap();
    let mut quick: Vec<i64> = unordered.by_ref().take(9).map(Result::unwrap).collect();
    quick.sort_unstable();
    assert_eq!(quick, (1..10).collect::<Vec<_>>());
    scene.stage.open(0);
    assert_eq!(unordered.next().unwrap().unwrap(), 0);
    let mut ordered = scene.pool.imap::<_, i64>("act", items(1)).unwrap();
    eventually("the others have ended", || scene.pool.stats().values == 19);
    assert!(ordered.next_timeout(Duration::from_millis(50)).is_err());
    scene.stage.open(1);
    assert!(ordered.map(Result::unwrap).eq(0..10));
}

#[test]
fn case_35_a_timeout_of_next_changes_nothing() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let mut results = scene.pool.imap::<_, i64>("act", [(1, 0), (2, GO)]).unwrap();
    for _ in 0..3 {
        assert!(results.next_timeout(Duration::from_millis(20)).is_err());
    }
    scene.stage.open(0);
    assert_eq!(results.next().unwrap().unwrap(), 1);
    assert_eq!(results.next().unwrap().unwrap(), 2);
    assert!(results.next().is_none());
    assert_eq!(scene.stage.starts(), [1, 2]);
}

#[test]
fn case_37_a_panic_of_the_input_comes_after_what_was_before_it() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let broken = || (0..20).inspect(|i| assert!(*i != 7, "broken at seven"));
    for size in [1, 2, 4] {
        let sq = pool.function("sq").unwrap().chunk_size(size);
        let mut ordered = sq.imap::<_, i64>(broken()).unwrap();
        for x in 0..7 {
            assert_eq!(ordered.next().unwrap().unwrap(), x * x);
        }
        let error = ordered.next().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Input(_)), "{error:?}");
        assert!(error.to_string().contains("broken at seven"), "{error}");
        assert!(ordered.next().is_none(), "the error is told once");
        let all: Vec<_> = sq.imap_unordered::<_, i64>(broken()).unwrap().collect();
        assert_eq!(all.len(), 8);
        assert!(all[..7].iter().all(Result::is_ok) && all[7].is_err());
    }
}

#[test]
fn case_39_an_infinite_input_is_pulled_no_further_than_the_window() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let sq = pool.function("sq").unwrap();
    let windows = [
        (sq.clone(), LARGEST_WINDOW),
        // Of quick items, as many chunks travel together as without a size.
        (sq.clone().chunk_size(1), LARGEST_WINDOW),
        (sq.clone().chunk_size(20_000), 4 * 2 * 20_000),
        (sq.clone().window(5), 5),
        (sq.window(5).chunk_size(100), 5),
    ];
    for (sq, window) in windows {
        for ordered in [true, false] {
            let pulled = Counted::new();
            let input = pulled.count(0..);
            let results = if ordered { sq.imap(input) } else { sq.imap_unordered(input) };
            let mut results = results.unwrap();
            for _ in 0..10 {
                let _: i64 = results.next().unwrap().unwrap();
            }
            let most = 10 + window;
            stays("pulled at most the window ahead", || pulled.get() <= most);
            // On a busy machine it is still being filled.
            eventually("it says how much it pulled", || results.pulled() == pulled.get());
        }
    }
}

#[test]
fn case_40_without_a_consumer_no_more_than_the_window_is_pulled() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let pulled = Counted::new();
    let sq = scene.pool.function("sq").unwrap().window(20);
    let results = sq.imap_unordered::<_, i64>(pulled.count(0..)).unwrap();
    eventually("the window is used", || scene.pool.stats().values == 20);
    stays("pulled 20", || pulled.get() == 20);
    assert_eq!(results.take(100).map(Result::unwrap).count(), 100);
}

#[test]
fn case_41_a_result_that_is_taken_makes_room_for_one_item() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let asked = Arc::new(AtomicU64::new(0));
    let furthest = Arc::new(AtomicU64::new(0));
    let input = {
        let (asked, furthest) = (Arc::clone(&asked), Arc::clone(&furthest));
        (0_u64..).inspect(move |item| {
            let ahead = item + 1 - asked.load(Ordering::SeqCst).min(item + 1);
            furthest.fetch_max(ahead, Ordering::SeqCst);
        })
    };
    let mut results = pool.function("sq").unwrap().window(8).imap::<_, i64>(input).unwrap();
    for x in 0..1000 {
        // Counted before the call: the feeder may pull the moment a result leaves.
        asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(results.next().unwrap().unwrap(), x * x);
    }
    let furthest = furthest.load(Ordering::SeqCst);
    assert!((1..=8).contains(&furthest), "{furthest} items ahead of the consumer");
}

#[test]
fn case_43_a_throttled_call_delays_no_other() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let sq = scene.pool.function("sq").unwrap().window(4);
    let mut throttled = sq.imap::<_, i64>(0..).unwrap();
    eventually("it is throttled", || scene.pool.stats().values == 4);
    assert_eq!(scene.pool.apply::<_, i64>("sq", &9).unwrap(), 81);
    assert_eq!(scene.pool.map::<_, i64>("sq", 0..1000).unwrap().len(), 1000);
    assert_eq!(throttled.next().unwrap().unwrap(), 0);
}

#[test]
fn case_45_dropping_an_iterator_cancels_what_it_has_not_yielded() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let pulled = Counted::new();
    let items = pulled.count((0..).map(|i| (i, if i < 5 { GO } else { 9 })));
    let mut results = scene.pool.imap::<_, i64>("act", items).unwrap();
    for i in 0..5 {
        assert_eq!(results.next().unwrap().unwrap(), i);
    }
    // Both workers hold an item that would never end.
    scene.stage.await_starts(7);
    drop(results);
    assert_eq!(scene.pool.map::<_, i64>("act", [(1000, GO), (1001, GO)]).unwrap(), [1000, 1001]);
    scene.nothing_is_lost();
    let (starts, given) = (scene.stage.starts().len(), pulled.get());
    stays("nothing of it starts or is pulled", || {
        scene.stage.starts().len() == starts && pulled.get() == given
    });
    assert_eq!(starts, 9, "what was not claimed was recalled");
    assert_eq!(scene.all_workers().len(), 2);
}

#[test]
fn dropping_an_iterator_lets_an_item_end_that_is_nearly_done() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let results = scene.pool.imap::<_, i64>("act", [(1, 0)]).unwrap();
    scene.stage.await_start(1);
    scene.stage.open(0);
    drop(results);
    assert_eq!(scene.pool.apply::<_, i64>("act", &(2, GO)).unwrap(), 2);
}

#[test]
fn detaching_an_iterator_runs_everything() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().window(3);
    act.imap_unordered::<_, i64>((0..200).map(|i| (i, GO))).unwrap().detach();
    scene.pool.close();
    scene.pool.join().unwrap();
    let mut starts = scene.stage.starts();
    starts.sort_unstable();
    assert!(starts.into_iter().eq(0..200));
}

#[test]
fn case_46_results_are_there_after_close_join_and_the_end_of_the_pool_value() {
    let _limit = hard_limit();
    for ordered in [true, false] {
        let scene = Scene::new(MATH, 2);
        let sq = scene.pool.function("sq").unwrap().window(7);
        let results = if ordered { sq.imap(0..500) } else { sq.imap_unordered(0..500) }.unwrap();
        scene.pool.close();
        scene.pool.join().unwrap();
        drop(scene);
        let mut all: Vec<i64> = results.map(Result::unwrap).collect();
        if !ordered {
            all.sort_unstable();
        }
        assert!(all.into_iter().eq((0..500).map(|x| x * x)));
    }
}

#[test]
fn an_iterator_keeps_its_pool_alive() {
    let _limit = hard_limit();
    let pool = Scene::new(MATH, 2).pool;
    let results = pool.function("sq").unwrap().window(7).imap_unordered::<_, i64>(0..500).unwrap();
    drop(pool);
    assert_eq!(results.map(Result::unwrap).count(), 500);
}

#[test]
fn case_47_after_terminate_an_iterator_answers_terminated_and_ends() {
    let _limit = hard_limit();
    for ordered in [true, false] {
        let scene = Scene::new(ACTOR, 2);
        let items = (0..).map(|i| (i, if i < 3 { GO } else { 9 }));
        let act = scene.pool.function("act").unwrap().window(10);
        let results = if ordered { act.imap(items) } else { act.imap_unordered(items) };
        let mut results = results.unwrap();
        for _ in 0..3 {
            let _: i64 = results.next().unwrap().unwrap();
        }
        scene.stage.await_starts(5);
        scene.pool.terminate();
        let mut ends = 0;
        let cut_short = results.by_ref().map(Result::unwrap_err).find_map(|error| match error {
            CallError::Task(error) => {
                assert_eq!(error.kind(), TaskErrorKind::Terminated);
                ends += 1;
                None
            }
            other => Some(other),
        });
        // The input had more to give, so the end of the iteration is not to be taken for its end.
        let cut_short = cut_short.unwrap();
        assert_eq!(cut_short.pool().unwrap().kind(), PoolErrorKind::Terminated);
        assert!((2..=10).contains(&ends), "{ends} items had been pulled and not yielded");
        assert!(results.next().is_none());
        let error = scene.pool.imap::<_, i64>("act", [(1, GO)]).err().unwrap();
        assert_eq!(error.kind(), PoolErrorKind::Terminated);
        scene.nothing_is_lost();
    }
}

#[test]
fn case_49_a_throttled_iterator_does_not_hold_up_close_and_join() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let sq = scene.pool.function("sq").unwrap().window(4);
    let mut results = sq.imap::<_, i64>(0..200).unwrap();
    assert_eq!(results.next().unwrap().unwrap(), 0);
    assert_eq!(results.next().unwrap().unwrap(), 1);
    scene.pool.close();
    assert!(scene.pool.join_timeout(Duration::from_secs(60)).unwrap());
    assert!(results.map(Result::unwrap).eq((2..200).map(|x| x * x)));
}
