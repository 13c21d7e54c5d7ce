//! The worker loop: claim, run, publish, again.
//!
//! This module must not know processes or engines, so that it can be tested with neither.

use crate::guest::{Guest, Item, Reply};
use crate::outcome::{Failure, Logs};
use crate::ring::WorkerRing;
use crate::ring::frame::{Context, ResultKind};
use crate::ring::worker::{Claimed, Stop};
use crate::wire::report;

/// What runs items.
pub(crate) trait Run {
    /// Whether an instance must be prepared before the next item.
    fn needs_preparation(&self) -> bool;
    /// Prepares an instance.
    fn prepare(&mut self) -> Result<(), Failure>;
    /// Runs an item; on success `output` is its result.
    fn run(&mut self, item: &Item<'_>, output: &mut Reply) -> Result<(), Failure>;
    /// What the item wrote.
    fn take_logs(&mut self) -> Option<Logs>;
    /// There is nothing to run.
    fn rest(&mut self) {}
}

impl Run for Guest {
    #[inline]
    fn needs_preparation(&self) -> bool {
        self.needs_preparation()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.prepare()
    }

    #[inline]
    fn run(&mut self, item: &Item<'_>, output: &mut Reply) -> Result<(), Failure> {
        self.run(item, output)
    }

    #[inline]
    fn take_logs(&mut self) -> Option<Logs> {
        self.take_logs()
    }

    fn rest(&mut self) {
        self.rest();
    }
}

/// Serves items until the host is gone, or something makes it impossible.
pub(crate) fn serve(ring: &mut WorkerRing, guest: &mut impl Run) -> Stop {
    let mut buffers = Buffers::default();
    loop {
        match serve_next(ring, guest, &mut buffers) {
            Ok(()) => {}
            Err(stop) => return stop,
        }
    }
}

#[derive(Default)]
struct Buffers {
    output: Reply,
    report: Vec<u8>,
}

/// One turn: everything up to and including the publication of one result.
fn serve_next(
    ring: &mut WorkerRing,
    guest: &mut impl Run,
    buffers: &mut Buffers,
) -> Result<(), Stop> {
    if guest.needs_preparation() {
        // The item before has ended; its clock must not run while the next instance is prepared.
        ring.end()?;
        if let Err(failure) = guest.prepare() {
            buffers.report.clear();
            let logs = guest.take_logs().unwrap_or_default();
            report::encode_failure(&failure, &logs, &mut buffers.report);
            ring.publish_fatal(&buffers.report)?;
            return Err(Stop::Broken("the initializer failed"));
        }
    }
    match ring.claim()? {
        Some(claimed) => run_one(ring, guest, claimed, buffers),
        None => {
            guest.rest();
            ring.await_item()
        }
    }
}

fn run_one(
    ring: &mut WorkerRing,
    guest: &mut impl Run,
    claimed: Claimed,
    Buffers { output, report }: &mut Buffers,
) -> Result<(), Stop> {
    let Context { index, attempt, function, form, star } = claimed.context;
    let item = Item { index, attempt, function, form, star, bytes: ring.bytes(&claimed) };
    let ran = guest.run(&item, output);
    let logs = guest.take_logs().filter(|logs| !logs.is_empty());
    match ran {
        Ok(()) => match logs {
            None => ring.publish_value(claimed, &output.bytes, &output.body),
            Some(logs) => {
                report.clear();
                report::encode_logs(&logs, report);
                ring.publish(
                    claimed,
                    ResultKind::LoggedValue,
                    &[report, &output.bytes, &output.body],
                )
            }
        },
        Err(failure) => {
            report.clear();
            report::encode_failure(&failure, &logs.unwrap_or_default(), report);
            ring.publish(claimed, ResultKind::Failure, &[report])
        }
    }?;
    give_back(output);
    Ok(())
}

/// Gives back what one large result needed: the small ones after it must not pay for it.
fn give_back(reply: &mut Reply) {
    const KEPT: usize = 1 << 20;
    if reply.bytes.capacity() > KEPT || reply.body.capacity() > 0 {
        *reply = Reply::default();
    }
}
