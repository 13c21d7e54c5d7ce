//! Hosts that are killed, in every state that their children can be in: nothing is left of them.
//! And hosts that may have few processes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, may start what it likes, and tells what it saw"
)]

use rustix::process::{Pid, Signal};
use sandpool::{Cache, Pool, PoolBuilder, TaskModule, Zygote};
use sandpool_tests::{eventually, hard_limit, processes, scattered};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a host that is to be killed does.
const STATE: &str = "SANDPOOL_TESTS_STATE";
/// Whether its workers are forked from a zygote.
const FORKED: &str = "SANDPOOL_TESTS_FORKED";
/// Where it keeps artifacts, if it does.
const CACHE: &str = "SANDPOOL_TESTS_CACHE";
/// Longest that anything may live on after its host.
const GONE: Duration = Duration::from_secs(1);

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
    (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1)))"#;

/// The folder of this host's cache, if it has one.
fn cache() -> Cache {
    std::env::var(CACHE).map_or(Cache::Off, |folder| Cache::Dir(folder.into()))
}

fn builder(workers: usize) -> PoolBuilder {
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    let forked = std::env::var_os(FORKED).is_some();
    let zygote = if forked { Zygote::On } else { Zygote::Off };
    Pool::builder(module).processes(workers).cache(cache()).zygote(zygote)
}

/// A module that takes some time to compile: one function of very many different additions.
fn bomb(additions: usize) -> Vec<u8> {
    let mut text =
        String::from("(module (func (export \"f\") (param i64) (result i64) local.get 0\n");
    for n in 0..additions {
        text.push_str(&format!("local.get 0 i64.const {n} i64.mul i64.xor\n"));
    }
    text.push_str("))");
    text.into_bytes()
}

/// Not a test of its own: the host that is started and killed.
#[test]
fn a_host_to_be_killed() {
    let Ok(state) = std::env::var(STATE) else { return };
    let workers = std::env::var("SANDPOOL_TESTS_WORKERS").unwrap().parse().unwrap();
    let ready = || {
        println!("\nready");
        std::io::stdout().flush().unwrap();
    };
    match state.as_str() {
        "compiling" => {
            ready();
            let module = TaskModule::from_bytes("bomb.wat", bomb(400_000));
            let _ = Pool::builder(module).cache(cache()).build();
            panic!("that was no bomb");
        }
        // Modules that nobody has compiled before, one after the other.
        "caching" => {
            ready();
            for n in std::process::id().. {
                let module = TaskModule::from_bytes("small.wat", bomb(n as usize % 3000 + 10));
                Pool::builder(module).processes(workers).cache(cache()).build().unwrap();
            }
        }
        "starting" => {
            let pool = builder(workers).max_tasks_per_child(1).build().unwrap();
            ready();
            pool.imap::<_, i64>("square", 0..).unwrap().for_each(drop);
        }
        busy => {
            let pool = builder(workers).build().unwrap();
            let spin = pool.function("spin").unwrap();
            let items: Vec<i64> = if busy == "spinning" { vec![1; workers] } else { Vec::new() };
            let _handle = spin.map_async::<_, i64>(items).unwrap();
            eventually("all workers are there", || pool.stats().workers_started == workers as u64);
            std::thread::sleep(Duration::from_millis(50));
            ready();
            loop {
                std::thread::park();
            }
        }
    }
}

static ALONE: Mutex<()> = Mutex::new(());

/// Orphans become children of this process, so that none of them can hide.
fn adopt_orphans() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    alone
}

/// A folder for what a host leaves, and in it one for temporary files and one for artifacts.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("tmp")).unwrap();
        Self(home)
    }

    fn tmp(&self) -> PathBuf {
        self.0.path().join("tmp")
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// Names of files in the cache that are neither entries nor the key.
    fn unfinished(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.cache()) else { return Vec::new() };
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".new") || name.ends_with(".turn")).collect()
    }
}

fn start(state: &str, workers: usize, forked: bool, home: &Home) -> Child {
    let mut host = Command::new(std::env::current_exe().unwrap());
    if forked {
        host.env(FORKED, "1");
    }
    let mut host = host
        .env("TMPDIR", home.tmp())
        .env(CACHE, home.cache())
        // A core file, if there is one, goes here.
        .current_dir(home.0.path())
        .args(["a_host_to_be_killed", "--exact", "--nocapture"])
        .env(STATE, state)
        .env("SANDPOOL_TESTS_WORKERS", workers.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"), "the host gives up");
    host
}

/// Children of the threads of another process.
fn children_of(host: &Child) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", host.id())).unwrap();
    let lists = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")));
    let text: String = lists.map(Result::unwrap_or_default).collect();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Files with our name, or of nobody's, where things are forgotten.
fn litter() -> BTreeSet<String> {
    let list = |folder: &str| {
        let entries = std::fs::read_dir(Path::new(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path().display().to_string());
        names.collect::<Vec<_>>()
    };
    let ours = |path: &String| path.contains("sandpool") || path.starts_with("/dev/shm");
    ["/dev/shm", "/tmp"].into_iter().flat_map(list).filter(ours).collect()
}

/// Ends a host by a signal and waits for the end of all that it had.
fn kill(mut host: Child, signal: Signal, what: &str) -> Duration {
    let orphans = || {
        let mut left = processes::children();
        left.retain(|pid| *pid != std::process::id() && processes::is_alive(*pid));
        left
    };
    rustix::process::kill_process(Pid::from_child(&host), signal).unwrap();
    let killed = Instant::now();
    host.wait().unwrap();
    while !orphans().is_empty() && killed.elapsed() < 10 * GONE {
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = killed.elapsed();
    assert!(took < GONE, "{what}: {:?} after {took:?}", orphans());
    // What they leave is this process's to bury now.
    while rustix::process::wait(rustix::process::WaitOptions::NOHANG).is_ok_and(|w| w.is_some()) {}
    took
}

fn all_gone(state: &str, before_kill: impl Fn(&Child)) {
    all_gone_by(&[Signal::KILL], state, before_kill);
}

fn all_gone_by(signals: &[Signal], state: &str, before_kill: impl Fn(&Child)) {
    let _limit = hard_limit();
    let _alone = adopt_orphans();
    let before = litter();
    for signal in signals {
        for (workers, forked) in [1, 2, 8].into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let home = Home::new();
            let host = start(state, workers, forked, &home);
            before_kill(&host);
            let took = kill(host, *signal, state);
            println!("{workers} {state}, forked: {forked}: all gone after {took:?}");
            let left: Vec<_> = std::fs::read_dir(home.tmp()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
    let left: Vec<_> = litter().difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn d80_spinning_workers_end_with_their_host() {
    all_gone("spinning", |host| assert!(!children_of(host).is_empty()));
}

#[test]
fn d80_idle_workers_end_with_their_host() {
    all_gone("idle", |host| assert!(!children_of(host).is_empty()));
}

#[test]
fn d80_stopped_workers_end_with_their_host() {
    all_gone("spinning", |host| {
        let workers = children_of(host);
        for pid in &workers {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::STOP).unwrap();
        }
        eventually("all are stopped", || {
            workers.iter().all(|pid| processes::state(*pid) == Some('T'))
        });
    });
}

#[test]
fn d80_compilers_end_with_their_host() {
    all_gone("compiling", |host| {
        eventually("the compiler runs", || !children_of(host).is_empty());
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(children_of(host).len(), 1, "it still compiles");
    });
}

#[test]
fn d80_workers_that_start_end_with_their_host() {
    let random = Mutex::new(scattered(5));
    for _ in 0..5 {
        all_gone("starting", |_| {
            let number = random.lock().unwrap_or_else(PoisonError::into_inner)();
            std::thread::sleep(Duration::from_micros(number % 30_000));
        });
    }
}

/// What the hang-up of a terminal and its quit key do to a host that does nothing about them.
#[test]
fn d79_hang_up_and_quit_leave_no_process_behind() {
    // Whoever was started by `nohup` ignores it, and so do its children.
    let heard = |signal: &Signal| !processes::ignores(*signal);
    let signals: Vec<_> = [Signal::HUP, Signal::QUIT].into_iter().filter(heard).collect();
    for state in ["spinning", "idle"] {
        all_gone_by(&signals, state, |host| {
            assert!(!children_of(host).is_empty());
        });
    }
}

#[test]
fn d80_workers_of_a_stopped_host_end_with_it() {
    for state in ["spinning", "idle"] {
        all_gone(state, |host| {
            let pid = Pid::from_child(host);
            rustix::process::kill_process(pid, Signal::STOP).unwrap();
            eventually("it is stopped", || processes::state(host.id()) == Some('T'));
        });
    }
}

/// There is nothing of a pool under a name that outlives it: rings, artifacts and modules are files
/// in memory that have none, and no file says that a pool is there, so none can say so wrongly. The
/// cache's locks are of the kernel's kind, which end with their holder; the file that one was on is
/// taken away by whoever has the next one.
#[test]
fn d81_after_a_kill_nothing_is_in_the_way_of_the_next_start() {
    let _limit = hard_limit();
    let _alone = adopt_orphans();
    let mut random = scattered(81);
    let before = litter();
    for workers in [1, 2, 8] {
        let home = Home::new();
        // While it compiles, it has the turn.
        let host = start("compiling", workers, false, &home);
        // Before it, the folder's key is written, under another name first.
        let turns = || home.unfinished().iter().filter(|name| name.ends_with(".turn")).count();
        eventually("it has the turn", || turns() == 1);
        kill(host, Signal::KILL, "compiling");
        assert_eq!(turns(), 1, "the lock's file is left");
        // While it writes entries, at any moment.
        for _ in 0..8 {
            let host = start("caching", workers, false, &home);
            std::thread::sleep(Duration::from_micros(random() % 150_000));
            kill(host, Signal::KILL, "caching");
        }
        // Nobody waits for a dead one's turn: each of these is compiled at once.
        for n in 0..20 {
            let began = Instant::now();
            let module = TaskModule::from_bytes("next.wat", bomb(10 + n));
            let builder = Pool::builder(module).processes(1);
            builder.cache(Cache::Dir(home.cache())).build().unwrap();
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
        // What is young may be somebody's; an hour later it is cleared by the next who writes.
        let old = SystemTime::now() - Duration::from_secs(3700);
        for name in home.unfinished() {
            let file = File::options().write(true).open(home.cache().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        let module = TaskModule::from_bytes("last.wat", bomb(5));
        let builder = Pool::builder(module).processes(1);
        builder.cache(Cache::Dir(home.cache())).build().unwrap();
        assert_eq!(home.unfinished(), Vec::<String>::new());
        let left: Vec<_> = std::fs::read_dir(home.tmp()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // Whoever looks for orphans next is not to find workers of this process's own pools.
    eventually("they are gone", || processes::children().is_empty());
    let left: Vec<_> = litter().difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn scarce_host(how: &str) {
    let _limit = hard_limit();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for workers in ["1", "2", "8"] {
        let mut host = Command::new(env!("CARGO_BIN_EXE_scarce-host"));
        let output = host.args([how, workers]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(2) => println!("not run: only root can become a user of whom nothing runs"),
            status => assert_eq!(status, Some(0), "{how} {workers}: {text}"),
        }
    }
}

#[test]
fn d75_with_few_processes_there_are_fewer_workers() {
    scarce_host("few");
}

#[test]
fn d75_without_processes_there_is_one_clear_error() {
    scarce_host("none");
}

#[test]
fn d75_a_want_of_processes_that_passes_breaks_nothing() {
    scarce_host("for-a-while");
}
