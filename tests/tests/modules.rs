//! What becomes of a module before its first item: compiled, or refused, and kept for the next time.
//!
//! A program of their own: these pools start and end beside each other, and the scenes of the
//! conformance tests find their keepers by what threads are new.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and may start what it likes"
)]

mod caching;
mod compiling;
