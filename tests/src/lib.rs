//! What the conformance tests share: guests as text, scenes with a pool in them, gates that hold
//! guests, and a look at the processes behind a pool.
//!
//! This crate must not assert promises itself; the tests do.

pub mod bombs;
pub mod guests;
pub mod input;
pub mod processes;
pub mod scene;
pub mod time;

pub use input::{Counted, scattered};
pub use scene::Scene;
pub use time::{eventually, hard_limit, stays};
