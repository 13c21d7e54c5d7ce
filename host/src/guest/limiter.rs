//! Counts the memories and tables of an instance against one limit.
//!
//! This module must not decide how an item ends: it remembers a refusal, `failure` judges it.

use wasmtime::ResourceLimiter;

/// What one table element costs in the accounting: a pointer.
pub(super) const ELEMENT: u64 = 8;

/// Sums all linear memories and tables of one instance. wasmtime's own `StoreLimits` bounds each
/// memory by itself, so that a module with a thousand of them would have a thousand times the
/// limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: u64,
    used: u64,
    /// What the last permitted growth added, to take it back if the allocator then failed.
    granted: u64,
    refused: Option<Refusal>,
}

/// A growth that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Bytes that the instance had.
    pub(super) used: u64,
    /// Bytes that it asked for on top.
    pub(super) more: u64,
    /// Bytes that it may have.
    pub(super) limit: u64,
}

impl Limiter {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: 0, granted: 0, refused: None }
    }

    /// Forgets refusals of earlier items of a reused instance.
    #[inline]
    pub(super) fn next_item(&mut self) {
        self.refused = None;
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refused
    }

    fn grow(&mut self, more: u64) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refuse(more);
            return false;
        }
        self.used = wanted;
        self.granted = more;
        true
    }

    fn refuse(&mut self, more: u64) {
        self.refused = Some(Refusal { used: self.used, more, limit: self.limit });
    }

    fn take_back(&mut self) {
        let more = std::mem::take(&mut self.granted);
        self.used = self.used.saturating_sub(more);
        self.refuse(more);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own declared maximum a module fails by its own doing: no refusal of ours.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(bytes(desired).saturating_sub(bytes(current))))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(bytes(desired.saturating_sub(current)).saturating_mul(ELEMENT)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
