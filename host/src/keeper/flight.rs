//! The items that one worker has, in the order it was given them.
//!
//! This module must not talk to the worker; it only remembers.

use crate::call::Call;
use crate::call::block::Span;
use std::collections::VecDeque;
use std::sync::Arc;

/// A run of items of one call.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) call: Arc<Call>,
    pub(crate) span: Span,
}

/// One item of a leg.
#[derive(Debug)]
pub(crate) struct Flying<'a> {
    pub(crate) call: &'a Arc<Call>,
    /// A span of this one item.
    pub(crate) span: &'a Span,
}

impl Flying<'_> {
    pub(crate) fn index(&self) -> u64 {
        self.span.first()
    }

    /// How many times the item was started, this time included.
    pub(crate) fn attempts(&self) -> u32 {
        self.span.attempts + 1
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.span.bytes(0)
    }
}

/// The items of one worker, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    legs: VecDeque<Leg>,
    items: usize,
}

impl Flight {
    pub(crate) fn len(&self) -> usize {
        self.items
    }

    pub(crate) fn push(&mut self, call: &Arc<Call>, span: Span) {
        self.items += span.len();
        self.legs.push_back(Leg { call: Arc::clone(call), span });
    }

    /// The oldest item.
    pub(crate) fn front(&self) -> Option<Flying<'_>> {
        let leg = self.legs.front()?;
        Some(Flying { call: &leg.call, span: &leg.span })
    }

    /// The newest item's bytes, for a ring that has not got all of them.
    pub(crate) fn back_bytes(&self) -> &[u8] {
        self.legs.back().map_or(&[], |leg| leg.span.bytes(leg.span.len().saturating_sub(1)))
    }

    /// Forgets the oldest item.
    pub(crate) fn advance(&mut self) {
        if let Some(leg) = self.legs.front_mut() {
            leg.span.skip_front();
            if leg.span.is_empty() {
                self.legs.pop_front();
            }
            self.items -= 1;
        }
    }

    /// Takes the oldest item off.
    pub(crate) fn pop_front(&mut self) -> Option<Leg> {
        let leg = self.legs.front_mut()?;
        let one = Leg { call: Arc::clone(&leg.call), span: leg.span.take_front(1) };
        if leg.span.is_empty() {
            self.legs.pop_front();
        }
        self.items -= 1;
        Some(one)
    }

    /// Takes the newest `n` items off: runs of them, newest run first, which is the order in which
    /// they go back to the fronts of their queues.
    pub(crate) fn pop_back(&mut self, n: usize) -> Vec<Leg> {
        let mut runs = Vec::new();
        let mut left = n.min(self.items);
        self.items -= left;
        while left > 0 {
            let Some(leg) = self.legs.back_mut() else { break };
            let span = leg.span.take_back(left);
            left -= span.len();
            runs.push(Leg { call: Arc::clone(&leg.call), span });
            if leg.span.is_empty() {
                self.legs.pop_back();
            }
        }
        runs
    }

    /// The calls that have items here.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.legs.iter().map(|leg| &leg.call)
    }
}
