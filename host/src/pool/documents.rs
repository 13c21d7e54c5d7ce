//! A function over encoded documents: JSON text, or plain bytes, which the host does not look into.
//!
//! This module must not parse: workers do, in parallel.

use super::error::{CallError, InputError, PoolError};
use super::function::Function;
use super::handle::{Blamed, Decode, Outs, decode};
use super::iter::Imap;
use super::submit::{Plan, Shape};
use crate::call::Call;
use crate::call::feed::{self, Step};
use crate::call::run::KeptValue;
use crate::call::store::Order;
use crate::call::wait::End;
use crate::description::Form;
use crate::outcome::{Failure, TaskError, TaskErrorKind};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What pulling one document gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The document was written to the buffer.
    Document,
    /// There was one, and it cannot be used (too long, say); the buffer has the reason as text.
    Unusable,
    /// There are no more.
    End,
}

/// An input of documents. A closure is one.
pub trait DocumentSource {
    /// Writes the next document to `out`, which is empty.
    ///
    /// # Errors
    /// If the input failed: what came before is delivered, then this error.
    fn pull(
        &mut self,
        out: &mut Vec<u8>,
    ) -> Result<Pulled, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> DocumentSource for F
where
    F: FnMut(&mut Vec<u8>) -> Result<Pulled, Box<dyn std::error::Error + Send + Sync>>,
{
    fn pull(
        &mut self,
        out: &mut Vec<u8>,
    ) -> Result<Pulled, Box<dyn std::error::Error + Send + Sync>> {
        self(out)
    }
}

/// An encoded result. Many share one buffer, so keeping one can keep the memory of its neighbours;
/// copy what is to be kept for long.
#[derive(Clone)]
pub struct Document(KeptValue);

impl Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.len())
    }
}

const DOCUMENT: Decode<Document> = Decode {
    value: |_, value| Ok(Document(value.keep())),
    large: |_, buffer| Ok(Document(KeptValue::alone(buffer))),
};

/// A function over documents, from [`Function::documents`]. Its options are the function's.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is called"]
pub struct Documents {
    function: Function,
    form: Form,
    shape: Shape,
}

impl Documents {
    pub(super) fn new(function: Function, form: Form) -> Self {
        Self { function, form, shape: Shape::Item }
    }

    /// Every document is an argument list, also for one parameter: what the `star` methods take.
    pub fn starred(self) -> Self {
        Self { shape: Shape::Arguments, ..self }
    }

    /// Runs one document and blocks for its outcome.
    ///
    /// # Errors
    /// The item's error, or the pool's.
    pub fn apply(&self, item: &[u8]) -> Result<Document, CallError> {
        let mut given = false;
        let source = |out: &mut Vec<u8>| {
            if std::mem::replace(&mut given, true) {
                return Ok(Pulled::End);
            }
            out.extend_from_slice(item);
            Ok(Pulled::Document)
        };
        let mut outcomes = self.map_outcomes(source)?;
        match outcomes.pop() {
            Some(outcome) => outcome.map_err(CallError::Task),
            None => Err(CallError::Pool(PoolError::terminated())),
        }
    }

    /// Runs every document of an input, which this thread drains, and gives all outcomes in input
    /// order.
    ///
    /// # Errors
    /// Only those of the call as a whole, the input's own among them.
    ///
    /// # Blocking
    /// Until every item has ended.
    pub fn map_outcomes(
        &self,
        source: impl DocumentSource,
    ) -> Result<Vec<Result<Document, TaskError>>, CallError> {
        let call = self.function.call(self.plan(Order::Input, false))?;
        self.function.submit(&call)?;
        feed::drain(&call, &mut pulling(Arc::clone(&call), source))?;
        call.wait_ready(None);
        match call.end() {
            End::Pool(error) => return Err(CallError::Pool(error)),
            End::Input(error) => return Err(CallError::Input(error)),
            End::Complete | End::Callback(_) => {}
        }
        let mut outcomes = Vec::new();
        Outs::taken(&call).each(|out| outcomes.push(decode(&call, out, DOCUMENT)));
        Ok(outcomes)
    }

    /// As [`map_outcomes`](Self::map_outcomes), for whoever wants all values or one error.
    ///
    /// # Errors
    /// By the function's error policy, or the call's.
    pub fn map(&self, source: impl DocumentSource) -> Result<Vec<Document>, CallError> {
        let mut values = Vec::new();
        let mut blamed = Blamed::default();
        for outcome in self.map_outcomes(source)? {
            match outcome {
                Ok(value) => values.push(value),
                Err(error) => blamed.hear(error),
            }
        }
        blamed.0.map_or(Ok(values), |error| Err(CallError::Task(error)))
    }

    /// Runs the documents of an input lazily and yields results in input order; see
    /// [`Function::imap`].
    ///
    /// # Errors
    /// If the pool is closed, or an option cannot be meant.
    pub fn imap(
        &self,
        source: impl DocumentSource + Send + 'static,
    ) -> Result<Imap<Document>, PoolError> {
        self.run_lazy(source, Order::Input)
    }

    /// As [`imap`](Self::imap), but yields results as items end.
    ///
    /// # Errors
    /// As [`imap`](Self::imap).
    pub fn imap_unordered(
        &self,
        source: impl DocumentSource + Send + 'static,
    ) -> Result<Imap<Document>, PoolError> {
        self.run_lazy(source, Order::Completion)
    }

    fn run_lazy(
        &self,
        source: impl DocumentSource + Send + 'static,
        order: Order,
    ) -> Result<Imap<Document>, PoolError> {
        let call = self.function.call(self.plan(order, true))?;
        self.function.submit(&call)?;
        feed::start(&call, pulling(Arc::clone(&call), source));
        Ok(Imap::new(call, DOCUMENT))
    }

    fn plan(&self, order: Order, lazy: bool) -> Plan {
        Plan { form: self.form, shape: self.shape, order, lazy, callbacks: None, driven: false }
    }
}

/// Makes a feeder's source of a document source.
fn pulling(call: Arc<Call>, mut source: impl DocumentSource) -> impl FnMut(&mut Vec<u8>) -> Step {
    let mut scratch = Vec::new();
    move |out: &mut Vec<u8>| {
        scratch.clear();
        match source.pull(&mut scratch) {
            Ok(Pulled::Document) => {
                out.extend_from_slice(&scratch);
                call.check_size(scratch.len())
            }
            Ok(Pulled::Unusable) => {
                let text = String::from_utf8_lossy(&scratch).into_owned();
                Step::Misfit(Box::new(Failure::new(TaskErrorKind::BadInput, text)))
            }
            Ok(Pulled::End) => Step::End,
            Err(error) => Step::Failed(Box::new(InputError::of(error))),
        }
    }
}
