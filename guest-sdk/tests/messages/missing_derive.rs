//! A struct without the derive, in a signature and in a field.

#![allow(unused)]

use sandpool_guest::{TaskType, task};

struct Point {
    x: f64,
}

mod shapes {
    pub struct Circle;
}

#[task]
fn length(point: Point) -> f64 {
    point.x
}

#[task]
fn area(circles: Vec<shapes::Circle>) {}

#[derive(TaskType)]
struct Line {
    from: Point,
}

fn main() {}
