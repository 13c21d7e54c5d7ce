//! Callbacks: how often, with what, when, and whom they may delay.

use sandpool::{CallError, Callbacks, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, MATH, TRAP};
use sandpool_tests::{Scene, hard_limit};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What callbacks were called with.
#[derive(Debug)]
enum Told<T> {
    Value(T),
    Error(CallError),
}

/// Callbacks that tell, and where they tell it: the channel ends when both are gone.
fn telling<T: Clone + Send + 'static>() -> (Callbacks<T>, Receiver<Told<T>>) {
    let (sender, told) = channel();
    let errors: Sender<Told<T>> = sender.clone();
    let callbacks = Callbacks::new()
        .on_value(move |value: &T| sender.send(Told::Value(value.clone())).unwrap())
        .on_error(move |error| errors.send(Told::Error(error.clone())).unwrap());
    (callbacks, told)
}

#[test]
fn case_51_success_calls_back_once_with_the_value() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (callbacks, told) = telling::<i64>();
    let handle = scene.pool.function("sq").unwrap().apply_async_with(&5, callbacks).unwrap();
    assert_eq!(handle.get().unwrap(), 25);
    let told: Vec<_> = told.iter().collect();
    assert!(matches!(told[..], [Told::Value(25)]), "{told:?}");
}

#[test]
fn case_52_failure_calls_back_once_with_the_error() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let (callbacks, told) = telling::<i64>();
    let act = scene.pool.function("act").unwrap();
    let handle = act.apply_async_with(&(1, TRAP), callbacks).unwrap();
    assert!(handle.get().unwrap_err().task().unwrap().is_trap());
    let told: Vec<_> = told.iter().collect();
    let [Told::Error(CallError::Task(error))] = &told[..] else { panic!("{told:?}") };
    assert!(error.is_trap());
}

#[test]
fn case_53_a_map_calls_back_once_with_the_whole_list() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let sq = scene.pool.function("sq").unwrap().chunk_size(3);
    let (callbacks, told) = telling::<Vec<i64>>();
    let handle = sq.map_async_with(0..100, callbacks).unwrap();
    assert!(handle.wait(None));
    let told: Vec<_> = told.iter().collect();
    let [Told::Value(list)] = &told[..] else { panic!("{told:?}") };
    assert!(list.iter().copied().eq((0..100).map(|x| x * x)));
    // An empty one as well, which Python forgets.
    let (callbacks, told) = telling::<Vec<i64>>();
    let handle = sq.map_async_with(std::iter::empty::<i64>(), callbacks).unwrap();
    assert!(handle.wait(None));
    let told: Vec<_> = told.iter().collect();
    let [Told::Value(list)] = &told[..] else { panic!("{told:?}") };
    assert!(list.is_empty());
}

#[test]
fn case_54_a_map_with_three_failures_calls_back_once() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let (callbacks, told) = telling::<Vec<i64>>();
    let items = (0..30).map(|i| (i, if i % 10 == 4 { TRAP } else { GO }));
    let act = scene.pool.function("act").unwrap();
    let handle = act.map_async_with(items, callbacks).unwrap();
    assert!(handle.wait(None));
    let told: Vec<_> = told.iter().collect();
    let [Told::Error(CallError::Task(error))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((error.index(), error.kind()), (4, TaskErrorKind::Trapped));
    assert_eq!(scene.stage.starts().len(), 30);
}

#[test]
fn case_55_a_handle_turns_ready_when_its_callback_has_returned() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 2);
    let (release, held) = channel::<()>();
    let (sender, entered) = channel();
    let callbacks = Callbacks::new().on_value(move |_: &i64| {
        sender.send(()).unwrap();
        held.recv().unwrap();
    });
    let handle = scene.pool.function("sq").unwrap().apply_async_with(&5, callbacks).unwrap();
    entered.recv().unwrap();
    assert!(!handle.wait(Some(Duration::from_millis(50))) && !handle.ready());
    release.send(()).unwrap();
    assert_eq!(handle.get().unwrap(), 25);
}

#[test]
fn case_57_a_panic_of_the_error_callback_keeps_the_error_as_its_cause() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let callbacks = Callbacks::<i64>::new().on_error(|_| panic!("the callback is broken"));
    let act = scene.pool.function("act").unwrap();
    let handle = act.apply_async_with(&(1, TRAP), callbacks).unwrap();
    let error = handle.get().unwrap_err();
    let CallError::Callback { panic, cause } = &error else { panic!("{error:?}") };
    assert_eq!(panic, "the callback is broken");
    assert!(cause.as_deref().unwrap().task().unwrap().is_trap());
    assert!(!handle.successful().unwrap());
    assert_eq!(scene.pool.apply::<_, i64>("act", &(2, GO)).unwrap(), 2);
}

#[test]
fn case_59_a_slow_callback_delays_no_other_call() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let (release, held) = channel::<()>();
    let (sender, entered) = channel();
    let callbacks = Callbacks::new().on_value(move |_: &i64| {
        sender.send(()).unwrap();
        held.recv().unwrap();
    });
    let sq = scene.pool.function("sq").unwrap();
    let slow = sq.apply_async_with(&1, callbacks).unwrap();
    entered.recv().unwrap();
    assert_eq!(sq.apply_async::<_, i64>(&2).unwrap().get().unwrap(), 4);
    let (callbacks, told) = telling::<i64>();
    assert_eq!(sq.apply_async_with(&3, callbacks).unwrap().get().unwrap(), 9);
    assert_eq!(told.iter().count(), 1);
    assert!(!slow.ready());
    release.send(()).unwrap();
    assert_eq!(slow.get().unwrap(), 1);
}

#[test]
fn a_callback_may_use_its_own_pool() {
    let _limit = hard_limit();
    let scene = Scene::new(MATH, 1);
    let (sender, told) = channel();
    let pool = scene.pool.clone();
    let callbacks = Callbacks::new().on_value(move |value: &i64| {
        sender.send(pool.apply::<_, i64>("sq", value).unwrap()).unwrap();
    });
    let handle = scene.pool.function("sq").unwrap().apply_async_with(&3, callbacks).unwrap();
    assert_eq!(handle.get().unwrap(), 9);
    assert_eq!(told.recv().unwrap(), 81);
}
