//! The rows of the Rust API: what an item costs on its way.

use crate::cpython::Flavour::{Futures, Multiprocessing, OneCore, Recycled};
use crate::floors;
use crate::guests;
use crate::ours::{self, By};
use crate::place::on_one_core;
use crate::row::Goal::{AtLeast, AtMost};
use crate::row::Kind::{Floor, InProcess, Python};
use crate::row::Row;
use crate::setting::two;
use sandpool::{Function, Instance, Zygote};
use std::sync::Arc;

const MIB: usize = 1 << 20;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![square(), map(), imap(), fresh(), fresh_map(), component()];
    rows.extend([apply(0.5), apply(0.99), anywhere(), one_by_one()]);
    rows.extend([mebibyte(By::Apply), mebibyte(By::Imap), recycled()]);
    rows
}

fn square() -> Row {
    let mut row = Row::new("1", "i64 square, `imap_unordered`, an instance per worker")
        .ours(|s| ours::unordered(&s.reused()?, 2_000_000))
        .side(InProcess, "wasmtime, two threads", |s| {
            let items = s.items("numbers", || Ok((0..2_000_000).collect::<Arc<[i64]>>()))?;
            s.core()?.two_threads(&items, 1000)
        });
    for size in [1000, 10_000, 50_000] {
        row = row.side(Python, format!("`multiprocessing`, chunks of {size}"), move |s| {
            s.python(Multiprocessing, &format!("unordered-{size}"), 1_000_000)
        });
    }
    for size in [1000, 10_000] {
        row = row.side(Python, format!("`concurrent.futures`, chunks of {size}"), move |s| {
            s.python(Futures, &format!("imap-{size}"), 1_000_000)
        });
    }
    row.side(Floor, "memory that two threads share", |_| floors::memory(5_000_000))
        .side(Floor, "pipes, blocks of 32 KiB", |_| floors::pipes(5_000_000))
        .target(AtLeast(0.35, Some(0.5)), InProcess)
        .target(AtLeast(4.0, None), Python)
}

fn map() -> Row {
    Row::new("1", "i64 square, `map`, an instance per worker")
        .ours(|s| ours::map(&s.reused()?, 1_000_000))
        .side(Python, "`multiprocessing`", |s| s.python(Multiprocessing, "map", 1_000_000))
}

fn imap() -> Row {
    Row::new("1", "i64 square, `imap`, an instance per worker")
        .ours(|s| ours::imap(&s.reused()?, 1_000_000))
        .side(Python, "`multiprocessing`, chunks of 1000", |s| {
            s.python(Multiprocessing, "imap-1000", 1_000_000)
        })
        .side(Python, "`multiprocessing`, chunks of 10000", |s| {
            s.python(Multiprocessing, "imap-10000", 1_000_000)
        })
}

fn fresh() -> Row {
    Row::new("2", "i64 square, `imap_unordered`, an instance per item")
        .ours(|s| ours::unordered(&s.fresh()?, 1_000_000))
        .side(InProcess, "twice one thread of wasmtime", |s| Ok(s.core()?.fresh(300_000)? / 2.0))
        .target(AtLeast(0.9, Some(1.0)), InProcess)
}

fn fresh_map() -> Row {
    Row::new("2", "i64 square, `map`, an instance per item")
        .ours(|s| ours::map(&s.fresh()?, 1_000_000))
        .side(InProcess, "twice one thread of wasmtime", |s| Ok(s.core()?.fresh(300_000)? / 2.0))
        .side(Python, "`multiprocessing`, no instance", |s| {
            s.python(Multiprocessing, "map", 1_000_000)
        })
}

fn component() -> Row {
    Row::new("2", "32 bytes to and fro, a component instance per item")
        .ours(|s| ours::echo(&s.echo(32)?, By::Unordered, 200_000, 32))
        .side(InProcess, "twice one thread of wasmtime", |s| {
            Ok(s.core_echo(32)?.fresh(100_000, 32)? / 2.0)
        })
        .target(AtLeast(0.9, Some(1.0)), InProcess)
}

/// Placement decides: a wake-up on another core takes longer than all else together. So pipes,
/// host, workers and CPython stay on one core here, each with all its threads and processes.
fn apply(share: f64) -> Row {
    let work = match share < 0.9 {
        true => "`apply`, warm, on one core, p50",
        false => "`apply`, warm, on one core, p99",
    };
    let percent = (share * 100.0).round() as u64;
    Row::new("4", work)
        .unit("µs")
        .ours(move |s| {
            on_one_core(|| {
                let build = || two(guests::SQUARE).instance(Instance::Reuse);
                ours::apply(&s.pool("one core", build)?, 5000, share)
            })
        })
        .side(Floor, "pipes, 8 bytes to and fro", move |_| {
            on_one_core(|| floors::ping_pong(5000, share))
        })
        .side(Python, "`multiprocessing`", move |s| {
            s.python(OneCore, &format!("apply-{percent}"), 2000)
        })
        .target(AtMost(2.0, None), Floor)
        .target(AtLeast(5.0, None), Python)
}

fn anywhere() -> Row {
    Row::new("4", "`apply`, warm, on any core, p50")
        .unit("µs")
        .ours(|s| ours::apply(&s.reused()?, 5000, 0.5))
        .side(Floor, "pipes, 8 bytes to and fro", |_| floors::ping_pong(5000, 0.5))
        .side(Python, "`multiprocessing`", |s| s.python(Multiprocessing, "apply-50", 2000))
        .side(Python, "`concurrent.futures`", |s| s.python(Futures, "apply-50", 2000))
}

fn one_by_one() -> Row {
    Row::new("5", "i64 square, `imap`, chunk size 1")
        .ours(|s| ours::imap(&s.reused()?.chunk_size(1), 100_000))
        .side(Python, "`multiprocessing`, chunk size 1", |s| {
            s.python(Multiprocessing, "imap-1", 50_000)
        })
        .side(Python, "`concurrent.futures`, chunk size 1", |s| s.python(Futures, "imap-1", 10_000))
        .target(AtLeast(10.0, None), Python)
}

fn mebibyte(by: By) -> Row {
    let (work, most) = match by {
        By::Apply => ("1 MiB to and fro, `apply`, a component instance per item", 1.4),
        _ => ("1 MiB to and fro, `imap`, a component instance per item", 1.0),
    };
    let row = Row::new("6", work)
        .ours(move |s| ours::echo(&s.echo(MIB)?, by, 400, MIB))
        .side(InProcess, "wasmtime, one thread", |s| s.core_echo(MIB)?.fresh(400, MIB))
        .target(AtMost(most, None), InProcess);
    match by {
        By::Apply => {
            row.side(Python, "`multiprocessing`", |s| {
                s.python(Multiprocessing, &format!("echo-{MIB}"), 50)
            })
            .side(Floor, "memory that two threads share, four copies", |_| floors::copies(400, MIB))
        }
        _ => row,
    }
}

/// `max_tasks_per_child` 1.
fn recycled() -> Row {
    let mut row = Row::new("10", "a process per item, `map`").rounds(3);
    for (name, function) in recycling() {
        row = row.side(crate::row::Kind::Sandpool, name, move |s| ours::map(&function(s)?, 400));
    }
    row.side(Python, "`multiprocessing`", |s| s.python(Recycled, "map-1", 400))
        .target(AtLeast(3.0, Some(6.0)), Python)
}

type Choose = fn(&mut crate::setting::Setting) -> crate::Result<Function>;

/// The ways to have a new process for every item. The first of them counts.
fn recycling() -> Vec<(&'static str, Choose)> {
    vec![
        ("sandpool, forked from a zygote", |s| {
            let builder = || two(guests::SQUARE).max_tasks_per_child(1).zygote(Zygote::On);
            s.pool("forked", builder)
        }),
        ("sandpool, executed", |s| {
            s.pool("recycled", || two(guests::SQUARE).max_tasks_per_child(1))
        }),
    ]
}
