//! How a call through a function is made: options checked, arguments encoded, values decoded.
//!
//! This module must not wait for a call.

use super::error::{InputError, PoolError};
use super::function::{ErrorPolicy, Function};
use super::handle::Decode;
use super::iter::Imap;
use crate::call::Call;
use crate::call::chunk::Chunk;
use crate::call::feed::{self, Step};
use crate::call::spec::{Spec, Window};
use crate::call::store::Order;
use crate::codec::{self, Mismatch};
use crate::description::Form;
use crate::keeper::drive::drive;
use crate::outcome::{Failure, TaskErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

impl Function {
    /// Checks the options and makes a call of them, which is not in the queue yet.
    pub(super) fn call(&self, plan: Plan) -> Result<Arc<Call>, PoolError> {
        let chunk = match self.chunk {
            None => Chunk::Auto,
            Some(items) => Chunk::Size(
                NonZeroUsize::new(items)
                    .ok_or_else(|| PoolError::usage("the chunk size must be at least 1"))?,
            ),
        };
        if self.window == Some(0) {
            return Err(PoolError::usage("the window must be at least 1"));
        }
        if self.timeout == Some(Duration::ZERO) {
            return Err(PoolError::usage("a timeout must be longer than zero"));
        }
        if self.deadline == Some(Duration::ZERO) {
            return Err(PoolError::usage("a deadline must be further away than zero"));
        }
        let window = plan.lazy.then(|| Window {
            items: self.window.map(|items| items as u64),
            bytes: self.window_bytes,
            open: Arc::new(AtomicBool::new(false)),
        });
        let spec = Spec {
            function: self.id,
            form: plan.form,
            // Arguments in binary are always laid out one after the other.
            star: plan.shape == Shape::Arguments && plan.form != Form::Binary,
            order: plan.order,
            chunk,
            window,
            timeout: self.timeout,
            deadline: self.deadline,
            retry: self.retry.clone(),
            fail_fast: !plan.lazy && self.policy == ErrorPolicy::FailFast,
            callbacks: plan.callbacks.is_some(),
            driven: plan.driven,
        };
        Ok(Call::new(Arc::clone(&self.core), spec))
    }

    pub(super) fn submit(&self, call: &Arc<Call>) -> Result<(), PoolError> {
        self.core.submit(call)
    }

    /// Submits one item.
    pub(super) fn submit_one<A: Serialize + ?Sized>(
        &self,
        argument: &A,
        plan: Plan,
    ) -> Result<Arc<Call>, PoolError> {
        let call = self.call(plan)?;
        let mut given = false;
        let mut source = |out: &mut Vec<u8>| {
            if std::mem::replace(&mut given, true) {
                return Step::End;
            }
            encode(&call, plan.shape, argument, out)
        };
        self.submit(&call)?;
        feed::drain(&call, &mut source)?;
        Ok(call)
    }

    /// Runs one item on an idle worker, if there is one, in this very thread.
    pub(super) fn run_one<A: Serialize + ?Sized>(
        &self,
        argument: &A,
    ) -> Result<Arc<Call>, PoolError> {
        let plan = Plan { driven: true, ..Plan::eager(Shape::Item, None) };
        let call = self.submit_one(argument, plan)?;
        drive(&self.core, &call);
        if !call.is_ready() {
            self.core.wake_idle();
        }
        Ok(call)
    }

    pub(super) fn submit_all<I: IntoIterator<Item: Serialize>>(
        &self,
        items: I,
        shape: Shape,
        callbacks: Option<()>,
    ) -> Result<Arc<Call>, PoolError> {
        let call = self.call(Plan::eager(shape, callbacks))?;
        self.submit(&call)?;
        // From here on a panic of the input must not leave the call in the queue.
        let mut items = Started(items, &call).start();
        let mut source = |out: &mut Vec<u8>| match items.next() {
            Some(item) => encode(&call, shape, &item, out),
            None => Step::End,
        };
        feed::drain(&call, &mut source)?;
        Ok(call)
    }

    pub(super) fn submit_lazy<I, R>(
        &self,
        items: I,
        shape: Shape,
        order: Order,
    ) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        let plan =
            Plan { form: Form::Binary, shape, order, lazy: true, callbacks: None, driven: false };
        let call = self.call(plan)?;
        let mut items = items.into_iter();
        self.submit(&call)?;
        let encoder = Arc::clone(&call);
        feed::start(&call, move |out: &mut Vec<u8>| match items.next() {
            Some(item) => encode(&encoder, shape, &item, out),
            None => Step::End,
        });
        Ok(Imap::new(call, typed()))
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The value of the one parameter, or all of them by position or name.
    Item,
    /// An argument list, also for one parameter.
    Arguments,
}

/// What sort of call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) form: Form,
    pub(super) shape: Shape,
    pub(super) order: Order,
    pub(super) lazy: bool,
    pub(super) callbacks: Option<()>,
    pub(super) driven: bool,
}

impl Plan {
    pub(super) fn eager(shape: Shape, callbacks: Option<()>) -> Self {
        Self {
            form: Form::Binary,
            shape,
            order: Order::Input,
            lazy: false,
            callbacks,
            driven: false,
        }
    }
}

/// An input whose iterator is made with the call in the queue already: if that panics, the call
/// must be taken out again.
struct Started<'a, I>(I, &'a Arc<Call>);

impl<I: IntoIterator> Started<'_, I> {
    fn start(self) -> I::IntoIter {
        let guard = feed::CancelOnUnwind(self.1);
        let items = self.0.into_iter();
        std::mem::forget(guard);
        items
    }
}

/// Encodes one item for a call.
fn encode<A: Serialize + ?Sized>(call: &Call, shape: Shape, item: &A, out: &mut Vec<u8>) -> Step {
    let before = out.len();
    let star = shape == Shape::Arguments;
    match codec::to_params(&call.function.signature, star, item, out) {
        Ok(()) => call.check_size(out.len() - before),
        Err(misfit) => {
            let failure = Failure::new(TaskErrorKind::BadInput, misfit.to_string());
            Step::Misfit(Box::new(failure))
        }
    }
}

/// Makes Rust values of encoded ones.
pub(super) fn typed<R: DeserializeOwned>() -> Decode<R> {
    Decode {
        value: |call, value| {
            let decoded = codec::from_result(call.function.value_type(), value.bytes);
            decoded.map_err(misfit)
        },
        large: |call, buffer| {
            let decoded = codec::from_large(call.function.value_type(), buffer.into_vec());
            decoded.map_err(misfit)
        },
    }
}

fn misfit(misfit: Mismatch) -> Failure {
    Failure::new(TaskErrorKind::BadOutput, misfit.to_string())
}

impl Call {
    /// Whether an encoded item is small enough.
    #[inline]
    pub(super) fn check_size(&self, size: usize) -> Step {
        let limit = self.core.recipe.config.limits.input;
        if size as u64 <= limit {
            return Step::Item;
        }
        too_large(size, limit)
    }
}

#[cold]
fn too_large(size: usize, limit: u64) -> Step {
    let text =
        format!("the item has {size} bytes, the limit is {limit} (`max_input`, `--max-line`)");
    let used = Some((size as u64, limit));
    let failure = Failure { used, ..Failure::new(TaskErrorKind::BadInput, text) };
    Step::Misfit(Box::new(failure))
}

impl InputError {
    /// For inputs that can fail.
    pub(super) fn of(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::failed(error.into())
    }
}
