//! The limits of one item, and of compiling a module, as data with documented defaults.
//!
//! This module must not enforce anything: the keeper owns the clock of items, the host that of
//! compilers, the guest layer and the walls the rest.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// What one item may use. Every field is per item, except where it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Wall clock from the claim of an item to its outcome, instantiation, start functions and
    /// host calls included, waiting in a queue excluded. The worker is killed at the deadline.
    /// Time in which the host did not run (stopped by a signal, frozen, its machine paused) does not
    /// count if it was longer than half a second. Default: none.
    pub timeout: Option<Duration>,
    /// Bytes of all linear memories and tables of an instance together. Default: 256 MiB.
    pub memory: u64,
    /// Bytes of one encoded result. Default: 64 MiB.
    pub output: u64,
    /// Bytes kept of what an item writes to standard output and error, each; the tail is kept.
    /// Default: 64 KiB.
    pub log: u64,
    /// Units of wasmtime fuel, about one per instruction. Default: none (uninstrumented code).
    pub fuel: Option<u64>,
    /// Bytes of one encoded item. Default: 64 MiB.
    pub input: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            memory: 256 * MIB,
            output: 64 * MIB,
            log: 64 * 1024,
            fuel: None,
            input: 64 * MIB,
        }
    }
}

/// What compiling one module may use: most engines, wasmtime among them, take superlinear time for
/// some small modules, and do not call that a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompileLimits {
    /// Wall clock from the greeting of the compiler process to the end of its answer; it may use no
    /// more processor time either. It is killed at the deadline. Default: 60 s.
    pub timeout: Duration,
    /// Bytes of memory of the compiler process, which bound the artifact too. Default: 2 GiB.
    pub memory: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), memory: 2048 * MIB }
    }
}
