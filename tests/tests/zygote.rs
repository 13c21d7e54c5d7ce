//! Pools whose workers are forked: a zygote that is killed or stopped at any moment costs nothing,
//! and what comes out of it is what an executed worker is.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and tells what it saw"
)]

use sandpool::{Cache, Pool, PoolBuilder, PoolEvent, TaskModule, Zygote};
use sandpool_tests::{eventually, hard_limit, processes, scattered};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
    (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1)))"#;

/// Children of this process are those of the one test that runs.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn builder(workers: usize) -> PoolBuilder {
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    Pool::builder(module).processes(workers).cache(Cache::Off).zygote(Zygote::On)
}

fn zygotes() -> Vec<u32> {
    let children = processes::children();
    children.into_iter().filter(|pid| processes::is_zygote(*pid)).collect()
}

fn workers() -> Vec<u32> {
    // Of one that is dead, or dies just now, nobody knows what it was.
    let workers = processes::children().into_iter().filter(|pid| !processes::is_zygote(*pid));
    workers.filter(|pid| processes::is_alive(*pid)).collect()
}

/// Ends a pool; nothing of it is left then, not even a zombie.
fn end(pool: &Pool) {
    pool.close();
    pool.join().unwrap();
    assert_eq!(processes::children(), Vec::<u32>::new());
}

#[test]
fn every_item_has_a_process_of_its_own_and_nothing_is_left_of_them() {
    let (_limit, _alone) = (hard_limit(), alone());
    for (workers, most) in [(1, 1), (2, 1), (2, 3), (8, 1)] {
        let pool = builder(workers).max_tasks_per_child(most).build().unwrap();
        let mut events = pool.events();
        let squares: Vec<i64> = pool.map("square", 0..200_i64).unwrap();
        assert!(squares.into_iter().eq((0..200).map(|n| n * n)));
        end(&pool);
        let ends = std::iter::from_fn(|| events.next());
        let items = ends.filter_map(|event| match event {
            PoolEvent::WorkerEnded { items, .. } => Some(items),
            _ => None,
        });
        let items: Vec<u64> = items.collect();
        assert!(items.iter().all(|items| *items <= most), "{items:?}");
        assert_eq!(items.iter().sum::<u64>(), 200);
    }
}

#[test]
fn a_zygote_killed_while_nobody_needs_it_is_replaced_when_somebody_does() {
    let (_limit, _alone) = (hard_limit(), alone());
    let pool = builder(2).build().unwrap();
    for round in 0..5 {
        // One that nobody has taken charge of yet would go with its zygote.
        eventually("both workers are there", || {
            let stats = pool.stats();
            stats.workers_started - stats.workers_ended == 2 && workers().len() == 2
        });
        let before = workers();
        zygotes().into_iter().for_each(processes::kill);
        assert_eq!(pool.map::<_, i64>("square", [round]).unwrap(), [round * round]);
        assert_eq!(workers(), before, "workers do not mind");
        before.iter().copied().for_each(processes::kill);
        assert_eq!(pool.map::<_, i64>("square", 0..10_i64).unwrap().len(), 10);
        eventually("they are replaced", || {
            zygotes().len() == 1
                && workers().iter().filter(|pid| !before.contains(pid)).count() == 2
        });
    }
    assert_eq!(pool.stats().errors, 0);
    end(&pool);
}

#[test]
fn a_zygote_killed_at_any_moment_costs_no_item() {
    let (_limit, _alone) = (hard_limit(), alone());
    let pool = builder(2).max_tasks_per_child(1).build().unwrap();
    let mut random = scattered(7);
    let mut results = pool.imap::<_, i64>("square", 0..).unwrap();
    let (mut next, mut killed) = (0, 0);
    while killed < 60 {
        let wait = Duration::from_micros(random() % 12_000);
        let until = Instant::now() + wait;
        let goal = next + 3;
        // Items end between kills, or it would rightly be called a crash loop.
        while Instant::now() < until || next < goal {
            assert_eq!(results.next().unwrap().unwrap(), next * next);
            next += 1;
        }
        for zygote in zygotes() {
            processes::kill(zygote);
            killed += 1;
        }
    }
    drop(results);
    let stats = pool.stats();
    println!("{next} items, {killed} kills, {} workers", stats.workers_started);
    assert_eq!(stats.errors, stats.submitted - stats.values, "{stats:?}");
    end(&pool);
}

#[test]
fn a_stopped_zygote_is_replaced_after_a_while() {
    let (_limit, _alone) = (hard_limit(), alone());
    let pool = builder(1).build().unwrap();
    let old = zygotes();
    old.iter().copied().for_each(processes::stop);
    eventually("it is stopped", || processes::state(old[0]) == Some('T'));
    assert_eq!(pool.apply::<_, i64>("square", &3).unwrap(), 9, "the worker is there");
    workers().into_iter().for_each(processes::kill);
    let began = Instant::now();
    assert_eq!(pool.apply::<_, i64>("square", &4).unwrap(), 16);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(zygotes().iter().all(|pid| !old.contains(pid)));
    end(&pool);
}

#[test]
fn workers_killed_at_any_moment_leave_nothing_behind() {
    let (_limit, _alone) = (hard_limit(), alone());
    let pool = builder(1).max_tasks_per_child(1).build().unwrap();
    let mut random = scattered(3);
    let mut results = pool.imap::<_, i64>("square", 0..).unwrap();
    let mut killed = 0;
    for n in 0..400 {
        assert_eq!(results.next().unwrap().unwrap(), n * n);
        if n % 100 == 50 {
            std::thread::sleep(Duration::from_micros(random() % 300));
            // Whatever there is just now: one that works, a spare, one that seals itself.
            for worker in workers() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
                killed += i32::from(
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok(),
                );
            }
            // Its item may be lost with it, and is then told as such.
            results = pool.imap::<_, i64>("square", n + 1..).unwrap();
        }
    }
    assert!(killed > 0);
    drop(results);
    end(&pool);
}

#[test]
fn a_pool_ends_whatever_state_its_zygote_is_in() {
    let (_limit, _alone) = (hard_limit(), alone());
    for stop in [false, true] {
        let pool = builder(2).build().unwrap();
        let spinning = pool.function("spin").unwrap().map_async::<_, i64>([1, 2]).unwrap();
        if stop {
            zygotes().into_iter().for_each(processes::stop);
        }
        pool.terminate();
        pool.join().unwrap();
        assert!(spinning.get().is_err());
        assert_eq!(processes::children(), Vec::<u32>::new());
    }
}

#[test]
fn random_numbers_are_not_those_of_a_sibling() {
    const DRAW: &str = r#"(module
        (import "wasi_snapshot_preview1" "random_get"
            (func $random_get (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "draw") (param i64) (result i64)
            (drop (call $random_get (i32.const 0) (i32.const 8)))
            (i64.load (i32.const 0))))"#;
    let (_limit, _alone) = (hard_limit(), alone());
    let module = TaskModule::from_bytes("draw.wat", DRAW.as_bytes());
    let builder = Pool::builder(module).processes(2).cache(Cache::Off).zygote(Zygote::On);
    let pool = builder.max_tasks_per_child(2).build().unwrap();
    let drawn: Vec<i64> = pool.map("draw", 0..100_i64).unwrap();
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 100, "{drawn:?}");
    end(&pool);
}

/// What another process can see of a worker.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    status: Vec<String>,
    limits: String,
    threads: usize,
    descriptors: Vec<String>,
    environment: Vec<u8>,
    folder: String,
    leads_session: bool,
    /// Of its files in `/proc`, by which its dumpable flag is known.
    owner: u32,
    writable_executable: usize,
    oom_score_adj: String,
}

fn look(pid: u32) -> Look {
    use std::os::unix::fs::MetadataExt as _;
    let at = |file: &str| format!("/proc/{pid}/{file}");
    let read = |file: &str| std::fs::read_to_string(at(file)).unwrap();
    let told = ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:", "Threads", "x86_Thread"];
    let status = read("status");
    let status = status.lines().filter(|line| told.iter().any(|name| line.starts_with(name)));
    let open = std::fs::read_dir(at("fd")).unwrap().map(|entry| {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string();
        let target = target.replace(&format!("/{pid}/"), "/self/");
        // Pipes and files in memory have numbers of their own.
        target.split([':', '(']).next().unwrap().trim().to_owned()
    });
    let mut descriptors: Vec<String> = open.collect();
    descriptors.sort();
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    Look {
        status: status.map(str::to_owned).collect(),
        limits: read("limits"),
        threads: std::fs::read_dir(at("task")).unwrap().count(),
        descriptors,
        environment: std::fs::read(at("environ")).unwrap(),
        folder: std::fs::read_link(at("cwd")).unwrap().display().to_string(),
        leads_session: rustix::process::getsid(raw).ok() == raw,
        owner: std::fs::metadata(at("mem")).unwrap().uid(),
        writable_executable: read("maps").lines().filter(|line| line.contains(" rwx")).count(),
        oom_score_adj: read("oom_score_adj"),
    }
}

#[test]
fn a_forked_worker_is_to_the_system_what_an_executed_one_is() {
    let (_limit, _alone) = (hard_limit(), alone());
    if !rustix::process::geteuid().is_root() {
        println!("not run: only root can look into a worker");
        return;
    }
    let of = |zygote: Zygote| {
        let pool = builder(1).zygote(zygote).build().unwrap();
        // It has run something, so it is sealed.
        assert_eq!(pool.apply::<_, i64>("square", &3).unwrap(), 9);
        let look = look(workers()[0]);
        end(&pool);
        look
    };
    let (executed, forked) = (of(Zygote::Off), of(Zygote::On));
    assert_eq!(forked, executed);
    assert_eq!((forked.threads, forked.writable_executable), (1, 0));
    assert!(forked.leads_session && forked.environment.is_empty() && forked.folder == "/");
    // Its own page map, and not its original's.
    let pagemaps = forked.descriptors.iter().filter(|name| name.ends_with("pagemap"));
    assert!(pagemaps.clone().all(|name| name == "/proc/self/pagemap"), "{forked:?}");
}
