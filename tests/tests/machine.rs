//! What else lives in a host's process and on its machine: forks, other programs, processors that
//! come and go, few descriptors.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, may start what it likes, and tells what it saw"
)]

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sandpool::{Cache, Pool, TaskModule};
use sandpool_tests::{eventually, hard_limit, processes};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn forking_host(what: &str) {
    let _limit = hard_limit();
    for workers in ["1", "2", "8"] {
        let mut host = Command::new(env!("CARGO_BIN_EXE_forking-host"));
        let output = host.args([what, workers]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{what} {workers}: {text}");
    }
}

#[test]
fn d71_a_copy_of_an_idle_host_holds_nothing_up() {
    forking_host("fork-idle");
}

#[test]
fn d71_a_copy_of_a_busy_host_holds_nothing_up() {
    forking_host("fork-busy");
}

#[test]
fn d71_in_a_copy_nothing_is_done_to_the_pool() {
    forking_host("fork-misused");
}

#[test]
fn d71_copies_made_at_any_time_hold_nothing_up() {
    forking_host("fork-often");
}

#[test]
fn d71_programs_started_at_any_time_inherit_nothing() {
    forking_host("exec-often");
}

#[test]
fn d71_a_program_that_inherits_everything_holds_nothing_up() {
    forking_host("exec-leaky");
}

// ---- processors ----

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
    (func (export "count") (param i64) (result i64) (local $n i64)
      (loop $more
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $more (i64.lt_u (local.get $n) (local.get 0))))
      (local.get $n)))"#;

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

/// Processors that this thread may use.
fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

fn builder() -> sandpool::PoolBuilder {
    Pool::builder(TaskModule::from_bytes("guest.wat", GUEST.as_bytes())).cache(Cache::Off)
}

/// What a thread starts may use what it may use itself, so this is the affair of one test.
#[test]
fn d83_on_one_processor_there_is_one_worker_and_any_number_goes_on() {
    let _limit = hard_limit();
    let cpu = allowed()[0];
    sched_setaffinity(None, &only(cpu)).unwrap();
    let pool = builder().build().unwrap();
    assert_eq!(pool.processes(), 1);
    assert!(
        pool.map::<_, i64>("square", 0..1000_i64).unwrap().into_iter().eq((0..1000).map(|n| n * n))
    );
    for workers in [1, 2, 8] {
        let pool = builder().processes(workers).build().unwrap();
        let values = pool.map::<_, i64>("square", 0..100_000_i64).unwrap();
        assert!(values.into_iter().eq((0..100_000).map(|n| n * n)));
        let timed = pool.function("count").unwrap().timeout(Duration::from_millis(200));
        // One that never ends shares the processor with the others, and its deadline holds.
        let endless = timed.apply_async::<_, i64>(&i64::MAX).unwrap();
        let began = Instant::now();
        assert!(endless.get().unwrap_err().task().unwrap().is_timeout());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(pool.apply::<_, i64>("square", &7).unwrap(), 49);
    }
}

/// Lets all workers and all keepers of this test's pool run on one processor only.
fn move_to(cpu: usize, pool: &Pool) {
    for keeper in processes::threads("sandpool-keeper") {
        for task in processes::children_of(keeper).into_iter().chain([keeper]) {
            // It may have ended.
            let _ = sched_setaffinity(Pid::from_raw(i32::try_from(task).unwrap()), &only(cpu));
        }
    }
    assert!(pool.stats().workers_ended == 0);
}

#[test]
fn d83_processors_that_come_and_go_lose_nothing() {
    let _limit = hard_limit();
    let cpus = allowed();
    for workers in [1, 2, 8] {
        let pool = builder().processes(workers).build().unwrap();
        eventually("all are there", || pool.stats().workers_started == workers as u64);
        let mut results = pool.imap::<_, i64>("count", (0..4000_i64).map(|n| 10_000 + n)).unwrap();
        let mut expected = 10_000..14_000_i64;
        for round in 0..40 {
            move_to(cpus[round % cpus.len()], &pool);
            for _ in 0..100 {
                assert_eq!(results.next().unwrap().unwrap(), expected.next().unwrap());
            }
        }
        assert!(results.next().is_none());
    }
}

// ---- descriptors ----

/// Three workers are wanted. From one number of descriptors to the next there is never less that
/// works: one clear error, then one worker, then two, then all.
#[test]
fn d74_from_too_few_descriptors_to_enough_there_are_ever_more_workers() {
    let _limit = hard_limit();
    let start = |limit: u32| {
        let mut host = Command::new(env!("CARGO_BIN_EXE_scarce-host"));
        host.args(["files", &limit.to_string()]).stdout(Stdio::null()).stderr(Stdio::piped());
        (limit, host.spawn().unwrap())
    };
    let limits: Vec<u32> = (5..48).collect();
    let mut found = Vec::new();
    for some in limits.chunks(8) {
        let hosts: Vec<_> = some.iter().copied().map(start).collect();
        for (limit, host) in hosts {
            let output = host.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let workers = output.status.code().and_then(|status| status.checked_sub(10));
            let workers = workers.unwrap_or_else(|| panic!("{limit}: {:?}: {text}", output.status));
            assert!((0..=3).contains(&workers), "{limit}: {:?}: {text}", output.status);
            found.push((limit, workers));
        }
    }
    println!("{found:?}");
    assert!(found.is_sorted_by_key(|(_, workers)| *workers), "{found:?}");
    for count in 0..=3 {
        assert!(found.iter().any(|(_, workers)| *workers == count), "never {count}: {found:?}");
    }
    assert_eq!(found.iter().find(|(limit, _)| *limit == 12).unwrap().1, 0);
}
