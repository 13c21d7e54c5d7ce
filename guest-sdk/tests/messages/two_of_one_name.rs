//! Two types of one name in one task.

#![allow(unused)]

use sandpool_guest::task;

mod flat {
    #[derive(sandpool_guest::TaskType)]
    pub struct Point {
        pub x: f64,
    }
}

mod solid {
    #[derive(sandpool_guest::TaskType)]
    pub struct Point {
        pub x: f64,
    }
}

#[task]
fn lift(point: flat::Point) -> solid::Point {
    solid::Point { x: point.x }
}

fn main() {}
