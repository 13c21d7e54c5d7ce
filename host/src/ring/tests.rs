//! Tests of the ring over real shared memory, with a thread as the worker.

mod hostile;
mod rows;
mod stream;

use super::frame::{Context, Items, ResultKind, append};
use super::host::{HostRing, Violation};
use super::inbox::{Found, Inbox};
use super::map::{self, Region};
use super::worker::{Stop, WorkerRing};
use crate::description::Form;
use crate::process::fds::bell_pipe;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;

/// Longest result that the host of a test accepts.
const MAX_RESULT: u64 = 8 * map::ARENA as u64;

/// A host and what it needs to wake and be woken.
struct Host {
    ring: HostRing,
    /// Write end of the worker's bell; dropped, it tells the worker that the host is gone.
    bell: Option<OwnedFd>,
    _their_bell: OwnedFd,
    host_bell: OwnedFd,
    /// The newest item as it travels, for those that are fed in pieces.
    newest: Vec<u8>,
    /// What was taken and not found yet.
    inbox: Inbox,
}

/// Both ends of a ring, and one more mapping of it for whoever wants to spoil it.
fn pair() -> (Host, WorkerRing, Region) {
    let file = map::create().unwrap();
    let (their_bell, bell) = bell_pipe(false).unwrap();
    let (host_bell, their_host_bell) = bell_pipe(true).unwrap();
    let worker = WorkerRing::new(
        Region::map(&file).unwrap(),
        their_bell.try_clone().unwrap(),
        their_host_bell,
    );
    let host = Host {
        ring: HostRing::new(Region::map(&file).unwrap()),
        bell: Some(bell),
        _their_bell: their_bell,
        host_bell,
        newest: Vec::new(),
        inbox: Inbox::new(MAX_RESULT),
    };
    (host, worker, Region::map(&file).unwrap())
}

fn context(index: u64) -> Context {
    Context { index, attempt: 0, function: 3, form: Form::Raw, star: false }
}

/// Items as they travel, and where each of them ends.
fn frames(items: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for item in items {
        let appended = append(&mut bytes, |out| {
            out.extend_from_slice(item);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = appended;
        ends.push(bytes.len());
    }
    (bytes, ends)
}

impl Host {
    fn ring_worker(&self) {
        if self.ring.must_ring() {
            rustix::io::write(self.bell.as_ref().unwrap(), &[1]).unwrap();
        }
    }

    /// Pushes and publishes an item. False if there is no room.
    fn push(&mut self, index: u64, bytes: &[u8]) -> bool {
        self.push_run(index, &[bytes]) == 1
    }

    /// Pushes and publishes items in a row, and tells how many there was room for.
    fn push_run(&mut self, index: u64, items: &[&[u8]]) -> usize {
        let (bytes, ends) = frames(items);
        let pushed = self.ring.push(context(index), Items::framed(&bytes, &ends, 0)).unwrap();
        if pushed > 0 {
            self.ring.commit().unwrap();
            self.newest = frames(&items[pushed - 1..pushed]).0;
            self.ring_worker();
        }
        pushed
    }

    /// The next result that is there: its kind and bytes.
    fn take(&mut self) -> Result<Option<(ResultKind, Vec<u8>)>, Violation> {
        if self.ring.take(&mut self.inbox)? {
            rustix::io::write(self.bell.as_ref().unwrap(), &[1]).unwrap();
        }
        let found = self.inbox.pop()?;
        if found.is_some() {
            self.ring.end(1)?;
        }
        Ok(found)
    }

    /// The next result. Feeds what is missing of the newest item meanwhile.
    fn next(&mut self) -> (ResultKind, Vec<u8>) {
        loop {
            if self.ring.feed(&self.newest).unwrap() {
                self.ring_worker();
            }
            if let Some(taken) = self.take().unwrap() {
                return taken;
            }
            self.ring.bell_after(1);
            self.ring.raise();
            if self.ring.has_results() || self.ring.room_for_more().unwrap() {
                self.ring.lower();
                continue;
            }
            let mut set = [PollFd::new(&self.host_bell, PollFlags::IN)];
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut set, Some(&patience)).unwrap(), 1, "nobody rings the host");
            let _ = rustix::io::read(&self.host_bell, &mut [0_u8; 64]);
        }
    }
}

impl Inbox {
    /// Takes the next result off: its kind and bytes.
    pub(crate) fn pop(&mut self) -> Result<Option<(ResultKind, Vec<u8>)>, Violation> {
        if let Some(value) = self.take_alone() {
            return Ok(Some((ResultKind::Value, value.into_vec())));
        }
        let mut mark = self.start();
        let (kind, place, next) = match self.find(&mut mark)? {
            None => return Ok(None),
            Some(Found::Values { size, .. }) => {
                (ResultKind::Value, mark.at..mark.at + size.bytes(), mark.at + size.stride())
            }
            Some(Found::Frame { kind, bytes, next }) => (kind, bytes, next),
        };
        let bytes = self.bytes[place].to_vec();
        mark.at = next;
        self.take(mark);
        Ok(Some((kind, bytes)))
    }
}

/// A worker that answers each item with `answer` of its index and bytes, until the host is gone.
fn answering(
    mut worker: WorkerRing,
    mut answer: impl FnMut(u64, &[u8]) -> (ResultKind, Vec<Vec<u8>>) + Send + 'static,
) -> std::thread::JoinHandle<Stop> {
    std::thread::spawn(move || {
        loop {
            let step = match worker.claim() {
                Ok(None) => worker.await_item(),
                Err(stop) => Err(stop),
                Ok(Some(claimed)) => match answer(claimed.context.index, worker.bytes(&claimed)) {
                    (ResultKind::Value, parts) => {
                        worker.publish_value(claimed, &parts.concat(), &[])
                    }
                    (kind, parts) => {
                        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                        worker.publish(claimed, kind, &parts)
                    }
                },
            };
            if let Err(stop) = step {
                return stop;
            }
        }
    })
}

/// Bytes that are unlike those of any other item or place.
fn pattern(index: u64, len: usize) -> Vec<u8> {
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ len as u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}
