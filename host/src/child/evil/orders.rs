//! Orders for evil workers, and what they tell: what test and worker must agree on.
//!
//! This module must not do any of it.

use crate::process::sys;
use crate::ring::map::Control;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// Variable with the folder.
pub(crate) const LAB: &str = "SANDPOOL_TEST_LAB";
/// The item that sets off the first deed.
pub(crate) const FIRST: i64 = 1 << 40;
/// Bytes of the file in which a worker tells where it is.
pub(crate) const STAGE: usize = 4096;

/// A place in the life of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Point {
    BeforeHello,
    BeforeReady,
    /// Sealed, with nothing to do yet.
    Ready,
    /// An item is published and not claimed.
    Unclaimed,
    /// Inside of an item.
    Running,
    /// The first half of its result is written.
    HalfResult,
    /// The item is done and its result not written.
    BeforeResult,
    /// The result is published, and the next item not claimed.
    BeforeNext,
}

/// What a worker does once it is somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Exit(i32),
    /// Tells that it is there, and waits for what happens.
    Park,
}

/// What a worker does wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
    // Before it serves.
    OtherHello,
    Garbage(Vec<u8>),
    Refuse(String),
    ReadyTwice,
    CloseBell,
    /// Claims nothing of what it is given, and lets a result come instead.
    Murmur,
    // Before it serves, or at an item.
    /// Ends, and leaves a child that holds all that it had open.
    LeaveChild,
    // Anywhere.
    At(Point, End),
    // At an item.
    /// A frame with this head and so many bytes.
    Frame {
        kind: u8,
        len: u64,
        bytes: usize,
    },
    Twice,
    /// Two results, the second one for the next item, which it claims and does not run.
    Ahead,
    /// An honest result, and one more once it has nothing to do.
    Unsolicited,
    /// The right result, byte by byte with these pauses.
    Dribble(u64),
    /// Says that the item has ended, and lets its result come byte by byte, always another one.
    Trickle,
    /// Says that the item has ended, and nothing more.
    Shirk,
    /// Results for ever.
    Flood,
    /// One result that never ends.
    Stream,
    /// Bells for ever.
    Bells,
    /// Writes these bits into the control block.
    Set(Field, u64),
    Add(Field, i64),
    /// Takes its claim back and is gone, before anybody has looked.
    Unclaim,
    /// Writes the claim word again and again.
    Contend,
    /// Answers with the error number of an attempt to change the ring's length.
    Truncate(u64),
    Wrong(Vec<u8>),
    Long(usize),
    LongLogs(usize),
    /// A report of this kind, by number, and so many bytes behind it.
    Report(usize, usize),
    Fatal,
    Note(String),
    /// Closes every descriptor that it has, and runs on.
    CloseAll,
}

/// A word of the control block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Field {
    Word,
    ItemsTail,
    ResultsHead,
    BellAt,
    ItemsHead,
    ResultsTail,
    RowEnd,
    WorkerWaits,
    HostWaits,
    NoteLen,
}

impl Field {
    pub(crate) const ALL: [Self; 10] = [
        Self::Word,
        Self::ItemsTail,
        Self::ResultsHead,
        Self::BellAt,
        Self::ItemsHead,
        Self::ResultsTail,
        Self::RowEnd,
        Self::WorkerWaits,
        Self::HostWaits,
        Self::NoteLen,
    ];

    pub(super) fn at(self) -> usize {
        let offset = match self {
            Self::Word => offset_of!(Control, word),
            Self::ItemsTail => offset_of!(Control, items_tail),
            Self::ResultsHead => offset_of!(Control, results_head),
            Self::BellAt => offset_of!(Control, bell_at),
            Self::ItemsHead => offset_of!(Control, items_head),
            Self::ResultsTail => offset_of!(Control, results_tail),
            Self::RowEnd => offset_of!(Control, row_end),
            Self::WorkerWaits => offset_of!(Control, worker_waits),
            Self::HostWaits => offset_of!(Control, host_waits),
            Self::NoteLen => offset_of!(Control, note_len),
        };
        offset / 8
    }
}

/// A folder with orders, as test and worker see it.
#[derive(Clone, Debug)]
pub(crate) struct Lab(PathBuf);

impl Lab {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The orders, if they are for this worker: if there are tokens, it needs one.
    pub(super) fn orders(&self) -> Option<Vec<Deed>> {
        let orders = fs::read(self.path("orders")).ok()?;
        if let Ok(tokens) = fs::read_dir(self.path("tokens")) {
            // Of several that try, one can remove a file.
            tokens.flatten().find(|token| fs::remove_file(token.path()).is_ok())?;
        }
        serde_json::from_slice(&orders).ok()
    }

    pub(super) fn mapped(&self, name: &str) -> Option<&'static [AtomicU8]> {
        let file = File::options().read(true).write(true).open(self.path(name)).ok()?;
        sys::map_shared(&file).ok()
    }

    /// Where to tell from behind the walls.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.mapped("stage").map(|bytes| Stage { bytes, pid: std::process::id() })
    }

    /// Tells that this process is at a point and what its number is; before the walls.
    pub(super) fn tell(&self, point: Point) {
        tell(self.stage(), point);
    }
}

/// Where a worker tells how far it got.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    bytes: &'static [AtomicU8],
    /// Asked for before the walls, as that is a system call.
    pid: u32,
}

impl Stage {
    fn tell(self, point: Point) {
        for (byte, at) in self.pid.to_le_bytes().into_iter().zip(&self.bytes[1..5]) {
            at.store(byte, Ordering::Relaxed);
        }
        self.bytes[0].store(point as u8 + 1, Ordering::Release);
    }
}

pub(super) fn tell(stage: Option<Stage>, point: Point) {
    if let Some(stage) = stage {
        stage.tell(point);
    }
}

/// The process that stands at a point, as it told.
pub(crate) fn told(stage: &[u8], point: Point) -> Option<u32> {
    let there = stage.first() == Some(&(point as u8 + 1));
    let pid = stage.get(1..5)?.try_into().map(u32::from_le_bytes).ok()?;
    there.then_some(pid)
}
