//! Who gets an item: the worker by a claim, the host by a recall or a condemnation.

use super::{Seen, bounded, claim_all, count};
use crate::ring::word::{Claim, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[test]
fn an_item_is_claimed_or_recalled_never_both_never_neither() {
    for (keep, possible) in [(0, vec![0, 1, 2]), (1, vec![1, 2]), (2, vec![2])] {
        let seen = Seen::default();
        let limits = seen.clone();
        loom::model(move || {
            let word = Arc::new(Word::new());
            word.publish(2).unwrap();
            let worker = {
                let word = Arc::clone(&word);
                thread::spawn(move || claim_all(&word).0)
            };
            let limit = word.recall(keep).unwrap();
            limits.note(limit.bits());
            let claimed = worker.join().unwrap();
            // Below the limit: the worker's. From it on: taken back.
            let expected: Vec<u32> = (0..limit.bits()).collect();
            assert_eq!(claimed, expected, "limit {limit:?} after keeping {keep}");
        });
        assert_eq!(seen.all(), possible, "keeping {keep}");
    }
}

#[test]
fn items_published_after_a_recall_are_claimed_once() {
    bounded(3, || {
        let word = Arc::new(Word::new());
        word.publish(2).unwrap();
        let worker = {
            let word = Arc::clone(&word);
            thread::spawn(move || claim_all(&word).0)
        };
        let limit = word.recall(0).unwrap();
        word.publish(1).unwrap();
        let mut claimed = worker.join().unwrap();
        claimed.extend(claim_all(&word).0);
        let expected: Vec<u32> = (0..=limit.bits()).collect();
        assert_eq!(claimed, expected);
    });
}

#[test]
fn a_condemnation_hits_its_item_or_nothing() {
    for item in [0, 1] {
        let seen = Seen::default();
        let hits = seen.clone();
        loom::model(move || {
            let word = Arc::new(Word::new());
            word.publish(2).unwrap();
            let worker = {
                let word = Arc::clone(&word);
                thread::spawn(move || claim_all(&word))
            };
            let condemned = word.condemn(count(item)).unwrap();
            hits.note(u32::from(condemned));
            let (claimed, last) = worker.join().unwrap();
            if condemned {
                // It was running then, its end does not count, and nothing was claimed after it.
                assert_eq!((claimed.last(), last), (Some(&item), Claim::Condemned));
                let now = word.read();
                assert!(now.condemned && now.running && now.claimed == count(item + 1));
            } else {
                assert_eq!((claimed, last), (vec![0, 1], Claim::Empty));
                assert!(!word.read().condemned);
            }
        });
        assert_eq!(seen.all(), [0, 1], "condemning item {item}");
    }
}

#[test]
fn an_item_that_ended_without_a_next_claim_is_not_condemned() {
    loom::model(|| {
        let word = Arc::new(Word::new());
        word.publish(1).unwrap();
        let worker = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                let claimed = word.claim();
                (claimed, word.end())
            })
        };
        let condemned = word.condemn(count(0)).unwrap();
        let (claimed, ended) = worker.join().unwrap();
        assert_eq!(claimed, Claim::Item(count(0)));
        assert_eq!(condemned, !ended, "exactly one of both sides wins");
    });
}

/// What an item is, and what came of it: plain memory that only the protocol protects. Loom fails
/// the model if two threads touch a cell without an order between them.
struct Cells {
    item: UnsafeCell<u32>,
    result: UnsafeCell<u32>,
}

impl Cells {
    fn new() -> Self {
        Self { item: UnsafeCell::new(0), result: UnsafeCell::new(0) }
    }
}

#[test]
fn items_are_seen_by_who_claims_them_and_results_by_who_sees_their_end() {
    bounded(3, || {
        let shared = Arc::new((Word::new(), [Cells::new(), Cells::new()]));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, cells) = &*shared;
                while let Claim::Item(item) = word.claim() {
                    let cell = &cells[item.bits() as usize];
                    let value = cell.item.with(|item| unsafe { *item });
                    assert_ne!(value, 0, "an item was claimed before it was written");
                    cell.result.with_mut(|result| unsafe { *result = value + 1 });
                }
            })
        };
        let (word, cells) = &*shared;
        for (at, cell) in cells.iter().enumerate() {
            cell.item.with_mut(|item| unsafe { *item = 10 * (at as u32 + 1) });
            word.publish(1).unwrap();
        }
        let seen = word.read();
        let ended = seen.claimed.bits() - u32::from(seen.running);
        for (at, cell) in cells.iter().enumerate().take(ended as usize) {
            let result = cell.result.with(|result| unsafe { *result });
            assert_eq!(
                result,
                10 * (at as u32 + 1) + 1,
                "an item ended before its result was there"
            );
        }
        worker.join().unwrap();
    });
}

#[test]
fn what_was_recalled_may_be_written_over() {
    bounded(3, || {
        let shared = Arc::new((Word::new(), UnsafeCell::new(1_u32)));
        shared.0.publish(1).unwrap();
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut read = Vec::new();
                while let Claim::Item(_) = shared.0.claim() {
                    read.push(shared.1.with(|item| unsafe { *item }));
                }
                read
            })
        };
        let (word, item) = &*shared;
        let recalled = word.recall(0).unwrap() == count(0);
        if recalled {
            // As the ring does: the next item goes where this one was.
            item.with_mut(|item| unsafe { *item = 2 });
            word.publish(1).unwrap();
        }
        let read = worker.join().unwrap();
        let expected = if recalled { 2 } else { 1 };
        assert!(read.iter().all(|read| *read == expected), "{read:?}, recalled: {recalled}");
    });
}

#[test]
fn a_lost_condemnation_means_that_the_result_is_there() {
    loom::model(|| {
        let shared = Arc::new((Word::new(), UnsafeCell::new(0_u32)));
        shared.0.publish(1).unwrap();
        assert_eq!(shared.0.claim(), Claim::Item(count(0)));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, result) = &*shared;
                result.with_mut(|result| unsafe { *result = 7 });
                word.claim()
            })
        };
        let (word, result) = &*shared;
        if !word.condemn(count(0)).unwrap() {
            assert_eq!(result.with(|result| unsafe { *result }), 7);
        }
        worker.join().unwrap();
    });
}
