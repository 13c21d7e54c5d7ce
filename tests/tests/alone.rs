//! What pools leave of the whole process: tests that look at all of it, one after the other.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and may start what it likes"
)]

mod deadlines;

use sandpool_tests::guests::{ACTOR, GO, MATH, SPIN, TRAP, TYPED};
use sandpool_tests::{Scene, eventually, hard_limit, processes, stays};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a pool may not leave behind: children (zombies are among them), threads, descriptors.
fn belongings() -> (usize, usize, usize) {
    let threads = processes::threads("sandpool").len();
    (processes::children().len(), threads, processes::descriptors())
}

/// Bytes of the rings' memory that this process has touched and not given back.
fn ring_memory() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut of_ring = false;
    let resident = |line: &str| {
        if line.contains("/memfd:") || line.split(' ').next().is_some_and(|at| at.contains('-')) {
            of_ring = line.contains("/memfd:sandpool-ring");
        }
        let kib = line.strip_prefix("Rss:").filter(|_| of_ring)?.trim().strip_suffix(" kB")?;
        kib.trim().parse::<u64>().ok()
    };
    maps.lines().filter_map(resident).sum::<u64>() * 1024
}

/// Some life of a pool, with everything that needs to be cleaned up after.
fn live(end: impl FnOnce(Scene)) {
    let scene = Scene::new(ACTOR, 2);
    let act = scene.pool.function("act").unwrap();
    assert_eq!(scene.pool.map::<_, i64>("act", (0..20).map(|i| (i, GO))).unwrap().len(), 20);
    assert!(act.apply::<_, i64>(&(1, TRAP)).is_err());
    let far = act.clone().deadline(Duration::from_secs(3600));
    assert_eq!(far.apply::<_, i64>(&(4, GO)).unwrap(), 4);
    let timed = act.clone().timeout(Duration::from_millis(50));
    assert!(timed.apply::<_, i64>(&(2, SPIN)).is_err());
    processes::kill(scene.all_workers()[0]);
    assert_eq!(act.apply::<_, i64>(&(3, GO)).unwrap(), 3);
    drop(act.imap::<_, i64>((0..).map(|i| (i, GO))).unwrap());
    drop(act);
    end(scene);
}

#[test]
fn memory_that_large_items_passed_through_is_given_back() {
    const MIB: usize = 1 << 20;
    let _limit = hard_limit();
    let _alone = alone();
    let scene = Scene::new(TYPED, 2);
    let items = || (0..16_u8).map(|i| vec![i; MIB]);
    let echo = scene.pool.function("echo").unwrap();
    let check = |values: Vec<Vec<u8>>| assert!(values.into_iter().eq(items()));
    let mut most = 0;
    let watched = echo.imap::<_, Vec<u8>>(items()).unwrap().map(Result::unwrap);
    check(watched.inspect(|_| most = most.max(ring_memory())).collect());
    assert!(most > MIB as u64, "it passed through memory that is seen here");
    eventually("idle workers give it back", || ring_memory() < MIB as u64 / 4);
    // For longer than it takes to count as idle, so that somebody drives it at that moment.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1200) {
        check(items().map(|item| echo.apply(&item).unwrap()).collect());
    }
    eventually("those that their callers drove, too", || ring_memory() < MIB as u64 / 4);
    check(echo.map(items()).unwrap());
}

#[test]
fn pools_leave_no_process_thread_or_descriptor_behind() {
    let _limit = hard_limit();
    let _alone = alone();
    // Whatever is made once and stays is made here.
    live(drop);
    eventually("the first pool is gone", || belongings().0 == 0 && belongings().1 == 0);
    let before = belongings();
    for _ in 0..3 {
        live(drop);
        live(|scene| {
            scene.pool.close();
            scene.pool.join().unwrap();
            assert!(scene.workers().is_empty(), "join waits until workers are reaped");
        });
        live(|scene| {
            scene.pool.terminate();
            scene.pool.join().unwrap();
            assert!(scene.workers().is_empty(), "join waits until workers are reaped");
        });
        live(|scene| {
            drop(scene.pool.apply_async::<_, i64>("act", &(9, SPIN)).unwrap());
            scene.stage.await_start(9);
            scene.pool.terminate();
        });
    }
    // A feeder that had not begun yet has no name of its own yet, and may have been counted before
    // by what its pool holds; twelve pools that leave one descriptor each are more than that.
    eventually("there is no more than before", || {
        let (processes, threads, descriptors) = belongings();
        (processes, threads) == (0, 0) && descriptors <= before.2
    });
}

#[test]
fn a_pool_at_work_has_no_zombies() {
    let _limit = hard_limit();
    let _alone = alone();
    let scene = Scene::new(MATH, 2);
    for _ in 0..10 {
        scene.all_workers().into_iter().for_each(processes::kill);
        assert_eq!(scene.pool.apply::<_, i64>("sq", &3).unwrap(), 9);
    }
    let zombies = || processes::children().into_iter().filter(|pid| !processes::is_alive(*pid));
    eventually("all dead workers are reaped", || zombies().count() == 0);
    assert_eq!(scene.all_workers().len(), 2);
}

#[test]
fn memory_is_flat_while_the_consumer_sleeps() {
    let _limit = hard_limit();
    let _alone = alone();
    const MIB: u64 = 1 << 20;
    for (workers, size) in [1, 2, 8].into_iter().flat_map(|n| [(n, 16), (n, 1 << 20)]) {
        let before = processes::resident();
        let scene = Scene::new(TYPED, workers);
        let big = scene.pool.function("big").unwrap();
        let mut results =
            big.imap::<_, Vec<u8>>((0..).map(move |i: i64| (i, 0_i64, size))).unwrap();
        for _ in 0..10 {
            assert_eq!(results.next().unwrap().unwrap().len(), size as usize);
        }
        // Quiet for as long as several results take even on a machine that is busy with other things.
        let (mut last, mut quiet) = (0, 0);
        eventually("no more results come", || {
            std::thread::sleep(Duration::from_millis(300));
            let same = std::mem::replace(&mut last, scene.pool.stats().values) == last;
            quiet = if same { quiet + 1 } else { 0 };
            quiet == 5
        });
        let asleep = processes::resident();
        stays("memory is what it was", || processes::resident() <= asleep + MIB);
        let grown = asleep.saturating_sub(before) / MIB;
        // The default window is 64 MiB; rings, spare room of buffers and workers' chunks come on top.
        let most = 160.max(96 + 16 * workers as u64);
        assert!(grown <= most, "{grown} MiB for {workers} workers, results of {size} bytes");
        // Of the quickest items, 8192 travel together.
        assert!(results.pulled() <= 10 + 4 * workers as u64 * 8192);
    }
}

#[test]
fn memory_is_flat_over_a_long_run() {
    let _limit = hard_limit();
    let _alone = alone();
    let scene = Scene::new(MATH, 2);
    let mut results = scene.pool.imap::<_, i64>("sq", 0..).unwrap();
    let mut run = |items: usize| {
        for _ in 0..items {
            results.next().unwrap().unwrap();
        }
        processes::resident()
    };
    let early = run(200_000);
    let late = run(1_000_000);
    let grown = late.saturating_sub(early) >> 20;
    assert!(grown <= 32, "{grown} MiB more after a million items");
}

const HOST: &str = "SANDPOOL_TESTS_HOST";

/// Not a test of its own: the host that `case_95` starts and kills.
#[test]
fn a_host_to_be_killed() {
    if std::env::var_os(HOST).is_none() {
        return;
    }
    let _limit = hard_limit();
    let scene = Scene::new(ACTOR, 2);
    let _busy = scene.pool.apply_async::<_, i64>("act", &(1, SPIN)).unwrap();
    scene.stage.await_start(1);
    let pids: Vec<String> = scene.all_workers().iter().map(u32::to_string).collect();
    println!("\nworkers {}", pids.join(" "));
    loop {
        std::thread::park();
    }
}

#[test]
fn case_95_workers_busy_or_idle_die_with_their_host() {
    let _limit = hard_limit();
    let _alone = alone();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["a_host_to_be_killed", "--exact", "--nocapture"])
        .env(HOST, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let pids = lines.find_map(|line| Some(line.unwrap().strip_prefix("workers ")?.to_owned()));
    let pids: Vec<u32> =
        pids.expect("a list of workers").split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| processes::is_alive(*pid)));
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("all of them are gone", || pids.iter().all(|pid| !processes::is_alive(*pid)));
}
