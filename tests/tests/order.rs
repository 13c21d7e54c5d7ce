//! The order of results, whatever the chunk size and the number of workers.

use sandpool::Function;
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::{Scene, hard_limit};

/// Every combination of chunk size and number of workers that is promised.
fn combinations(text: &str, check: impl Fn(&Scene, Function, &str)) {
    for workers in [1, 2, 8] {
        for size in [Some(1), Some(7), None] {
            let name = if text == MATH { "spin" } else { "act" };
            let scene = Scene::new(text, workers);
            let function = scene.pool.function(name).unwrap();
            let function = match size {
                Some(size) => function.chunk_size(size),
                None => function,
            };
            check(&scene, function, &format!("{workers} workers, chunk {size:?}"));
        }
    }
}

#[test]
fn imap_yields_in_input_order_with_items_of_all_lengths() {
    let _limit = hard_limit();
    // The first takes longest by far, the others differ by a factor of a hundred.
    let lengths = |i: i64| if i == 0 { 20_000_000 } else { 1 + (i * 7919) % 1000 * (i % 10) };
    combinations(MATH, |_, spin, which| {
        let results = spin.imap::<_, i64>((0..500).map(lengths)).unwrap();
        let results: Vec<i64> = results.map(Result::unwrap).collect();
        assert!(results.into_iter().eq((0..500).map(lengths)), "{which}");
    });
}

#[test]
fn imap_holds_everything_back_behind_a_slow_first_item_and_loses_nothing() {
    let _limit = hard_limit();
    combinations(ACTOR, |scene, act, which| {
        let items = (0..40).map(|i| (i, if i == 0 { 0 } else { GO }));
        let mut results = act.imap::<_, i64>(items).unwrap();
        scene.stage.await_start(0);
        let early = results.next_timeout(std::time::Duration::from_millis(20));
        assert!(early.is_err(), "{which}: {early:?} before item 0");
        scene.stage.open(0);
        assert!(results.map(Result::unwrap).eq(0..40), "{which}");
    });
}

#[test]
fn imap_unordered_yields_the_quick_ones_first() {
    let _limit = hard_limit();
    combinations(ACTOR, |scene, act, which| {
        if scene.pool.processes() == 1 {
            return;
        }
        // The slow one sits in the middle of a chunk of quick ones, which must not wait for it:
        // not those before it, nor those after it.
        let items = (0..60).map(|i| (i, if i == 31 { 0 } else { GO }));
        let mut results = act.imap_unordered::<_, i64>(items).unwrap();
        let mut quick: Vec<i64> = results.by_ref().take(59).map(Result::unwrap).collect();
        assert!(!quick.contains(&31), "{which}");
        quick.sort_unstable();
        quick.dedup();
        assert_eq!(quick.len(), 59, "{which}");
        scene.stage.open(0);
        assert_eq!(results.next().unwrap().unwrap(), 31, "{which}");
    });
}

#[test]
fn an_automatic_chunk_that_was_learnt_from_quick_items_does_not_trap_them() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let slow = scene.pool.function("slow").unwrap();
    // By the time the endless item comes, chunks have thousands of items.
    const N: i64 = 200_000;
    let items = (0..N).map(|i| if i == N / 2 { -1 } else { i });
    let mut results = slow.window(N as usize).imap_unordered::<_, i64>(items).unwrap().indexed();
    let quick = results.by_ref().take(N as usize - 1);
    for step in quick {
        let (index, result) = step.unwrap();
        assert_eq!(result.unwrap(), 2 * index as i64);
    }
}

#[test]
fn results_of_a_running_chunk_are_seen_before_it_ends() {
    let _limit = hard_limit();
    for ordered in [true, false] {
        let scene = Scene::new(ACTOR, 1);
        let act = scene.pool.function("act").unwrap().chunk_size(10);
        let items = (0..10).map(|i| (i, if i == 5 { 0 } else { GO }));
        let results = if ordered { act.imap(items) } else { act.imap_unordered(items) };
        let mut results = results.unwrap();
        let early: Vec<i64> = results.by_ref().take(5).map(Result::unwrap).collect();
        assert_eq!(early, [0, 1, 2, 3, 4]);
        scene.stage.open(0);
        assert!(results.map(Result::unwrap).eq(5..10));
    }
}
