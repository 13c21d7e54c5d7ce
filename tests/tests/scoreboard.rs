//! Nine faults that every pool meets: each passes if only the handle concerned reports an error
//! and the next call works.

use crate::faults::Unwritable;
use sandpool::{CallError, Callbacks, Form, PoolErrorKind, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, EXIT, GO, MATH, TYPED};
use sandpool_tests::{Scene, hard_limit, processes};

/// A call that runs while the fault happens, and must not notice.
fn bystander(scene: &Scene) -> sandpool::AsyncResult<i64> {
    let handle = scene.pool.apply_async("act", &(100, 8)).unwrap();
    scene.stage.await_start(100);
    handle
}

fn unharmed(scene: &Scene, bystander: &sandpool::AsyncResult<i64>) {
    scene.stage.open(8);
    assert_eq!(bystander.get().unwrap(), 100);
    for next in 0..5 {
        assert_eq!(scene.pool.apply::<_, i64>("act", &(next, GO)).unwrap(), next);
    }
    scene.nothing_is_lost();
}

#[test]
fn probe_1_a_worker_dies_in_the_middle_of_an_item() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let handle = scene.pool.apply_async::<_, i64>("act", &(1, 9)).unwrap();
    scene.stage.await_start(1);
    // Only one of two has an item as yet: the other one's death costs nothing.
    scene.all_workers().into_iter().for_each(processes::kill);
    assert!(handle.get().unwrap_err().task().unwrap().is_worker_death());
    let bystander = bystander(&scene);
    unharmed(&scene, &bystander);
    assert_eq!(scene.pool.stats().errors, 1);
}

#[test]
fn probe_2_an_idle_worker_is_killed() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    for _ in 0..10 {
        scene.all_workers().into_iter().for_each(processes::kill);
        assert_eq!(scene.pool.apply::<_, i64>("act", &(1, GO)).unwrap(), 1);
    }
    let bystander = bystander(&scene);
    unharmed(&scene, &bystander);
    assert_eq!(scene.pool.stats().errors, 0);
}

#[test]
fn probe_3_the_initializer_fails() {
    let _limit = hard_limit();
    // The caller is told, at the call or at the build, and the process goes on.
    let made = Scene::try_with(MATH, |builder| builder.processes(2).initializer("setup", -1));
    if let Ok(scene) = made {
        let error = scene.pool.apply::<_, i64>("sq", &1).unwrap_err();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Broken);
    }
    let made = Scene::with(MATH, |builder| builder.processes(2).initializer("setup", 1));
    assert_eq!(made.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
}

#[test]
fn probe_4_the_guest_exits() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let bystander = bystander(&scene);
    let error = scene.pool.apply::<_, i64>("act", &(1, EXIT)).unwrap_err();
    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::Exited);
    unharmed(&scene, &bystander);
}

#[test]
fn probe_5_an_argument_cannot_be_encoded() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let bystander = bystander(&scene);
    assert!(scene.pool.apply_async::<_, i64>("act", &(1, Unwritable)).is_err());
    assert!(scene.pool.map::<_, i64>("act", [Unwritable]).is_err());
    let mut lazy = scene.pool.imap::<_, i64>("act", [Unwritable]).unwrap();
    assert!(lazy.next().unwrap().is_err());
    assert!(lazy.next().is_none());
    unharmed(&scene, &bystander);
}

#[test]
fn probe_6_an_argument_cannot_be_decoded_in_the_worker() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let bystander = bystander(&scene);
    let act = scene.pool.function("act").unwrap().documents(Form::Json);
    let error = act.apply(b"[1, \xff]").unwrap_err();
    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::BadInput);
    unharmed(&scene, &bystander);
    assert_eq!(scene.pool.stats().workers_ended, 0);
}

#[test]
fn probe_7_a_result_cannot_be_encoded() {
    let _limit = hard_limit();
    let scene = Scene::with(TYPED, |builder| builder.processes(2).max_output(1000));
    let text = scene.pool.function("text").unwrap();
    let outcomes = text.map_outcomes::<_, String>([&b"one"[..], b"\xff\xfe", b"three"]).unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap(), "one");
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), TaskErrorKind::BadOutput);
    assert_eq!(outcomes[2].as_ref().unwrap(), "three");
    let error = scene.pool.apply::<_, Vec<u8>>("big", &(1, 0, 5000)).unwrap_err();
    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::OutputTooLarge);
    assert_eq!(scene.pool.apply::<_, i64>("sub", &(5, 1)).unwrap(), 4);
    scene.nothing_is_lost();
}

#[test]
fn probe_8_a_result_cannot_be_decoded_in_the_host() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let bystander = bystander(&scene);
    let error = scene.pool.apply::<_, String>("act", &(1, GO)).unwrap_err();
    match &error {
        CallError::Task(error) => assert_eq!(error.kind(), TaskErrorKind::BadOutput),
        CallError::Pool(error) => assert_eq!(error.kind(), PoolErrorKind::Mismatch),
        other => panic!("{other:?}"),
    }
    assert!(scene.pool.map::<_, u8>("act", [(1, GO), (1000, GO)]).is_err());
    // In a lazy call it is that one item's error.
    let bytes: Vec<_> =
        scene.pool.imap::<_, u8>("act", [(1, GO), (1000, GO), (3, GO)]).unwrap().collect();
    assert_eq!(*bytes[0].as_ref().unwrap(), 1);
    assert_eq!(bytes[1].as_ref().unwrap_err().task().unwrap().kind(), TaskErrorKind::BadOutput);
    assert_eq!(*bytes[2].as_ref().unwrap(), 3);
    unharmed(&scene, &bystander);
}

#[test]
fn probe_9_a_callback_panics() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let bystander = bystander(&scene);
    let callbacks = Callbacks::<i64>::new().on_value(|_| panic!("broken"));
    let act = scene.pool.function("act").unwrap();
    let handle = act.apply_async_with(&(1, GO), callbacks).unwrap();
    let error = handle.get().unwrap_err();
    assert!(matches!(error, CallError::Callback { .. }), "{error:?}");
    unharmed(&scene, &bystander);
}
