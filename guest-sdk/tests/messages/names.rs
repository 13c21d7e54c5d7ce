//! Names that WIT or the module cannot have.

#![allow(unused)]

use sandpool_guest::{TaskType, task};

#[task]
fn write(text: String) {}

#[task]
fn größe() {}

#[task]
#[allow(non_snake_case)]
fn same(item_count: u32, itemCount: u32) {}

#[derive(TaskType)]
struct Option {
    some: u32,
}

#[derive(TaskType)]
#[allow(non_camel_case_types)]
enum Case {
    Up,
    up,
}

fn main() {}
