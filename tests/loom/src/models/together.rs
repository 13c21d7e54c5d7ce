//! Publishing, recalling, condemning and both bells at once, as a keeper uses them.

use super::{Pipe, bounded, count};
use crate::ring::bell::Waiting;
use crate::ring::word::{Claim, Word};
use loom::sync::Arc;
use loom::thread;

struct Shared {
    word: Word,
    worker_waits: Waiting,
    worker_pipe: Pipe,
}

impl Shared {
    fn publish(&self, n: u32) {
        self.word.publish(n).unwrap();
        if self.worker_waits.must_ring() {
            self.worker_pipe.write();
        }
    }

    /// The worker: claims until `last` was claimed or it was condemned; sleeps in between.
    fn work(&self, last: u32) -> (Vec<u32>, bool) {
        let mut claimed = Vec::new();
        while claimed.last() != Some(&last) {
            match self.word.claim() {
                Claim::Item(item) => claimed.push(item.bits()),
                Claim::Condemned => return (claimed, true),
                Claim::Empty => {
                    self.worker_waits.raise();
                    let now = self.word.read();
                    if now.condemned || now.claimed != now.limit {
                        self.worker_waits.lower();
                    } else {
                        self.worker_pipe.read();
                    }
                }
            }
        }
        (claimed, false)
    }
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { word: Word::new(), worker_waits: Waiting::new(), worker_pipe: Pipe::new() })
}

/// Two items; the second is taken back if it was not claimed, and what came back is published
/// again; meanwhile the first may be condemned.
#[test]
fn each_item_has_one_fate() {
    bounded(2, || {
        let shared = shared();
        shared.publish(2);
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(1))
        };
        let limit = shared.word.recall(0).unwrap().bits();
        let condemned = limit > 0 && shared.word.condemn(count(limit - 1)).unwrap();
        shared.publish(2 - limit);
        let (claimed, stopped) = worker.join().unwrap();
        if condemned {
            // Its item was the last one, unless the worker had what it came for.
            assert_eq!(claimed, (0..limit).collect::<Vec<_>>());
            assert!(stopped || limit == 2);
        } else {
            assert_eq!((claimed, stopped), (vec![0, 1], false));
        }
    });
}

/// Three items in two portions, with half of what is unclaimed given to others in between.
#[test]
fn sharing_while_publishing_loses_nothing() {
    bounded(2, || {
        let shared = shared();
        shared.publish(2);
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(2))
        };
        let limit = shared.word.recall(1).unwrap().bits();
        assert!((1..=2).contains(&limit));
        // Numbers of what was taken back are used again, by other items.
        shared.publish(3 - limit);
        let (claimed, stopped) = worker.join().unwrap();
        assert_eq!((claimed, stopped), (vec![0, 1, 2], false));
    });
}
