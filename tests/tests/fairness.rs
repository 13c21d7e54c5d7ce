//! Calls that run side by side: none waits for another's input, and workers are shared.

use sandpool::TaskErrorKind;
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::input::pipe;
use sandpool_tests::{Scene, eventually, hard_limit};
use std::time::{Duration, Instant};

/// What "promptly" means on a machine that is busy with other things.
const PROMPT: Duration = Duration::from_secs(15);

#[test]
fn a_blocked_input_delays_no_other_call() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let blocked: Vec<_> = (0..5)
        .map(|_| {
            let (sender, input) = pipe::<i64>();
            (sender, scene.pool.imap::<_, i64>("sq", input).unwrap())
        })
        .collect();
    assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
    assert_eq!(scene.pool.map::<_, i64>("sq", 0..1000).unwrap().len(), 1000);
    assert_eq!(scene.pool.imap::<_, i64>("sq", 0..1000).unwrap().count(), 1000);
    assert_eq!(scene.pool.imap_unordered::<_, i64>("sq", 0..1000).unwrap().count(), 1000);
    // And it goes on as soon as its input does.
    for (sender, mut results) in blocked {
        sender.send(4).unwrap();
        assert_eq!(results.next().unwrap().unwrap(), 16);
        drop(sender);
        assert!(results.next().is_none());
    }
}

#[test]
fn a_blocked_input_delays_no_result_that_is_there() {
    let _limit = hard_limit();
    for chunk in [Some(1), Some(7), Some(1000), None] {
        for ordered in [true, false] {
            let scene = Scene::new(MATH, 2);
            let (sender, input) = pipe();
            let sq = scene.pool.function("sq").unwrap();
            let sq = match chunk {
                Some(size) => sq.chunk_size(size),
                None => sq,
            };
            let results = if ordered { sq.imap(input) } else { sq.imap_unordered(input) };
            let mut results = results.unwrap();
            let mut next = 0;
            for burst in [1, 2, 3, 10, 100] {
                for x in next..next + burst {
                    sender.send(x).unwrap();
                }
                let mut squares: Vec<i64> =
                    results.by_ref().take(burst as usize).map(Result::unwrap).collect();
                squares.sort_unstable();
                assert!(squares.into_iter().eq((next..next + burst).map(|x| x * x)));
                next += burst;
            }
        }
    }
}

#[test]
fn terminate_returns_promptly_while_an_input_blocks() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (_sender, input) = pipe::<i64>();
    let mut results = scene.pool.imap::<_, i64>("sq", input).unwrap();
    let began = Instant::now();
    scene.pool.terminate();
    assert!(results.next().is_none_or(|result| result.is_err()));
    assert!(results.next().is_none());
    scene.pool.join().unwrap();
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
}

#[test]
fn dropping_returns_promptly_while_an_input_blocks() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (first, input) = pipe::<i64>();
    let results = scene.pool.imap::<_, i64>("sq", input).unwrap();
    first.send(1).unwrap();
    let began = Instant::now();
    drop(results);
    assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
    let (_second, input) = pipe::<i64>();
    let results = scene.pool.imap_unordered::<_, i64>("sq", input).unwrap();
    scene.pool.close();
    assert!(!scene.pool.join_timeout(Duration::from_millis(20)).unwrap());
    drop(results);
    // Both senders still live: nobody waits for an input that nobody wants.
    scene.pool.join().unwrap();
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
}

#[test]
fn stopping_the_input_of_a_blocked_call_ends_it_after_what_was_pulled() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (sender, input) = pipe::<i64>();
    let mut results = scene.pool.imap::<_, i64>("sq", input).unwrap();
    sender.send(2).unwrap();
    eventually("it is pulled", || results.pulled() == 1);
    results.stop_input();
    assert_eq!(results.next().unwrap().unwrap(), 4);
    assert!(results.next().is_none());
}

#[test]
fn a_short_call_overtakes_a_long_one() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    // Some 2000 × 5 ms of work on the one worker.
    let long = scene.pool.map_async::<_, i64>("spin", std::iter::repeat_n(10_000_000, 2000));
    let long = long.unwrap();
    eventually("it runs", || scene.pool.stats().values > 0);
    assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
    assert_eq!(scene.pool.map::<_, i64>("spin", [1, 2, 3]).unwrap(), [1, 2, 3]);
    assert!(!long.ready(), "the short calls did not wait for it");
    long.cancel();
    assert_eq!(long.get().unwrap_err().task().unwrap().kind(), TaskErrorKind::Cancelled);
}

#[test]
fn two_calls_with_equal_work_share_the_worker() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let spin = scene.pool.function("spin").unwrap();
    let endless = || spin.imap_unordered::<_, i64>(std::iter::repeat(2_000_000)).unwrap();
    let (mut first, mut second) = (endless(), endless());
    // Whoever is asked for results gets them, however many the other one has waiting.
    for _ in 0..200 {
        first.next().unwrap().unwrap();
        second.next().unwrap().unwrap();
    }
    // A call with cheap items is not starved by one whose items cost a thousand times more.
    let mut cheap = spin.imap_unordered::<_, i64>(std::iter::repeat(2_000)).unwrap();
    let dear_before = first.pulled();
    for _ in 0..1000 {
        cheap.next().unwrap().unwrap();
    }
    let dear = first.pulled() - dear_before;
    assert!(dear <= 100, "{dear} dear items were let in while nobody took their results");
}

#[test]
fn an_idle_worker_does_not_wait_behind_a_busy_one() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    // One chunk of ten, the first of which blocks: the other worker must get the nine.
    let act = scene.pool.function("act").unwrap().chunk_size(10);
    let items = (0..10).map(|i| (i, if i == 0 { 0 } else { GO }));
    let handle = act.map_async::<_, i64>(items).unwrap();
    scene.stage.await_starts(10);
    assert!(!handle.ready());
    scene.stage.open(0);
    assert!(handle.get().unwrap().into_iter().eq(0..10));
}

#[test]
fn items_that_come_together_wake_every_idle_worker() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 4);
    for round in 0..8 {
        scene.all_workers();
        // All four have run an item and have nothing to do now.
        let all = scene.pool.map::<_, i64>("act", (0..20).map(|i| (i, GO))).unwrap();
        assert_eq!(all.len(), 20);
        std::thread::sleep(Duration::from_millis(20));
        let before = scene.stage.starts().len();
        let handle = scene.pool.map_async::<_, i64>("act", (0..12).map(|i| (i, round))).unwrap();
        scene.stage.await_starts(before + 4);
        scene.stage.open(round);
        assert!(handle.get().unwrap().into_iter().eq(0..12));
    }
}
