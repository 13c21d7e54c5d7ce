//! What the sandbox costs: the same pool with and without it, in turns.
//!
//! `cargo bench -p sandpool --bench walls` prints a table. Times are medians over rounds; only the
//! comparison of two sides of the same run means anything.

#![expect(clippy::print_stdout, reason = "it is a program")]

use rustix::process::{Pid, Signal, kill_process};
use sandpool::{Instance, Pool, PoolEvent, Sandbox, TaskModule};
use std::error::Error;
use std::time::{Duration, Instant};

const ROUNDS: usize = 31;
const SQUARE: &str = r#"(module (memory 1) (func (export "square") (param i64) (result i64)
    (i64.mul (local.get 0) (local.get 0))))"#;
const ECHO: &str = include_str!("echo.wat");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn pool(text: &str, instance: Instance, sandbox: Sandbox, processes: usize) -> Result<Pool> {
    let module = TaskModule::from_bytes("task.wat", text.as_bytes());
    let pool = Pool::builder(module).processes(processes).instance(instance).sandbox(sandbox);
    Ok(pool.build()?)
}

/// Milliseconds from the start of a process to its first readiness.
fn spawn(sandbox: Sandbox) -> Result<f64> {
    let pool = pool(SQUARE, Instance::Fresh, sandbox, 1)?;
    for event in pool.events() {
        if let PoolEvent::WorkerStarted { after, .. } = event {
            return Ok(after.as_secs_f64() * 1e3);
        }
    }
    Err("no worker started".into())
}

/// Milliseconds from a kill to the moment at which the pool knows of it.
fn notice(pool: &Pool) -> Result<f64> {
    let mut pids = Vec::new();
    let mut killed = None;
    for event in pool.events() {
        match event {
            PoolEvent::WorkerStarted { pid, .. } => {
                // A moment after it has become ready.
                std::thread::sleep(Duration::from_millis(5));
                pids.push(pid);
                let raw = Pid::from_raw(i32::try_from(pid)?).ok_or("a pid")?;
                killed = Some((pid, Instant::now()));
                kill_process(raw, Signal::KILL)?;
            }
            PoolEvent::WorkerEnded { pid, .. } => {
                if let Some((_, at)) = killed.filter(|(victim, _)| *victim == pid) {
                    return Ok(at.elapsed().as_secs_f64() * 1e3);
                }
            }
            _ => {}
        }
    }
    Err("the kill was not noticed".into())
}

/// Microseconds for each of `n` items.
fn per_item(pool: &Pool, function: &str, n: u64) -> Result<f64> {
    let begin = Instant::now();
    if function == "echo" {
        let item = [7_u8; 32];
        for outcome in pool.imap_unordered::<_, Vec<u8>>(function, (0..n).map(move |_| item))? {
            outcome?;
        }
    } else {
        for outcome in pool.imap_unordered::<_, i64>(function, (0..n).map(|n| n as i64))? {
            outcome?;
        }
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / n as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Both sides in turns: medians, and the median of the ratios of neighbours.
fn paired(name: &str, unit: &str, mut side: impl FnMut(Sandbox) -> Result<f64>) -> Result<()> {
    let (mut strict, mut off, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Whoever goes first in a round goes second in the next.
        let (a, b) = if round % 2 == 0 {
            let a = side(Sandbox::Strict)?;
            (a, side(Sandbox::Off)?)
        } else {
            let b = side(Sandbox::Off)?;
            (side(Sandbox::Strict)?, b)
        };
        strict.push(a);
        off.push(b);
        ratios.push(a / b);
    }
    let (strict, off, ratio) = (median(strict), median(off), median(ratios));
    println!("{name:44} {strict:8.3} {unit} {off:8.3} {unit}  x {ratio:.3}  {:+.3}", strict - off);
    Ok(())
}

fn main() -> Result<()> {
    println!("{:44} {:>11} {:>11}", "", "sealed", "unsealed");
    // Fills the cache, so that no round compiles.
    spawn(Sandbox::Strict)?;
    paired("a worker, from its start to ready", "ms", spawn)?;
    for (name, function, text, instance, n) in [
        ("an item, reused core instance", "square", SQUARE, Instance::Reuse, 300_000),
        ("an item, fresh core instance", "square", SQUARE, Instance::Fresh, 60_000),
        ("an item, fresh component, 32 bytes", "echo", ECHO, Instance::Fresh, 30_000),
    ] {
        let strict = pool(text, instance, Sandbox::Strict, 2)?;
        let off = pool(text, instance, Sandbox::Off, 2)?;
        paired(name, "us", |sandbox| {
            per_item(if sandbox == Sandbox::Off { &off } else { &strict }, function, n)
        })?;
    }
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..200 {
        let pool = pool(SQUARE, Instance::Fresh, Sandbox::Strict, 1)?;
        times.push(notice(&pool)?);
    }
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("a kill, until it is noticed: p50 {p50:.3} ms, p99 {p99:.3} ms");
    Ok(())
}
