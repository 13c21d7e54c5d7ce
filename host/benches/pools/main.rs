//! The one benchmark program: sandpool, and what it is compared with, measured in one run.
//!
//! ```text
//! cargo bench -p sandpool --bench pools                   # all rows, some minutes
//! cargo bench -p sandpool --bench pools -- 4 10           # rows of these numbers
//! cargo bench -p sandpool --bench pools -- apply          # rows with this in their work
//! cargo bench -p sandpool --bench pools -- --rounds 3     # at most so many rounds
//! cargo bench -p sandpool --bench pools -- --publish      # all rows, into README.md and docs/
//! ```
//!
//! It prints what was promised and whether it held, then all sides of all rows, and writes
//! `target/bench/pools.json` and `pools.svg`. The sides of a row take turns, several rounds; values
//! are medians over rounds, ratios are medians of the ratios within rounds. Only these mean
//! anything: the machine may be busy. Rivals that are not installed are left out by name;
//! `wasmtime` is found by PATH or `$WASMTIME`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "it is a program, and others its children"
)]

mod chart;
mod children;
mod chunks;
mod commands;
mod cpython;
mod floors;
mod growth;
mod guests;
mod inprocess;
mod machine;
mod ours;
mod place;
mod publish;
mod report;
mod row;
mod setting;
mod table;

use row::Row;
use setting::{Setting, folder};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// A row that takes longer is told of while it is waited for.
const NOTABLE: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    rows: Vec<String>,
    rounds: Option<usize>,
    publish: bool,
}

impl Asked {
    fn new(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // From cargo.
                "--bench" => {}
                "--publish" => asked.publish = true,
                "--rounds" => {
                    let rounds = arguments.next().ok_or("`--rounds` needs a number")?;
                    asked.rounds = Some(rounds.parse()?);
                }
                option if option.starts_with('-') => {
                    return Err(format!("there is no option `{option}`").into());
                }
                _ => asked.rows.push(argument),
            }
        }
        if asked.publish && !asked.rows.is_empty() {
            return Err("what is published has all rows".into());
        }
        Ok(asked)
    }

    fn wants(&self, row: &Row) -> bool {
        let fits = |wanted: &String| match wanted.parse::<u32>() {
            Ok(_) => row.number == wanted,
            Err(_) => row.work.contains(wanted.as_str()) || row.number == wanted,
        };
        self.rows.is_empty() || self.rows.iter().any(fits)
    }
}

fn rows() -> Vec<Row> {
    let mut rows = table::rows();
    rows.extend(chunks::rows());
    rows.extend(commands::rows());
    rows.extend(growth::rows());
    // Stable, and names come after numbers.
    rows.sort_by_key(|row| row.number.parse().unwrap_or(u32::MAX));
    rows
}

/// What is measured by a process that does nothing else.
fn apart(what: &str) -> Result<f64> {
    match what {
        "idle worker" => growth::idle_worker(),
        "host over items" => growth::host_over_items(),
        "share of sandpool" => children::share_of_host(&mut commands::squares("reuse")?),
        "share of CPython" => children::share_of_host(&mut commands::python_squares("workers")?),
        _ => Err(format!("there is no measurement `{what}`").into()),
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    match arguments.peek().map(String::as_str) {
        Some(floors::MIRROR) => return floors::mirror(),
        Some(children::APART) => {
            println!("{}", apart(&arguments.nth(1).unwrap_or_default())?);
            return Ok(());
        }
        _ => {}
    }
    let asked = Asked::new(arguments)?;
    let mut rows = rows();
    rows.retain(|row| asked.wants(row));
    let mut setting = Setting::default();
    for row in &mut rows {
        row.rounds = row.rounds.min(asked.rounds.unwrap_or(usize::MAX));
    }
    let rounds = rows.iter().map(|row| row.rounds).max().unwrap_or(0);
    for round in 0..rounds {
        for row in &mut rows {
            let begin = Instant::now();
            row.measure(round, &mut setting)?;
            if begin.elapsed() > NOTABLE {
                let took = begin.elapsed().as_secs_f64();
                eprintln!("round {}: {}, {}: {took:.1} s", round + 1, row.number, row.work);
            }
        }
    }
    let machine = machine::describe()?;
    let (promises, sides) = (report::promises(&rows), report::sides(&rows));
    println!("{machine}\n\n{promises}\n{sides}");
    let drawing = chart::draw(&rows);
    let folder = folder()?;
    std::fs::write(folder.join("pools.json"), report::json(&machine, &rows)?)?;
    std::fs::write(folder.join("pools.svg"), &drawing)?;
    if asked.publish {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        publish::publish(&root, &machine, &promises, &sides, &drawing)?;
    }
    Ok(())
}
