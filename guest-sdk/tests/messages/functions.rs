//! Functions that cannot be tasks.

#![allow(unused)]

use sandpool_guest::task;

#[task]
async fn later() {}

#[task]
fn generic<T>(value: T) {}

#[task]
fn lifetimes<'a>(value: u32) {}

#[task]
extern "C" fn foreign() {}

#[task]
unsafe fn dangerous() {}

#[task]
fn patterns((left, right): (u32, u32), _: u8) {}

#[task(name = "other")]
fn with_arguments() {}

struct Shop;

impl Shop {
    #[task]
    fn method(&self) {}
}

#[task]
struct NotAFunction;

fn main() {}
