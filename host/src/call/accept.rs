//! Taking items into a call: those that a feeder has shown, whole blocks, those that do not fit.
//!
//! This module must not pull or encode any.

use super::block::{Block, Span};
use super::run::Run;
use super::{Call, Inner, Input, Stop};
use crate::buffers::Buffer;
use crate::event::Tally;
use crate::fences;
use crate::outcome::{Failure, Logs, TaskError};
use crate::pool::error::InputError;
use crate::ring::frame::put_head;
use std::sync::Arc;
use std::time::Instant;

impl Call {
    /// Whether the feeder shows items without their heads.
    #[inline]
    pub(super) fn shows_bytes(&self) -> bool {
        self.intake.shows_bytes()
    }

    /// Feeder: shows an item, whose bytes are given. False if the call or its input was stopped.
    #[inline]
    pub(super) fn show_bytes(&self, item: &mut Buffer) -> bool {
        if !self.intake.show_bytes(item) {
            put_head(item);
            return self.show(item);
        }
        self.shown();
        true
    }

    /// Feeder: shows an item, whose frame is given. False if the call or its input was stopped.
    pub(super) fn show(&self, frame: &mut Buffer) -> bool {
        if !self.intake.show(frame) && !self.accept_frame(frame) {
            return false;
        }
        self.shown();
        true
    }

    #[inline]
    fn shown(&self) {
        if self.core.resting() > 0 {
            self.core.wake_idle();
        }
    }

    /// Accepts what was shown before, and one more item.
    #[cold]
    fn accept_frame(&self, frame: &mut Buffer) -> bool {
        let mut inner = self.lock();
        self.absorb(&mut inner);
        if !inner.is_accepting() {
            return false;
        }
        self.intake.lay_out_for(frame);
        if self.intake.show(frame) {
            return true;
        }
        inner.close_block();
        let next = Buffer::for_about(frame.len());
        let frame = std::mem::replace(frame, next);
        let block = Block::of_frame(inner.store.accepted(), frame);
        inner.item_bytes += block.size() as u64;
        inner.store.accept(1);
        inner.pending.push_back(Span::whole(block));
        self.note_queued(&inner);
        self.core.stats.submitted(1);
        drop(inner);
        // As after what is shown: before the look at idle keepers.
        fences::light();
        true
    }

    /// Accepts what the feeder has shown.
    pub(super) fn absorb(&self, inner: &mut Inner) {
        if !self.intake.has_items() {
            return;
        }
        if !inner.is_accepting() {
            self.intake.clear();
            return;
        }
        let suits = self.intake.suits(&inner.open);
        if !suits || inner.open.is_full() || inner.open.is_empty() {
            inner.close_block();
        }
        let (items, bytes) = (inner.open.len(), inner.open.size());
        self.intake.take(&mut inner.open);
        let items = inner.open.len() - items;
        inner.item_bytes += (inner.open.size() - bytes) as u64;
        inner.store.accept(items);
        // Before anybody can end them.
        self.core.stats.submitted(items as u64);
        self.note_queued(inner);
    }

    /// Accepts a block of encoded items, whose first index must be the next one.
    pub(super) fn accept_block(&self, block: Block) -> bool {
        let mut inner = self.lock();
        if !inner.is_accepting() {
            return false;
        }
        let items = block.len();
        self.absorb(&mut inner);
        inner.close_block();
        inner.item_bytes += block.size() as u64;
        inner.store.accept(items);
        inner.pending.push_back(Span::whole(block));
        self.note_queued(&inner);
        self.core.stats.submitted(items as u64);
        drop(inner);
        if !self.spec.driven {
            self.core.wake_idle();
        }
        true
    }

    /// Accepts an item that ends at once, because it could not be encoded.
    pub(super) fn accept_failed(self: &Arc<Self>, failure: Failure) -> bool {
        let mut inner = self.lock();
        if !inner.is_accepting() {
            return false;
        }
        // The open block holds neighbours only.
        self.absorb(&mut inner);
        inner.close_block();
        let index = inner.store.accepted();
        inner.store.accept(1);
        let error = TaskError::new(index, 0, failure, Logs::default());
        let mut tally = Tally::default();
        inner.store.end(Run::failed(error), |ended| {
            tally.hear(ended);
        });
        self.core.stats.submitted(1);
        self.core.stats.add(&tally);
        if self.spec.fail_fast {
            self.stop_locked(&mut inner, Stop::Cancelled { kill_at: Instant::now() });
        }
        self.leave(inner);
        if self.spec.fail_fast {
            self.core.wake_busy();
        }
        true
    }

    /// The input is over: it ended, or failed with `error`.
    pub(crate) fn end_input(self: &Arc<Self>, error: Option<InputError>) {
        let mut inner = self.lock();
        self.absorb(&mut inner);
        if matches!(inner.input, Input::Open) {
            inner.input = error.map_or(Input::Ended, Input::Failed);
        }
        self.call_feeder();
        self.leave(inner);
    }
}
