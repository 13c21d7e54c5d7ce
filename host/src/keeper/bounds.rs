//! The sizes that a result may have: what the guest layer of an honest worker keeps, held against
//! the word of one that is not.
//!
//! This module must not know how results travel.

use crate::limits::Limits;
use crate::outcome::Logs;
use crate::ring::Violation;

/// Bytes that the spelling of a value adds to what the limit counts: the length ahead of what a
/// command wrote.
const SPELLING: u64 = 16;

/// The sizes that results of one worker may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    output: u64,
    log: u64,
}

impl Bounds {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { output: limits.output.saturating_add(SPELLING), log: limits.log }
    }

    /// Checks a value, or the payload of a failure.
    pub(crate) fn value(self, len: usize) -> Result<(), Violation> {
        check(len, self.output)
    }

    /// Checks what an item wrote.
    pub(crate) fn logs(self, logs: &Logs) -> Result<(), Violation> {
        check(logs.stdout.len(), self.log)?;
        check(logs.stderr.len(), self.log)
    }
}

fn check(len: usize, most: u64) -> Result<(), Violation> {
    match u64::try_from(len) {
        Ok(len) if len <= most => Ok(()),
        _ => Err(Violation::Length),
    }
}
