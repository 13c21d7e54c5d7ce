//! Large buffers, used again: one thread fills them and another drops them, all the time.
//!
//! This module must not know what is in a buffer, nor keep more than a little.
//!
//! The allocator gives such memory back to the system when it is freed, and each of its pages costs
//! more to get again than to fill.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Smaller ones are left to the allocator.
const LARGE: usize = 64 << 10;
/// What is about as large needs no other buffer.
const SLACK: usize = 64;
/// Bytes that are kept in all: buffers for the items of 1 MiB that a feeder is ahead and come back
/// together. Kept until a worker has been idle for a while.
const KEPT: usize = 6 << 20;
/// Buffers that are kept, however small. With 2, a stream of items of 1 MiB got new pages for a tenth
/// of them; with 9, it was no quicker.
const MOST: usize = 5;

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { buffers: Vec::new(), bytes: 0 });

#[derive(Debug)]
struct Shelf {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A vector of bytes whose memory is kept for another one when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one for about so many bytes. For few, nothing is allocated.
    pub(crate) fn for_about(bytes: usize) -> Self {
        if bytes < LARGE {
            return Self::default();
        }
        let bytes = bytes.saturating_add(SLACK);
        Self(Shelf::with(|shelf| shelf.find(bytes)).unwrap_or_else(|| Vec::with_capacity(bytes)))
    }

    /// Its memory, for somebody who keeps it.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Shelf {
    fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        work(&mut SHELF.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One that is large enough, and not so large that most of it would be of no use.
    fn find(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let fits =
            |buffer: &Vec<u8>| (bytes..=bytes.saturating_mul(2)).contains(&buffer.capacity());
        let place = self.buffers.iter().rposition(fits)?;
        let found = self.buffers.remove(place);
        self.bytes -= found.capacity();
        Some(found)
    }

    /// Keeps a buffer; those that nobody has wanted for longest go.
    fn keep(&mut self, mut buffer: Vec<u8>) -> Vec<Vec<u8>> {
        buffer.clear();
        self.bytes += buffer.capacity();
        self.buffers.push(buffer);
        let mut gone = 0;
        while self.bytes > KEPT || self.buffers.len() - gone > MOST {
            self.bytes -= self.buffers.get(gone).map_or(self.bytes, Vec::capacity);
            gone += 1;
        }
        self.buffers.drain(..gone).collect()
    }
}

/// Makes room for `more` bytes behind those in a vector. If they are many, it gets other memory: the
/// allocator would move all that it holds, in use or not, if not to where it lies already.
pub(crate) fn reserve(bytes: &mut Vec<u8>, more: usize) {
    if more < LARGE || bytes.capacity() - bytes.len() >= more {
        return bytes.reserve(more);
    }
    // Twice as much each time: there may be many such parts.
    let twice = bytes.capacity().saturating_mul(2);
    let mut larger = Buffer::for_about(bytes.len().saturating_add(more).max(twice));
    larger.extend_from_slice(bytes);
    // What was there is kept for another one.
    std::mem::swap(bytes, &mut larger.0);
}

/// Gives all memory that is kept back to the allocator.
pub(crate) fn clear() {
    let all = Shelf::with(|shelf| {
        shelf.bytes = 0;
        std::mem::take(&mut shelf.buffers)
    });
    drop(all);
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if (LARGE..=KEPT).contains(&buffer.capacity()) {
            // Freed outside of the lock.
            drop(Shelf::with(|shelf| shelf.keep(buffer)));
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> Shelf {
        Shelf { buffers: Vec::new(), bytes: 0 }
    }

    #[test]
    fn a_buffer_is_used_again_for_what_is_about_as_large() {
        let mut shelf = shelf();
        assert!(shelf.keep(Vec::with_capacity(100_000)).is_empty());
        assert!(shelf.find(100_001).is_none() && shelf.find(49_999).is_none());
        let found = shelf.find(70_000).map(|buffer| (buffer.len(), buffer.capacity()));
        assert_eq!((found, shelf.bytes), (Some((0, 100_000)), 0));
        assert!(shelf.find(70_000).is_none(), "once");
    }

    #[test]
    fn room_is_made_behind_what_is_there() {
        let mut bytes = vec![1, 2, 3];
        for (more, least) in [(0, 3), (10, 13), (LARGE, LARGE + 3), (5 * LARGE, 5 * LARGE + 3)] {
            reserve(&mut bytes, more);
            assert!(bytes.capacity() >= least);
            let at = bytes.as_ptr();
            reserve(&mut bytes, more);
            assert_eq!((bytes.as_slice(), bytes.as_ptr()), (&[1, 2, 3][..], at));
        }
    }

    #[test]
    fn many_large_parts_are_moved_a_few_times() {
        let (mut bytes, part) = (Vec::new(), vec![7; LARGE]);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..256 {
            reserve(&mut bytes, part.len());
            bytes.extend_from_slice(&part);
            places.insert(bytes.capacity());
        }
        assert!(bytes.len() == 256 * LARGE && places.len() < 12, "{places:?}");
    }

    #[test]
    fn no_more_than_a_little_is_kept() {
        let mut shelf = shelf();
        for n in 0..100 {
            shelf.keep(Vec::with_capacity([1 << 16, 1 << 20][n % 2] | n));
            assert!(shelf.bytes <= KEPT && shelf.buffers.len() <= MOST);
        }
        assert_eq!(shelf.bytes, shelf.buffers.iter().map(Vec::capacity).sum::<usize>());
        let last = shelf.keep(Vec::with_capacity(KEPT));
        assert!(!last.is_empty() && shelf.buffers.len() == 1, "the newest stays");
    }
}
