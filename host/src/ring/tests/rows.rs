//! Rows: what lies side by side comes back as it was, wherever it is cut off.

use super::{Host, answering, context, pair, pattern};
use crate::ring::frame::{HEAD, Items, ResultKind, Size};
use crate::ring::map::ARENA;
use crate::ring::row::Rows;
use crate::ring::sync::Ordering;

fn size(bytes: usize) -> Size {
    Size::of(bytes).unwrap()
}

/// Items of one size, side by side.
fn fixed(first: u64, n: u64, size: Size) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in first..first + n {
        bytes.extend(pattern(index, size.bytes()));
        bytes.resize(bytes.len().next_multiple_of(size.stride()).max(size.stride()), 0);
    }
    bytes
}

impl Host {
    /// Pushes and publishes as many items of one size as there is room for, and tells how many.
    fn push_fixed(&mut self, first: u64, n: u64, size: Size) -> u64 {
        let bytes = match size.bytes() {
            0 => vec![0; n as usize * size.stride()],
            _ => fixed(first, n, size),
        };
        let pushed = self.ring.push(context(first), Items::fixed(&bytes, size)).unwrap();
        if pushed > 0 {
            self.ring.commit().unwrap();
            self.ring_worker();
        }
        pushed as u64
    }
}

#[test]
fn what_is_taken_back_begins_where_it_was_put() {
    let (bytes, ends) = ([0; 48], [8, 24, 48]);
    for ended in 0..=6 {
        for back in 1..=6 - ended {
            let mut rows = Rows::default();
            assert_eq!(rows.push(100, Items::framed(&bytes, &ends, 0), 3), 0);
            assert_eq!(rows.push(148, Items::fixed(&bytes, size(12)), 3), 1);
            rows.end(ended);
            let left = 6 - back;
            // A row that has begun keeps its number, whatever becomes of its items.
            let number = [0, 1, 1, 1, 2, 2][left];
            let start = [100, 108, 124, 148, 164, 180][left];
            assert_eq!(rows.take_back(back), Some((start, number)), "{ended} ended, {back} back");
            assert_eq!(rows.items(), left - ended);
        }
    }
}

#[test]
fn items_of_every_size_come_back_as_they_were() {
    let (mut host, worker, _) = pair();
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    let (mut first, mut taken) = (0, 0);
    for bytes in [0, 1, 7, 8, 9, 32, Size::MOST] {
        for n in [1, 2, 1000] {
            let mut left = n;
            while left > 0 {
                let pushed = host.push_fixed(first, left, size(bytes));
                first += pushed;
                left -= pushed;
                if pushed == 0 {
                    let (kind, back) = host.next();
                    assert!(kind == ResultKind::Value && back == pattern(taken, bytes));
                    taken += 1;
                }
            }
            while taken < first {
                assert!(host.next() == (ResultKind::Value, pattern(taken, bytes)), "item {taken}");
                taken += 1;
            }
        }
    }
    drop(host);
    worker.join().unwrap();
}

#[test]
fn rows_are_cut_and_written_over_anywhere() {
    // Rows of both layouts, of which so many items are claimed before all others are recalled.
    for claimed in 0..=10_u64 {
        let (mut host, mut worker, _) = pair();
        assert_eq!(host.push_fixed(0, 4, size(12)), 4);
        assert_eq!(host.push_run(4, &[b"four", b"and five"]), 2);
        assert_eq!(host.push_fixed(6, 4, size(8)), 4);
        let text = |index: u64| match index {
            4 => b"four".to_vec(),
            5 => b"and five".to_vec(),
            _ => pattern(index, if index < 4 { 12 } else { 8 }),
        };
        for index in 0..claimed {
            let item = worker.claim().unwrap().unwrap();
            assert_eq!(item.context.index, index);
            assert!(worker.bytes(&item) == text(index), "item {index} of {claimed}");
            worker.publish_value(item, &text(index), &[]).unwrap();
        }
        assert_eq!(host.ring.recall(0).unwrap() as u64, 10 - claimed);
        // Twice, as the second recall meets what the first one has left.
        assert_eq!(host.push_fixed(50, 3, size(16)), 3);
        assert_eq!(host.ring.recall(1).unwrap(), 2);
        assert_eq!(host.push_fixed(70, 2, size(24)), 2);
        let expected = [(50, 16), (70, 24), (71, 24)];
        for (index, bytes) in expected {
            let item = worker.claim().unwrap().unwrap();
            assert_eq!(item.context.index, index);
            assert!(worker.bytes(&item) == pattern(index, bytes));
            worker.publish_value(item, &pattern(index, bytes), &[]).unwrap();
        }
        assert!(worker.claim().unwrap().is_none());
        for index in 0..claimed {
            assert!(host.next() == (ResultKind::Value, text(index)), "{index} of {claimed}");
        }
        for (index, bytes) in expected {
            assert!(host.next() == (ResultKind::Value, pattern(index, bytes)), "of {claimed}");
        }
        assert_eq!(host.ring.outstanding(), 0);
    }
}

#[test]
fn the_table_has_room_for_many_rows_and_refuses_more() {
    let (mut host, worker, _) = pair();
    let rows = (0..100).take_while(|index| host.push(*index, b"item")).count() as u64;
    assert_eq!(rows, 30);
    let worker = answering(worker, |_, item| (ResultKind::Value, vec![item.to_vec()]));
    for index in rows..1000 {
        assert_eq!(host.next().1, b"item");
        // There may be room for more than one, as the worker goes on.
        assert!(host.push(index, b"item"), "row {index}");
    }
    drop(host);
    worker.join().unwrap();
}

#[test]
fn results_of_all_sorts_come_in_their_order() {
    let (mut host, worker, _) = pair();
    // Numbers, with a failure and a text now and then.
    let answer = |index: u64| match index % 7 {
        3 => (ResultKind::Failure, format!("failure {index}").into_bytes()),
        5 if index.is_multiple_of(2) => (ResultKind::Value, format!("text {index}").into_bytes()),
        _ => (ResultKind::Value, index.to_le_bytes().to_vec()),
    };
    let worker = answering(worker, move |index, _| {
        let (kind, bytes) = answer(index);
        (kind, vec![bytes])
    });
    let (mut pushed, mut taken) = (0, 0);
    while taken < 20_000 {
        // Runs of all lengths, so that a row of results ends in every way.
        while pushed < 20_000 {
            let n = (pushed % 61 + 1).min(20_000 - pushed);
            match host.push_fixed(pushed, n, size(8)) {
                0 => break,
                n => pushed += n,
            }
        }
        assert_eq!(host.next(), answer(taken), "item {taken}");
        taken += 1;
    }
    drop(host);
    worker.join().unwrap();
}

/// Whatever the host has seen in between, it must know of each end.
#[test]
fn no_end_of_a_row_is_told_over_one_that_was_not_seen() {
    for takes in 0..1 << 7_u32 {
        let (mut host, mut worker, _) = pair();
        let answer = |index: u64| match index % 2 {
            0 => (ResultKind::Value, index.to_le_bytes().to_vec()),
            _ => (ResultKind::Failure, format!("failure {index}").into_bytes()),
        };
        for index in 0..8 {
            // A row of its own, so that results may be in one again.
            assert_eq!(host.push_fixed(index, 1, size(8)), 1);
        }
        for index in 0..8 {
            let item = worker.claim().unwrap().unwrap();
            match answer(index) {
                (ResultKind::Value, bytes) => worker.publish_value(item, &bytes, &[]).unwrap(),
                (kind, bytes) => worker.publish(item, kind, &[&bytes]).unwrap(),
            }
            if takes >> index & 1 == 1 {
                host.ring.take(&mut host.inbox).unwrap();
            }
        }
        assert!(worker.claim().unwrap().is_none());
        for index in 0..8 {
            assert_eq!(host.next(), answer(index), "item {index}, looked at {takes:b}");
        }
    }
}

#[test]
fn a_number_takes_no_more_than_its_bytes() {
    let (mut host, mut worker, region) = pair();
    assert_eq!(host.push_fixed(0, 100, size(8)), 100);
    assert_eq!(region.control().items_tail.load(Ordering::Acquire), 800);
    for index in 0..100_u64 {
        let item = worker.claim().unwrap().unwrap();
        worker.publish_value(item, &index.to_le_bytes().to_vec(), &[]).unwrap();
    }
    assert_eq!(region.control().results_tail.load(Ordering::Acquire), 800 + HEAD as u64);
}

#[test]
fn values_wait_for_room_side_by_side() {
    let (mut host, worker, region) = pair();
    let worker = answering(worker, |_, _| (ResultKind::Value, vec![vec![7; 1000]]));
    let n = ARENA as u64 / 1000;
    assert_eq!(host.push_fixed(0, 2 * n, size(8)), 2 * n);
    while region.control().results_tail.load(Ordering::Acquire) < (ARENA - 1008) as u64 {
        std::thread::yield_now();
    }
    for _ in 0..2 * n {
        assert_eq!(host.next(), (ResultKind::Value, vec![7; 1000]));
    }
    drop(host);
    worker.join().unwrap();
}
