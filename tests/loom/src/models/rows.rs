//! Which row an item is in: what the worker finds in the table, while the host cuts rows off and
//! puts others in their places.

use super::{Seen, bounded};
use crate::description::Form;
use crate::ring::frame::{Context, Items, Size};
use crate::ring::row::{Rows, Table};
use crate::ring::word::{Claim, Count, Word};
use loom::sync::Arc;
use loom::thread;

struct Shared {
    word: Word,
    table: Table,
}

/// The host's end, as far as it matters here.
struct Host {
    shared: Arc<Shared>,
    rows: Rows,
    limit: Count,
}

impl Host {
    /// Pushes and publishes a row of `n` items, the first of which has this index.
    fn push(&mut self, index: u64, n: usize) {
        let size = Size::of(8).unwrap();
        let bytes = vec![0; n * size.stride()];
        let items = Items::fixed(&bytes, size);
        let row = self.rows.push(0, items, n);
        let form = Form::Raw;
        let context = Context { index, attempt: 0, function: 0, form, star: false };
        self.shared.table.write(row, self.limit, context, items.layout());
        self.shared.word.publish(n as u32).unwrap();
        self.limit = self.limit.plus(n as u32);
    }

    /// Takes all unclaimed items back, and tells how many.
    fn recall(&mut self) -> u32 {
        let limit = self.shared.word.recall(0).unwrap();
        let back = self.limit.since(limit);
        self.limit = limit;
        if let Some((_, row)) = self.rows.take_back(back as usize) {
            self.shared.table.end(row);
        }
        back
    }
}

/// The worker's end: the indexes of the items that it claims, until nothing is there.
#[derive(Default)]
struct Worker {
    next_row: u32,
    next_index: Option<u64>,
    claimed: Vec<u64>,
}

impl Worker {
    fn claim_all(&mut self, shared: &Shared) {
        while let Claim::Item(item) = shared.word.claim() {
            if shared.table.begins(self.next_row, item) {
                let (context, layout) = shared.table.read(self.next_row).unwrap();
                assert_eq!(layout, crate::ring::frame::Layout::Fixed(Size::of(8).unwrap()));
                self.next_index = Some(context.index);
                self.next_row += 1;
            }
            let index = self.next_index.expect("the first item begins a row");
            self.next_index = Some(index + 1);
            self.claimed.push(index);
        }
    }
}

/// Rows of so many items, all of them published before the worker begins; then all that it has not
/// claimed is taken back, and others follow.
fn recalled(before: &'static [usize], preemptions: usize) -> Vec<u32> {
    let seen = Seen::default();
    let noted = seen.clone();
    bounded(preemptions, move || {
        let shared = Arc::new(Shared { word: Word::new(), table: Table::new() });
        let mut host =
            Host { shared: Arc::clone(&shared), rows: Rows::default(), limit: Count::ZERO };
        let mut expected = Vec::new();
        for (row, n) in before.iter().enumerate() {
            let index = 100 * (row as u64 + 1);
            host.push(index, *n);
            expected.extend(index..index + *n as u64);
        }
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut worker = Worker::default();
                worker.claim_all(&shared);
                worker
            })
        };
        let back = host.recall();
        noted.note(back);
        expected.truncate(expected.len() - back as usize);
        host.push(1000, 1);
        expected.push(1000);
        host.push(2000, 1);
        expected.push(2000);
        let mut worker = worker.join().unwrap();
        worker.claim_all(&shared);
        assert_eq!(worker.claimed, expected);
    });
    seen.all()
}

#[test]
fn an_item_is_found_in_its_row_whatever_was_cut_off() {
    assert_eq!(recalled(&[2], 3), [0, 1, 2]);
}

#[test]
fn rows_that_nobody_began_make_place_for_others() {
    assert_eq!(recalled(&[1, 1], 2), [0, 1, 2]);
}
