//! What host and children say to each other outside the ring: greeting, set-up, reports.
//!
//! This module must not know processes or threads; it reads and writes byte streams.

pub(crate) mod control;
pub(crate) mod probe;
pub(crate) mod report;

/// Version of everything that both sides must agree on: ring, frames, control messages.
pub(crate) const PROTOCOL: u32 = 1;

/// The build that both sides must share, for error messages.
pub(crate) const BUILD: &str = concat!("sandpool ", env!("CARGO_PKG_VERSION"));
