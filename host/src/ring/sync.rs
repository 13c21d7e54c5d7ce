//! The atomics of what is model-checked, in one place, so that the model checker can put its own here.
//!
//! This module must not hold logic: `tests/loom` replaces it as a whole.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
