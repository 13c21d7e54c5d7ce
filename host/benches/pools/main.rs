//! sandpool, CPython's `multiprocessing.Pool` and wasmtime in this process, measured in one run, in
//! turns.
//!
//! `cargo bench -p sandpool --bench pools` prints a table and writes `target/bench/pools.json`;
//! `-- imap` measures only the rows whose names have `imap` in them, `-- imap sandpool` only that
//! side of them. Times are medians over rounds; only the ratio of two sides of the same run means
//! anything.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it is a program, and others its children"
)]

mod cpython;
mod inprocess;

use cpython::Python;
use sandpool::{Function, Instance, Pool, TaskModule};
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 7;
const SQUARE: &str = r#"(module (func (export "square") (param i64) (result i64)
    (i64.mul (local.get 0) (local.get 0))))"#;
/// So many turns of a loop that takes about as long each time.
const SPIN: &str = r#"(module (func (export "spin") (param i64) (result i64) (local i64)
    (local.set 1 (i64.const 1))
    (loop $again
        (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 31)) (local.get 0)))
        (br_if $again (i64.gt_s
            (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const 0))))
    (local.get 1)))"#;
const ECHO: &str = include_str!("../echo.wat");
const MIB: usize = 1 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn pool(name: &'static str, text: &str, instance: Instance) -> Result<Function> {
    let module = TaskModule::from_bytes(name, text.as_bytes());
    let pool = Pool::builder(module).processes(2).instance(instance).build()?;
    let function = pool.default_function()?;
    // It lives as long as the benchmark.
    std::mem::forget(pool);
    Ok(function)
}

fn per_item(n: u64, run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64() / n as f64 * 1e6)
}

/// The time below which `share` of many applies stay.
fn apply(function: &Function, n: u64, share: f64) -> Result<f64> {
    let mut times = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        let _: i64 = function.apply(&(i as i64))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&mut times, share))
}

/// The same for eight bytes to another process and back through two pipes.
fn ping_pong(n: u64, share: f64) -> Result<f64> {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut there = child.stdin.take().ok_or("no standard input")?;
    let mut back = child.stdout.take().ok_or("no standard output")?;
    let mut times = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        there.write_all(&i.to_le_bytes())?;
        back.read_exact(&mut [0; 8])?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    drop(there);
    child.wait()?;
    Ok(quantile(&mut times, share))
}

fn map(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || {
        let values: Vec<i64> = function.map(0..n as i64)?;
        assert_eq!(values.len() as u64, n);
        Ok(())
    })
}

fn imap(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || {
        let mut sum = 0_i64;
        for value in function.imap::<_, i64>(0..n as i64)? {
            sum = sum.wrapping_add(value?);
        }
        std::hint::black_box(sum);
        Ok(())
    })
}

fn unordered(function: &Function, items: impl Into<Arc<[i64]>>) -> Result<f64> {
    let items: Arc<[i64]> = items.into();
    let n = items.len();
    per_item(n as u64, || {
        let mut sum = 0_i64;
        let mut at = 0;
        let items = std::iter::from_fn(move || {
            at += 1;
            items.get(at - 1).copied()
        });
        for value in function.imap_unordered::<_, i64>(items)? {
            sum = sum.wrapping_add(value?);
        }
        std::hint::black_box(sum);
        Ok(())
    })
}

fn squares(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || {
        let mut sum = 0_i64;
        for value in function.imap_unordered::<_, i64>(0..n as i64)? {
            sum = sum.wrapping_add(value?);
        }
        std::hint::black_box(sum);
        Ok(())
    })
}

fn echo(function: &Function, n: u64, size: usize) -> Result<f64> {
    per_item(n, || {
        let items = (0..n).map(move |i| vec![i as u8; size]);
        let mut count = 0;
        for value in function.imap_unordered::<_, Bytes>(items.map(Bytes))? {
            assert_eq!(value?.0.len(), size);
            count += 1;
        }
        assert_eq!(count, n);
        Ok(())
    })
}

fn echo_apply(function: &Function, n: u64, size: usize) -> Result<f64> {
    per_item(n, || {
        for i in 0..n {
            let value: Bytes = function.apply(&Bytes(vec![i as u8; size]))?;
            assert_eq!(value.0.len(), size);
        }
        Ok(())
    })
}

/// A `list<u8>` in one piece.
struct Bytes(Vec<u8>);

impl serde::Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Visit;
        impl serde::de::Visitor<'_> for Visit {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> std::result::Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        from.deserialize_byte_buf(Visit)
    }
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

type Measure = Box<dyn FnMut(&mut Python) -> Result<f64>>;

/// One side of a row, with what it took in each round.
struct Side {
    name: &'static str,
    measure: Measure,
    times: Vec<f64>,
}

/// What is compared: sandpool's side comes first.
struct Row {
    name: &'static str,
    sides: Vec<Side>,
}

impl Row {
    fn new(name: &'static str, ours: impl FnMut() -> Result<f64> + 'static) -> Self {
        Self { name, sides: Vec::new() }.against("sandpool", ours)
    }

    fn against(
        mut self,
        name: &'static str,
        mut measure: impl FnMut() -> Result<f64> + 'static,
    ) -> Self {
        let measure: Measure = Box::new(move |_| measure());
        self.sides.push(Side { name, measure, times: Vec::new() });
        self
    }

    fn cpython(mut self, name: &'static str, what: &'static str, n: u64) -> Self {
        let measure: Measure = Box::new(move |python| python.measure(what, n));
        self.sides.push(Side { name, measure, times: Vec::new() });
        self
    }
}

/// What tells items of some cost from each other: turns of [`SPIN`].
struct Spin {
    turns_per_us: f64,
}

impl Spin {
    fn calibrate(core: &inprocess::Core) -> Result<Self> {
        let turns = 20_000_000_i64;
        let took = (0..3).map(|_| core.two_threads(&[turns, turns])).collect::<Result<Vec<_>>>()?;
        let best = took.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Self { turns_per_us: turns as f64 / (2.0 * best) })
    }

    fn items(&self, n: usize, us: impl Fn(usize) -> f64) -> Arc<[i64]> {
        (0..n).map(|i| (us(i) * self.turns_per_us) as i64).collect()
    }
}

fn rows() -> Result<Vec<Row>> {
    let reused = pool("square", SQUARE, Instance::Reuse)?;
    let fresh = pool("square", SQUARE, Instance::Fresh)?;
    let component = pool("echo", ECHO, Instance::Fresh)?;
    let core = Arc::new(inprocess::Core::new(SQUARE, "square")?);
    let (core_two, core_one) = (Arc::clone(&core), core);
    let wasm_echo = Arc::new(inprocess::Echo::new(ECHO)?);
    let (echo_32, echo_mib) = (Arc::clone(&wasm_echo), wasm_echo);
    let numbers: Vec<i64> = (0..2_000_000).collect();
    let with = |function: &Function| function.clone();

    let (f, g) = (with(&reused), with(&reused));
    let (h, i, j) = (with(&reused), with(&fresh), with(&reused).chunk_size(1));
    let (k, l, m) = (with(&reused), with(&fresh), with(&component));
    let (n, o, p) = (with(&component), with(&component), with(&reused));
    let mut rows = vec![
        Row::new("apply, p50", move || apply(&f, 5_000, 0.5))
            .against("pipes", || ping_pong(5_000, 0.5))
            .cpython("CPython", "apply", 2_000),
        Row::new("apply, p99", move || apply(&g, 5_000, 0.99))
            .against("pipes", || ping_pong(5_000, 0.99)),
        Row::new("map of 1,000,000, reused instance", move || map(&h, 1_000_000))
            .cpython("CPython", "map", 1_000_000),
        Row::new("map of 1,000,000, fresh instances", move || map(&i, 1_000_000))
            .cpython("CPython", "map", 1_000_000),
        Row::new("imap, chunk size 1", move || imap(&j, 100_000))
            .cpython("CPython", "imap-1", 50_000),
        Row::new("imap", move || imap(&p, 1_000_000)).cpython(
            "CPython, chunks of 1000",
            "imap-1000",
            1_000_000,
        ),
        Row::new("imap-unordered, square, reused", move || squares(&k, 2_000_000))
            .against("two threads", move || core_two.two_threads(&numbers))
            .cpython("CPython, chunks of 1000", "imap-unordered-1000", 1_000_000)
            .cpython("CPython, chunks of 10000", "imap-unordered-10000", 1_000_000)
            .cpython("CPython, chunks of 50000", "imap-unordered-50000", 1_000_000),
        Row::new("imap-unordered, square, fresh", move || squares(&l, 1_000_000))
            .against("half of one thread", move || Ok(core_one.fresh(300_000)? / 2.0)),
        Row::new("imap-unordered, 32 bytes, fresh component", move || echo(&m, 200_000, 32))
            .against("half of one thread", move || Ok(echo_32.fresh(100_000, 32)? / 2.0)),
        Row::new("apply, 1 MiB, fresh component", move || echo_apply(&n, 100, MIB)).against(
            "one thread",
            {
                let echo = Arc::clone(&echo_mib);
                move || echo.fresh(100, MIB)
            },
        ),
        Row::new("imap-unordered, 1 MiB, fresh component", move || echo(&o, 200, MIB))
            .against("one thread", move || echo_mib.fresh(100, MIB)),
    ];
    spun(&mut rows)?;
    Ok(rows)
}

/// Automatic chunks against explicit ones, and against the limit, for items of some cost.
fn spun(rows: &mut Vec<Row>) -> Result<()> {
    let spin = pool("spin", SPIN, Instance::Reuse)?;
    let core = Arc::new(inprocess::Core::new(SPIN, "spin")?);
    let costs = Spin::calibrate(&core)?;
    let cases = [
        ("100 ns items", costs.items(1_000_000, |_| 0.1), [1000, 4096, 20_000]),
        ("10 µs items", costs.items(50_000, |_| 10.0), [10, 100, 1000]),
        ("1 ms items", costs.items(500, |_| 1000.0), [1, 4, 16]),
        (
            "1 % of items take 100 ms, others 100 µs",
            costs.items(2000, |i| if i % 100 == 37 { 100_000.0 } else { 100.0 }),
            [1, 10, 100],
        ),
    ];
    for (name, items, sizes) in cases {
        let (ours, auto) = (Arc::clone(&items), spin.clone());
        let (limit, core) = (Arc::clone(&items), Arc::clone(&core));
        let mut row = Row::new(name, move || unordered(&auto, Arc::clone(&ours)))
            .against("two threads", move || core.two_threads(&limit));
        for (size, name) in sizes.into_iter().zip(["small chunks", "middle chunks", "large chunks"])
        {
            let (items, function) = (Arc::clone(&items), spin.clone().chunk_size(size));
            row = row.against(name, move || unordered(&function, Arc::clone(&items)));
        }
        rows.push(row);
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let (rows_wanted, side_wanted) = (wanted.next(), wanted.next());
    let fits = |name: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()))
    };
    let mut rows = rows()?;
    rows.retain(|row| fits(row.name, &rows_wanted));
    rows.iter_mut().for_each(|row| row.sides.retain(|side| fits(side.name, &side_wanted)));
    let mut python = Python::start()?;
    for _ in 0..ROUNDS {
        for side in rows.iter_mut().flat_map(|row| &mut row.sides) {
            let took = (side.measure)(&mut python)?;
            side.times.push(took);
        }
    }
    report(&mut rows)
}

fn report(rows: &mut [Row]) -> Result<()> {
    println!("| µs per item, 2 workers | sandpool | others: time, its ratio to sandpool's |");
    println!("|---|---|---|");
    let mut json = Vec::new();
    for Row { name, sides } in rows {
        let mut ours = None;
        let mut others = Vec::new();
        let mut fields = serde_json::Map::new();
        fields.insert("name".into(), (*name).into());
        for side in sides {
            let took = quantile(&mut side.times, 0.5);
            fields.insert(side.name.into(), took.into());
            match ours {
                None => ours = Some(took),
                Some(ours) => {
                    others.push(format!("{} {took:.3}, {:.2}", side.name, took / ours));
                }
            }
        }
        println!("| {name} | {:.3} | {} |", ours.unwrap_or(f64::NAN), others.join("; "));
        json.push(fields);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/pools.json"), serde_json::to_vec_pretty(&json)?)?;
    Ok(())
}
