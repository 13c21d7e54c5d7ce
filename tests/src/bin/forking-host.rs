//! A host that forks while it has a pool, or starts programs with all its descriptors: neither the
//! copy nor the program may take anything from the pool, keep anything alive, or hold anything up.
//!
//! The arguments: what is done (`fork-idle`, `fork-busy`, `fork-misused`, `fork-often`, `exec-often`,
//! `exec-leaky`) and the number of workers. Status 0 for what was expected.

#![expect(unsafe_code, reason = "forks, and descriptors without CLOEXEC, need raw calls")]

use sandpool::{AsyncResult, Cache, CallError, Pool, PoolErrorKind, TaskErrorKind, TaskModule};
use sandpool_tests::eventually;
use sandpool_tests::processes::{children, descriptors, is_alive, kill};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
    (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1)))"#;

/// Longest that ends of workers and of pools may take, with a copy around that never looks.
const SOON: Duration = Duration::from_secs(5);

fn pool(workers: usize) -> Pool {
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    Pool::builder(module).processes(workers).cache(Cache::Off).build().expect("it is built")
}

fn works(pool: &Pool) {
    let squares = pool.map::<_, i64>("square", 0..1000_i64).expect("all have values");
    assert!(squares.into_iter().eq((0..1000).map(|n| n * n)));
    assert_eq!(pool.apply::<_, i64>("square", &9_i64).expect("a value"), 81);
}

/// A copy of this process that does this and then nothing, for longer than any test takes.
fn copy(act: impl FnOnce()) -> u32 {
    // SAFETY: the copy has one thread; what it runs may find a lock taken, which is what the test is
    // about: it is killed in any case.
    match unsafe { libc::fork() } {
        0 => {
            act();
            std::thread::sleep(Duration::from_secs(200));
            // SAFETY: ends the copy, which has nothing to put in order.
            unsafe { libc::_exit(0) }
        }
        pid => u32::try_from(pid).expect("it was made"),
    }
}

fn bury(pid: u32) {
    kill(pid);
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
}

/// Ends of workers are seen, and the pool's own end too.
fn deaths_and_end(pool: &Pool, copies: &[u32]) {
    let workers = || children().into_iter().filter(|pid| !copies.contains(pid)).collect::<Vec<_>>();
    eventually("all are there", || workers().len() == pool.processes());
    let running = pool.function("spin").and_then(|spin| spin.map_async::<_, i64>([1_i64]));
    std::thread::sleep(Duration::from_millis(50));
    let (old, killed) = (workers(), Instant::now());
    old.iter().copied().for_each(kill);
    let Err(CallError::Task(error)) = running.expect("it runs").get() else { panic!("no death") };
    assert_eq!(error.kind(), TaskErrorKind::WorkerDied, "{error}");
    assert!(killed.elapsed() < SOON, "noticed after {:?}", killed.elapsed());
    eventually("all are replaced", || {
        workers().len() == pool.processes() && workers().iter().all(|pid| !old.contains(pid))
    });
    works(pool);
    let spin = pool.function("spin").expect("it is there");
    let handle = spin.map_async::<_, i64>([1_i64]).expect("it runs");
    let ended = Instant::now();
    pool.terminate();
    assert!(handle.get().is_err());
    assert!(pool.join_timeout(SOON).expect("it was terminated"), "join hangs");
    assert!(ended.elapsed() < SOON);
    assert!(workers().is_empty(), "{:?}", workers());
}

/// In a copy, nothing is done to a pool, and nothing that waits for one hangs.
fn misuse(pool: &Pool, handle: &AsyncResult<i64>, verdict: &AtomicBool) {
    let forked = |error: Option<CallError>| {
        let kind = error.as_ref().and_then(CallError::pool).map(sandpool::PoolError::kind);
        kind == Some(PoolErrorKind::Forked)
    };
    let refused = forked(pool.apply::<_, i64>("square", &1_i64).err())
        && forked(pool.map::<_, i64>("square", 0..10_i64).err())
        && forked(handle.get().err())
        && !handle.wait(None)
        && forked(handle.get_timeout(SOON).and_then(Result::err))
        && forked(pool.imap::<_, i64>("square", 0..10_i64).err().map(CallError::Pool));
    pool.terminate();
    pool.close();
    let joins = pool.join().err().map(|error| error.kind()) == Some(PoolErrorKind::Forked);
    verdict.store(refused && joins, Ordering::SeqCst);
}

/// Shared with copies.
fn shared_flag() -> &'static AtomicBool {
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping that is never unmapped; zeroes are a flag.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        assert!(page != libc::MAP_FAILED);
        &*page.cast::<AtomicBool>()
    }
}

/// Forks or starts programs all the time, while pools are built and end.
fn often(workers: usize, start: impl Fn() -> u32 + Sync) {
    let over = AtomicBool::new(false);
    let mut copies = Vec::new();
    std::thread::scope(|threads| {
        let starter = threads.spawn(|| {
            let mut started = Vec::new();
            while !over.load(Ordering::Relaxed) && started.len() < 300 {
                started.push(start());
                std::thread::sleep(Duration::from_millis(1));
            }
            started
        });
        for _ in 0..4 {
            let began = Instant::now();
            let pool = pool(workers);
            works(&pool);
            pool.close();
            assert!(pool.join_timeout(SOON).expect("it is closed"), "join hangs");
            assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        copies = starter.join().expect("it ends");
    });
    assert!(!copies.is_empty());
    copies.into_iter().for_each(bury);
}

/// A program that has all descriptors of this process.
fn leak() -> u32 {
    let words = [c"sleep".as_ptr(), c"200".as_ptr(), std::ptr::null()];
    // SAFETY: only system calls happen between fork and exec; numbers that are not open are an error,
    // which does no harm.
    match unsafe { libc::fork() } {
        // SAFETY: as above.
        0 => unsafe {
            for fd in 3..1000 {
                libc::fcntl(fd, libc::F_SETFD, 0);
            }
            libc::execvp(words[0], words.as_ptr());
            libc::_exit(1)
        },
        pid => u32::try_from(pid).expect("it was made"),
    }
}

/// Descriptors beyond the standard ones of another process.
fn inherited(pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let number = |path: &std::path::Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let entries = entries.flatten().map(|entry| entry.path());
    let ours = entries.filter(|path| number(path).is_some_and(|number| number > 2));
    ours.filter_map(|path| Some(std::fs::read_link(path).ok()?.display().to_string())).collect()
}

fn main() {
    // What whoever started this left open is not the pool's.
    // SAFETY: nothing here has opened any of them.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    let mut args = std::env::args().skip(1);
    let what = args.next().expect("what to do");
    let workers = args.next().and_then(|n| n.parse().ok()).expect("how many workers");
    match what.as_str() {
        "fork-idle" | "fork-busy" => {
            let pool = pool(workers);
            works(&pool);
            let busy = what == "fork-busy";
            let handle = pool.map_async::<_, i64>("square", 0..200_000_i64).expect("it runs");
            if !busy {
                handle.wait(None);
            }
            let copy = copy(|| {});
            assert_eq!(handle.get().expect("values").len(), 200_000);
            works(&pool);
            deaths_and_end(&pool, &[copy]);
            assert!(is_alive(copy), "it was there all the time");
            bury(copy);
        }
        "fork-misused" => {
            let (pool, verdict) = (pool(workers), shared_flag());
            works(&pool);
            let spin = pool.function("spin").expect("it is there");
            let handle = spin.apply_async::<_, i64>(&1_i64).expect("it runs");
            let copy = copy(|| misuse(&pool, &handle, verdict));
            handle.cancel();
            eventually("the copy is refused all that it asks for", || {
                verdict.load(Ordering::SeqCst) || !is_alive(copy)
            });
            assert!(verdict.load(Ordering::SeqCst));
            works(&pool);
            // One that ends as programs do, with all that it drops.
            let other = pool.clone();
            let iterator = pool.imap::<_, i64>("square", 0..100_i64).expect("it runs");
            // SAFETY: as in `copy`.
            let ends = match unsafe { libc::fork() } {
                0 => {
                    drop((iterator, other, pool));
                    std::process::exit(0)
                }
                pid => u32::try_from(pid).expect("it was made"),
            };
            eventually("it ends", || !is_alive(ends));
            bury(ends);
            assert_eq!(iterator.filter(Result::is_ok).count(), 100);
            works(&pool);
            deaths_and_end(&pool, &[copy]);
            bury(copy);
        }
        "fork-often" => often(workers, || copy(|| {})),
        "exec-often" => often(workers, || {
            let mut program = Command::new("sleep");
            program.arg("200").stdout(Stdio::null()).stderr(Stdio::null());
            let pid = program.spawn().expect("it starts").id();
            // What it opens itself as it starts comes and goes; what it inherited is there always,
            // so one look without is enough.
            let (started, mut had) = (Instant::now(), inherited(pid));
            while !had.is_empty() && started.elapsed() < SOON {
                std::thread::sleep(Duration::from_millis(1));
                had = inherited(pid);
            }
            assert!(had.is_empty(), "it has {had:?}");
            pid
        }),
        "exec-leaky" => {
            let pool = pool(workers);
            works(&pool);
            let program = leak();
            eventually("it is that program", || {
                std::fs::read_to_string(format!("/proc/{program}/comm"))
                    .is_ok_and(|c| c == "sleep\n")
            });
            assert!(inherited(program).len() > 5, "it has nothing of ours");
            deaths_and_end(&pool, &[program]);
            bury(program);
        }
        other => panic!("unknown: {other}"),
    }
    eventually("descriptors are given back", || descriptors() <= 16);
}
