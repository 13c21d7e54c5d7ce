//! A host of an unprivileged user who may have few processes, which is what threads are, too: it
//! must work with fewer workers, or say clearly why not.
//!
//! Started as root, it becomes a user whom nobody else is; else it has nothing to say (status 2).
//! By its arguments: `few` has room for some of its workers, `none` for none of them, `for-a-while`
//! loses all of them while there is no room; and the number of workers. Status 0 for what was expected.
//! `files` stays who it is, and may have few descriptors.

#![expect(unsafe_code, reason = "raw calls change the user of the whole process")]

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use sandpool::{Cache, Pool, TaskModule};
use sandpool_tests::processes::children;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#;

/// A user of whom there is no other process.
const NOBODY_ELSE: u32 = 3_000_000_000;

fn become_user() -> bool {
    let user = NOBODY_ELSE + std::process::id();
    // SAFETY: these take plain numbers, and change the whole process as libc does it.
    unsafe {
        libc::geteuid() == 0
            && libc::setgroups(0, std::ptr::null()) == 0
            && libc::setgid(user) == 0
            && libc::setuid(user) == 0
    }
}

fn allow(processes: usize) {
    let limit = Rlimit { current: Some(processes as u64), maximum: Some(1000) };
    setrlimit(Resource::Nproc, limit).expect("it may be lowered");
}

fn squares(pool: &Pool) -> bool {
    let squares = pool.map::<_, i64>("square", 0..1000_i64);
    squares.is_ok_and(|all| all.into_iter().eq((0..1000).map(|n| n * n)))
}

fn eventually(mut happened: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !happened() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    happened()
}

/// With so many descriptors for the whole process. The status is 10 and the number of workers, so 10
/// if it is refused by a clear error.
fn few_files(limit: u64) -> ExitCode {
    // What whoever started this left open does not count.
    // SAFETY: nothing here has opened any of them.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    let allow = |files| {
        let limit = Rlimit { current: Some(files), maximum: Some(1000) };
        setrlimit(Resource::Nofile, limit).expect("it may be changed");
    };
    allow(limit);
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    let built = Pool::builder(module).processes(3).cache(Cache::Off).build();
    let pool = match built {
        Ok(pool) => pool,
        Err(error) => {
            let text = error.to_string();
            let clear = text.contains("open files") && text.lines().count() == 1;
            let _ = writeln!(std::io::stderr(), "{limit}: {text}");
            return ExitCode::from(if clear { 10 } else { 3 });
        }
    };
    let alive = || {
        let stats = pool.stats();
        stats.workers_started - stats.workers_ended
    };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        if !squares(&pool) {
            return ExitCode::from(4);
        }
    }
    let few = alive();
    allow(1000);
    if !(eventually(|| alive() == 3) && squares(&pool)) {
        return ExitCode::from(5);
    }
    pool.close();
    match pool.join_timeout(Duration::from_secs(20)) {
        Ok(true) => ExitCode::from(10 + u8::try_from(few).unwrap_or(100)),
        _ => ExitCode::from(6),
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let how = args.next().unwrap_or_default();
    let number = args.next().and_then(|number| number.parse::<usize>().ok());
    let workers = number.expect("a number of descriptors or workers");
    if how == "files" {
        return few_files(workers as u64);
    }
    if !become_user() {
        return ExitCode::from(2);
    }
    let builder = |workers| {
        let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
        Pool::builder(module).processes(workers).cache(Cache::Off)
    };
    let done = match how.as_str() {
        // The main thread, a keeper for each, and half of the workers.
        "few" => {
            let room = workers.div_ceil(2);
            allow(1 + workers + room);
            builder(workers)
                .build()
                .map(|pool| {
                    let enough =
                        (0..200).all(|_| squares(&pool)) && (1..=room).contains(&children().len());
                    allow(1000);
                    enough && eventually(|| children().len() == workers) && squares(&pool)
                })
                // A worker may have been quicker than the last keeper's thread.
                .or_else(|error| match error.to_string() {
                    text if text.contains("cannot start the thread") => Ok(true),
                    text => Err(text),
                })
        }
        "none" => {
            let began = Instant::now();
            // This thread and a compiler, then the keepers, and no worker.
            allow(1 + workers);
            match builder(workers).build() {
                Ok(_) => Err("it was built".to_owned()),
                Err(error) => {
                    let text = error.to_string();
                    let clear = text.contains("temporarily unavailable");
                    Ok(clear && began.elapsed() < Duration::from_secs(20))
                }
            }
        }
        "for-a-while" => builder(workers).build().map_err(|error| error.to_string()).map(|pool| {
            let all = eventually(|| children().len() == workers) && squares(&pool);
            allow(1);
            for pid in children() {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            }
            std::thread::sleep(Duration::from_millis(1500));
            let none = children().is_empty();
            let handle = pool.apply_async::<_, i64>("square", &7_i64);
            allow(1000);
            all && none && handle.is_ok_and(|handle| handle.get().is_ok_and(|v| v == 49))
        }),
        _ => return ExitCode::from(64),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(4)
        }
    }
}
