//! The fixed headers of items and results in the two streams.
//!
//! This module must not read shared memory; it turns copied bytes into checked values and back.

use crate::description::Form;
use crate::ring::word::Count;

pub(crate) const ITEM_HEADER: usize = 32;
pub(crate) const RESULT_HEADER: usize = 16;
/// Frames start at multiples of this, so that headers never straddle a needless cache line.
pub(crate) const ALIGN: u64 = 8;

/// What the host tells of an item, ahead of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemHeader {
    pub(crate) len: u64,
    pub(crate) index: u64,
    pub(crate) attempt: u32,
    pub(crate) function: u32,
    pub(crate) form: Form,
    pub(crate) star: bool,
}

impl ItemHeader {
    pub(crate) fn encode(self) -> [u8; ITEM_HEADER] {
        let mut out = [0; ITEM_HEADER];
        out[0..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..16].copy_from_slice(&self.index.to_le_bytes());
        out[16..20].copy_from_slice(&self.attempt.to_le_bytes());
        out[20..24].copy_from_slice(&self.function.to_le_bytes());
        out[24] = match self.form {
            Form::Binary => 0,
            Form::Json => 1,
            Form::Raw => 2,
        };
        out[25] = u8::from(self.star);
        out
    }

    /// `None` only if the host wrote something else: the worker trusts it, but does not guess.
    pub(crate) fn decode(bytes: &[u8; ITEM_HEADER]) -> Option<Self> {
        Some(Self {
            len: u64_at(bytes, 0)?,
            index: u64_at(bytes, 8)?,
            attempt: u32_at(bytes, 16)?,
            function: u32_at(bytes, 20)?,
            form: match bytes[24] {
                0 => Form::Binary,
                1 => Form::Json,
                2 => Form::Raw,
                _ => return None,
            },
            star: bytes[25] != 0,
        })
    }
}

/// What kind of result follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultKind {
    /// The value, and nothing else.
    Value,
    /// Logs, then the value.
    LoggedValue,
    /// A failure report with its logs.
    Failure,
    /// The worker cannot go on: its instance could not be prepared. Belongs to no item.
    Fatal,
}

/// What a worker tells of a result, ahead of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResultHeader {
    pub(crate) len: u64,
    /// Number of the item that this is the result of.
    pub(crate) item: Count,
    pub(crate) kind: ResultKind,
}

impl ResultHeader {
    pub(crate) fn encode(self) -> [u8; RESULT_HEADER] {
        let mut out = [0; RESULT_HEADER];
        out[0..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..12].copy_from_slice(&self.item.bits().to_le_bytes());
        out[12] = match self.kind {
            ResultKind::Value => 0,
            ResultKind::LoggedValue => 1,
            ResultKind::Failure => 2,
            ResultKind::Fatal => 3,
        };
        out
    }

    /// `None` if the kind is none of ours: the worker is broken or hostile.
    pub(crate) fn decode(bytes: &[u8; RESULT_HEADER]) -> Option<Self> {
        Some(Self {
            len: u64_at(bytes, 0)?,
            item: Count::from_bits(u32_at(bytes, 8)?),
            kind: match bytes[12] {
                0 => ResultKind::Value,
                1 => ResultKind::LoggedValue,
                2 => ResultKind::Failure,
                3 => ResultKind::Fatal,
                _ => return None,
            },
        })
    }
}

/// The length of a frame in its stream: header, bytes, padding. `None` if it overflows.
pub(crate) fn framed(header: usize, len: u64) -> Option<u64> {
    len.checked_add(header as u64)?.checked_next_multiple_of(ALIGN)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
