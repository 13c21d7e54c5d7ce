//! Cuts a byte stream into items at a separator, in bounded memory.
//!
//! This module must not look into items, nor know where the bytes come from.

use memchr::memchr;
use std::io;

/// What is asked of the system at once.
const BLOCK: usize = 128 * 1024;

/// Where bytes come from.
pub(super) trait Bytes {
    /// Fills the front of `block`. `Ok(Some(0))` is the end; `Ok(None)` says that nothing more is
    /// wanted from this input, whatever it may still have.
    fn fill(&mut self, block: &mut [u8]) -> io::Result<Option<usize>>;
}

/// What the next cut gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// An item, and whether a separator followed it (the last one may lack it).
    Item { ended: bool },
    /// An item of more than the limit; it was skipped.
    TooLong,
    /// There are no more.
    End,
}

/// A stream that is being cut.
pub(super) struct Splitter<B> {
    bytes: B,
    separator: u8,
    limit: usize,
    block: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<B: Bytes> Splitter<B> {
    /// Items end at `separator`, and have at most `limit` bytes before it.
    pub(super) fn new(bytes: B, separator: u8, limit: usize) -> Self {
        let block = vec![0; BLOCK].into_boxed_slice();
        Self { bytes, separator, limit, block, start: 0, end: 0 }
    }

    /// Writes the next item to `out`, which is empty, without its separator.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> io::Result<Cut> {
        let mut any = false;
        let mut too_long = false;
        loop {
            if self.start == self.end {
                self.start = 0;
                self.end = 0;
                match self.bytes.fill(&mut self.block)? {
                    // What was read of an item that is not whole is none.
                    None => return Ok(Cut::End),
                    Some(0) if !any => return Ok(Cut::End),
                    Some(0) => return Ok(cut(too_long, false)),
                    Some(filled) => self.end = filled.min(self.block.len()),
                }
            }
            any = true;
            let rest = self.block.get(self.start..self.end).unwrap_or_default();
            let found = memchr(self.separator, rest);
            let piece = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
            self.start += piece.len() + usize::from(found.is_some());
            if !too_long && out.len() + piece.len() > self.limit {
                too_long = true;
                *out = Vec::new();
            }
            if !too_long {
                out.extend_from_slice(piece);
            }
            if found.is_some() {
                return Ok(cut(too_long, true));
            }
        }
    }
}

fn cut(too_long: bool, ended: bool) -> Cut {
    if too_long { Cut::TooLong } else { Cut::Item { ended } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives bytes in pieces of the given sizes, over and over.
    struct Pieces(Vec<u8>, usize, Vec<usize>);

    impl Bytes for Pieces {
        fn fill(&mut self, block: &mut [u8]) -> io::Result<Option<usize>> {
            let size = self.2[self.1 % self.2.len()].clamp(1, block.len()).min(self.0.len());
            self.1 += 1;
            block[..size].copy_from_slice(&self.0[..size]);
            self.0.drain(..size);
            Ok(Some(size))
        }
    }

    fn all(text: &[u8], limit: usize, sizes: Vec<usize>) -> Vec<(Cut, Vec<u8>)> {
        let mut splitter = Splitter::new(Pieces(text.to_vec(), 0, sizes), b'\n', limit);
        let mut items = Vec::new();
        loop {
            let mut out = Vec::new();
            match splitter.next(&mut out).expect("reads") {
                Cut::End => return items,
                cut => items.push((cut, out)),
            }
        }
    }

    #[test]
    fn the_last_item_may_lack_its_separator() {
        let item = |text: &[u8], ended| (Cut::Item { ended }, text.to_vec());
        assert_eq!(all(b"", 9, vec![9]), []);
        assert_eq!(all(b"a\nb", 9, vec![9]), [item(b"a", true), item(b"b", false)]);
        assert_eq!(all(b"a\n\n", 9, vec![9]), [item(b"a", true), item(b"", true)]);
    }

    #[test]
    fn a_long_item_is_skipped_whole_and_one_at_the_limit_is_not() {
        let cuts = all(b"1234\n12345\n1\n1234567890", 4, vec![3]);
        let kinds: Vec<Cut> = cuts.iter().map(|(cut, _)| *cut).collect();
        let item = Cut::Item { ended: true };
        assert_eq!(kinds, [item, Cut::TooLong, item, Cut::TooLong]);
        assert!(cuts[1].1.is_empty() && cuts[2].1 == b"1");
    }

    #[test]
    fn an_item_that_is_not_whole_is_dropped_when_nothing_more_is_wanted() {
        struct Stopped(bool);
        impl Bytes for Stopped {
            fn fill(&mut self, block: &mut [u8]) -> io::Result<Option<usize>> {
                if std::mem::replace(&mut self.0, true) {
                    return Ok(None);
                }
                block[..3].copy_from_slice(b"a\nb");
                Ok(Some(3))
            }
        }
        let mut splitter = Splitter::new(Stopped(false), b'\n', 9);
        assert_eq!(splitter.next(&mut Vec::new()).expect("reads"), Cut::Item { ended: true });
        assert_eq!(splitter.next(&mut Vec::new()).expect("reads"), Cut::End);
    }

    proptest! {
        #[test]
        fn cuts_are_those_of_std(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            sizes in proptest::collection::vec(1_usize..20, 1..5),
        ) {
            let found: Vec<Vec<u8>> =
                all(&text, usize::MAX, sizes).into_iter().map(|(_, item)| item).collect();
            let mut wanted: Vec<Vec<u8>> =
                text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if wanted.last().is_some_and(Vec::is_empty) {
                wanted.pop();
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
