//! Inputs that tell what was pulled from them, or block.
//!
//! This module must not know pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many items an input has given.
#[derive(Clone, Debug, Default)]
pub struct Counted(Arc<AtomicU64>);

impl Counted {
    /// No item yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items given so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// The same input, counted.
    pub fn count<I: IntoIterator>(&self, input: I) -> Counting<I::IntoIter> {
        Counting { input: input.into_iter(), count: Arc::clone(&self.0) }
    }
}

/// An input that is counted.
#[derive(Debug)]
pub struct Counting<I> {
    input: I,
    count: Arc<AtomicU64>,
}

impl<I: Iterator> Iterator for Counting<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.input.next()?;
        self.count.fetch_add(1, Ordering::SeqCst);
        Some(item)
    }
}

/// An input that blocks until it is sent something, as a pipe does whose writer is silent.
pub fn pipe<T>() -> (Sender<T>, Pipe<T>) {
    let (sender, receiver) = channel();
    (sender, Pipe(receiver))
}

/// The reading end of [`pipe`].
#[derive(Debug)]
pub struct Pipe<T>(Receiver<T>);

impl<T> Iterator for Pipe<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

/// A few numbers that look random and are the same each time.
pub fn scattered(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}
