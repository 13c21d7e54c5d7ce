//! A type with parameters in a signature.

#![allow(unused)]

use sandpool_guest::task;

struct Wrapper<T>(T);

#[task]
fn unwrap_all(values: Vec<Wrapper<u32>>) {}

#[task]
fn associated(value: <Vec<u8> as IntoIterator>::Item) {}

fn main() {}
