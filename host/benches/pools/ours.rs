//! sandpool's sides, through its Rust API.

use crate::Result;
use crate::guests::Bytes;
use crate::row::quantile;
use sandpool::Function;
use std::sync::Arc;
use std::time::Instant;

/// Microseconds for each of `n` items.
pub(crate) fn per_item(n: u64, run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64() / n as f64 * 1e6)
}

/// The time below which `share` of `n` applies stay.
pub(crate) fn apply(function: &Function, n: u64, share: f64) -> Result<f64> {
    let mut times = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        let _: i64 = function.apply(&(i as i64))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&times, share))
}

pub(crate) fn map(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || {
        let values: Vec<i64> = function.map(0..n as i64)?;
        assert_eq!(values.len() as u64, n);
        Ok(())
    })
}

pub(crate) fn imap(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || sum(function.imap::<_, i64>(0..n as i64)?))
}

pub(crate) fn unordered(function: &Function, n: u64) -> Result<f64> {
    per_item(n, || sum(function.imap_unordered::<_, i64>(0..n as i64)?))
}

/// `imap_unordered` of items that were made before.
pub(crate) fn unordered_of(function: &Function, items: Arc<[i64]>) -> Result<f64> {
    let n = items.len();
    let mut at = 0;
    let items = std::iter::from_fn(move || {
        at += 1;
        items.get(at - 1).copied()
    });
    per_item(n as u64, || sum(function.imap_unordered::<_, i64>(items)?))
}

fn sum(values: sandpool::Imap<i64>) -> Result<()> {
    let mut sum = 0_i64;
    for value in values {
        sum = sum.wrapping_add(value?);
    }
    std::hint::black_box(sum);
    Ok(())
}

/// Which method brings bytes to and fro.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Apply,
    Imap,
    Unordered,
}

pub(crate) fn echo(function: &Function, by: By, n: u64, size: usize) -> Result<f64> {
    let item = move |i: u64| Bytes(vec![i as u8; size]);
    let items = (0..n).map(item);
    per_item(n, || {
        let mut count = 0;
        let mut check = |value: Bytes| {
            assert_eq!(value.0.len(), size);
            count += 1;
        };
        match by {
            By::Apply => {
                for item in items {
                    check(function.apply(&item)?);
                }
            }
            By::Imap => {
                for value in function.imap::<_, Bytes>(items)? {
                    check(value?);
                }
            }
            By::Unordered => {
                for value in function.imap_unordered::<_, Bytes>(items)? {
                    check(value?);
                }
            }
        }
        assert_eq!(count, n);
        Ok(())
    })
}
