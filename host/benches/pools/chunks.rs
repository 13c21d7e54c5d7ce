//! The rows of items that cost something: whether the pool keeps up, and finds the best chunks.

use crate::ours::unordered_of;
use crate::row::Goal::{AtLeast, AtMost};
use crate::row::Kind::{Floor, InProcess, Itself};
use crate::row::Row;
use crate::setting::Setting;
use crate::{Result, inprocess};
use std::sync::Arc;

/// Automatic chunks may cost so much more than the best explicit ones.
const TUNED: f64 = 1.1;

/// Items of some cost.
#[derive(Clone, Copy)]
struct Case {
    number: &'static str,
    work: &'static str,
    n: usize,
    /// The cost of an item, in microseconds.
    cost: fn(usize) -> f64,
    /// Items that a thread of the limit takes at a time.
    block: usize,
    sizes: &'static [usize],
    /// What is promised against two threads.
    least: Option<f64>,
}

const CASES: [Case; 4] = [
    Case {
        number: "chunks",
        work: "items of 100 ns, `imap_unordered`",
        n: 1_000_000,
        cost: |_| 0.1,
        block: 1000,
        sizes: &[100, 1000, 4096, 20_000],
        least: None,
    },
    Case {
        number: "3",
        work: "items of 10 µs, `imap_unordered`",
        n: 50_000,
        cost: |_| 10.0,
        block: 10,
        sizes: &[1, 10, 100, 1000],
        least: Some(0.96),
    },
    Case {
        number: "3",
        work: "items of 1 ms, `imap_unordered`",
        n: 1000,
        cost: |_| 1000.0,
        block: 1,
        sizes: &[1, 2, 16],
        least: Some(0.99),
    },
    Case {
        number: "chunks",
        work: "1 % of items take 100 ms, the others 100 µs",
        n: 2000,
        cost: |i| if i % 100 == 37 { 100_000.0 } else { 100.0 },
        block: 1,
        sizes: &[1, 10, 100],
        least: None,
    },
];

pub(crate) fn rows() -> Vec<Row> {
    CASES.into_iter().map(row).collect()
}

fn row(case: Case) -> Row {
    let mut row = Row::new(case.number, case.work)
        .ours(move |s| {
            let items = items(s, case)?;
            unordered_of(&s.spin()?, items)
        })
        .side(InProcess, "wasmtime, two threads", move |s| {
            let items = items(s, case)?;
            s.core_spin()?.two_threads(&items, case.block)
        })
        .target(AtMost(TUNED, None), Itself);
    for size in case.sizes {
        row = row.side(Itself, format!("chunks of {size}"), move |s| {
            let items = items(s, case)?;
            unordered_of(&s.spin()?.chunk_size(*size), items)
        });
    }
    match case.least {
        Some(least) => row.target(AtLeast(least, None), InProcess),
        None if case.block == 1 => row
            .rounds(3)
            .side(Floor, "the ideal schedule", move |s| ideal(s, case))
            .target(AtMost(TUNED, None), Floor),
        None => row,
    }
}

/// All turns of all items, in two equal parts.
fn ideal(setting: &mut Setting, case: Case) -> Result<f64> {
    let turns: i64 = items(setting, case)?.iter().sum();
    let took = setting.core_spin()?.two_threads(&[turns / 2, turns / 2], 1)?;
    Ok(took * 2.0 / case.n as f64)
}

fn items(setting: &mut Setting, case: Case) -> Result<Arc<[i64]>> {
    let core = setting.core_spin()?;
    setting.items(case.work, || spun(&core, case.n, case.cost))
}

/// Items that keep one thread busy for so many microseconds, while another is busy too.
pub(crate) fn spun(
    core: &inprocess::Core,
    n: usize,
    cost: impl Fn(usize) -> f64,
) -> Result<Arc<[i64]>> {
    let turns = 20_000_000_i64;
    let took = (0..3).map(|_| core.two_threads(&[turns, turns], 1)).collect::<Result<Vec<_>>>()?;
    let best = took.into_iter().fold(f64::INFINITY, f64::min);
    let turns_per_us = turns as f64 / (2.0 * best);
    Ok((0..n).map(|i| (cost(i) * turns_per_us) as i64).collect())
}
