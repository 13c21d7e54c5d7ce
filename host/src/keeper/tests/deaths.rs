//! Every way a worker can end, at every point of its life: an outcome for each item, blame for the
//! one that ran, another worker, and nothing left behind.

use super::lab::{SIZES, Site, alone, besiege, children};
use super::{PATIENCE, end};
use crate::child::evil::{Deed, End, FIRST, Point};
use crate::outcome::TaskErrorKind;
use crate::{Pool, TaskError};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How a worker is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    By(Signal),
    /// The kernel kills it, as a group of processes that it is in has no memory left.
    Starved,
    /// By itself, with status 0.
    Exit,
}

/// Every one that there can be on this machine.
fn deaths() -> Vec<Death> {
    let signals = [Signal::KILL, Signal::SEGV, Signal::ABORT, Signal::STOP];
    let mut deaths: Vec<_> = signals.map(Death::By).into();
    deaths.push(Death::Exit);
    match Cage::new(1 << 30) {
        Some(_) => deaths.push(Death::Starved),
        None => println!("not by want of memory: no right to make a cgroup with a limit"),
    }
    deaths
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

fn send_anyway(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

/// Ends a worker with a signal. Of one that the engine has a say in, the first may only be noted.
fn strike(pid: u32, signal: Signal) {
    let start = Instant::now();
    while children().contains(&pid) && start.elapsed() < PATIENCE {
        let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
        if signal == Signal::STOP {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Death {
    /// Lets somebody end this way. Not by itself.
    fn come(self, pid: u32) {
        match self {
            Self::By(signal) => strike(pid, signal),
            Self::Starved => starve(pid),
            Self::Exit => {}
        }
    }
}

/// Takes the memory that a worker's group may have, which the kernel gets back from the worker first:
/// it has offered itself.
fn starve(pid: u32) {
    let cage = Cage::new(32 << 20).expect("it was possible before");
    cage.put(pid);
    // Reads zeroes and keeps them, until it is killed too.
    #[expect(clippy::disallowed_methods, reason = "it is to be in the cage from its start")]
    let mut glutton = std::process::Command::new("sh")
        .args(["-c", &format!("echo $$ > {} && exec tail /dev/zero", cage.members().display())])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while is_running(pid) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    // A glutton that is still there has what it wants.
    let _ = glutton.kill();
    glutton.wait().unwrap();
}

/// Whether this process exists and is no zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// Lets one worker of a pool end at a point, while items are there. Gives the outcome of the item
/// that set it off, if one did.
fn die(point: Point, death: Death, size: usize) -> Option<Result<i64, TaskError>> {
    let how = match death {
        Death::Exit => End::Exit(0),
        Death::By(_) | Death::Starved => End::Park,
    };
    let site = Site::new(&[Deed::At(point, how)]).tokens(1);
    let before = Instant::now();
    std::thread::scope(|threads| {
        if death != Death::Exit {
            let site = &site;
            threads.spawn(move || death.come(site.await_told(point)));
        }
        let pool = site.early_builder(size).build().unwrap();
        let mut evil = None;
        // An evil worker must meet the evil item, or some item: the others may be quicker.
        let start = Instant::now();
        loop {
            for outcome in meet(&pool, death) {
                let honest = outcome.as_ref().is_ok_and(|value| *value == FIRST);
                if !honest {
                    assert!(evil.is_none(), "one token, one death");
                    evil = Some(outcome);
                }
            }
            besiege(&pool, 0, true, |echo| echo);
            let gone = site.tokens_left() == 0 && pool.stats().workers_started > size as u64;
            let early = matches!(point, Point::BeforeHello | Point::BeforeReady);
            if evil.is_some() || gone || (early && site.tokens_left() == 0 && no_stranger(&pool)) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{point:?} {death:?}: {:?}", pool.stats());
        }
        end(&pool);
        assert!(before.elapsed() < PATIENCE, "{point:?} {death:?}: {:?}", before.elapsed());
        evil
    })
}

/// Gives every worker something to do for some milliseconds, and then the evil item, once for each of
/// them: else it may always be the same few that get everything.
fn meet(pool: &Pool, death: Death) -> Vec<Result<i64, TaskError>> {
    let count = pool.function("count").unwrap().chunk_size(1);
    let busy = count.map_async::<_, i64>(vec![2_000_000_i64; pool.processes()]).unwrap();
    let echo = pool.function("echo").unwrap().chunk_size(1);
    let echo = match death {
        Death::By(Signal::STOP) => echo.timeout(Duration::from_millis(800)),
        _ => echo,
    };
    let outcomes = echo.map_outcomes::<_, i64>(vec![FIRST; pool.processes()]).unwrap();
    assert!(busy.get().unwrap().iter().all(|value| *value == 2_000_000));
    outcomes
}

/// All children of this process are workers that are ready.
fn no_stranger(pool: &Pool) -> bool {
    let stats = pool.stats();
    stats.workers_started - stats.workers_ended == pool.processes() as u64
        && children().len() == pool.processes()
}

fn everywhere(points: &[Point], check: impl Fn(Point, Death, Option<Result<i64, TaskError>>)) {
    let deaths = deaths();
    for size in SIZES {
        for point in points {
            for death in &deaths {
                check(*point, *death, die(*point, *death, size));
            }
        }
    }
}

#[test]
fn d35_deaths_before_a_worker_is_ready_cost_no_item() {
    alone(|| {
        everywhere(&[Point::BeforeHello, Point::BeforeReady], |point, death, evil| {
            assert!(evil.is_none(), "{point:?} {death:?}: {evil:?}");
        });
    });
}

#[test]
fn d36_deaths_of_an_idle_worker_cost_no_item() {
    alone(|| {
        let deaths = deaths();
        for size in SIZES {
            for death in deaths.iter().filter(|death| **death != Death::Exit) {
                let site = Site::new(&[]);
                let pool = site.builder(size).build().unwrap();
                besiege(&pool, 0, true, |echo| echo);
                let started = pool.stats().workers_started;
                let worker = children()[0];
                death.come(worker);
                besiege(&pool, 0, true, |echo| echo);
                let start = Instant::now();
                // One that is stopped is replaced as soon as it is given something.
                while pool.stats().workers_started == started && start.elapsed() < PATIENCE {
                    assert_eq!(pool.map::<_, i64>("echo", 0..500_i64).unwrap().len(), 500);
                }
                assert_eq!(pool.stats().errors, 0, "{death:?}");
                end(&pool);
            }
        }
    });
}

#[test]
fn d36_all_idle_workers_killed_at_once_cost_no_item() {
    alone(|| {
        for size in SIZES {
            let site = Site::new(&[]);
            let pool = site.builder(size).build().unwrap();
            for round in 0..15 {
                besiege(&pool, 0, true, |echo| echo);
                for _ in 0..3 {
                    children().into_iter().for_each(|pid| send_anyway(pid, Signal::KILL));
                }
                assert_eq!(pool.apply::<_, i64>("echo", &round).unwrap(), round);
            }
            assert_eq!(pool.stats().errors, 0);
            end(&pool);
        }
    });
}

#[test]
fn d37_deaths_before_an_item_is_claimed_cost_no_item() {
    alone(|| {
        everywhere(&[Point::Ready, Point::Unclaimed], |point, death, evil| {
            assert!(evil.is_none(), "{point:?} {death:?}: {evil:?}");
        });
    });
}

/// The item that a worker was ended with is blamed, and says how.
fn blamed(point: Point, death: Death, evil: Option<Result<i64, TaskError>>) {
    let error = evil.expect("it was begun").expect_err("it was not finished");
    let (kind, code) = (error.kind(), error.code());
    let text = format!("{point:?} {death:?}: {error}");
    match death {
        Death::By(Signal::STOP) => assert_eq!(kind, TaskErrorKind::TimedOut, "{text}"),
        Death::Exit => assert_eq!((kind, code), (TaskErrorKind::WorkerDied, Some(0)), "{text}"),
        // The engine's action on a segmentation fault is not its own: the filter stops it.
        Death::Starved => {
            assert_eq!((kind, code), (TaskErrorKind::WorkerDied, Some(-9)), "{text}");
        }
        Death::By(Signal::SEGV) => assert_eq!(kind, TaskErrorKind::WorkerDied, "{text}"),
        Death::By(signal) => {
            let expected = (TaskErrorKind::WorkerDied, Some(-signal.as_raw()));
            assert_eq!((kind, code), expected, "{text}");
        }
    }
}

#[test]
fn d38_deaths_inside_of_an_item_are_blamed_on_it() {
    alone(|| everywhere(&[Point::Running, Point::BeforeResult], blamed));
}

#[test]
fn d39_half_a_result_is_thrown_away() {
    alone(|| everywhere(&[Point::HalfResult], blamed));
}

#[test]
fn deaths_after_a_result_cost_nothing() {
    alone(|| {
        everywhere(&[Point::BeforeNext], |point, death, evil| {
            assert!(evil.is_none(), "{point:?} {death:?}: {evil:?}");
        });
    });
}

#[test]
fn a_worker_that_is_stopped_in_the_middle_of_an_item_may_go_on() {
    alone(|| {
        let site = Site::new(&[]);
        let pool = site.builder(1).build().unwrap();
        let count = pool.function("count").unwrap();
        let handle = count.apply_async::<_, i64>(&1_000_000_000_i64).unwrap();
        let worker = children()[0];
        std::thread::sleep(Duration::from_millis(50));
        send(worker, Signal::STOP);
        // Longer than a silence may be in tests.
        std::thread::sleep(Duration::from_millis(4000));
        assert!(!handle.ready());
        send(worker, Signal::CONT);
        assert_eq!(handle.get().unwrap(), 1_000_000_000);
        assert_eq!(pool.stats().workers_ended, 0);
        end(&pool);
    });
}

#[test]
fn a_worker_that_is_stopped_while_idle_is_replaced_once_it_is_given_something() {
    alone(|| {
        let site = Site::new(&[]);
        for initializer in [false, true] {
            let builder = site.builder(1);
            let builder = if initializer { builder.initializer("start", 1_i64) } else { builder };
            let pool = builder.build().unwrap();
            assert_eq!(pool.apply::<_, i64>("echo", &1).unwrap(), 1);
            let worker = children()[0];
            send(worker, Signal::STOP);
            let before = Instant::now();
            assert_eq!(pool.apply::<_, i64>("echo", &2).unwrap(), 2);
            assert!(before.elapsed() < PATIENCE);
            assert_ne!(children(), [worker]);
            assert_eq!(pool.stats().errors, 0, "it was not begun, and so not blamed");
            end(&pool);
        }
    });
}

#[test]
fn a_machine_that_slept_blames_nobody() {
    alone(|| {
        let site = Site::new(&[]);
        let pool = site.builder(1).build().unwrap();
        assert_eq!(pool.apply::<_, i64>("echo", &1).unwrap(), 1);
        let worker = children()[0];
        send(worker, Signal::STOP);
        let handle = pool.apply_async::<_, i64>("echo", &2).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        // This process is stopped as well, for much longer than a silence may be.
        let own = std::process::id();
        #[expect(clippy::disallowed_methods, reason = "who is stopped cannot wake itself")]
        let mut waker = std::process::Command::new("sh")
            .args(["-c", &format!("sleep 4; kill -CONT {own}; sleep 0.8; kill -CONT {worker}")])
            .spawn()
            .unwrap();
        send(own, Signal::STOP);
        waker.wait().unwrap();
        assert_eq!(handle.get().unwrap(), 2);
        assert_eq!(pool.stats().workers_ended, 0);
        end(&pool);
    });
}

/// A memory limit for some processes; where there is no right to make one, there is none.
struct Cage(std::path::PathBuf);

impl Cage {
    fn new(bytes: u64) -> Option<Self> {
        Self::second(bytes).or_else(|| Self::first(bytes))
    }

    /// In version 2. A group with processes of its own gives no controllers to those inside it, so
    /// this is not made in our own.
    fn second(bytes: u64) -> Option<Self> {
        let root = std::path::Path::new("/sys/fs/cgroup");
        let given = std::fs::read_to_string(root.join("cgroup.subtree_control")).ok()?;
        let memory = given.split_whitespace().any(|controller| controller == "memory");
        let cage = memory.then(|| Self::made(root))??;
        // Where there is no swap, there is no such file.
        let _ = std::fs::write(cage.0.join("memory.swap.max"), "0");
        std::fs::write(cage.0.join("memory.max"), bytes.to_string()).ok().map(|()| cage)
    }

    fn first(bytes: u64) -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = text.lines().find_map(|line| line.split_once(":memory:"))?.1;
        let cage = Self::made(format!("/sys/fs/cgroup/memory{own}").as_ref())?;
        let limit = std::fs::write(cage.0.join("memory.limit_in_bytes"), bytes.to_string());
        limit.ok().map(|()| cage)
    }

    fn made(parent: &std::path::Path) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let cage = parent.join(format!("sandpool-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&cage).ok().map(|()| Self(cage))
    }

    fn members(&self) -> std::path::PathBuf {
        self.0.join("cgroup.procs")
    }

    fn put(&self, pid: u32) {
        std::fs::write(self.members(), pid.to_string()).unwrap();
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let start = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn d84_a_worker_that_the_kernel_kills_for_want_of_memory_costs_its_item() {
    alone(|| {
        for size in SIZES {
            let Some(cage) = Cage::new(24 << 20) else {
                println!("not run: no right to make a cgroup with a memory limit");
                return;
            };
            let pool = Site::new(&[]).builder(size).build().unwrap();
            besiege(&pool, 0, true, |echo| echo);
            // One that started later would not be in the cage.
            while pool.stats().workers_started < size as u64 {
                std::thread::sleep(Duration::from_millis(1));
            }
            children().into_iter().for_each(|worker| cage.put(worker));
            let error = pool.apply::<_, i64>("hoard", &1_i64).unwrap_err();
            let error = error.task().unwrap();
            assert_eq!((error.kind(), error.code()), (TaskErrorKind::WorkerDied, Some(-9)));
            besiege(&pool, 0, true, |echo| echo);
            end(&pool);
        }
    });
}
