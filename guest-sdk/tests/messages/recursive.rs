//! Types that contain themselves.

#![allow(unused)]

use sandpool_guest::TaskType;

#[derive(TaskType)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(TaskType)]
enum List {
    End,
    More(u32, Box<List>),
}

fn main() {}
