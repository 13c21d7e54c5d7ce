//! Types that do not cross: the message names the one to use.

#![allow(unused)]

use sandpool_guest::task;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

#[task]
fn borrowed(text: &str, bytes: &[u8], number: &u32, words: Vec<&str>) {}

#[task]
fn maps(counts: HashMap<String, u32>, names: Option<BTreeSet<String>>) {}

#[task]
fn widths(index: usize, offset: isize, big: u128) -> usize {
    0
}

#[task]
fn standard(path: PathBuf, wait: Duration, text: Cow<'static, str>, error: std::io::Error) {}

#[task]
fn pointers(boxed: Box<u32>, shared: std::sync::Arc<String>, raw: *const u8) {}

#[task]
fn shapes(array: [u8; 4], closure: fn(u8) -> u8, any: impl Iterator<Item = u8>) {}

#[task]
fn nothing_inside(nothing: (), nothings: Vec<()>) {}

fn main() {}
