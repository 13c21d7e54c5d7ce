//! How items and results lie in the two streams: behind heads of their own, or side by side where all
//! are of one size.
//!
//! This module must not read shared memory; it turns copied bytes into checked values and back.
//!
//! What neighbours share (the function, how often they were started, their size) is not said for each
//! of them, but once for all: for items in a table beside the stream ([`row`](super::row)), for
//! results in a frame ahead of them. Indexes count up. So a row of items is copied into the stream as
//! a whole, and can be cut off behind any of them; and a number of eight bytes takes eight bytes.

use crate::description::Form;
use std::ops::Range;

/// The word ahead of the bytes of each frame.
pub(crate) const HEAD: usize = 8;
/// Frames start at multiples of this, so that no head straddles two cache lines.
pub(crate) const ALIGN: usize = 8;
/// Larger ones are framed, whatever their neighbours are: a head costs little beside them.
const FIXED_MOST: usize = 1024;

const KIND_BITS: u32 = 3;

/// What kind of frame the host writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// One item.
    Item,
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
    /// A head alone: behind it lie values of this length, side by side, up to where the control
    /// block says. Belongs to no item.
    Row,
}

/// A kind of frame, as the lowest bits of a head.
pub(crate) trait Kind: Copy + Sized + 'static {
    /// By code.
    const ALL: &[Self];
    fn code(self) -> u64;
}

impl Kind for ItemKind {
    const ALL: &[Self] = &[Self::Item];
    #[inline]
    fn code(self) -> u64 {
        self as u64
    }
}

impl Kind for ResultKind {
    const ALL: &[Self] = &[Self::Value, Self::LoggedValue, Self::Failure, Self::Fatal, Self::Row];
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

/// A size that neighbours have in common, in bytes: at most [`FIXED_MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u16);

impl Size {
    #[cfg(test)]
    pub(crate) const MOST: usize = FIXED_MOST;

    /// `None` if things of this size are framed.
    #[inline]
    pub(crate) fn of(len: usize) -> Option<Self> {
        u16::try_from(len).ok().filter(|len| usize::from(*len) <= FIXED_MOST).map(Self)
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        usize::from(self.0)
    }

    /// From one to the next. What has no bytes takes a word as well, so that it can be counted.
    #[inline]
    pub(crate) fn stride(self) -> usize {
        self.bytes().next_multiple_of(ALIGN).max(ALIGN)
    }
}

/// How things lie one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each in a frame of its own.
    Framed,
    /// Side by side, all of this size.
    Fixed(Size),
}

#[cfg(test)]
impl Layout {
    /// For one that comes first.
    pub(crate) fn of(len: usize) -> Self {
        Size::of(len).map_or(Self::Framed, Self::Fixed)
    }
}

/// What holds for the items of a row.
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
    /// That of the item behind the first one.
    #[inline]
    pub(crate) fn next(self) -> Self {
        Self { index: self.index.wrapping_add(1), ..self }
    }
}

/// Items as they travel: one behind the other, and where each of them ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    pub(crate) bytes: &'a [u8],
    ends: Ends<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    /// Of frames, counted from `base` before the bytes.
    Framed {
        ends: &'a [usize],
        base: usize,
    },
    Fixed(Size),
}

impl<'a> Items<'a> {
    /// `bytes` lie in a larger buffer from `base` on, and `ends` are places in that.
    pub(crate) fn framed(bytes: &'a [u8], ends: &'a [usize], base: usize) -> Self {
        Self { bytes, ends: Ends::Framed { ends, base } }
    }

    /// Items of this size.
    pub(crate) fn fixed(bytes: &'a [u8], size: Size) -> Self {
        Self { bytes, ends: Ends::Fixed(size) }
    }

    pub(crate) fn layout(self) -> Layout {
        match self.ends {
            Ends::Framed { .. } => Layout::Framed,
            Ends::Fixed(size) => Layout::Fixed(size),
        }
    }

    pub(crate) fn len(self) -> usize {
        match self.ends {
            Ends::Framed { ends, .. } => ends.len(),
            Ends::Fixed(size) => self.bytes.len() / size.stride(),
        }
    }

    /// How many of the first items fit into `room` bytes.
    pub(crate) fn fit(self, room: usize) -> usize {
        match self.ends {
            Ends::Framed { ends, base } => ends.partition_point(|end| end - base <= room),
            Ends::Fixed(size) => self.len().min(room / size.stride()),
        }
    }

    /// Bytes of the first `n` items, of which there are so many.
    pub(crate) fn first(self, n: usize) -> &'a [u8] {
        let end = match self.ends {
            Ends::Framed { ends, base } => {
                n.checked_sub(1).and_then(|last| ends.get(last)).map_or(0, |end| end - base)
            }
            Ends::Fixed(size) => n * size.stride(),
        };
        self.bytes.get(..end).unwrap_or(self.bytes)
    }

    /// Where the frames of the first `n` items end, if they are frames.
    pub(crate) fn frame_ends(self, n: usize) -> impl Iterator<Item = usize> + 'a {
        let (ends, base) = match self.ends {
            Ends::Framed { ends, base } => (ends, base),
            Ends::Fixed(_) => (&[][..], 0),
        };
        ends.iter().take(n).map(move |end| end - base)
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
    pad(frames);
    done
}

/// Makes a frame of the bytes of an item.
#[cold]
pub(crate) fn put_head(item: &mut Vec<u8>) {
    let head = Head { kind: ItemKind::Item, len: item.len() as u64 };
    item.splice(..0, head.encode());
    pad(item);
}

/// Fills up to where the next one may begin.
#[inline]
fn pad(frames: &mut Vec<u8>) {
    if !frames.len().is_multiple_of(ALIGN) {
        frames.resize(frames.len().next_multiple_of(ALIGN), 0);
    }
}
