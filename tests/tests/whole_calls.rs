//! Deadlines of whole calls: what has ended counts, what has not is told, nothing is left running.

use sandpool::{CallError, PoolErrorKind, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, GO, SPIN};
use sandpool_tests::{Scene, hard_limit};
use std::sync::mpsc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(200);

#[test]
fn items_that_have_not_ended_time_out_with_their_call() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().deadline(SOON).chunk_size(1);
    let items = [(0, GO), (1, SPIN), (2, SPIN), (3, GO)];
    let outcomes = act.map_outcomes::<_, i64>(items).unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap(), &0);
    for outcome in &outcomes[1..3] {
        let error = outcome.as_ref().unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::TimedOut);
        assert!(error.to_string().contains("the call had not ended after its 200 ms"), "{error}");
    }
    // Their workers are gone, and the pool is not.
    assert_eq!(scene.pool.apply::<_, i64>("act", &(7, GO)).unwrap(), 7);
    scene.nothing_is_lost();
}

#[test]
fn an_input_that_blocks_does_not_outlive_the_deadline() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().deadline(SOON);
    let (_sender, receiver) = mpsc::channel::<(i64, i64)>();
    let input = [(0, GO), (1, GO)].into_iter().chain(receiver);
    let mut results = act.imap::<_, i64>(input).unwrap();
    assert_eq!(results.next().unwrap().unwrap(), 0);
    assert_eq!(results.next().unwrap().unwrap(), 1);
    match results.next() {
        Some(Err(CallError::Pool(error))) => {
            assert_eq!(error.kind(), PoolErrorKind::Expired);
            assert!(error.to_string().contains("200 ms"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(results.next().is_none(), "told once");
}

#[test]
fn an_endless_input_ends_at_the_deadline() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().deadline(SOON);
    let mut values = 0;
    for result in act.imap_unordered::<_, i64>((0..).map(|i| (i, GO))).unwrap() {
        match result {
            Ok(_) => values += 1,
            Err(CallError::Task(error)) => assert_eq!(error.kind(), TaskErrorKind::TimedOut),
            Err(CallError::Pool(error)) => assert_eq!(error.kind(), PoolErrorKind::Expired),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(values > 0);
    scene.nothing_is_lost();
}

#[test]
fn a_call_that_ends_in_time_does_not_notice() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap();
    let far = act.clone().deadline(Duration::from_secs(3600));
    let items = || (0..100).map(|i| (i, GO));
    assert_eq!(far.map::<_, i64>(items()).unwrap().len(), 100);
    assert!(far.imap::<_, i64>(items()).unwrap().all(|result| result.is_ok()));
    let error = act.deadline(Duration::ZERO).map::<_, i64>(items()).unwrap_err();
    assert!(matches!(error, CallError::Pool(error) if error.kind() == PoolErrorKind::Usage));
    // The thread that watches goes with the last such call.
    drop(scene);
}
