//! The claim word and the bell of the ring, compiled over loom's atomics, to be model-checked.
//!
//! This crate must not hold a copy of the protocol: it includes the very files of the host.

#![cfg(test)]

mod models;
mod ring;
