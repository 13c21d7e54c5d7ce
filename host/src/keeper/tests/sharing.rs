//! Items that one worker does not begin and another could.

use super::lab::{Site, alone, children};
use super::{PATIENCE, end};
use crate::keeper::link::FIRST_LOOK;
use crate::keeper::seat::Seat;
use crate::{AsyncResult, Cache, Pool, TaskModule};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

fn stop(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
}

/// A pool all of whose workers have come to rest.
fn rested(site: &Site, processes: usize) -> Pool {
    let pool = site.builder(processes).build().unwrap();
    wait_for(|| pool.core().resting() == processes);
    pool
}

fn wait_for(mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One item for workers none of which begins it: the keepers must leave them the processor, and
/// must come to see that none does.
#[test]
fn an_item_that_nobody_begins_wanders_slowly_and_the_workers_are_replaced() {
    alone(|| {
        for workers in [2, 8] {
            let site = Site::new(&[]);
            let pool = rested(&site, workers);
            children().into_iter().for_each(stop);
            let handles: Vec<_> = (0..workers as i64)
                .map(|n| pool.apply_async::<_, i64>("echo", &n).unwrap())
                .collect();
            wait_for(|| pool.core().seats.iter().all(Seat::is_busy));
            let recalled = || pool.stats().recalled;
            let (before, start) = (recalled(), Instant::now());
            // The workers that had these are given the first, one after the other.
            handles[1..].iter().for_each(AsyncResult::cancel);
            assert_eq!(handles[0].get_timeout(PATIENCE).unwrap().unwrap(), 0);
            let most = start.elapsed().as_millis() / FIRST_LOOK.as_millis();
            let moves = recalled() - before;
            assert!(moves >= workers as u64, "it does not move");
            assert!(u128::from(moves) <= most + workers as u128, "{moves} of {most}");
            assert_eq!(pool.stats().errors, workers as u64 - 1, "those that were cancelled");
            // What is left of them ends with the pool, running or not.
            end(&pool);
        }
    });
}

/// What lies behind an item that takes long goes to whoever has nothing, and does not come back.
#[test]
fn items_behind_a_long_one_are_moved_once() {
    alone(|| {
        let site = Site::new(&[]);
        let pool = rested(&site, 2);
        let count = pool.function("count").unwrap().chunk_size(4);
        for quick in 0..60 {
            let quick = std::iter::repeat_n(10, 2 * quick);
            let items: Vec<i64> = quick.chain([100_000_000]).chain([10; 7]).collect();
            let (before, start) = (pool.stats().recalled, Instant::now());
            assert_eq!(count.map::<_, i64>(&items).unwrap(), items);
            let moves = u128::from(pool.stats().recalled - before);
            // On a busy machine, the last of them may not be begun where it was moved to.
            let most = 14 + start.elapsed().as_millis() / FIRST_LOOK.as_millis();
            assert!(moves <= most, "{moves} moves of 7 items, {most} at most");
        }
        end(&pool);
    });
}

/// An initializer has the time that an item has, also if the item is not with its worker all the time.
#[test]
fn a_hanging_initializer_is_seen_though_its_item_wanders() {
    const GUEST: &str = r#"(module
        (func (export "start") (loop $more (br $more)))
        (func (export "echo") (param i64) (result i64) (local.get 0)))"#;
    for workers in [2, 3] {
        let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
        let limit = Duration::from_millis(200);
        let builder = Pool::builder(module).processes(workers).cache(Cache::Off);
        let pool = builder.initializer("start", ()).timeout(limit).build().unwrap();
        let handle = pool.apply_async::<_, i64>("echo", &1).unwrap();
        let error = handle.get_timeout(PATIENCE).expect("it ends").unwrap_err();
        assert!(error.to_string().contains("initializer"), "{error}");
        pool.terminate();
        assert!(pool.join_timeout(PATIENCE).unwrap());
    }
}
