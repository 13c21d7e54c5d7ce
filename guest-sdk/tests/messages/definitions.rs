//! Structs and enums that are not records, enums or variants in WIT.

#![allow(unused)]

use sandpool_guest::TaskType;

#[derive(TaskType)]
struct Pair(u32, u32);

#[derive(TaskType)]
struct Unit;

#[derive(TaskType)]
struct Generic<T> {
    value: T,
}

#[derive(TaskType)]
struct Borrowed<'a> {
    text: &'a str,
}

#[derive(TaskType)]
enum Never {}

#[derive(TaskType)]
enum Shape {
    Square { side: f64 },
    Empty(),
}

#[derive(TaskType)]
union Bits {
    number: u32,
    float: f32,
}

#[derive(TaskType)]
struct Fields {
    index: usize,
    names: std::collections::HashSet<String>,
    fine: u8,
}

fn main() {}
