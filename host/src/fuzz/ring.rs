//! A ring whose memory anybody may have written: the host's end of it, as a keeper uses it.

use super::Script;
use crate::description::Form;
use crate::keeper::bounds::Bounds;
use crate::limits::Limits;
use crate::ring::frame::{Context, Items, ResultKind, Size, append};
use crate::ring::inbox::Found;
use crate::ring::map::{self, ARENA, Region, Stream};
use crate::ring::{HostRing, Inbox, Violation};
use crate::wire::report;
use std::sync::atomic::Ordering;

/// Longest result that the host accepts here.
const MAX_RESULT: u64 = 3 << 20;
/// Words of the control block that mean something.
const WORDS: u8 = 48;

struct Host {
    ring: HostRing,
    bounds: Bounds,
    /// Results, one after the other, as a keeper gathers them.
    inbox: Inbox,
    newest: Vec<u8>,
    pushed: u64,
    ended: u64,
}

impl Host {
    /// Hands over items of these lengths.
    fn push(&mut self, lens: &[usize]) -> Result<(), Violation> {
        let form = Form::Binary;
        let context = Context { index: self.pushed, attempt: 0, function: 0, form, star: false };
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for len in lens {
            let encode = |out: &mut Vec<u8>| {
                out.resize(out.len() + len, 1);
                Ok::<_, ()>(())
            };
            append(&mut bytes, encode).expect("it always can");
            ends.push(bytes.len());
        }
        let n = self.ring.push(context, Items::framed(&bytes, &ends, 0))?;
        if let Some(last) = n.checked_sub(1) {
            self.pushed += n as u64;
            let start = last.checked_sub(1).map_or(0, |before| ends[before]);
            self.newest = bytes[start..ends[last]].to_vec();
            self.ring.commit()?;
        }
        Ok(())
    }

    /// Hands over items of one size.
    fn push_alike(&mut self, n: usize, size: Size) -> Result<(), Violation> {
        let form = Form::Binary;
        let context = Context { index: self.pushed, attempt: 0, function: 0, form, star: false };
        let bytes = vec![1; n * size.stride()];
        let n = self.ring.push(context, Items::fixed(&bytes, size))?;
        if n > 0 {
            self.pushed += n as u64;
            self.ring.commit()?;
        }
        Ok(())
    }

    /// Takes results, checks them, and marks their items as ended.
    fn take(&mut self) -> Result<(), Violation> {
        self.ring.take(&mut self.inbox)?;
        if let Some(value) = self.inbox.take_alone() {
            self.bounds.value(value.len())?;
            self.ring.end(1)?;
            self.ended += 1;
        }
        let mut mark = self.inbox.start();
        while let Some(found) = self.inbox.find(&mut mark)? {
            let (at, count) = (mark.at, self.check(&found)?);
            mark.at = match found {
                Found::Values { size, count } => at + count * size.stride(),
                Found::Frame { next, .. } => next,
            };
            assert!(mark.at > at && mark.at <= self.inbox.bytes.len());
            self.ring.end(count)?;
            self.ended += count as u64;
            assert!(self.ended <= self.pushed, "no item ends twice");
        }
        drop(self.inbox.take(mark));
        Ok(())
    }

    /// Checks results, and tells how many they are.
    fn check(&self, found: &Found) -> Result<usize, Violation> {
        let (kind, bytes) = match found {
            Found::Values { size, count } => {
                return self.bounds.value(size.bytes()).map(|()| *count);
            }
            Found::Frame { kind, bytes, .. } => (*kind, bytes.clone()),
        };
        let bytes = self.inbox.bytes.get(bytes).expect("it was found there");
        match kind {
            ResultKind::Value => self.bounds.value(bytes.len())?,
            ResultKind::LoggedValue => {
                let mut rest = bytes;
                let logs = report::decode_logs(&mut rest).ok_or(Violation::Report)?;
                self.bounds.logs(&logs)?;
                self.bounds.value(rest.len())?;
            }
            ResultKind::Failure | ResultKind::Fatal => {
                let (_, logs) = report::decode_failure(bytes).ok_or(Violation::Report)?;
                self.bounds.logs(&logs)?;
            }
            ResultKind::Row => panic!("what says how to read the rest is not found"),
        }
        Ok(1)
    }

    /// What a keeper does next.
    fn step(&mut self, script: &mut Script<'_>) -> Result<(), Violation> {
        match script.u8() % 11 {
            0 => {
                let len = usize::from(script.u8());
                self.push(&[len, 0, len])?;
            }
            1 => self.push(&[ARENA / 2 * usize::from(script.u8() % 5)])?,
            2 => drop(self.ring.feed(&self.newest)?),
            3 | 4 => self.take()?,
            5 => drop(self.ring.recall(u32::from(script.u8() % 4))?),
            6 => drop(self.ring.condemn()?),
            7 => {
                self.ring.observe()?;
                assert!(u64::from(self.ring.claimed_unended()) <= self.pushed);
            }
            8 => {
                self.ring.bell_after(u32::from(script.u8()));
                self.ring.raise();
                let _ = (self.ring.has_results(), self.ring.must_ring());
                self.ring.lower();
            }
            9 => {
                let (n, bytes) = (usize::from(script.u8() % 8) + 1, usize::from(script.u8()));
                self.push_alike(n, Size::of(bytes).expect("it is small"))?;
            }
            _ => assert!(self.ring.note().is_none_or(|note| !note.contains(char::is_control))),
        }
        Ok(())
    }
}

/// What a worker does next, be it honest or not.
fn worker(region: &mut Region, script: &mut Script<'_>) {
    match script.u8() % 6 {
        0 => {
            let at = script.u8() % WORDS;
            region.raw_word(usize::from(at)).store(script.u64(), Ordering::SeqCst);
        }
        1 => {
            let at = script.u8() % WORDS;
            let by = script.u8().cast_signed();
            region.raw_word(usize::from(at)).fetch_add(by as i64 as u64, Ordering::SeqCst);
        }
        2 => drop(region.control().word.claim()),
        3 => {
            let items = region.control().items_tail.load(Ordering::SeqCst);
            region.control().items_head.store(items, Ordering::SeqCst);
        }
        kind => {
            // Bytes at the end of the results, published or not.
            let tail = region.control().results_tail.load(Ordering::SeqCst);
            let len = usize::from(script.u8() % 64);
            let bytes = script.bytes(len);
            region.write(Stream::Results, tail, bytes);
            if kind == 4 {
                let tail = tail.wrapping_add((bytes.len() as u64).next_multiple_of(8));
                region.control().results_tail.store(tail, Ordering::SeqCst);
            }
        }
    }
}

/// Whatever stands in the memory, the host ends with an error or with something that an honest
/// worker could have said; it does not panic, loop or take much memory.
pub fn ring(data: &[u8]) {
    let file = map::create().expect("a file in memory");
    let mut region = Region::map(&file).expect("it can be mapped");
    let limits = Limits { output: 1 << 20, log: 1000, ..Limits::default() };
    let mut host = Host {
        ring: HostRing::new(Region::map(&file).expect("it can be mapped")),
        bounds: Bounds::of(&limits),
        inbox: Inbox::new(MAX_RESULT),
        newest: Vec::new(),
        pushed: 0,
        ended: 0,
    };
    let mut script = Script(data);
    while !script.is_over() {
        if script.u8() % 2 == 0 {
            worker(&mut region, &mut script);
        } else if host.step(&mut script).is_err() {
            break;
        }
        assert!(host.inbox.bytes.capacity() < 16 << 20);
    }
    // A keeper looks at the ruins.
    let _ = (host.ring.observe(), host.take(), host.ring.note());
}
