//! Callbacks of a call: on a thread of their own, before the call turns ready.
//!
//! This module must not let a callback delay, or a panic harm, anything but its own call.

use super::error::{CallError, PoolError, panic_text};
use super::handle::{Finish, Outs};
use crate::call::Call;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

type OnValue<T> = Box<dyn FnOnce(&T) + Send>;
type OnError = Box<dyn FnOnce(&CallError) + Send>;

/// What to do when an asynchronous call has ended, before its handle turns ready. Python: the
/// `callback` and `error_callback` of `apply_async`.
///
/// Exactly one of the two runs, once. A panic in it becomes the outcome of its call.
#[must_use = "callbacks do nothing until they are given to a call"]
pub struct Callbacks<T> {
    on_value: Option<OnValue<T>>,
    on_error: Option<OnError>,
}

impl<T> Default for Callbacks<T> {
    fn default() -> Self {
        Self { on_value: None, on_error: None }
    }
}

impl<T> fmt::Debug for Callbacks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("on_value", &self.on_value.is_some())
            .field("on_error", &self.on_error.is_some())
            .finish()
    }
}

impl<T> Callbacks<T> {
    /// No callbacks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs with the result, if the call has one. For a map: with the whole list, once, also if it
    /// is empty (Python never calls back for an empty one).
    pub fn on_value(self, callback: impl FnOnce(&T) + Send + 'static) -> Self {
        Self { on_value: Some(Box::new(callback)), ..self }
    }

    /// Runs with the error, if the call ends in one.
    pub fn on_error(self, callback: impl FnOnce(&CallError) + Send + 'static) -> Self {
        Self { on_error: Some(Box::new(callback)), ..self }
    }
}

/// A thread that waits for the call whose callbacks it is to run.
pub(super) struct Prepared(SyncSender<Arc<Call>>);

impl Prepared {
    /// Says which call that is. Without this, the thread ends and nothing runs.
    pub(super) fn attach(self, call: &Arc<Call>) {
        call.core.callbacks_started();
        // The thread waits for exactly this, so it is there.
        let _ = self.0.send(Arc::clone(call));
    }
}

impl<T: Send + 'static> Callbacks<T> {
    /// Starts the thread before the call is submitted, so that a failure has no call to undo.
    pub(super) fn prepare(self, finish: Finish<T>) -> Result<Prepared, PoolError> {
        let (sender, receiver) = sync_channel::<Arc<Call>>(1);
        let thread = std::thread::Builder::new().name("sandpool-callbacks".to_owned());
        let spawned = thread.spawn(move || {
            let Ok(call) = receiver.recv() else { return };
            call.wait_complete();
            // Decoding runs the caller's code as well.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                self.run(finish(&call, Outs::kept(&call)));
            }));
            call.callbacks_ran(ran.err().map(|panic| panic_text(&*panic)));
            call.core.callbacks_ended();
        });
        match spawned {
            Ok(_) => Ok(Prepared(sender)),
            Err(error) => Err(PoolError::system("cannot start a thread for callbacks", &error)),
        }
    }

    fn run(self, result: Result<T, CallError>) {
        match (result, self.on_value, self.on_error) {
            (Ok(value), Some(callback), _) => callback(&value),
            (Err(error), _, Some(callback)) => callback(&error),
            _ => {}
        }
    }
}
