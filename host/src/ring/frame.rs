//! How frames lie in the two streams: a word that tells length and kind, the bytes, padding.
//!
//! This module must not read shared memory; it turns copied bytes into checked values and back.
//!
//! An item is a frame of its own. What it shares with its neighbours (the function, how often it
//! was started) is said once, in a [`Context`] ahead of them; indexes count up from there. So a
//! run of items is copied into the stream as a whole, and can be cut off behind any of them.

use crate::description::Form;
use std::ops::Range;

/// The word ahead of the bytes of each frame.
pub(crate) const HEAD: usize = 8;
/// Frames start at multiples of this, so that no head straddles two cache lines.
pub(crate) const ALIGN: usize = 8;
/// A whole frame with a context.
pub(crate) const CONTEXT: usize = HEAD + 24;

const KIND_BITS: u32 = 3;

/// What kind of frame the host writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// One item.
    Item,
    /// What holds for the items behind it.
    Context,
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

/// A kind of frame, as the lowest bits of a head.
pub(crate) trait Kind: Copy + Sized + 'static {
    /// By code.
    const ALL: &[Self];
    fn code(self) -> u64;
}

impl Kind for ItemKind {
    const ALL: &[Self] = &[Self::Item, Self::Context];
    #[inline]
    fn code(self) -> u64 {
        self as u64
    }
}

impl Kind for ResultKind {
    const ALL: &[Self] = &[Self::Value, Self::LoggedValue, Self::Failure, Self::Fatal];
    #[inline]
    fn code(self) -> u64 {
        self as u64
    }
}

/// The word ahead of a frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<K> {
    pub(crate) kind: K,
    /// Bytes that follow, without padding.
    pub(crate) len: u64,
}

impl<K: Kind> Head<K> {
    #[inline]
    pub(crate) fn encode(self) -> [u8; HEAD] {
        (self.len << KIND_BITS | self.kind.code()).to_le_bytes()
    }

    /// `None` if the kind is none of ours: whoever wrote it is broken or hostile.
    #[inline]
    pub(crate) fn decode(bytes: [u8; HEAD]) -> Option<Self> {
        let word = u64::from_le_bytes(bytes);
        // Masked to a few bits, so the cast keeps all of them.
        let kind = *K::ALL.get((word & ((1 << KIND_BITS) - 1)) as usize)?;
        Some(Self { kind, len: word >> KIND_BITS })
    }

    /// The frame that starts at `at`: its head, where its bytes lie, and where the next one
    /// starts. `None` if it is not there as a whole, or makes no sense.
    #[inline]
    pub(crate) fn read(frames: &[u8], at: usize) -> Option<(Self, Range<usize>, usize)> {
        let head = Self::decode(*frames.get(at..)?.first_chunk()?)?;
        let start = at + HEAD;
        let end = start.checked_add(usize::try_from(head.len).ok()?)?;
        let next = end.checked_next_multiple_of(ALIGN)?;
        (next <= frames.len()).then_some((head, start..end, next))
    }
}

/// The length of a frame in its stream: head, bytes, padding. `None` if it overflows.
#[inline]
pub(crate) fn framed(len: u64) -> Option<u64> {
    len.checked_add(HEAD as u64)?.checked_next_multiple_of(ALIGN as u64)
}

/// What holds for the items that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// Index of the first of them; those behind it count up.
    pub(crate) index: u64,
    /// How often they were started before.
    pub(crate) attempt: u32,
    pub(crate) function: u32,
    pub(crate) form: Form,
    pub(crate) star: bool,
}

impl Context {
    /// The whole frame.
    pub(crate) fn encode(self) -> [u8; CONTEXT] {
        let mut out = [0; CONTEXT];
        let len = (CONTEXT - HEAD) as u64;
        out[..HEAD].copy_from_slice(&Head { kind: ItemKind::Context, len }.encode());
        let bytes = &mut out[HEAD..];
        bytes[0..8].copy_from_slice(&self.index.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.attempt.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.function.to_le_bytes());
        bytes[16] = match self.form {
            Form::Binary => 0,
            Form::Json => 1,
            Form::Raw => 2,
        };
        bytes[17] = u8::from(self.star);
        out
    }

    /// `None` only if the host wrote something else: the worker trusts it, but does not guess.
    pub(crate) fn decode(frame: &[u8; CONTEXT]) -> Option<Self> {
        let bytes = &frame[HEAD..];
        Some(Self {
            index: u64::from_le_bytes(*bytes.first_chunk()?),
            attempt: u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
            function: u32::from_le_bytes(*bytes.get(12..)?.first_chunk()?),
            form: match bytes.get(16)? {
                0 => Form::Binary,
                1 => Form::Json,
                2 => Form::Raw,
                _ => return None,
            },
            star: *bytes.get(17)? != 0,
        })
    }
}

/// Items as they travel: frames in a row, and where each of them ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames<'a> {
    pub(crate) bytes: &'a [u8],
    /// Ends of the items, counted from `base` before `bytes`.
    ends: &'a [usize],
    base: usize,
}

impl<'a> Frames<'a> {
    /// `bytes` lie in a larger buffer from `base` on, and `ends` are places in that.
    pub(crate) fn new(bytes: &'a [u8], ends: &'a [usize], base: usize) -> Self {
        Self { bytes, ends, base }
    }

    pub(crate) fn len(self) -> usize {
        self.ends.len()
    }

    /// How many of the first items fit into `room` bytes.
    pub(crate) fn fit(self, room: usize) -> usize {
        self.ends.partition_point(|end| end - self.base <= room)
    }

    /// Where each of the first `n` items ends in `bytes`.
    pub(crate) fn ends(self, n: usize) -> impl Iterator<Item = usize> + 'a {
        self.ends.iter().take(n).map(move |end| end - self.base)
    }
}

/// Appends an item as a frame whose bytes `encode` writes; nothing is appended if it fails.
#[inline]
pub(crate) fn append<E>(
    frames: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = frames.len();
    frames.extend_from_slice(&[0; HEAD]);
    let done = encode(frames);
    if done.is_err() {
        frames.truncate(start);
        return done;
    }
    let len = frames.len().saturating_sub(start + HEAD);
    if let Some(head) = frames.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *head = Head { kind: ItemKind::Item, len: len as u64 }.encode();
    }
    if !len.is_multiple_of(ALIGN) {
        frames.resize(frames.len().next_multiple_of(ALIGN), 0);
    }
    done
}
