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

    /// The oldest run.
    pub(crate) fn front(&self) -> Option<&Leg> {
        self.legs.front()
    }

    /// The newest item as it travels, for a ring that has not got all of it.
    pub(crate) fn last_item(&self) -> &[u8] {
        self.legs.back().map_or(&[], |leg| leg.span.last_item())
    }

    /// Takes the oldest items off: `n` of them, or what is left of the oldest run.
    pub(crate) fn pop_front(&mut self, n: usize) -> Option<Leg> {
        let leg = self.legs.front_mut()?;
        let front = Leg { call: Arc::clone(&leg.call), span: leg.span.take_front(n) };
        if leg.span.is_empty() {
            self.legs.pop_front();
        }
        self.items -= front.span.len();
        Some(front)
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
