//! Rows: items that lie one behind the other and have a context and a layout in common; and the
//! table that says which item begins one.
//!
//! This module must not touch the bytes of items. The table is checked by loom in `tests/loom`.
//!
//! In the stream there is no room for it: items of one size have no heads, so nothing there could
//! tell an item from what is said about those behind it, once a recall has cut a row off.
//!
//! The worker looks, for each item that it has claimed, whether the next row begins with it. What it
//! finds there may be changed by the host at this moment, but not so that it matters: only rows that
//! begin behind the limit are changed, and what was claimed lies before it.

use super::frame::{Context, Items, Layout, Size};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::word::Count;
use crate::description::Form;
use std::collections::VecDeque;

/// Places in the table. Two of them stay free: a row that ends is said to end in the next one.
const PLACES: usize = 32;
/// Rows that may be out at once.
const MOST: usize = PLACES - 2;
/// No number of an item.
const NONE: u32 = u32::MAX;
/// No size: items in frames.
const FRAMED: u32 = u32::MAX;

/// What is said about a row. Written by the host.
#[derive(Debug)]
#[repr(C)]
struct Place {
    /// Number of its first item, in the counts of the claim word.
    start: AtomicU32,
    size: AtomicU32,
    index: AtomicU64,
    attempt: AtomicU32,
    function: AtomicU32,
    form: AtomicU32,
    star: AtomicU32,
}

/// The table. Places are used in turn.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Table([Place; PLACES]);

impl Table {
    #[allow(dead_code, reason = "only the model checker makes one: shared memory starts as zeros")]
    pub(crate) fn new() -> Self {
        let word = || AtomicU32::new(0);
        let place = |_| Place {
            start: word(),
            size: word(),
            index: AtomicU64::new(0),
            attempt: word(),
            function: word(),
            form: word(),
            star: word(),
        };
        Self(std::array::from_fn(place))
    }

    #[inline]
    fn place(&self, at: u32) -> &Place {
        &self.0[at as usize % PLACES]
    }

    /// Host: the `at`-th row begins with the item `start`, and is the last one so far. Published
    /// by the claim word.
    pub(crate) fn write(&self, at: u32, start: Count, context: Context, layout: Layout) {
        self.end(at.wrapping_add(1));
        let place = self.place(at);
        let size = match layout {
            Layout::Framed => FRAMED,
            // At most 1024, so it fits.
            Layout::Fixed(size) => size.bytes() as u32,
        };
        let form = match context.form {
            Form::Binary => 0,
            Form::Json => 1,
            Form::Raw => 2,
        };
        place.size.store(size, Ordering::Relaxed);
        place.index.store(context.index, Ordering::Relaxed);
        place.attempt.store(context.attempt, Ordering::Relaxed);
        place.function.store(context.function, Ordering::Relaxed);
        place.form.store(form, Ordering::Relaxed);
        place.star.store(u32::from(context.star), Ordering::Relaxed);
        place.start.store(start.bits(), Ordering::Relaxed);
    }

    /// Host: there is no `at`-th row, so far or any more.
    pub(crate) fn end(&self, at: u32) {
        self.place(at).start.store(NONE, Ordering::Relaxed);
    }

    /// Worker: whether the `at`-th row begins with this item, which it has claimed.
    #[inline]
    pub(crate) fn begins(&self, at: u32, item: Count) -> bool {
        self.place(at).start.load(Ordering::Relaxed) == item.bits()
    }

    /// Worker: what is said about the `at`-th row, which begins. `None` only if the host wrote
    /// something else: the worker trusts it, but does not guess.
    pub(crate) fn read(&self, at: u32) -> Option<(Context, Layout)> {
        let place = self.place(at);
        let context = Context {
            index: place.index.load(Ordering::Relaxed),
            attempt: place.attempt.load(Ordering::Relaxed),
            function: place.function.load(Ordering::Relaxed),
            form: match place.form.load(Ordering::Relaxed) {
                0 => Form::Binary,
                1 => Form::Json,
                2 => Form::Raw,
                _ => return None,
            },
            star: place.star.load(Ordering::Relaxed) != 0,
        };
        let layout = match place.size.load(Ordering::Relaxed) {
            FRAMED => Layout::Framed,
            size => Layout::Fixed(Size::of(size as usize)?),
        };
        Some((context, layout))
    }
}

/// Host: the rows that are out, oldest first, and where their items are in the stream.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: VecDeque<Row>,
    items: usize,
    /// Number of the next row.
    next: u32,
}

#[derive(Debug)]
struct Row {
    /// Where its first item that has not ended begins.
    position: u64,
    /// How many have not.
    items: usize,
    starts: Starts,
    /// Some have: the worker has been told of it, and will not look at its place again.
    begun: bool,
}

/// Where the items behind the first one begin.
#[derive(Debug)]
enum Starts {
    Apart(u64),
    At(VecDeque<u64>),
}

impl Row {
    /// Where the item begins that is `at` places into it, of those that have not ended.
    fn start(&self, at: usize) -> u64 {
        match (at.checked_sub(1), &self.starts) {
            (None, _) => self.position,
            (_, Starts::Apart(stride)) => self.position + at as u64 * stride,
            (Some(behind), Starts::At(starts)) => {
                starts.get(behind).copied().unwrap_or(self.position)
            }
        }
    }

    fn end_front(&mut self, n: usize) {
        self.position = self.start(n);
        self.items -= n;
        self.begun = true;
        if let Starts::At(starts) = &mut self.starts {
            starts.drain(..n);
        }
    }

    fn cut_back(&mut self, n: usize) {
        self.items -= n;
        if let Starts::At(starts) = &mut self.starts {
            starts.truncate(self.items.saturating_sub(1));
        }
    }
}

impl Rows {
    /// Items that have not ended.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= MOST
    }

    /// The next row is there: the first `n` of these items, which begin at `position`. Gives its
    /// number.
    pub(crate) fn push(&mut self, position: u64, items: Items<'_>, n: usize) -> u32 {
        let starts = match items.layout() {
            Layout::Fixed(size) => Starts::Apart(size.stride() as u64),
            Layout::Framed => {
                let ends = items.frame_ends(n.saturating_sub(1));
                Starts::At(ends.map(|end| position + end as u64).collect())
            }
        };
        self.rows.push_back(Row { position, items: n, starts, begun: false });
        self.items += n;
        let at = self.next;
        self.next = at.wrapping_add(1);
        at
    }

    /// The oldest `n` items have ended; there are as many.
    pub(crate) fn end(&mut self, mut n: usize) {
        self.items -= n;
        while let Some(row) = self.rows.front_mut().filter(|_| n > 0) {
            if row.items > n {
                return row.end_front(n);
            }
            n -= row.items;
            self.rows.pop_front();
        }
    }

    /// The newest `n` items are taken back; there are as many. Gives where the first of them begins,
    /// if there is one, and the number that the next row has then.
    pub(crate) fn take_back(&mut self, mut n: usize) -> Option<(u64, u32)> {
        self.items -= n;
        let mut from = None;
        while let Some(row) = self.rows.back_mut().filter(|_| n > 0) {
            if row.items > n {
                from = Some(row.start(row.items - n));
                row.cut_back(n);
                break;
            }
            from = Some(row.position);
            n -= row.items;
            if !row.begun {
                self.next = self.next.wrapping_sub(1);
            }
            self.rows.pop_back();
        }
        from.map(|from| (from, self.next))
    }
}
