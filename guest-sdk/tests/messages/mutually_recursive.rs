//! Types that contain each other: the compiler sees the cycle, not a macro.

#![allow(unused)]

use sandpool_guest::TaskType;

#[derive(TaskType)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(TaskType)]
struct Entry {
    folders: Vec<Folder>,
}

fn main() {}
