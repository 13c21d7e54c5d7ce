//! Sleeping and waking: nobody sleeps while there is something for it.

use super::Pipe;
use crate::ring::bell::Waiting;
use crate::ring::sync::{AtomicU32, Ordering};
use crate::ring::word::{Claim, Word};
use loom::sync::Arc;
use loom::thread;

/// The result stream, as far as it takes waiting for.
struct Stream {
    head: AtomicU32,
    tail: AtomicU32,
    worker_waits: Waiting,
    worker_pipe: Pipe,
    host_waits: Waiting,
    host_pipe: Pipe,
}

impl Stream {
    /// One of whose bytes the host has not taken.
    fn with_a_byte() -> Arc<Self> {
        Arc::new(Self {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(1),
            worker_waits: Waiting::new(),
            worker_pipe: Pipe::new(),
            host_waits: Waiting::new(),
            host_pipe: Pipe::new(),
        })
    }
}

/// The worker waits for items, the host publishes: `WorkerRing::await_item` against
/// `HostRing::commit`.
#[test]
fn the_worker_does_not_sleep_through_an_item() {
    loom::model(|| {
        let shared = Arc::new((Word::new(), Waiting::new(), Pipe::new()));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, waits, pipe) = &*shared;
                loop {
                    if let Claim::Item(item) = word.claim() {
                        return item.bits();
                    }
                    waits.raise();
                    let now = word.read();
                    if now.claimed == now.limit {
                        pipe.read();
                    } else {
                        waits.lower();
                    }
                }
            })
        };
        let (word, waits, pipe) = &*shared;
        word.publish(1).unwrap();
        if waits.must_ring() {
            pipe.write();
        }
        assert_eq!(worker.join().unwrap(), 0);
    });
}

/// The host waits for results, the worker publishes them by their tail and ends the item:
/// `Keeper::sleep` against `WorkerRing::claim`, for two items with a bell asked for at the second.
#[test]
fn the_host_does_not_sleep_through_the_last_result() {
    loom::model(|| {
        let shared = Arc::new((Word::new(), AtomicU32::new(0), Waiting::new(), Pipe::new()));
        shared.0.publish(1).unwrap();
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, tail, waits, pipe) = &*shared;
                while let Claim::Item(_) = word.claim() {
                    tail.store(tail.load(Ordering::Relaxed) + 1, Ordering::Release);
                }
                // Nothing is left: this end is always announced.
                if waits.must_ring() {
                    pipe.write();
                }
            })
        };
        let (_, tail, waits, pipe) = &*shared;
        loop {
            if tail.load(Ordering::Acquire) == 1 {
                break;
            }
            waits.raise();
            if tail.load(Ordering::Acquire) == 1 {
                waits.lower();
            } else {
                pipe.read();
            }
        }
        worker.join().unwrap();
    });
}

/// The worker waits for room in the result stream, the host frees it: `WorkerRing::write_bytes`
/// against `HostRing::release`, while each is the other's waker.
#[test]
fn both_sides_may_wait_for_each_other_in_turn() {
    loom::model(|| {
        let stream = Stream::with_a_byte();
        let worker = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || {
                // There is room for one piece, and it is taken by the first.
                while stream.head.load(Ordering::Acquire) != 1 {
                    stream.worker_waits.raise();
                    if stream.head.load(Ordering::Acquire) == 1 {
                        stream.worker_waits.lower();
                    } else {
                        stream.worker_pipe.read();
                    }
                }
                stream.tail.store(2, Ordering::Release);
                if stream.host_waits.must_ring() {
                    stream.host_pipe.write();
                }
            })
        };
        let mut taken = 0;
        while taken < 2 {
            let tail = stream.tail.load(Ordering::Acquire);
            if tail > taken {
                taken = tail;
                stream.head.store(tail, Ordering::Release);
                if stream.worker_waits.must_ring() {
                    stream.worker_pipe.write();
                }
                continue;
            }
            stream.host_waits.raise();
            if stream.tail.load(Ordering::Acquire) > taken {
                stream.host_waits.lower();
            } else {
                stream.host_pipe.read();
            }
        }
        worker.join().unwrap();
    });
}

/// The host rings only if it took a quarter of the arena: `HostRing::take` against
/// `WorkerRing::await_room`. The arena has eight bytes, and the worker wants to write two when one
/// is free at most, until the host has taken the first.
#[test]
fn a_host_that_took_little_owes_no_bell() {
    const ARENA: u32 = 8;
    const QUARTER: u32 = ARENA / 4;
    let seen = super::Seen::default();
    let noted = seen.clone();
    super::bounded(3, move || {
        let stream = Stream::with_a_byte();
        let worker = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || {
                let show = |tail: u32| {
                    stream.tail.store(tail, Ordering::Release);
                    if stream.host_waits.must_ring() {
                        stream.host_pipe.write();
                    }
                };
                let room = |tail: u32| stream.head.load(Ordering::Acquire) + ARENA - tail;
                show(7);
                while room(7) < QUARTER {
                    stream.worker_waits.raise();
                    if room(7) >= QUARTER {
                        stream.worker_waits.lower();
                    } else {
                        stream.worker_pipe.read();
                    }
                }
                show(9);
            })
        };
        let (mut taken, mut quiet) = (0, 0);
        while taken < 9 {
            let available = stream.tail.load(Ordering::Acquire) - taken;
            taken += available;
            stream.head.store(taken, Ordering::Release);
            if available < QUARTER {
                quiet += u32::from(available > 0);
            } else if stream.worker_waits.must_ring() {
                stream.worker_pipe.write();
            }
            stream.host_waits.raise();
            if taken == 9 || stream.tail.load(Ordering::Acquire) > taken {
                stream.host_waits.lower();
            } else {
                stream.host_pipe.read();
            }
        }
        worker.join().unwrap();
        noted.note(quiet);
    });
    assert!(seen.all().len() > 1, "with and without a bell: {:?}", seen.all());
}
