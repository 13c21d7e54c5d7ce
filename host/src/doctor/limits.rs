//! Lets hostile guests run into each limit, and tells what they came to.
//!
//! This module must not use anything but the public pool: what binds here binds for users.

use crate::cache::Cache;
use crate::outcome::TaskErrorKind;
use crate::pool::Pool;
use crate::pool::builder::PoolBuilder;
use crate::pool::error::CallError;
use crate::pool::module::TaskModule;
use serde::Serialize;
use std::time::Duration;

/// One limit.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LimitFinding {
    /// What is limited.
    pub name: &'static str,
    /// Whether it stopped the guest.
    pub binds: bool,
    /// How the item ended, with numbers.
    pub seen: String,
    /// Whether the same worker went on to the next item. A time-out costs it.
    pub worker_lives: bool,
}

const GUEST: &str = r#"(module
    (memory 1) (table $table 1 funcref)
    (func (export "echo") (param i64) (result i64) (local.get 0))
    (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 0))
    (func (export "eat") (param i64) (result i64)
        (loop
            (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
            (br 0))
        (i64.const 0))
    (func (export "grow") (param i64) (result i64)
        (i64.extend_i32_s (memory.grow (i32.wrap_i64 (local.get 0)))))
    (func $deep (export "recurse") (param i64) (result i64)
        (i64.add (call $deep (local.get 0)) (i64.const 1)))
    (func (export "table") (param i64) (result i64)
        (i64.extend_i32_s (table.grow $table (ref.null func) (i32.wrap_i64 (local.get 0))))))"#;

/// A command that writes without end to the descriptor given as its item's length: 1 or 2.
const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (i32.store (i32.const 4) (i32.const 65536))
        (loop
            (br_if 0 (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1)
                (i32.const 8)))))
        unreachable))"#;

const MIB: u64 = 1 << 20;

/// Runs into all of them.
pub(super) fn examine() -> Vec<LimitFinding> {
    let guest = || builder(GUEST);
    vec![
        ends("wall clock", guest().timeout(Duration::from_millis(100)), "spin", |kind| {
            kind == TaskErrorKind::TimedOut
        }),
        ends("memory of an instance", guest().memory(64 * MIB), "eat", |kind| {
            kind == TaskErrorKind::OutOfMemory
        }),
        refuses("memory of a worker", guest().memory(4096 * MIB).worker_memory(256 * MIB), "grow"),
        refuses("tables", guest().memory(64 * MIB), "table"),
        ends("stack", guest(), "recurse", |kind| kind == TaskErrorKind::Trapped),
        ends("fuel", guest().fuel(1_000_000), "spin", |kind| kind == TaskErrorKind::OutOfFuel),
        ends("output", builder(FLOOD).max_output(MIB), "_start", |kind| {
            kind == TaskErrorKind::OutputTooLarge
        }),
    ]
}

fn builder(text: &'static str) -> PoolBuilder {
    let module = TaskModule::from_bytes("guest.wat", text.as_bytes());
    Pool::builder(module).processes(1).cache(Cache::Off)
}

/// A guest that an item of this function must end.
fn ends(
    name: &'static str,
    builder: PoolBuilder,
    function: &str,
    expected: impl Fn(TaskErrorKind) -> bool,
) -> LimitFinding {
    observe(name, builder, |pool| {
        let ended = match function {
            "_start" => pool.apply::<_, Vec<u8>>(function, b"".as_slice()).map(drop),
            _ => pool.apply::<_, i64>(function, &0_i64).map(drop),
        };
        match ended {
            Ok(()) => (false, "the item ended with a value".to_owned()),
            Err(CallError::Task(error)) => {
                let text = error.to_string();
                (expected(error.kind()), text.lines().next().unwrap_or_default().to_owned())
            }
            Err(error) => (false, error.to_string()),
        }
    })
}

/// A guest that is told that there is no more: growing gives -1, and it goes on.
fn refuses(name: &'static str, builder: PoolBuilder, function: &str) -> LimitFinding {
    // Half a gibibyte of either: 8192 pages, or as many million elements of eight bytes.
    let much: i64 = if function == "grow" { 8192 } else { 64 << 20 };
    observe(name, builder, |pool| match pool.apply::<_, i64>(function, &much) {
        Ok(-1) => (true, "512 MiB were asked for, and the guest was told -1".to_owned()),
        Ok(before) => (false, format!("512 MiB were granted, after {before}")),
        Err(error) => (false, error.to_string()),
    })
}

fn observe(
    name: &'static str,
    builder: PoolBuilder,
    run: impl FnOnce(&Pool) -> (bool, String),
) -> LimitFinding {
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(error) => {
            let seen = format!("no pool: {error}");
            return LimitFinding { name, binds: false, seen, worker_lives: false };
        }
    };
    let (binds, seen) = run(&pool);
    let worker_lives = pool.stats().workers_ended == 0;
    LimitFinding { name, binds, seen, worker_lives }
}
