//! A host with bad habits, named by its argument: it must work, or say clearly why not.
//!
//! `no-stdio` closes descriptors 0 to 2, `no-sigchld` ignores SIGCHLD (so that nobody learns how a
//! child ended), `not-a-worker` gives the pool a program that never becomes one. What it found is
//! its exit status: 0 for right answers, 3 for the expected refusal.

#![expect(unsafe_code, reason = "bad habits need raw calls")]

use sandpool::{Cache, Pool, TaskErrorKind, TaskModule};
use std::io::Write as _;
use std::process::ExitCode;

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#;

fn main() -> ExitCode {
    let habit = std::env::args().nth(1).unwrap_or_default();
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    let mut builder = Pool::builder(module).processes(2).cache(Cache::Off);
    match habit.as_str() {
        "no-stdio" => {
            for fd in 0..3 {
                // SAFETY: nothing in this program uses the standard streams from here on.
                unsafe { libc::close(fd) };
            }
        }
        "no-sigchld" => {
            // SAFETY: SIG_IGN is a valid disposition.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        }
        "not-a-worker" => builder = builder.worker_program("/bin/true"),
        _ => return ExitCode::from(64),
    }
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::from(3);
        }
    };
    let squares: Vec<i64> = match pool.map("square", 0..1000_i64) {
        Ok(squares) => squares,
        Err(_) => return ExitCode::from(4),
    };
    let right = (0..).zip(&squares).all(|(n, square): (i64, _)| n * n == *square);
    if !right || squares.len() != 1000 {
        return ExitCode::from(5);
    }
    if habit == "no-sigchld" && !survives_a_kill(&pool) {
        return ExitCode::from(6);
    }
    pool.close();
    match pool.join() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(7),
    }
}

/// Workers that are killed while nobody can learn their status are replaced all the same.
fn survives_a_kill(pool: &Pool) -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return false };
    for thread in threads.flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()) {
            // SAFETY: the children of this process are its workers.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    let Ok(square) = pool.function("square") else { return false };
    let Ok(outcomes) = square.map_outcomes::<_, i64>(0..100_i64) else { return false };
    // An item may have met the kill; then it says so, and no other does.
    let died = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    outcomes.len() == 100 && died.map(|e| e.kind()).all(|kind| kind == TaskErrorKind::WorkerDied)
}
