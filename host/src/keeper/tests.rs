//! Tests of keepers, calls and the queue together: real pools with real workers.

mod busy;
mod counts;
mod deaths;
mod evil;
mod lab;
mod sharing;
mod soak;
mod starting;

use crate::{ErrorPolicy, Instance, Pool, PoolBuilder, PoolErrorKind, TaskErrorKind, TaskModule};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Long enough for anything that is not stuck, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i64) (i64.const 0))
  (func (export "echo") (param i64) (result i64) (local.get 0))
  (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1))
  (func (export "trap") (param i64) (result i64) unreachable)
  ;; 0 traps, all else spins.
  (func (export "either") (param i64) (result i64)
    (if (i64.eqz (local.get 0)) (then unreachable))
    (loop (br 0)) (i64.const 1))
  ;; Sleeps for so many milliseconds: a relative clock subscription.
  (func $sleep (export "sleep") (param i64) (result i64)
    (i64.store (i32.const 0) (i64.const 7))
    (i32.store8 (i32.const 8) (i32.const 0))
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.mul (local.get 0) (i64.const 1000000)))
    (i64.store (i32.const 32) (i64.const 0))
    (i32.store16 (i32.const 40) (i32.const 0))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
    (local.get 0))
  ;; As `either`, but takes its time to trap.
  (func (export "late_either") (param i64) (result i64)
    (if (i64.eqz (local.get 0)) (then (drop (call $sleep (i64.const 100))) unreachable))
    (loop (br 0)) (i64.const 1))
  (func (export "count") (param i64) (result i64)
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (global.get $count))
  (func (export "refuse") (param i64) unreachable)
  (func (export "slow_refuse") (param i64)
    (drop (call $sleep (local.get 0))) unreachable)
)"#;

fn builder(processes: usize) -> PoolBuilder {
    Pool::builder(TaskModule::from_bytes("guest.wat", GUEST.as_bytes())).processes(processes)
}

fn pool(processes: usize) -> Pool {
    builder(processes).build().unwrap()
}

/// A pool all of whose workers wait for something to do.
fn rested(processes: usize) -> Pool {
    let pool = pool(processes);
    let before = Instant::now();
    while pool.stats().workers_started < processes as u64 && before.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(50));
    pool
}

/// Closes the pool, waits for its end, and checks that every item ended exactly once.
fn end(pool: &Pool) {
    pool.close();
    assert!(pool.join_timeout(PATIENCE).unwrap(), "the pool does not end: {:?}", pool.stats());
    settled(pool);
}

fn settled(pool: &Pool) {
    let stats = pool.stats();
    assert_eq!(stats.submitted, stats.values + stats.errors, "{stats:?}");
    assert_eq!(stats.workers_started, stats.workers_ended, "{stats:?}");
}

/// Runs `body` on a thread of its own; fails if it does not come back.
fn in_time<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(body()));
    receiver.recv_timeout(PATIENCE).expect("it comes back in time")
}

#[test]
fn a_few_slow_items_run_on_all_workers() {
    let pool = rested(4);
    let before = Instant::now();
    let _: Vec<i64> = pool.map("sleep", [300_i64; 4]).unwrap();
    let first = before.elapsed();
    assert!(first < Duration::from_millis(1000), "{first:?} for four times 300 ms on 4 workers");
    end(&pool);
}

#[test]
fn failing_fast_kills_what_other_workers_run() {
    let pool = rested(2);
    let function = pool.function("late_either").unwrap().error_policy(ErrorPolicy::FailFast);
    let error = function.map::<_, i64>([1_i64, 0]).unwrap_err();
    assert!(error.task().is_some_and(|task| task.is_trap()), "{error:?}");
    end(&pool);
}

#[test]
fn joining_does_not_wait_for_a_consumer_whose_results_fill_the_window() {
    let pool = pool(2);
    let function = pool.function("echo").unwrap().window(10_000).window_bytes(64);
    let results = function.imap::<_, i64>(0..5000_i64).unwrap();
    pool.close();
    assert!(pool.join_timeout(PATIENCE).unwrap(), "{:?}", pool.stats());
    let results: Vec<i64> = results.map(Result::unwrap).collect();
    assert!(results.into_iter().eq(0..5000));
    settled(&pool);
}

#[test]
fn an_initializer_that_fails_is_told_with_its_cause() {
    for _ in 0..5 {
        let pool = builder(2).initializer("refuse", 1_i64).build().unwrap();
        let error = in_time({
            let pool = pool.clone();
            move || pool.apply::<_, i64>("echo", &1_i64).unwrap_err()
        });
        let error = error.pool().expect("an error of the pool");
        assert_eq!(error.kind(), PoolErrorKind::Broken);
        assert!(error.to_string().contains("unreachable"), "{error}");
    }
}

#[test]
fn an_initializer_that_fails_slowly_is_told_as_well() {
    let pool = builder(1).initializer("slow_refuse", 2100_i64).build().unwrap();
    let error = in_time(move || pool.apply::<_, i64>("echo", &1_i64).unwrap_err());
    assert_eq!(error.pool().map(|error| error.kind()), Some(PoolErrorKind::Broken));
}

#[test]
fn a_terminated_input_does_not_look_complete() {
    let pool = pool(1);
    // The input blocks after three items, all of which end.
    let (sender, receiver) = mpsc::channel::<i64>();
    for item in 0..3 {
        sender.send(item).unwrap();
    }
    let mut lazy = pool.imap::<_, i64>("echo", receiver).unwrap();
    for item in 0..3 {
        assert_eq!(lazy.next().unwrap().unwrap(), item);
    }
    pool.terminate();
    let last = in_time(move || lazy.next());
    let error = last.expect("not simply the end").unwrap_err();
    assert_eq!(error.pool().map(|error| error.kind()), Some(PoolErrorKind::Terminated));
    drop(sender);
}

#[test]
fn a_terminated_map_does_not_give_half_a_list() {
    let pool = pool(1);
    let (sender, receiver) = mpsc::channel::<i64>();
    let mapping = pool.clone();
    let mapped = std::thread::spawn(move || mapping.map::<_, i64>("echo", receiver));
    for item in 0..64 {
        sender.send(item).unwrap();
    }
    let before = Instant::now();
    while pool.stats().values < 64 && before.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    pool.terminate();
    // The input goes on, and the map must end although it never does.
    while !mapped.is_finished() && before.elapsed() < PATIENCE {
        let _ = sender.send(1);
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = mapped.join().unwrap().unwrap_err();
    assert_eq!(error.pool().map(|error| error.kind()), Some(PoolErrorKind::Terminated));
    settled_after_join(&pool);
}

fn settled_after_join(pool: &Pool) {
    assert!(pool.join_timeout(PATIENCE).unwrap());
    settled(pool);
}

#[test]
fn a_stopped_input_gives_nothing_more() {
    let pool = pool(1);
    let function = pool.function("echo").unwrap().window(4);
    let mut results = function.imap::<_, i64>(0_i64..).unwrap();
    let before = Instant::now();
    while results.pulled() < 4 && before.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    results.stop_input();
    let all: Vec<i64> = in_time(move || results.by_ref().map(Result::unwrap).collect());
    assert_eq!(all, [0, 1, 2, 3]);
    end(&pool);
}

#[test]
fn a_call_that_was_idle_does_not_starve_the_others() {
    let pool = pool(1);
    let (sender, receiver) = mpsc::channel::<i64>();
    let mut rare = pool.imap::<_, i64>("sleep", receiver).unwrap();
    sender.send(0).unwrap();
    rare.next().unwrap().unwrap();
    // Another call is served for a second while the first has nothing.
    let mut busy = pool.imap::<_, i64>("sleep", std::iter::repeat(20_i64)).unwrap();
    let before = Instant::now();
    while before.elapsed() < Duration::from_secs(1) {
        busy.next().unwrap().unwrap();
    }
    for _ in 0..60 {
        sender.send(20).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    let mut served = 0;
    while before.elapsed() < Duration::from_millis(600) {
        if busy.next_timeout(Duration::from_millis(10)).is_ok() {
            served += 1;
        }
    }
    // Half of thirty, and some for the window that was full already.
    assert!(served >= 10, "the busy call got {served} of about 15 items in 600 ms");
    drop((busy, rare));
    end(&pool);
}

#[test]
fn max_tasks_per_child_is_exact() {
    let pool = builder(2).instance(Instance::Reuse).max_tasks_per_child(3).build().unwrap();
    let counts: Vec<i64> = pool.function("count").unwrap().chunk_size(7).map(0..60_i64).unwrap();
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    let full = counts.iter().filter(|count| **count == 3).count();
    assert!(full >= 19, "{counts:?}");
    end(&pool);
}

#[test]
fn retries_with_a_full_window_do_not_get_stuck() {
    let pool = builder(3).build().unwrap();
    let function = pool
        .function("either")
        .unwrap()
        .timeout(Duration::from_millis(30))
        .retries(2)
        .window(64)
        .window_bytes(1)
        .chunk_size(4);
    let results = function.imap::<_, i64>((0..24).map(|n| i64::from(n % 5 == 0))).unwrap();
    let kinds: Vec<TaskErrorKind> =
        in_time(move || results.map(|result| result.unwrap_err().task().unwrap().kind()).collect());
    let expected =
        (0..24).map(|n| if n % 5 == 0 { TaskErrorKind::TimedOut } else { TaskErrorKind::Trapped });
    assert!(kinds.iter().copied().eq(expected), "{kinds:?}");
    end(&pool);
}

#[test]
fn dropping_an_iterator_frees_its_workers() {
    let pool = pool(2);
    let results = pool.imap::<_, i64>("spin", 0..10_i64).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(results);
    let echoed: i64 = in_time({
        let pool = pool.clone();
        move || pool.apply("echo", &5_i64).unwrap()
    });
    assert_eq!(echoed, 5);
    end(&pool);
}

#[test]
fn detached_results_are_dropped_and_everything_runs() {
    let pool = pool(2);
    pool.imap_unordered::<_, i64>("echo", 0..10_000_i64).unwrap().detach();
    pool.imap::<_, i64>("echo", 0..10_000_i64).unwrap().detach();
    end(&pool);
    assert_eq!(pool.stats().values, 20_000);
}

#[test]
fn termination_answers_at_once_even_while_workers_start() {
    let pool = builder(3).max_tasks_per_child(1).build().unwrap();
    let handle = pool.function("spin").unwrap().map_async::<_, i64>(0..50_i64).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    let before = Instant::now();
    pool.terminate();
    assert!(handle.get().is_err_and(|error| {
        error.task().is_some_and(|task| task.kind() == TaskErrorKind::Terminated)
    }));
    assert!(before.elapsed() < Duration::from_secs(1));
    settled_after_join(&pool);
}

#[test]
fn many_calls_at_once_do_not_slow_each_other_down() {
    let pool = pool(2);
    let before = Instant::now();
    let handles: Vec<_> =
        (0..20_000_i64).map(|n| pool.apply_async::<_, i64>("echo", &n).unwrap()).collect();
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(handle.get().unwrap(), n as i64);
    }
    let took = before.elapsed();
    // Some 20 µs each. With a look at every call for each of them it was minutes.
    assert!(took < Duration::from_secs(10), "{took:?}");
    end(&pool);
}

/// Runs a test of [`alone`] in a process of its own, where every thread and child is its own.
fn run_alone(name: &str) {
    let program = std::env::current_exe().unwrap();
    let test = format!("keeper::tests::alone::{name}");
    #[expect(clippy::disallowed_methods, reason = "the test is run again as its own process")]
    let output = std::process::Command::new(program)
        .args(["--exact", "--ignored", "--nocapture", &test])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {output:?}");
}

#[test]
fn an_idle_pool_uses_no_processor_time() {
    run_alone("idle");
}

#[test]
fn waiting_for_slow_items_uses_next_to_no_processor_time() {
    run_alone("waiting");
}

#[test]
fn a_killed_worker_costs_the_item_it_ran_and_no_other() {
    run_alone("killed");
}

mod alone {
    //! Run by [`run_alone`](super::run_alone) only.

    use super::*;
    use std::fs::{read_dir, read_to_string};

    /// Child processes of this one.
    fn children() -> Vec<i32> {
        let tasks = read_dir("/proc/self/task").unwrap();
        let lists = tasks.map(|task| read_to_string(task.unwrap().path().join("children")));
        let text: String = lists.map(Result::unwrap_or_default).collect();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Time on a processor so far, of this process and its children.
    fn used() -> Duration {
        let of = |path: std::path::PathBuf| -> u64 {
            let text = read_to_string(path.join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().map_or(0, |nanos| nanos.parse().unwrap())
        };
        let tasks = read_dir("/proc/self/task").unwrap().map(|task| of(task.unwrap().path()));
        let workers = children().into_iter().map(|pid| of(format!("/proc/{pid}").into()));
        Duration::from_nanos(tasks.sum::<u64>() + workers.sum::<u64>())
    }

    #[test]
    #[ignore = "run by another test"]
    fn idle() {
        let pool = rested(2);
        let _: Vec<i64> = pool.map("echo", 0..1000_i64).unwrap();
        let unread = pool.imap::<_, i64>("echo", 0_i64..).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(children().len(), 2);
        let before = used();
        std::thread::sleep(Duration::from_secs(1));
        let spent = used() - before;
        // Looking is not free.
        assert!(spent < Duration::from_millis(5), "{spent:?} in a second");
        drop(unread);
        end(&pool);
    }

    #[test]
    #[ignore = "run by another test"]
    fn waiting() {
        let pool = rested(2);
        let function = pool.function("sleep").unwrap().timeout(Duration::from_secs(10));
        let handle = function.map_async::<_, i64>([1500_i64; 4]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let before = used();
        std::thread::sleep(Duration::from_secs(1));
        let spent = used() - before;
        assert!(spent < Duration::from_millis(10), "{spent:?} in a second");
        handle.get().unwrap();
        end(&pool);
    }

    #[test]
    #[ignore = "run by another test"]
    fn killed() {
        let pool = rested(2);
        // Chunks of many, so that there is something to lose.
        let function = pool.function("sleep").unwrap().chunk_size(20);
        let mut results = function.imap_unordered::<_, i64>([2_i64; 600]).unwrap();
        let mut killed = 0;
        let (mut values, mut deaths) = (0, 0);
        for result in results.by_ref() {
            match result {
                Ok(value) => values += i64::from(value == 2),
                Err(error) => {
                    assert_eq!(error.task().unwrap().kind(), TaskErrorKind::WorkerDied, "{error}");
                    assert!(error.to_string().contains("SIGKILL"), "{error}");
                    deaths += 1;
                }
            }
            if (values + deaths) % 50 == 0 {
                let worker = children().pop().and_then(rustix::process::Pid::from_raw);
                rustix::process::kill_process(worker.unwrap(), rustix::process::Signal::KILL)
                    .unwrap();
                killed += 1;
            }
        }
        assert_eq!(values + deaths, 600);
        assert!(killed >= 10 && deaths <= killed && deaths > 0, "{deaths} of {killed}");
        end(&pool);
    }
}
