//! Captures what a guest writes: the tail of its logs, or the whole output of a command.
//!
//! This module must not print anything, and must never hold more than its caps.

use crate::outcome::Logs;
use bytes::Bytes;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// What may be written before `check_write` is asked again. Any size works, nothing blocks.
const PERMIT: usize = 1024 * 1024;

/// What is kept of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The last so many bytes; what came before is counted and dropped.
    Tail(u64),
    /// All of it; the guest is stopped with [`OutputFull`] when it writes more than this.
    All(u64),
}

/// The error that stops a command whose output passed the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputFull {
    /// Bytes that it had written, those of the refused write included.
    pub(super) written: u64,
    /// Bytes that it may write.
    pub(super) limit: u64,
}

impl fmt::Display for OutputFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output is larger than {} bytes", self.limit)
    }
}

impl std::error::Error for OutputFull {}

/// The buffer behind a captured stream.
#[derive(Debug)]
struct Sink {
    bytes: Vec<u8>,
    dropped: u64,
    keep: Keep,
}

impl Sink {
    fn append(&mut self, more: &[u8]) -> Result<(), OutputFull> {
        match self.keep {
            Keep::All(limit) => {
                let written = size(self.bytes.len()).saturating_add(size(more.len()));
                if written > limit {
                    return Err(OutputFull { written, limit });
                }
                self.bytes.extend_from_slice(more);
            }
            Keep::Tail(cap) => {
                let cap = usize::try_from(cap).unwrap_or(usize::MAX);
                // Of a huge write only the tail is ever copied, so the buffer stays below twice
                // the cap; moving the tail down only then makes many small writes cheap.
                let kept = more.get(more.len().saturating_sub(cap)..).unwrap_or_default();
                self.dropped += size(more.len() - kept.len());
                self.bytes.extend_from_slice(kept);
                if self.bytes.len() > cap.saturating_mul(2) {
                    self.trim(cap);
                }
            }
        }
        Ok(())
    }

    fn trim(&mut self, cap: usize) {
        let excess = self.bytes.len().saturating_sub(cap);
        if excess > 0 {
            self.bytes.drain(..excess);
            self.dropped += size(excess);
        }
    }

    fn take(&mut self) -> (Vec<u8>, u64) {
        if let Keep::Tail(cap) = self.keep {
            self.trim(usize::try_from(cap).unwrap_or(usize::MAX));
        }
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.dropped))
    }
}

/// One captured stream. Clones share the buffer: the guest's side writes, ours takes.
#[derive(Clone, Debug)]
pub(super) struct Capture(Arc<Mutex<Sink>>);

impl Capture {
    pub(super) fn new(keep: Keep) -> Self {
        Self(Arc::new(Mutex::new(Sink { bytes: Vec::new(), dropped: 0, keep })))
    }

    /// Appends bytes, as if the guest had written them.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(), OutputFull> {
        self.sink().append(bytes)
    }

    /// Swaps what was captured with `other`, whose content is discarded: no copy, and both
    /// allocations live on.
    pub(super) fn swap(&self, other: &mut Vec<u8>) {
        other.clear();
        std::mem::swap(&mut self.sink().bytes, other);
    }

    /// Discards what was captured.
    pub(super) fn clear(&self) {
        let mut sink = self.sink();
        sink.bytes.clear();
        sink.dropped = 0;
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the logs out of both streams; `None` if nothing was written. The standard output of a
/// command is its result, and stays where it is.
pub(super) fn take(stdout: &Capture, stderr: &Capture) -> Option<Logs> {
    let mut logs = Logs::default();
    {
        let mut sink = stdout.sink();
        if matches!(sink.keep, Keep::Tail(_)) {
            (logs.stdout, logs.dropped) = sink.take();
        }
    }
    let (bytes, dropped) = stderr.sink().take();
    logs.stderr = bytes;
    logs.dropped += dropped;
    (!logs.is_empty()).then_some(logs)
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes).map_err(|full| StreamError::Trap(full.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Capture {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
