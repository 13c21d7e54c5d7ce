//! The models: one worker thread and one host thread, over every interleaving that loom finds.
//!
//! What crosses processes in the host crosses threads here. A process that sleeps in `poll` or
//! `read` is a thread that waits for a [`Pipe`], which keeps a byte until it is read.

mod bell;
mod claims;
mod rows;
mod stock;
mod together;

use crate::ring::word::{Claim, Count, Word};
use loom::sync::{Condvar, Mutex};

/// A pipe as a bell: a byte that was written is there until it is read.
#[derive(Debug)]
struct Pipe {
    bytes: Mutex<u32>,
    written: Condvar,
}

impl Pipe {
    fn new() -> Self {
        Self { bytes: Mutex::new(0), written: Condvar::new() }
    }

    fn write(&self) {
        *self.bytes.lock().unwrap() += 1;
        self.written.notify_one();
    }

    /// Blocks until there is a byte. Loom reports a deadlock if there never is.
    fn read(&self) {
        let mut bytes = self.bytes.lock().unwrap();
        while *bytes == 0 {
            bytes = self.written.wait(bytes).unwrap();
        }
        *bytes = 0;
    }
}

fn count(n: u32) -> Count {
    Count::from_bits(n)
}

/// Claims until nothing is there, or a condemnation; gives the numbers of the claimed items.
fn claim_all(word: &Word) -> (Vec<u32>, Claim) {
    let mut claimed = Vec::new();
    loop {
        match word.claim() {
            Claim::Item(item) => claimed.push(item.bits()),
            last => return (claimed, last),
        }
    }
}

/// Runs a model with a bound on preemptions: unbounded ones take hours from three operations on.
fn bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// What came out over all executions of a model: one that always ends alike explores nothing.
#[derive(Clone, Debug, Default)]
struct Seen(std::sync::Arc<std::sync::Mutex<std::collections::BTreeSet<u32>>>);

impl Seen {
    fn note(&self, outcome: u32) {
        self.0.lock().unwrap().insert(outcome);
    }

    fn all(&self) -> Vec<u32> {
        self.0.lock().unwrap().iter().copied().collect()
    }
}
