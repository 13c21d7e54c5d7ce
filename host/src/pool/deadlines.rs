//! Ends calls whose time is over: one thread for a pool, while a call with a deadline lives.
//!
//! This module must not run without such a call, nor keep a call or a pool alive.

use crate::call::{Call, Stop};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The calls of a pool that have a deadline.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Few: a linear search is the simplest, and happens only when one comes or goes.
    calls: Vec<Entry>,
    runs: bool,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    after: Duration,
    call: Weak<Call>,
}

impl Deadlines {
    /// Ends `call` after this time, if it has not ended by itself.
    ///
    /// # Errors
    /// If the thread for it cannot be started.
    pub(crate) fn watch(&self, call: &Arc<Call>, after: Duration) -> io::Result<()> {
        // Further away than the clock can tell is never.
        let Some(at) = Instant::now().checked_add(after) else { return Ok(()) };
        let mut state = self.0.lock();
        state.calls.push(Entry { at, after, call: Arc::downgrade(call) });
        if state.runs {
            drop(state);
            self.0.changed.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("sandpool-deadline".to_owned());
        match thread.spawn(move || shared.run()) {
            Ok(_) => {
                state.runs = true;
                Ok(())
            }
            Err(error) => {
                state.calls.clear();
                Err(error)
            }
        }
    }

    /// The call is over; nothing is left to watch.
    pub(crate) fn forget(&self, call: &Arc<Call>) {
        let gone = Arc::downgrade(call);
        self.0.lock().calls.retain(|entry| !entry.call.ptr_eq(&gone));
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let due = state.calls.iter().position(|entry| entry.at <= now);
            if let Some(due) = due.map(|place| state.calls.swap_remove(place)) {
                drop(state);
                if let Some(call) = due.call.upgrade() {
                    call.stop(Stop::Expired(due.after));
                }
                state = self.lock();
                continue;
            }
            let Some(next) = state.calls.iter().map(|entry| entry.at).min() else { break };
            let left = next.saturating_duration_since(now);
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Under the lock, so that whoever adds the next one starts another thread.
        state.runs = false;
    }
}
