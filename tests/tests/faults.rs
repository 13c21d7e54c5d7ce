//! What goes wrong costs the item that it goes wrong with, and says so.

use sandpool::{Form, PoolErrorKind, PoolEvent, TaskErrorKind, WorkerEnd};
use sandpool_tests::guests::{
    ACTOR, EXIT, GO, HOARD, MATH, NAP, OVERFLOW, SPIN, TRAP, TRAP_TWICE, TYPED,
};
use sandpool_tests::{Scene, eventually, hard_limit, processes};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Runs `[go, how, go]` and gives the error of the one in the middle.
fn in_the_middle(scene: &Scene, how: i64) -> sandpool::TaskError {
    let items = [(1, GO), (2, how), (3, GO)];
    let outcomes = scene.pool.map_outcomes::<_, i64>("act", items).unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap(), &1);
    assert_eq!(outcomes[2].as_ref().unwrap(), &3);
    let error = outcomes[1].as_ref().unwrap_err().clone();
    assert_eq!((error.index(), error.attempts()), (1, 1));
    error
}

#[test]
fn case_78_a_trap_fails_its_item_and_names_itself() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let error = in_the_middle(&scene, TRAP);
    assert_eq!(error.kind(), TaskErrorKind::Trapped);
    assert!(error.message().contains("unreachable"), "{error}");
    assert!(error.backtrace().is_some());
    let error = in_the_middle(&scene, OVERFLOW);
    assert_eq!(error.kind(), TaskErrorKind::Trapped);
    assert!(error.message().contains("stack"), "{error}");
    let error = in_the_middle(&scene, HOARD);
    assert_eq!(error.kind(), TaskErrorKind::OutOfMemory);
    assert!(error.used_of_limit().is_some());
    assert_eq!(scene.pool.stats().workers_ended, 0, "none of these costs a process");
}

#[test]
fn case_78_a_worker_killed_from_outside_fails_its_item_and_is_replaced() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let before = scene.all_workers();
    let handle = scene.pool.map_async::<_, i64>("act", [(1, 0), (2, GO)]).unwrap();
    scene.stage.await_start(1);
    processes::kill(before[0]);
    let error = handle.get().unwrap_err();
    let error = error.task().unwrap();
    assert_eq!((error.kind(), error.index()), (TaskErrorKind::WorkerDied, 0));
    assert_eq!(error.code(), Some(-9), "{error}");
    assert_eq!(scene.pool.apply::<_, i64>("act", &(3, GO)).unwrap(), 3);
    assert_eq!(scene.stage.starts(), [1, 2, 3], "nothing was started twice");
    assert_ne!(scene.all_workers(), before);
}

#[test]
fn case_78_an_idle_worker_killed_from_outside_is_replaced_and_costs_nothing() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    for round in 0..5 {
        let before = scene.all_workers();
        before.iter().copied().for_each(processes::kill);
        assert_eq!(scene.pool.apply::<_, i64>("sq", &round).unwrap(), round * round);
        assert_eq!(scene.pool.map::<_, i64>("sq", 0..100).unwrap().len(), 100);
        eventually("all are replaced", || scene.all_workers().iter().all(|p| !before.contains(p)));
    }
    assert_eq!(scene.pool.stats().errors, 0);
}

#[test]
fn case_79_a_death_inside_a_chunk_costs_the_item_that_ran() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let worker = scene.all_workers()[0];
    let act = scene.pool.function("act").unwrap().chunk_size(10);
    let items = (0..10).map(|i| (i, if i == 4 { 0 } else { GO }));
    let mut results = act.imap::<_, i64>(items).unwrap();
    scene.stage.await_start(4);
    processes::kill(worker);
    for i in 0..10 {
        let outcome = results.next_outcome().unwrap().unwrap();
        assert_eq!((outcome.index, outcome.attempts), (i, 1));
        match outcome.result {
            Ok(value) => assert_eq!(value, i as i64),
            Err(error) => assert_eq!((error.kind(), i), (TaskErrorKind::WorkerDied, 4)),
        }
    }
    assert!(scene.stage.starts().into_iter().eq(0..10), "each was started once");
}

#[test]
fn case_83_all_workers_die_at_once() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let workers = scene.all_workers();
    let items = (0..20).map(|i| (i, if i < 2 { 9 } else { GO }));
    let act = scene.pool.function("act").unwrap();
    let mut results = act.imap::<_, i64>(items).unwrap();
    scene.stage.await_starts(2);
    workers.iter().copied().for_each(processes::kill);
    for _ in 0..2 {
        let error = results.next().unwrap().unwrap_err();
        assert!(error.task().unwrap().is_worker_death(), "{error}");
    }
    assert!(results.map(Result::unwrap).eq(2..20), "the queued ones run");
    let mut starts = scene.stage.starts();
    starts.sort_unstable();
    assert!(starts.into_iter().eq(0..20), "each was started once");
    assert_eq!(scene.all_workers().len(), 2);
}

#[test]
fn case_84_exit_is_an_outcome_with_its_status() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let error = in_the_middle(&scene, EXIT);
    assert_eq!((error.kind(), error.code()), (TaskErrorKind::Exited, Some(3)));
}

/// A value that fails to be serialised.
pub(crate) struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot be written"))
    }
}

#[test]
fn case_85_an_argument_that_cannot_be_encoded_fails_its_handle() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    for _ in 0..20 {
        let error = scene.pool.apply_async::<_, i64>("sq", &Unwritable).err().unwrap();
        assert_eq!(error.kind(), PoolErrorKind::Mismatch);
        assert!(error.to_string().contains("cannot be written"), "{error}");
        assert!(scene.pool.apply::<_, i64>("sq", "text").is_err());
        assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
    }
    scene.nothing_is_lost();
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

/// An item that fits, or one that does not.
#[derive(Serialize)]
#[serde(untagged)]
enum Mixed {
    Number(i64),
    Text(&'static str),
}

#[test]
fn a_later_misfit_is_the_outcome_of_its_item() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let items = || [Mixed::Number(2), Mixed::Text("x"), Mixed::Number(4)];
    let outcomes = scene.pool.map_outcomes::<_, i64>("sq", items()).unwrap();
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.index()), (TaskErrorKind::BadInput, 1));
    assert_eq!(error.attempts(), 0, "it was never started");
    assert_eq!((*outcomes[0].as_ref().unwrap(), *outcomes[2].as_ref().unwrap()), (4, 16));
    let lazy: Vec<_> = scene.pool.imap::<_, i64>("sq", items()).unwrap().collect();
    assert!(lazy[0].is_ok() && lazy[1].is_err() && lazy[2].is_ok());
}

#[test]
fn case_86_an_argument_that_cannot_be_decoded_fails_its_item_and_spares_the_worker() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let worker = scene.all_workers();
    let sq = scene.pool.function("sq").unwrap().documents(Form::Json);
    for bad in ["{", "", "\"text\"", "1 2", "99999999999999999999", "\u{0}"] {
        let error = sq.apply(bad.as_bytes()).unwrap_err();
        assert_eq!(error.task().unwrap().kind(), TaskErrorKind::BadInput, "{bad}: {error}");
        assert_eq!(&*sq.apply(b"5").unwrap(), b"25");
    }
    assert_eq!(scene.all_workers(), worker);
}

#[test]
fn case_88_a_result_that_is_too_large_fails_its_item() {
    let _limit = hard_limit();
    let scene = Scene::with(TYPED, |builder| builder.processes(1).max_output(100_000));
    let big = scene.pool.function("big").unwrap();
    for _ in 0..3 {
        let error = big.apply::<_, Vec<u8>>(&(1, 0, 100_001)).unwrap_err();
        let error = error.task().unwrap();
        assert_eq!(error.kind(), TaskErrorKind::OutputTooLarge, "{error}");
        let (used, limit) = error.used_of_limit().unwrap();
        assert!(used > limit && limit == 100_000, "{used} of {limit}");
        assert_eq!(big.apply::<_, Vec<u8>>(&(1, 0, 90_000)).unwrap().len(), 90_000);
    }
}

#[test]
fn case_89_a_timeout_ends_the_item_that_is_late() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let act = scene.pool.function("act").unwrap().timeout(Duration::from_millis(1000));
    let items = [(0, NAP), (1, SPIN), (2, GO)];
    let outcomes = act.map_outcomes::<_, i64>(items).unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap(), &0);
    let error = outcomes[1].as_ref().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let (used, limit) = error.used_of_limit().unwrap();
    assert!(limit == 1000 && used >= 1000, "{used} of {limit}");
    assert_eq!(outcomes[2].as_ref().unwrap(), &2);
    // A sleeping guest is late as well as a busy one.
    let act = scene.pool.function("act").unwrap().timeout(Duration::from_millis(300));
    assert!(act.apply::<_, i64>(&(3, 9)).unwrap_err().task().unwrap().is_timeout());
    assert_eq!(scene.stage.starts(), [0, 1, 2, 3]);
}

#[test]
fn case_91_a_timeout_is_that_of_each_item_and_not_of_its_chunk() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    // Five naps of 0.4 s: the chunk takes longer than what each of its items has.
    let act = scene.pool.function("act").unwrap();
    let act = act.chunk_size(5).timeout(Duration::from_millis(1600));
    assert_eq!(act.map::<_, i64>((0..5).map(|i| (i, NAP))).unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

#[test]
fn waiting_for_a_worker_is_not_billed_to_the_timeout() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let first = scene.pool.apply_async::<_, i64>("act", &(1, 0)).unwrap();
    scene.stage.await_start(1);
    let act = scene.pool.function("act").unwrap().timeout(Duration::from_millis(500));
    let queued = act.map_async::<_, i64>([(2, GO), (3, GO)]).unwrap();
    assert!(!queued.wait(Some(Duration::from_millis(1200))));
    scene.stage.open(0);
    assert_eq!((first.get().unwrap(), queued.get().unwrap()), (1, vec![2, 3]));
}

#[test]
fn case_93_retries_are_counted_and_bounded() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let act = scene.pool.function("act").unwrap();
    let act = act.retries(2).retry_on([TaskErrorKind::Trapped]);
    let mut results = act.imap::<_, i64>([(5, TRAP_TWICE), (6, TRAP), (7, GO)]).unwrap();
    let mut next = || results.next_outcome().unwrap().unwrap();
    let third_time = next();
    assert_eq!((third_time.attempts, third_time.result.unwrap()), (3, 5));
    let never = next();
    assert_eq!((never.attempts, never.result.unwrap_err().attempts()), (3, 3));
    let at_once = next();
    assert_eq!((at_once.attempts, at_once.result.unwrap()), (1, 7));
    let mut starts = scene.stage.starts();
    starts.sort_unstable();
    assert_eq!(starts, [5, 5, 5, 6, 6, 6, 7]);
    assert_eq!(scene.pool.stats().retries, 4);
}

#[test]
fn worker_deaths_and_timeouts_are_retried_if_asked_and_other_ends_are_not() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let act = scene.pool.function("act").unwrap().retries(1);
    let worker = scene.all_workers()[0];
    let handle = act.apply_async::<_, i64>(&(1, 0)).unwrap();
    scene.stage.await_start(1);
    processes::kill(worker);
    scene.stage.await_starts(2);
    scene.stage.open(0);
    assert_eq!(handle.get().unwrap(), 1);
    let error = act.apply::<_, i64>(&(2, TRAP)).unwrap_err();
    assert_eq!(error.task().unwrap().attempts(), 1, "a trap is not retried by default");
    let timed = act.timeout(Duration::from_millis(100));
    let error = timed.apply::<_, i64>(&(3, SPIN)).unwrap_err();
    assert!(error.task().unwrap().is_timeout());
    assert_eq!(error.task().unwrap().attempts(), 2);
    assert_eq!(scene.stage.starts(), [1, 1, 2, 3, 3]);
}

#[test]
fn events_tell_why_workers_ended() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 1);
    let mut events = scene.pool.events();
    let mut ended = || loop {
        let event = events.next_timeout(Duration::from_secs(30)).expect("a worker ends");
        if let PoolEvent::WorkerEnded { pid, reason, .. } = event {
            return (pid, reason);
        }
    };
    let worker = scene.all_workers()[0];
    processes::kill(worker);
    let (pid, reason) = ended();
    assert_eq!(pid, worker);
    assert!(matches!(reason, WorkerEnd::Died(_)), "{reason:?}");
    let worker = scene.all_workers()[0];
    let act = scene.pool.function("act").unwrap().timeout(Duration::from_millis(50));
    assert!(act.apply::<_, i64>(&(1, SPIN)).is_err());
    assert_eq!(ended(), (worker, WorkerEnd::TimedOut));
    let worker = scene.all_workers()[0];
    let handle = scene.pool.apply_async::<_, i64>("act", &(2, 9)).unwrap();
    scene.stage.await_start(2);
    handle.cancel();
    assert_eq!(ended(), (worker, WorkerEnd::Cancelled));
}
