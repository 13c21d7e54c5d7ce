//! The conformance tests: real pools, real child processes, real kills, one module per topic.
//!
//! Cases are named `case_NN_what_is_promised` after the neutral list of cases for process pools
//! that this suite was written from; `list` checks that none is forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and may start what it likes"
)]

mod apply;
mod callbacks;
mod embedding;
mod exactness;
mod fairness;
mod faults;
mod hostile;
mod imap;
mod laziness;
mod lifecycle;
mod list;
mod map;
mod order;
mod refused;
mod scoreboard;
mod whole_calls;
mod workers;
