//! One item: `apply`, `apply_async`, and what a handle says.

use sandpool::{Form, PoolErrorKind, Pulled, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH, TRAP, TYPED};
use sandpool_tests::{Counted, Scene, hard_limit};
use serde::Serialize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[test]
fn case_01_apply_gives_the_value() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 4);
    assert_eq!(scene.pool.apply::<_, i64>("sq", &5).unwrap(), 25);
    assert_eq!(scene.pool.apply::<_, i64>("zero", &()).unwrap(), 7);
}

#[test]
fn case_02_arguments_by_name_are_the_same_call() {
    #[derive(Serialize)]
    struct ByName {
        b: i64,
        a: i64,
    }
    let _limit = hard_limit();
    let pool = Scene::new(TYPED, 1).pool;
    assert_eq!(pool.apply::<_, i64>("sub", &ByName { b: 1, a: 5 }).unwrap(), 4);
    assert_eq!(pool.apply::<_, i64>("sub", &(5, 1)).unwrap(), 4);
}

#[test]
fn case_03_a_wrong_number_of_arguments_is_an_error_and_nothing_else() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    for _ in 0..3 {
        let error = scene.pool.apply::<_, i64>("add", &(1, 2, 3)).unwrap_err();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Mismatch);
        assert_eq!(scene.pool.apply::<_, i64>("add", &(1, 2)).unwrap(), 3);
    }
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

#[test]
fn case_04_a_handle_is_ready_when_its_item_has_ended() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let handle = scene.pool.apply_async::<_, i64>("act", &(11, 0)).unwrap();
    scene.stage.await_start(11);
    assert!(!handle.ready());
    scene.stage.open(0);
    assert_eq!(handle.get().unwrap(), 11);
    assert!(handle.ready());
    assert_eq!(handle.get().unwrap(), 11, "a result can be had again");
}

#[test]
fn case_05_a_timeout_of_get_leaves_the_item_running() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let handle = scene.pool.apply_async::<_, i64>("act", &(11, 0)).unwrap();
    scene.stage.await_start(11);
    assert!(handle.get_timeout(Duration::from_millis(50)).is_none());
    assert!(handle.get_timeout(Duration::ZERO).is_none());
    scene.stage.open(0);
    assert_eq!(handle.get().unwrap(), 11);
    assert_eq!(scene.stage.starts(), [11], "it was not started again");
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

#[test]
fn case_07_successful_is_a_usage_error_before_the_end() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let good = scene.pool.apply_async::<_, i64>("act", &(1, 0)).unwrap();
    assert_eq!(good.successful().unwrap_err().kind(), PoolErrorKind::Usage);
    scene.stage.open(0);
    assert!(good.wait(None));
    assert!(good.successful().unwrap());
    let bad = scene.pool.apply_async::<_, i64>("act", &(2, TRAP)).unwrap();
    assert!(bad.wait(None));
    assert!(!bad.successful().unwrap());
}

#[test]
fn case_08_wait_tells_whether_the_handle_is_ready() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let handle = scene.pool.apply_async::<_, i64>("act", &(1, 0)).unwrap();
    assert!(!handle.wait(Some(Duration::from_millis(10))));
    assert!(!handle.ready());
    scene.stage.open(0);
    assert!(handle.wait(Some(Duration::from_secs(60))));
}

#[test]
fn case_10_a_closed_pool_refuses_every_method_and_touches_no_input() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let pool = &scene.pool;
    let act = pool.function("act").unwrap();
    pool.close();
    let pulled = Counted::new();
    let items = || pulled.count((0..10).map(|i| (i, GO)));
    let refusals = [
        act.apply::<_, i64>(&(1, GO)).unwrap_err().pool().cloned(),
        act.apply_async::<_, i64>(&(1, GO)).err(),
        act.map::<_, i64>(items()).unwrap_err().pool().cloned(),
        act.map_async::<_, i64>(items()).err(),
        act.map_outcomes::<_, i64>(items()).unwrap_err().pool().cloned(),
        act.starmap::<_, i64>(items()).unwrap_err().pool().cloned(),
        act.starmap_async::<_, i64>(items()).err(),
        act.imap::<_, i64>(items()).err(),
        act.imap_unordered::<_, i64>(items()).err(),
        act.istarmap::<_, i64>(items()).err(),
        act.istarmap_unordered::<_, i64>(items()).err(),
        act.documents(Form::Json).apply(b"[1, -1]").unwrap_err().pool().cloned(),
        act.documents(Form::Json).imap(|_: &mut Vec<u8>| Ok(Pulled::End)).err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let kind = refusal.unwrap_or_else(|| panic!("method {at} was not refused")).kind();
        assert_eq!(kind, PoolErrorKind::Closed, "method {at}");
    }
    assert_eq!(pulled.get(), 0);
    pool.join().unwrap();
    assert_eq!(pool.stats().submitted, 0);
    assert!(scene.stage.starts().is_empty());
}

#[test]
fn a_function_that_is_not_there_is_named_with_the_candidates() {
    let _limit = hard_limit();
    let error = Scene::new(MATH, 1).pool.apply::<_, i64>("square", &5).unwrap_err();
    assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::NoSuchFunction);
    assert!(error.to_string().contains("`square`") && error.to_string().contains("`sq"), "{error}");
}

#[test]
fn cancel_ends_the_handle_at_once_and_kills_only_its_item() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let other = scene.pool.apply_async::<_, i64>("act", &(1, 0)).unwrap();
    let doomed = scene.pool.apply_async::<_, i64>("act", &(2, 9)).unwrap();
    scene.stage.await_starts(2);
    doomed.cancel();
    let error = doomed.get().unwrap_err();
    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::Cancelled);
    assert_eq!(scene.pool.apply::<_, i64>("act", &(3, GO)).unwrap(), 3, "a worker is free again");
    scene.stage.open(0);
    assert_eq!(other.get().unwrap(), 1);
    scene.nothing_is_lost();
}

/// Wakes the thread that polls.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_handle_is_a_future_that_wakes_its_task() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let mut handle = pin!(scene.pool.apply_async::<_, i64>("act", &(11, 0)).unwrap());
    scene.stage.await_start(11);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    assert!(handle.as_mut().poll(&mut context).is_pending());
    scene.stage.open(0);
    let value = loop {
        // Nothing else wakes this thread: without the waker it parks for ever.
        std::thread::park();
        if let Poll::Ready(value) = handle.as_mut().poll(&mut context) {
            break value;
        }
    };
    assert_eq!(value.unwrap(), 11);
}
