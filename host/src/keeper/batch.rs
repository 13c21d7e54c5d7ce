//! Moving many items and results with little per item: chunks into the ring, results out of it.
//!
//! This module must not believe a result before it was checked.

use super::Parting;
use super::bounds::Bounds;
use super::flight::Flight;
use super::worker::Worker;
use crate::call::block::Span;
use crate::call::spec::Spec;
use crate::call::store::{Out, Values};
use crate::call::{Call, Delivery};
use crate::description::Form;
use crate::outcome::TaskError;
use crate::pool::core::Core;
use crate::ring::Violation;
use crate::ring::frame::{ItemHeader, ResultKind};
use crate::wire::report;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Writes the items of a span into the ring, as many as there is room for, and tells how many.
pub(super) fn push(worker: &mut Worker, spec: &Spec, span: &Span) -> Result<usize, Violation> {
    for at in 0..span.len() {
        let bytes = span.bytes(at);
        let header = ItemHeader {
            len: bytes.len() as u64,
            index: span.first() + at as u64,
            attempt: span.attempts,
            function: spec.function,
            form: spec.form,
            star: spec.star,
        };
        if !worker.ring.push(header, bytes)? {
            return Ok(at);
        }
    }
    Ok(span.len())
}

/// Results of one call that are delivered together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    call: Option<Arc<Call>>,
    values: Values,
    results: Vec<(u64, Found)>,
    /// Bytes of results.
    bytes: usize,
    item_bytes: u64,
    failed: u64,
}

/// A checked result.
#[derive(Debug)]
enum Found {
    /// The place of its value.
    Value(u32),
    Error(TaskError),
}

impl Batch {
    /// Results gathered.
    pub(super) fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether to deliver before the next result is taken: there is enough, or the next result is
    /// that of another call.
    pub(super) fn is_ripe(&self, flight: &Flight) -> bool {
        let other_call = match (&self.call, flight.front()) {
            (Some(call), Some(front)) => !Arc::ptr_eq(call, front.call),
            _ => false,
        };
        other_call || self.bytes >= 1 << 20 || self.results.len() >= 4096
    }

    /// Takes one result off the ring and its item off the flight. False if there is none.
    pub(super) fn take(
        &mut self,
        worker: &mut Worker,
        flight: &mut Flight,
    ) -> Result<bool, Parting> {
        let buffer = self.values.buffer();
        let Some(taken) = worker.ring.take(buffer)? else { return Ok(false) };
        let start = taken.start;
        if taken.header.kind == ResultKind::Fatal {
            let report = buffer.split_off(start);
            let (failure, _) = report::decode_failure(&report).ok_or(Violation::Report)?;
            return Err(Parting::Unprepared(failure));
        }
        let front = flight.front().ok_or(Violation::Item)?;
        let (index, attempts, size) = (front.index(), front.attempts(), front.bytes().len());
        let form = front.call.spec.form;
        // A result that makes no sense leaves its item among those that were started.
        let bounds = worker.bounds;
        let found = self.check(taken.header.kind, form, start, (index, attempts), bounds)?;
        worker.ring.end()?;
        worker.items += 1;
        if let Found::Error(error) = &found {
            let front = flight.front().ok_or(Violation::Item)?;
            if front.call.spec.retry.wants(error.kind(), attempts) {
                if let Some(leg) = flight.pop_front() {
                    leg.call.give_back(leg.span.again());
                }
                return Ok(true);
            }
        }
        if self.call.is_none() {
            let front = flight.front().ok_or(Violation::Item)?;
            self.call = Some(Arc::clone(front.call));
        }
        self.failed += u64::from(matches!(found, Found::Error(_)));
        self.item_bytes += size as u64;
        self.results.push((index, found));
        self.bytes = self.values.buffer().len();
        flight.advance();
        Ok(true)
    }

    /// Turns the bytes from `start` on into a result.
    fn check(
        &mut self,
        kind: ResultKind,
        form: Form,
        start: usize,
        (index, attempts): (u64, u32),
        bounds: Bounds,
    ) -> Result<Found, Violation> {
        let buffer = self.values.buffer();
        let end = buffer.len();
        match kind {
            ResultKind::Value => {
                bounds.value(end.saturating_sub(start))?;
                Ok(Found::Value(self.values.add(start..end, attempts, None)))
            }
            ResultKind::LoggedValue => {
                let mut rest = buffer.get(start..).unwrap_or(&[]);
                let logs = report::decode_logs(&mut rest).ok_or(Violation::Report)?;
                bounds.logs(&logs)?;
                bounds.value(rest.len())?;
                let start = end - rest.len();
                Ok(Found::Value(self.values.add(start..end, attempts, Some(logs))))
            }
            ResultKind::Failure => {
                let bytes = buffer.split_off(start);
                let (mut failure, logs) =
                    report::decode_failure(&bytes).ok_or(Violation::Report)?;
                bounds.logs(&logs)?;
                bounds.value(failure.payload.as_ref().map_or(0, Vec::len))?;
                // Only binary payloads become Rust values again; the message has all of them as text.
                failure.payload = failure.payload.filter(|_| form == Form::Binary);
                Ok(Found::Error(TaskError::new(index, attempts, failure, logs)))
            }
            ResultKind::Fatal => Err(Violation::Header),
        }
    }

    /// Delivers what was gathered. Gives the numbers of items and of those without a value.
    pub(super) fn deliver(&mut self, core: &Core, elapsed: Duration) -> (u64, u64) {
        let batch = std::mem::take(self);
        let Some(call) = batch.call else { return (0, 0) };
        let items = batch.results.len() as u64;
        let values = Arc::new(batch.values);
        let outs = batch.results.into_iter().map(|(index, found)| {
            let out = match found {
                Found::Value(at) => Out::Value(Arc::clone(&values), at),
                Found::Error(error) => Out::Error(error),
            };
            (index, out)
        });
        let outs = outs.collect();
        call.deliver(Delivery { outs, item_bytes: batch.item_bytes, elapsed });
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        core.stats.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        (items, batch.failed)
    }
}
