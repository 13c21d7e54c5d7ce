//! The rows of what must not grow: memory, and the cost of an item with their number and that of
//! workers.

use crate::Result;
use crate::children::{apart, living};
use crate::chunks::spun;
use crate::guests;
use crate::ours::{self, unordered_of};
use crate::place::on_one_core;
use crate::row::Goal::{AtMost, Within};
use crate::row::Kind::{Itself, Sandpool};
use crate::row::Row;
use crate::setting::Setting;
use sandpool::{Function, Instance, Pool, TaskModule};
use std::fs::read_to_string;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MANY: usize = 64;
const ITEMS: u64 = 10_000_000;

pub(crate) fn rows() -> Vec<Row> {
    vec![idle(), flat(), items(), workers(), workers_on_one_core()]
}

fn idle() -> Row {
    let row = Row::new("12", "memory of an idle worker (PSS), one of 64")
        .unit("MB")
        .rounds(3)
        .target(Within(1.25, Some(0.8)), None);
    // The kernel shows the pages of a sealed process to nobody else.
    match rustix::process::geteuid().is_root() {
        true => row.ours(|_| apart("idle worker")),
        false => row.without("only root may see the memory of a sealed worker"),
    }
}

fn flat() -> Row {
    Row::new("12", "memory of the host (RSS) over 10,000,000 items")
        .unit("× that after a tenth")
        .rounds(3)
        .target(Within(1.1, None), None)
        .ours(|_| apart("host over items"))
}

/// A pool whose workers have all started.
fn pool(text: &str, instance: Instance, processes: usize) -> Result<(Pool, Function)> {
    let module = TaskModule::from_bytes("task.wat", text.as_bytes());
    let pool = Pool::builder(module).processes(processes).instance(instance).build()?;
    let begin = Instant::now();
    while pool.stats().workers_started < processes as u64 {
        if begin.elapsed() > Duration::from_secs(60) {
            return Err("not all workers start".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let function = pool.default_function()?;
    Ok((pool, function))
}

/// Megabytes of a worker that has run some items.
pub(crate) fn idle_worker() -> Result<f64> {
    let (_pool, function) = pool(guests::SQUARE, Instance::Fresh, MANY)?;
    let values: Vec<i64> = function.chunk_size(1).map(0..100 * MANY as i64)?;
    assert_eq!(values.len(), 100 * MANY);
    std::thread::sleep(Duration::from_millis(200));
    let workers = living()?;
    if workers.len() != MANY {
        return Err(format!("{} workers live", workers.len()).into());
    }
    let mut kilobytes = 0.0;
    for pid in workers {
        let text = read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no `Pss`")?;
        let number = line.split_whitespace().next().ok_or("no number")?;
        kilobytes += number.parse::<f64>()?;
    }
    Ok(kilobytes * 1024.0 / 1e6 / MANY as f64)
}

/// The most memory that this process has while results are read, in terms of the early ones.
pub(crate) fn host_over_items() -> Result<f64> {
    let (_pool, function) = pool(guests::SQUARE, Instance::Reuse, 2)?;
    let (mut early, mut most) = (0.0, 0.0_f64);
    for (n, value) in (1..).zip(function.imap::<_, i64>(0..ITEMS as i64)?) {
        std::hint::black_box(value?);
        if n % 100_000 == 0 {
            let now = resident()?;
            if n == 1_000_000 {
                early = now;
            }
            if n >= 1_000_000 {
                most = most.max(now);
            }
        }
    }
    Ok(most / early)
}

/// Pages of this process.
fn resident() -> Result<f64> {
    let text = read_to_string("/proc/self/statm")?;
    Ok(text.split_whitespace().nth(1).ok_or("no pages")?.parse()?)
}

fn items() -> Row {
    Row::new("13", "i64 square, `imap`: 10,000,000 items in one call")
        .rounds(3)
        .ours(|s| ours::imap(&s.reused()?, ITEMS))
        .side(Itself, "100,000 in each of 20 calls", |s| {
            let function = s.reused()?;
            let calls = (0..20).map(|_| ours::imap(&function, 100_000));
            Ok(calls.sum::<Result<f64>>()? / 20.0)
        })
        .target(AtMost(1.1, None), Itself)
}

fn workers() -> Row {
    Row::new("13", "items of 10 µs: 64 workers on all cores")
        .rounds(3)
        .side(Sandpool, "64 workers", |s| {
            let items = ten(s)?;
            with(MANY, items)
        })
        .side(Itself, "2 workers", |s| {
            let items = ten(s)?;
            with(2, items)
        })
        .target(AtMost(1.25, None), Itself)
}

fn workers_on_one_core() -> Row {
    Row::new("13", "items of 10 µs: 64 workers on one core")
        .rounds(3)
        .side(Sandpool, "64 workers", |s| {
            let items = ten(s)?;
            on_one_core(|| with(MANY, items))
        })
        .side(Itself, "1 worker", |s| {
            let items = ten(s)?;
            on_one_core(|| with(1, items))
        })
        .target(AtMost(1.25, None), Itself)
}

fn ten(setting: &mut Setting) -> Result<Arc<[i64]>> {
    let core = setting.core_spin()?;
    setting.items("ten", || spun(&core, 40_000, |_| 10.0))
}

/// Microseconds for each item, by a pool of so many that have all worked already.
fn with(processes: usize, items: Arc<[i64]>) -> Result<f64> {
    let (_pool, function) = pool(guests::SPIN, Instance::Reuse, processes)?;
    unordered_of(&function, items.iter().take(4000).copied().collect())?;
    unordered_of(&function, items)
}
