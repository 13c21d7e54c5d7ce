//! Honest workers: what goes in comes out, whatever its size.

use super::{Host, answering, pair, pattern};
use crate::ring::frame::{HEAD, ResultKind};
use crate::ring::host::Violation;
use crate::ring::map::ARENA;
use crate::ring::sync::Ordering;
use crate::ring::worker::Stop;

/// Sizes where something may go wrong by one.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![0, 1, 7, 8, 9, 4096];
    for edge in [ARENA / 4, ARENA - 2 * HEAD, ARENA - HEAD, ARENA, 2 * ARENA] {
        sizes.extend(edge - 9..=edge + 9);
    }
    sizes.push(5 * ARENA + 3);
    sizes
}

fn echo(host: &mut Host, index: u64, size: usize) {
    let bytes = pattern(index, size);
    assert!(host.push(index, &bytes), "no room for {size} bytes in an empty ring");
    let (kind, back) = host.next();
    assert_eq!(kind, ResultKind::Value);
    assert!(back == bytes, "{size} bytes came back otherwise");
    assert_eq!(host.ring.outstanding(), 0);
}

#[test]
fn items_and_results_of_every_size_come_back_as_they_were() {
    let (mut host, worker, _) = pair();
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    for (index, size) in sizes().into_iter().enumerate() {
        echo(&mut host, index as u64, size);
    }
    host.bell = None;
    assert!(matches!(worker.join().unwrap(), Stop::HostGone));
}

#[test]
fn results_in_several_parts_fit_at_every_alignment() {
    let (mut host, worker, _) = pair();
    // Logs of an odd length ahead of a value that just fills the arena.
    let worker = answering(worker, |index, _| {
        let odd = (index % 8) as usize;
        let value = ARENA + (index / 8) as usize - 4;
        (ResultKind::LoggedValue, vec![pattern(1, 8 + odd), pattern(2, value)])
    });
    for index in 0..64 {
        assert!(host.push(index, b"x"));
        // Taken as it comes, so that the worker waits at every fill level there is.
        let (_, back) = host.next();
        let odd = 8 + (index % 8) as usize;
        assert!(back[..odd] == pattern(1, odd)[..]);
        assert!(back[odd..] == pattern(2, ARENA + (index / 8) as usize - 4)[..]);
    }
    drop(host);
    worker.join().unwrap();
}

#[test]
fn thousands_of_small_items_wrap_around() {
    let (mut host, worker, _) = pair();
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    let size = |index: u64| (index * 37 % 301) as usize;
    let (mut pushed, mut taken) = (0, 0);
    while taken < 20_000 {
        while pushed < 20_000 && host.push(pushed, &pattern(pushed, size(pushed))) {
            pushed += 1;
        }
        let (_, back) = host.next();
        assert!(back == pattern(taken, size(taken)), "item {taken}");
        taken += 1;
    }
    drop(host);
    worker.join().unwrap();
}

#[test]
fn what_is_recalled_is_written_over_by_other_items() {
    let (mut host, mut worker, _) = pair();
    for index in 0..10 {
        assert!(host.push(index, &pattern(index, 100)));
    }
    let first = worker.claim().unwrap().unwrap();
    assert_eq!(host.ring.recall(3).unwrap(), 6);
    assert_eq!(host.ring.outstanding(), 4);
    assert_eq!(host.ring.recall(3).unwrap(), 0);
    for index in 20..22 {
        assert!(host.push(index, &pattern(index, 333)));
    }
    let mut next = Some(first);
    for index in [0, 1, 2, 3, 20, 21] {
        let claimed = next.take().unwrap_or_else(|| worker.claim().unwrap().unwrap());
        assert_eq!(claimed.context.index, index);
        let len = if index < 20 { 100 } else { 333 };
        assert!(worker.bytes(&claimed) == pattern(index, len));
        worker.publish(claimed, ResultKind::Value, &[&[index as u8]]).unwrap();
    }
    assert!(worker.claim().unwrap().is_none());
    for index in [0, 1, 2, 3, 20, 21] {
        assert_eq!(host.next(), (ResultKind::Value, vec![index]));
    }
}

#[test]
fn a_run_can_be_recalled_from_any_of_its_items_on() {
    for claimed in 0..=5_usize {
        let (mut host, mut worker, _) = pair();
        let items: Vec<Vec<u8>> = (0..5).map(|index| pattern(index, 10 + index as usize)).collect();
        let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        assert_eq!(host.push_run(0, &items), 5);
        for (index, bytes) in items.iter().enumerate().take(claimed) {
            let item = worker.claim().unwrap().unwrap();
            assert_eq!(item.context.index, index as u64);
            assert!(worker.bytes(&item) == *bytes);
            worker.publish(item, ResultKind::Value, &[&[index as u8]]).unwrap();
        }
        assert_eq!(host.ring.recall(0).unwrap(), 5 - claimed);
        assert_eq!(host.push_run(70, &items[3..]), 2);
        assert_eq!(host.push_run(90, &items[..1]), 1);
        for (index, bytes) in [(70, items[3]), (71, items[4]), (90, items[0])] {
            let item = worker.claim().unwrap().unwrap();
            assert_eq!(item.context.index, index);
            assert!(worker.bytes(&item) == bytes);
            worker.publish(item, ResultKind::Value, &[&[index as u8]]).unwrap();
        }
        assert!(worker.claim().unwrap().is_none());
        for index in (0..claimed as u8).chain([70, 71, 90]) {
            assert_eq!(host.next(), (ResultKind::Value, vec![index]));
        }
        assert_eq!(host.ring.outstanding(), 0);
    }
}

#[test]
fn of_a_run_as_much_is_taken_as_there_is_room_for() {
    let (mut host, worker, _) = pair();
    let large = pattern(1, ARENA / 3);
    assert_eq!(host.push_run(0, &[&large[..]; 4]), 2);
    assert_eq!(host.push_run(2, &[&large[..]; 2]), 0);
    assert_eq!(host.push_run(2, &[b"small", &large]), 1);
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    for expected in [&large[..], &large, b"small"] {
        assert!(host.next().1 == expected);
    }
    drop(host);
    worker.join().unwrap();
}

#[test]
fn a_large_item_that_nobody_claimed_can_be_recalled() {
    let (mut host, worker, _) = pair();
    assert!(host.push(0, &pattern(0, 3 * ARENA)));
    assert!(host.ring.unsent() > 0);
    assert!(!host.push(1, b"behind"), "one at a time");
    assert_eq!(host.ring.recall(0).unwrap(), 1);
    assert_eq!(host.ring.unsent(), 0);
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    echo(&mut host, 1, 10);
    echo(&mut host, 2, 2 * ARENA);
    drop(host);
    worker.join().unwrap();
}

#[test]
fn the_condemned_item_is_the_running_one_or_none() {
    let (mut host, mut worker, _) = pair();
    assert!(host.push(0, b"0") && host.push(1, b"1"));
    assert!(!host.ring.condemn().unwrap(), "nothing runs");
    let first = worker.claim().unwrap().unwrap();
    worker.publish(first, ResultKind::Value, &[b"a"]).unwrap();
    let second = worker.claim().unwrap().unwrap();
    assert!(!host.ring.condemn().unwrap(), "the first has ended");
    assert_eq!(host.next(), (ResultKind::Value, b"a".to_vec()));
    assert!(host.ring.condemn().unwrap());
    worker.publish(second, ResultKind::Value, &[b"b"]).unwrap();
    assert!(matches!(worker.claim(), Err(Stop::Condemned)));
    assert!(matches!(worker.await_item(), Err(Stop::Condemned)));
    host.ring.observe().unwrap();
    assert_eq!(host.ring.claimed_unended(), 1);
}

#[test]
fn a_result_may_be_as_long_as_the_cap_and_no_longer() {
    for (over, expected) in [(0, None), (1, Some(Violation::Length))] {
        let (mut host, worker, _) = pair();
        let len = super::MAX_RESULT as usize + over;
        let worker = answering(worker, move |_, _| (ResultKind::Value, vec![vec![7; len]]));
        assert!(host.push(0, b""));
        match expected {
            None => assert_eq!(host.next().1.len(), len),
            Some(violation) => {
                while !host.ring.has_results() {
                    std::thread::yield_now();
                }
                assert_eq!(host.take().unwrap_err(), violation);
                assert!(host.inbox.bytes.len() <= ARENA);
            }
        }
        drop(host);
        worker.join().unwrap();
    }
}

#[test]
fn dying_words_are_bounded_and_harmless() {
    let (host, worker, _) = pair();
    assert_eq!(host.ring.note(), None);
    worker.leave_note(&format!("\x1b[31m{}", "é".repeat(1000)));
    let note = host.ring.note().unwrap();
    assert!(note.starts_with(" [31mé") && note.len() < 600 && !note.contains('\x1b'), "{note}");
}

#[test]
fn padding_waits_for_room_like_any_byte() {
    let (mut host, worker, region) = pair();
    let tail = || region.control().results_tail.load(Ordering::Acquire);
    let reaches = |position: usize| {
        while tail() < position as u64 {
            std::thread::yield_now();
        }
    };
    // The first result leaves room for the header and the odd logs of the second, no more; after
    // that is taken, the value fills the whole arena, from an odd position on.
    let worker = answering(worker, |index, _| match index {
        0 => (ResultKind::Value, vec![vec![1; ARENA - 32 - HEAD]]),
        _ => (ResultKind::LoggedValue, vec![vec![2; 9], vec![3; ARENA]]),
    });
    assert!(host.push(0, b"") && host.push(1, b""));
    reaches(ARENA - 32 + HEAD + 9);
    assert!(host.take().unwrap().is_some());
    assert!(host.take().unwrap().is_none(), "only its front is there");
    reaches(ARENA - 32 + HEAD + 9 + ARENA);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let (_, back) = host.next();
    assert_eq!((back.len(), back.last()), (9 + ARENA, Some(&3)));
    drop(host);
    worker.join().unwrap();
}
