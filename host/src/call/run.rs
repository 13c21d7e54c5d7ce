//! Outcomes that came together: results as they lay in the ring, copied once and checked, read
//! front to back.
//!
//! This module must not know calls or workers. Only what was checked comes here, but it is read
//! with care all the same.

use crate::buffers::Buffer;
use crate::outcome::{Failure, Logs, TaskError, TaskErrorKind};
use crate::ring::frame::{Head, Layout, ResultKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Results of a worker as they lay in the ring, and what there is to know besides values.
#[derive(Debug, Default)]
pub(crate) struct Results {
    bytes: Buffer,
    /// What the few that are more than a value have, by where their frames start.
    notes: Vec<(usize, Note)>,
}

/// What a result is besides a value.
#[derive(Debug)]
pub(crate) enum Note {
    /// What its item wrote, ahead of a value that starts here.
    Logs(Logs, usize),
    /// It is no value.
    Error(TaskError),
}

impl Results {
    /// What was checked, with a note for each frame that is not just a value, in order.
    pub(crate) fn new(bytes: Buffer, notes: Vec<(usize, Note)>) -> Self {
        Self { bytes, notes }
    }
}

/// Outcomes of items in a row.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Index of the first item.
    index: u64,
    len: u64,
    /// How many times each of them was started.
    attempts: u32,
    ends: Ends,
}

#[derive(Clone, Debug)]
enum Ends {
    /// As a worker told: from `at` to `end`, and the notes that belong to them.
    Told { results: Arc<Results>, layout: Layout, at: usize, end: usize, notes: Range<usize> },
    /// One item with a large value, which is all there is in these.
    Alone(Arc<Results>),
    /// One item, with this error.
    Failed(TaskError),
    /// All alike, without having ended by themselves.
    Stopped(TaskErrorKind, Option<Duration>),
}

/// How one item ended.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) index: u64,
    pub(crate) attempts: u32,
    pub(crate) logs: Option<&'a Logs>,
    pub(crate) result: Result<Value<'a>, Box<Apart>>,
}

/// An encoded value, one of many that share a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) bytes: &'a [u8],
    results: &'a Arc<Results>,
    start: usize,
}

/// What does not lie among other values.
#[derive(Debug)]
pub(crate) enum Apart {
    Error(TaskError),
    /// A large value, in a buffer that nobody else has.
    Value(Buffer),
}

/// As [`Value`], but keeps the buffer.
#[derive(Clone, Debug)]
pub(crate) struct KeptValue {
    results: Arc<Results>,
    place: Range<usize>,
}

impl Value<'_> {
    pub(crate) fn keep(self) -> KeptValue {
        let place = self.start..self.start + self.bytes.len();
        KeptValue { results: Arc::clone(self.results), place }
    }
}

impl KeptValue {
    /// One that is all of these bytes.
    pub(crate) fn alone(bytes: Buffer) -> Self {
        let place = 0..bytes.len();
        Self { results: Arc::new(Results::new(bytes, Vec::new())), place }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.results.bytes.get(self.place.clone()).unwrap_or(&[])
    }
}

impl Run {
    /// Results of `len` items that lie there in `results`, and so, with these notes.
    pub(crate) fn told(
        (index, len, attempts): (u64, u64, u32),
        results: &Arc<Results>,
        (layout, place): (Layout, Range<usize>),
        notes: Range<usize>,
    ) -> Self {
        let results = Arc::clone(results);
        let ends = Ends::Told { results, layout, at: place.start, end: place.end, notes };
        Self { index, len, attempts, ends }
    }

    /// One item with a value that is all of these bytes.
    pub(crate) fn alone((index, attempts): (u64, u32), bytes: Buffer) -> Self {
        let ends = Ends::Alone(Arc::new(Results::new(bytes, Vec::new())));
        Self { index, len: 1, attempts, ends }
    }

    /// One item without a value.
    pub(crate) fn failed(error: TaskError) -> Self {
        let (index, attempts) = (error.index(), error.attempts());
        Self { index, len: 1, attempts, ends: Ends::Failed(error) }
    }

    /// Items that were not started, or whose end nobody waits for; `limit` is what the call was
    /// given, if it ran out of it.
    pub(crate) fn stopped(items: Range<u64>, kind: TaskErrorKind, limit: Option<Duration>) -> Self {
        let len = items.end - items.start;
        Self { index: items.start, len, attempts: 0, ends: Ends::Stopped(kind, limit) }
    }

    /// No items.
    pub(crate) fn none() -> Self {
        Self::stopped(0..0, TaskErrorKind::Cancelled, None)
    }

    /// Index of the first item.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// Items that are left.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that are held for it.
    pub(crate) fn size(&self) -> u64 {
        if self.len == 0 {
            return 0;
        }
        match &self.ends {
            Ends::Told { results, at, end, notes, .. } => {
                let notes = results.notes.get(notes.clone()).unwrap_or(&[]);
                let noted = |(_, note): &(usize, Note)| match note {
                    Note::Logs(logs, _) => logs.size(),
                    Note::Error(error) => error.size(),
                };
                (end - at) as u64 + notes.iter().map(noted).sum::<u64>()
            }
            Ends::Alone(results) => results.bytes.len() as u64,
            Ends::Failed(error) => error.size(),
            Ends::Stopped(..) => 0,
        }
    }

    /// The kinds of the items without a value, and how many of each there are in a row.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (TaskErrorKind, u64)> {
        let (notes, alike) = match &self.ends {
            Ends::Told { results, notes, .. } => (results.notes.get(notes.clone()), None),
            Ends::Alone(_) => (None, None),
            Ends::Failed(error) => (None, Some((error.kind(), 1))),
            Ends::Stopped(kind, _) => (None, Some((*kind, self.len))),
        };
        let told = notes.unwrap_or(&[]).iter().filter_map(|(_, note)| match note {
            Note::Error(error) => Some((error.kind(), 1)),
            Note::Logs(..) => None,
        });
        told.chain(alike.filter(|(_, n)| *n > 0))
    }

    /// Whether these are items that ended because the pool did.
    pub(crate) fn is_terminated(&self) -> bool {
        match &self.ends {
            Ends::Told { .. } | Ends::Alone(_) => false,
            Ends::Failed(error) => error.kind() == TaskErrorKind::Terminated,
            Ends::Stopped(kind, _) => *kind == TaskErrorKind::Terminated,
        }
    }

    /// Takes the first `n` items off (or all, if there are fewer).
    pub(crate) fn take_front(&mut self, n: u64) -> Self {
        if n >= self.len {
            return std::mem::replace(self, Self { index: self.index + self.len, ..Self::none() });
        }
        let mut front = Self { len: n, ..self.clone() };
        self.skip(n);
        if let (Ends::Told { end, notes, .. }, Ends::Told { at, notes: rest, .. }) =
            (&mut front.ends, &self.ends)
        {
            (*end, notes.end) = (*at, rest.start);
        }
        front
    }

    /// Forgets the first `n` items.
    pub(crate) fn skip(&mut self, n: u64) {
        let n = n.min(self.len);
        match &mut self.ends {
            Ends::Told { layout: Layout::Framed, .. } => {
                return (0..n).for_each(|_| drop(self.next()));
            }
            // There is no more of them than what lies in memory.
            Ends::Told { layout: Layout::Fixed(size), at, .. } => *at += n as usize * size.stride(),
            Ends::Alone(_) | Ends::Failed(_) | Ends::Stopped(..) => {}
        }
        self.index += n;
        self.len -= n;
    }

    /// The next outcome.
    // Returned through memory, it is written in words and read in pairs of them, which stalls.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Out<'_>> {
        if self.len == 0 {
            return None;
        }
        let (index, attempts) = (self.index, self.attempts);
        self.index += 1;
        self.len -= 1;
        match &mut self.ends {
            Ends::Told { results, layout: Layout::Fixed(size), at, .. } => {
                let value = results.value(*at..*at + size.bytes());
                *at += size.stride();
                Some(Out { index, attempts, logs: None, result: Ok(value) })
            }
            Ends::Told { results, at, notes, .. } => {
                let (logs, result) = results.read(at, notes);
                Some(Out { index, attempts, logs, result })
            }
            Ends::Alone(results) => {
                let result = match Results::leave(results) {
                    Some(apart) => Err(apart),
                    None => Ok(results.value(0..results.bytes.len())),
                };
                Some(Out { index, attempts, logs: None, result })
            }
            ends => Some(Out { index, attempts, logs: None, result: Err(ends.error(index)) }),
        }
    }
}

impl Results {
    /// The one value there is, if nobody else has it.
    #[cold]
    fn leave(results: &mut Arc<Self>) -> Option<Box<Apart>> {
        let own = Arc::get_mut(results)?;
        Some(Box::new(Apart::Value(std::mem::take(&mut own.bytes))))
    }

    #[inline(always)]
    fn value<'a>(self: &'a Arc<Self>, place: Range<usize>) -> Value<'a> {
        let start = place.start;
        Value { bytes: self.bytes.get(place).unwrap_or(&[]), results: self, start }
    }

    /// Reads the frame at `at` and moves on, past its note too if it has one.
    #[inline(always)]
    fn read<'a>(
        self: &'a Arc<Self>,
        at: &mut usize,
        notes: &mut Range<usize>,
    ) -> (Option<&'a Logs>, Result<Value<'a>, Box<Apart>>) {
        let start = *at;
        // They were checked, so there is one.
        let Some((_, mut place, next)) = Head::<ResultKind>::read(&self.bytes, start) else {
            return (None, Ok(Value { bytes: &[], results: self, start }));
        };
        *at = next;
        let mut logs = None;
        if notes.start < notes.end
            && let Some((_, note)) = self.notes.get(notes.start).filter(|note| note.0 == start)
        {
            notes.start += 1;
            match note {
                Note::Error(error) => {
                    return (Some(error.logs()), Err(Box::new(Apart::Error(error.clone()))));
                }
                Note::Logs(written, value) => {
                    place.start = *value;
                    logs = Some(written);
                }
            }
        }
        (logs, Ok(self.value(place)))
    }
}

impl Ends {
    /// The error of an item that no worker told about.
    #[cold]
    fn error(&self, index: u64) -> Box<Apart> {
        Box::new(Apart::Error(match self {
            Self::Failed(error) => error.clone(),
            Self::Stopped(kind, limit) => {
                let text = limit.map_or_else(String::new, |limit| {
                    format!("the call had not ended after its {} ms", limit.as_millis())
                });
                TaskError::new(index, 0, Failure::new(*kind, text), Logs::default())
            }
            Self::Told { .. } | Self::Alone(_) => {
                TaskError::new(index, 0, Failure::default(), Logs::default())
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: ResultKind, bytes: &[u8]) -> Vec<u8> {
        let mut frame = Head { kind, len: bytes.len() as u64 }.encode().to_vec();
        frame.extend_from_slice(bytes);
        frame.resize(frame.len().next_multiple_of(8), 0);
        frame
    }

    fn logs(text: &str) -> Logs {
        Logs { stderr: text.into(), ..Logs::default() }
    }

    /// Items 10 to 14: a value, one with logs, an error, an empty value.
    fn run() -> Run {
        let mut frames = frame(ResultKind::Value, b"first");
        let mut notes = vec![(frames.len(), Note::Logs(logs("said"), frames.len() + 8 + 4))];
        frames.extend(frame(ResultKind::LoggedValue, b"SAIDsecond"));
        let failure = Failure::new(TaskErrorKind::Trapped, "no");
        let error = TaskError::new(12, 2, failure, Logs::default());
        notes.push((frames.len(), Note::Error(error)));
        frames.extend(frame(ResultKind::Failure, b"a report"));
        frames.extend(frame(ResultKind::Value, b""));
        let (frames_end, notes_end) = (frames.len(), notes.len());
        let results = Arc::new(Results::new(frames.into(), notes));
        Run::told((10, 4, 2), &results, (Layout::Framed, 0..frames_end), 0..notes_end)
    }

    fn read(mut run: Run) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        while let Some(out) = run.next() {
            let text = match out.result {
                Ok(value) => String::from_utf8_lossy(value.bytes).into_owned(),
                Err(apart) => match *apart {
                    Apart::Value(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Apart::Error(error) => error.message().to_owned(),
                },
            };
            let logs = out.logs.map(|logs| String::from_utf8_lossy(&logs.stderr).into_owned());
            found.push((out.index, text + &logs.unwrap_or_default()));
        }
        found
    }

    #[test]
    fn outcomes_are_read_front_to_back_with_what_belongs_to_them() {
        let all = [(10, "first"), (11, "secondsaid"), (12, "no"), (13, "")];
        assert_eq!(read(run()), all.map(|(index, text)| (index, text.to_owned())));
        let kinds: Vec<_> = run().errors().collect();
        assert_eq!(kinds, [(TaskErrorKind::Trapped, 1)]);
    }

    #[test]
    fn nothing_is_held_for_what_was_read() {
        let error =
            TaskError::new(0, 1, Failure::new(TaskErrorKind::TimedOut, "long"), Logs::default());
        for mut run in [run(), Run::failed(error), Run::alone((0, 1), vec![1; 9].into())] {
            assert!(run.size() > 0);
            while run.next().is_some() {}
            assert_eq!(run.size(), 0, "{run:?}");
        }
    }

    #[test]
    fn a_run_can_be_cut_anywhere() {
        for cut in 0..=5 {
            let mut back = run();
            let front = back.take_front(cut);
            assert_eq!(front.len() + back.len(), 4);
            assert_eq!(front.size() + back.size(), run().size(), "cut at {cut}");
            assert_eq!(front.errors().count() + back.errors().count(), 1);
            let mut both = read(front);
            both.extend(read(back));
            assert_eq!(both, read(run()), "cut at {cut}");
        }
    }

    #[test]
    fn values_of_one_size_lie_side_by_side() {
        let text = b"HEAD....one.....two.....six.....";
        let size = crate::ring::frame::Size::of(3).expect("it is small");
        let results = Arc::new(Results::new(text.to_vec().into(), Vec::new()));
        let run = Run::told((5, 3, 1), &results, (Layout::Fixed(size), 8..32), 0..0);
        let all = [(5, "one"), (6, "two"), (7, "six")];
        assert_eq!(read(run.clone()), all.map(|(index, text)| (index, text.to_owned())));
        for cut in 0..=4 {
            let mut back = run.clone();
            let front = back.take_front(cut);
            assert_eq!((front.len() + back.len(), front.size() + back.size()), (3, 24));
            let mut both = read(front);
            both.extend(read(back));
            assert_eq!(both, read(run.clone()), "cut at {cut}");
        }
    }

    #[test]
    fn a_value_that_is_kept_outlives_its_run() {
        let mut run = run();
        run.skip(1);
        let kept = run.next().and_then(|out| out.result.ok()).map(Value::keep);
        drop(run);
        assert_eq!(kept.as_ref().map(KeptValue::bytes), Some(&b"second"[..]));
    }

    #[test]
    fn a_large_value_leaves_with_its_buffer_if_nobody_else_has_it() {
        let bytes = vec![7; 1 << 20];
        let address = bytes.as_ptr();
        let mut run = Run::alone((3, 2), bytes.into());
        assert_eq!((run.index(), run.len(), run.size()), (3, 1, 1 << 20));
        let mut other = run.clone();
        let shared = other.next().and_then(|out| out.result.ok()).map(Value::keep);
        assert_eq!(shared.map(|value| value.bytes().as_ptr()), Some(address));
        drop(other);
        let own = run.next().and_then(|out| out.result.err());
        let Some(Apart::Value(own)) = own.map(|own| *own) else { panic!("it is not shared") };
        assert_eq!((own.as_ptr(), own.len()), (address, 1 << 20));
        assert!(run.next().is_none());
        assert_eq!(read(Run::alone((0, 1), b"whole".to_vec().into())), [(0, "whole".to_owned())]);
    }
}
