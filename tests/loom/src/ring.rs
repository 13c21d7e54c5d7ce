//! The files under test; `sync` stands in for the host's.

#![allow(dead_code, reason = "the models need a part of each file")]

pub(crate) mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[path = "../../../host/src/ring/bell.rs"]
pub(crate) mod bell;
#[path = "../../../host/src/ring/word.rs"]
pub(crate) mod word;
