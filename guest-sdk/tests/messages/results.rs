//! Results: both sides are spelled out, and errors are values.

#![allow(unused)]

use sandpool_guest::task;

#[task]
fn shorthand() -> Result<u32> {
    Ok(1)
}

#[task]
fn boxed() -> Result<u32, Box<dyn std::error::Error>> {
    Ok(1)
}

#[task]
fn application() -> Result<u32, anyhow::Error> {
    Ok(1)
}

#[task]
fn never() -> ! {
    loop {}
}

#[task]
fn lazy() -> impl Iterator<Item = u32> {
    0..3
}

fn main() {}
