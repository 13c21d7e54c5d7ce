//! How a pool ends: close, join, terminate, drop, and calls that come too late.

use sandpool::{CallError, Callbacks, PoolErrorKind, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH};
use sandpool_tests::{Scene, eventually, hard_limit, processes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn case_98_close_finishes_what_was_accepted() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let handle =
        scene.pool.map_async::<_, i64>("act", (0..50).map(|i| (i, if i < 2 { 0 } else { GO })));
    let handle = handle.unwrap();
    scene.stage.await_starts(2);
    scene.pool.close();
    assert!(!scene.pool.join_timeout(Duration::from_millis(50)).unwrap(), "two items still run");
    assert!(!handle.ready());
    scene.stage.open(0);
    scene.pool.join().unwrap();
    assert!(handle.ready(), "nobody joins before the end");
    assert!(handle.get().unwrap().into_iter().eq(0..50));
    scene.pool.close();
    scene.pool.join().unwrap();
    assert!(scene.pool.join_timeout(Duration::ZERO).unwrap());
    scene.pool.terminate();
    assert_eq!(handle.get().unwrap().len(), 50, "what has ended stays as it is");
    assert!(scene.workers().is_empty());
}

#[test]
fn close_lets_a_lazy_input_go_on_to_its_end() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (sender, input) = sandpool_tests::input::pipe();
    let results = scene.pool.imap::<_, i64>("sq", input).unwrap();
    sender.send(1).unwrap();
    scene.pool.close();
    for x in 2..100 {
        sender.send(x).unwrap();
    }
    assert!(!scene.pool.join_timeout(Duration::from_millis(20)).unwrap(), "the input is open");
    drop(sender);
    scene.pool.join().unwrap();
    assert!(results.map(Result::unwrap).eq((1..100).map(|x| x * x)));
}

#[test]
fn case_100_terminate_ends_everything_at_once() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let pids = scene.all_workers();
    let act = scene.pool.function("act").unwrap();
    let all = act.map_async::<_, i64>((0..10_000).map(|i| (i, 9))).unwrap();
    let one = act.apply_async::<_, i64>(&(20_000, 9)).unwrap();
    let mut lazy = act.imap::<_, i64>((30_000..).map(|i| (i, 9))).unwrap();
    scene.stage.await_starts(2);
    scene.pool.terminate();
    // Answered before anybody waits for the workers' ends.
    assert!(all.ready() && one.ready());
    for error in [all.get().map(drop).unwrap_err(), one.get().map(drop).unwrap_err()] {
        assert_eq!(error.task().unwrap().kind(), TaskErrorKind::Terminated);
    }
    assert!(lazy.next().is_none_or(|result| result.is_err()));
    scene.pool.terminate();
    scene.pool.close();
    scene.pool.join().unwrap();
    let started = scene.stage.starts().len();
    assert!(started <= 4, "{started} items were started on 2 workers that were held");
    eventually("the workers are gone", || pids.iter().all(|pid| !processes::is_alive(*pid)));
    scene.nothing_is_lost();
}

#[test]
fn terminate_interrupts_whoever_waits() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let pool = &scene.pool;
    std::thread::scope(|threads| {
        let blocked = [
            threads.spawn(|| pool.apply::<_, i64>("act", &(1, 9)).map(drop)),
            threads.spawn(|| pool.map::<_, i64>("act", [(2, 9), (3, 9)]).map(drop)),
            threads.spawn(|| {
                let mut results = pool.imap::<_, i64>("act", (10..).map(|i| (i, 9)))?;
                results.next().expect("an item was pulled").map(drop)
            }),
        ];
        scene.stage.await_starts(1);
        eventually("all have been accepted", || pool.stats().submitted >= 13);
        pool.terminate();
        for thread in blocked {
            match thread.join().unwrap().unwrap_err() {
                CallError::Task(error) => assert_eq!(error.kind(), TaskErrorKind::Terminated),
                CallError::Pool(error) => assert_eq!(error.kind(), PoolErrorKind::Terminated),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn case_101_leaving_a_scope_finishes_and_unwinding_terminates() {
    let _limit = hard_limit();
    let Scene { pool, stage, .. } = Scene::new(ACTOR, 2);
    let handle = pool.map_async::<_, i64>("act", (0..20).map(|i| (i, 0))).unwrap();
    stage.await_starts(2);
    drop(pool);
    stage.open(0);
    assert!(handle.get().unwrap().into_iter().eq(0..20));

    let Scene { pool, stage, .. } = Scene::new(ACTOR, 2);
    let handle = pool.map_async::<_, i64>("act", (0..20).map(|i| (i, 9))).unwrap();
    stage.await_starts(2);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _pool = pool;
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    let error = handle.get().unwrap_err();
    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::Terminated);
}

#[test]
fn case_102_a_finished_pool_takes_no_calls_and_an_open_one_cannot_be_joined() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    assert_eq!(scene.pool.join().unwrap_err().kind(), PoolErrorKind::Usage);
    let error = scene.pool.join_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), PoolErrorKind::Usage);
    assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9, "that did no harm");
    scene.pool.close();
    scene.pool.join().unwrap();
    let error = scene.pool.apply::<_, i64>("sq", &3).unwrap_err();
    assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Closed);
    assert!(error.pool().unwrap().is_shut_down());
    scene.pool.terminate();
    let error = scene.pool.apply::<_, i64>("sq", &3).unwrap_err();
    assert!(error.pool().unwrap().is_shut_down());
}

#[test]
fn a_function_does_not_keep_its_pool_open() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let sq = scene.pool.function("sq").unwrap();
    let second = scene.pool.clone();
    drop(scene);
    assert_eq!(sq.apply::<_, i64>(&3).unwrap(), 9, "there is another pool value");
    drop(second);
    assert_eq!(sq.apply::<_, i64>(&3).unwrap_err().pool().unwrap().kind(), PoolErrorKind::Closed);
}

#[test]
fn case_104_a_callback_that_submits_while_the_pool_ends_gets_an_error() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let (sender, told) = channel();
    let pool = scene.pool.clone();
    let on_value = move |_: &i64| {
        let closed = pool.apply::<_, i64>("act", &(2, GO)).unwrap_err();
        pool.terminate();
        let terminated = pool.apply_async::<_, i64>("act", &(3, GO)).err().unwrap();
        sender.send((closed, terminated)).unwrap();
    };
    let act = scene.pool.function("act").unwrap();
    let handle = act.apply_async_with(&(1, 0), Callbacks::new().on_value(on_value)).unwrap();
    scene.pool.close();
    scene.stage.open(0);
    let (closed, terminated) = told.recv().unwrap();
    assert_eq!(closed.pool().unwrap().kind(), PoolErrorKind::Closed);
    assert!(terminated.is_shut_down(), "{terminated}");
    assert_eq!(handle.get().unwrap(), 1);
    scene.pool.join().unwrap();
    assert_eq!(scene.stage.starts(), [1]);
}
