//! What every way of calling a function shares: where its input is, where its output goes, and
//! how a call can stop.
//!
//! This module must not know the engine's types of functions; `core` and `component` do.

use crate::codec::{Mismatch, Reader, Writer};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::runtime::{Builder, Runtime};

/// Why a call has no output.
#[derive(Debug)]
pub(super) enum Stop {
    /// The guest trapped or exited, or wasmtime refused its result.
    Guest(wasmtime::Error),
    /// The item does not fit the parameters.
    Input(String),
    /// The result does not fit its type.
    Output(String),
    /// The encoded result has so many bytes, which is more than the limit.
    TooLarge(u64),
    /// The function returned its error: the payload in binary form, empty if there is none.
    Failed(Vec<u8>),
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error)
    }
}

impl From<Mismatch> for Stop {
    fn from(mismatch: Mismatch) -> Self {
        Self::Input(mismatch.to_string())
    }
}

/// How the bytes of a call are spelled. JSON is converted to `Binary` on the way in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// The compact binary form.
    Binary,
    /// One `list<u8>` or `string`, without its length.
    Raw,
}

/// The parameters of a call.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// What is left of them in binary form.
    Binary(Reader<'a>),
    /// The one `list<u8>` or `string`.
    Raw(&'a [u8]),
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], spelling: Spelling) -> Self {
        match spelling {
            Spelling::Binary => Self::Binary(Reader::new(bytes)),
            Spelling::Raw => Self::Raw(bytes),
        }
    }

    /// What is left in binary form.
    pub(super) fn binary(&mut self) -> Result<&mut Reader<'a>, Stop> {
        match self {
            Self::Binary(reader) => Ok(reader),
            Self::Raw(_) => {
                let message = "raw items need a function of one `list<u8>` or `string`";
                Err(Stop::Input(message.into()))
            }
        }
    }

    /// The bytes of a `list<u8>`.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        match self {
            Self::Binary(reader) => Ok(reader.bytes()?),
            Self::Raw(bytes) => Ok(bytes),
        }
    }

    /// The characters of a `string`.
    pub(super) fn text(&mut self) -> Result<&'a str, Stop> {
        match self {
            Self::Binary(reader) => Ok(reader.string()?),
            Self::Raw(bytes) => std::str::from_utf8(bytes)
                .map_err(|error| Stop::Input(format!("expected a string in UTF-8: {error}"))),
        }
    }

    /// Checks that all was read.
    pub(super) fn end(&self) -> Result<(), Stop> {
        match self {
            Self::Binary(reader) => Ok(reader.finish()?),
            Self::Raw(_) => Ok(()),
        }
    }
}

/// What an item gave, in its form: one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// A long `list<u8>` or `string`, whose count is in front of it: copied there, a large result
    /// would take half as long again.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if self.body.capacity() > 0 {
            self.body = Vec::new();
        }
    }

    /// All of it in one piece.
    pub(crate) fn join(&mut self) -> &mut Vec<u8> {
        self.bytes.append(&mut self.body);
        &mut self.bytes
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.body.len()
    }
}

/// Where the result of a call goes.
#[derive(Debug)]
pub(super) struct Output<'a> {
    reply: &'a mut Reply,
    spelling: Spelling,
    limit: u64,
}

impl<'a> Output<'a> {
    /// `reply` must be empty.
    pub(super) fn new(reply: &'a mut Reply, spelling: Spelling, limit: u64) -> Self {
        Self { reply, spelling, limit }
    }

    /// Appends what is binary form, or a part of it.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.reply.bytes.extend_from_slice(bytes);
    }

    pub(super) fn spelling(&self) -> Spelling {
        self.spelling
    }

    /// Where to write binary form.
    pub(super) fn binary(&mut self) -> Result<&mut Vec<u8>, Stop> {
        match self.spelling {
            Spelling::Binary => Ok(&mut self.reply.bytes),
            Spelling::Raw => {
                Err(Stop::Output("raw results need a `list<u8>` or a `string`".into()))
            }
        }
    }

    /// Writes a `list<u8>` or a `string`; one that is too large is not even copied.
    pub(super) fn run(&mut self, run: &[u8]) -> Result<(), Stop> {
        let size = u64::try_from(run.len()).unwrap_or(u64::MAX);
        if size > self.limit {
            return Err(Stop::TooLarge(size));
        }
        match self.spelling {
            Spelling::Binary => {
                Writer(&mut self.reply.bytes).bytes(run).map_err(|_| Stop::TooLarge(size))?;
            }
            Spelling::Raw => self.reply.bytes.extend_from_slice(run),
        }
        Ok(())
    }

    /// As [`Output::run`] for the last part of a result, without a copy of a long one.
    pub(super) fn own(&mut self, run: Vec<u8>) -> Result<(), Stop> {
        const LONG: usize = 4096;
        if run.len() < LONG {
            return self.run(&run);
        }
        if self.spelling == Spelling::Binary {
            let counted = Writer(&mut self.reply.bytes).count(run.len());
            counted.map_err(|_| Stop::TooLarge(run.len() as u64))?;
        }
        self.reply.body = run;
        self.end()
    }

    /// Checks the size of what was written.
    pub(super) fn end(&self) -> Result<(), Stop> {
        match u64::try_from(self.reply.len()) {
            Ok(size) if size <= self.limit => Ok(()),
            size => Err(Stop::TooLarge(size.unwrap_or(u64::MAX))),
        }
    }
}

/// Runs the futures of guests that import WASI: on this very thread, with timers and nothing else.
#[derive(Debug)]
pub(super) struct Waiter(Runtime);

impl Waiter {
    pub(super) fn new() -> std::io::Result<Self> {
        Builder::new_current_thread().enable_time().build().map(Self)
    }

    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        // Most guests never wait for anything: entering the runtime to find that out costs more.
        {
            let _timers = self.0.enter();
            let context = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return output;
            }
        }
        self.0.block_on(future)
    }
}
