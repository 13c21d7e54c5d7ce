//! Lazy calls hold a bounded number of items and bytes, whatever the consumer does.

use sandpool_tests::guests::{ACTOR, GO, SPIN, TYPED};
use sandpool_tests::{Counted, Scene, eventually, hard_limit, stays};

const MIB: u32 = 1 << 20;

/// Waits until no more results come, and gives their number.
fn settled(scene: &Scene) -> u64 {
    let mut seen = (u64::MAX, 0);
    eventually("no more results come", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let values = scene.pool.stats().values;
        seen = if seen.0 == values { (values, seen.1 + 1) } else { (values, 0) };
        seen.1 == 10
    });
    seen.0
}

#[test]
fn large_results_are_bounded_by_bytes() {
    let _limit = hard_limit();
    for ordered in [true, false] {
        let scene = Scene::new(TYPED, 2);
        let pulled = Counted::new();
        let big = scene.pool.function("big").unwrap();
        let big = big.window(100_000).window_bytes(8 * u64::from(MIB));
        let items = pulled.count((0..).map(|i: i64| (i, 0_i64, MIB)));
        let results = if ordered { big.imap(items) } else { big.imap_unordered(items) };
        let mut results = results.unwrap();
        for _ in 0..10 {
            let bytes: Vec<u8> = results.next().unwrap().unwrap();
            assert_eq!(bytes.len(), MIB as usize);
        }
        let held = settled(&scene) - 10;
        // Eight fill the window; what two workers had begun by then comes on top.
        assert!((7..=24).contains(&held), "{held} results of 1 MiB for a window of 8 MiB");
        let _: Vec<u8> = results.next().unwrap().unwrap();
    }
}

#[test]
fn results_that_become_large_are_bounded_by_bytes_too() {
    let _limit = hard_limit();
    let scene = Scene::new(TYPED, 2);
    let big = scene.pool.function("big").unwrap();
    let big = big.window(100_000).window_bytes(8 * u64::from(MIB));
    // Ten thousand small results teach large chunks; then each result has 1 MiB.
    const SMALL: i64 = 10_000;
    let items = (0..).map(|i: i64| (i, SMALL, MIB));
    let mut results = big.imap_unordered::<_, Vec<u8>>(items).unwrap();
    for _ in 0..SMALL / 2 {
        assert!(results.next().unwrap().unwrap().is_empty());
    }
    let held = settled(&scene).saturating_sub(SMALL as u64);
    assert!(held <= 64, "{held} results of 1 MiB for a window of 8 MiB");
}

#[test]
fn large_items_are_bounded_by_bytes() {
    let _limit = hard_limit();
    let scene = Scene::new(TYPED, 1);
    let pulled = Counted::new();
    let echo = scene.pool.function("echo").unwrap();
    let echo = echo.window(100_000).window_bytes(4 * u64::from(MIB));
    let items = pulled.count(std::iter::repeat_with(|| vec![7_u8; MIB as usize]));
    let mut results = echo.imap::<_, Vec<u8>>(items).unwrap();
    settled(&scene);
    stays("pulled no more than the window", || pulled.get() <= 8);
    let first = results.next().unwrap().unwrap();
    assert!(first.len() == MIB as usize && first.iter().all(|byte| *byte == 7));
}

/// A component with one function, which takes any bytes and never ends.
const HANGS: &str = r#"(component
    (core module $m
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.mul (i32.const 65536) (memory.grow (i32.const 17))))
        (func (export "hang") (param i32 i32) (loop $again (br $again))))
    (core instance $i (instantiate $m))
    (func (export "hang") (param "x" (list u8))
        (canon lift (core func $i "hang") (memory (core memory $i "memory"))
            (realloc (core func $i "realloc")))))"#;

#[test]
fn few_large_items_wait_for_workers() {
    let _limit = hard_limit();
    let scene = Scene::new(HANGS, 2);
    let pulled = Counted::new();
    let hang = scene.pool.function("hang").unwrap().window(100_000);
    let items = pulled.count(std::iter::repeat_with(|| "x".repeat(MIB as usize)));
    let results = hang.imap::<_, ()>(items).unwrap();
    // One for each worker, and twice as many that wait.
    eventually("items wait", || pulled.get() >= 6);
    stays("no more of them are pulled", || pulled.get() <= 7);
    drop(results);
}

#[test]
fn what_a_failure_said_is_not_held_once_it_was_yielded() {
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap().window_bytes(1);
    let act = act.timeout(std::time::Duration::from_millis(200));
    let items = (0..20_i64).map(|i| (i, if i == 3 { SPIN } else { GO }));
    let outcomes: Vec<bool> =
        act.imap_unordered::<_, i64>(items).unwrap().map(|outcome| outcome.is_ok()).collect();
    assert_eq!((outcomes.len(), outcomes.iter().filter(|ok| !**ok).count()), (20, 1));
}

#[test]
fn an_item_larger_than_the_window_gets_through() {
    let _limit = hard_limit();
    let scene = Scene::new(TYPED, 2);
    let echo = scene.pool.function("echo").unwrap().window_bytes(1000);
    let items = || (0..6_u8).map(|i| vec![i; 3 * MIB as usize]);
    let ordered = echo.imap::<_, Vec<u8>>(items()).unwrap();
    assert!(ordered.map(Result::unwrap).eq(items()));
    assert_eq!(echo.imap_unordered::<_, Vec<u8>>(items()).unwrap().count(), 6);
}
