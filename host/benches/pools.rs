//! sandpool and CPython's `multiprocessing.Pool`, measured in one run, in turns.
//!
//! `cargo bench -p sandpool --bench pools` prints a table and writes `target/bench/pools.json`. Times
//! are medians over rounds; only the ratio of two sides of the same run means anything.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it is a program, and CPython its child"
)]

use sandpool::{Function, Instance, Pool, TaskModule};
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 5;
const SQUARE: &str = r#"(module (func (export "square") (param i64) (result i64)
    (i64.mul (local.get 0) (local.get 0))))"#;
const ECHO: &str = include_str!("echo.wat");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// CPython, as a process that measures itself.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cpython_pool.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, input, output })
    }

    fn measure(&mut self, what: &str, n: u64) -> Result<f64> {
        writeln!(self.input, "{what} {n}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

fn apply_p50(function: &Function, n: u64) -> Result<f64> {
    let mut times = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        let _: i64 = function.apply(&(i as i64))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
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

fn echo(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || {
        let items = (0..n).map(|i| [i as u8; 32].to_vec());
        let mut count = 0;
        for value in function.imap_unordered::<_, Vec<u8>>(items)? {
            assert_eq!(value?.len(), 32);
            count += 1;
        }
        assert_eq!(count, n);
        Ok(())
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Row {
    name: &'static str,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

fn main() -> Result<()> {
    let reused = pool("square", SQUARE, Instance::Reuse)?;
    let fresh = pool("square", SQUARE, Instance::Fresh)?;
    let component = pool("echo", ECHO, Instance::Fresh)?;
    let one = reused.clone().chunk_size(1);
    let mut python = Python::start()?;
    let names = [
        "apply, round trip (p50)",
        "map of 1,000,000, default chunks, reused instance",
        "map of 1,000,000, default chunks, fresh instances",
        "imap of 100,000, chunk size 1",
        "imap of 1,000,000, automatic chunks against 1000",
        "imap-unordered of 32-byte lists, fresh component instances",
    ];
    let mut rows: Vec<Row> =
        names.map(|name| Row { name, ours: Vec::new(), theirs: Vec::new() }).into();
    for _ in 0..ROUNDS {
        let round = [
            (apply_p50(&reused, 5_000)?, Some(python.measure("apply", 2_000)?)),
            (map(&reused, 1_000_000)?, Some(python.measure("map", 1_000_000)?)),
            (map(&fresh, 1_000_000)?, Some(python.measure("map", 1_000_000)?)),
            (imap(&one, 100_000)?, Some(python.measure("imap-1", 50_000)?)),
            (imap(&reused, 1_000_000)?, Some(python.measure("imap-1000", 1_000_000)?)),
            (echo(&component, 100_000)?, None),
        ];
        for (row, (ours, theirs)) in rows.iter_mut().zip(round) {
            row.ours.push(ours);
            row.theirs.extend(theirs);
        }
    }
    report(&mut rows)
}

fn report(rows: &mut [Row]) -> Result<()> {
    println!("| µs per item, 2 workers | sandpool | CPython | ratio |\n|---|---|---|---|");
    let mut json = Vec::new();
    for row in rows {
        let ours = median(&mut row.ours);
        if row.theirs.is_empty() {
            println!("| {} | {ours:.3} | – | – |", row.name);
            json.push(serde_json::json!({"name": row.name, "sandpool": ours}));
            continue;
        }
        let theirs = median(&mut row.theirs);
        println!("| {} | {ours:.3} | {theirs:.3} | {:.2} |", row.name, theirs / ours);
        json.push(serde_json::json!({"name": row.name, "sandpool": ours, "cpython": theirs}));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/pools.json"), serde_json::to_vec_pretty(&json)?)?;
    Ok(())
}
