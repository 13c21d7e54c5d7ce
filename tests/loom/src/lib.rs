//! The claim word, the table of rows and the bell of the ring, and the stock of a call, compiled over loom's atomics, to be model-checked.
//!
//! This crate must not hold a copy of the protocol: it includes the very files of the host.

#![cfg(test)]

/// Both sides of the host's pair of fences are as strong as the loom has any.
mod fences {
    pub(crate) fn light() {
        crate::ring::sync::fence(crate::ring::sync::Ordering::SeqCst);
    }
}
/// What rows are described with.
mod description {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Form {
        Binary,
        Json,
        Raw,
    }
}
mod models;
mod ring;
#[allow(dead_code, reason = "the models need a part of it")]
#[path = "../../../host/src/call/stock.rs"]
mod stock;
