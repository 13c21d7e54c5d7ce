//! Items on their way into a call: no keeper goes idle while there is one, unless it is woken.

use super::Pipe;
use crate::ring::sync::{AtomicUsize, Ordering, fence};
use crate::stock::Stock;
use loom::sync::{Arc, Mutex};
use loom::thread;

struct Shared {
    stock: Stock,
    /// What the call's lock guards: things in its queue.
    queue: Mutex<usize>,
    idle: AtomicUsize,
    bell: Pipe,
}

impl Shared {
    /// `Call::absorb`.
    fn absorb(&self, queue: &mut usize) {
        let (moved, shown) = self.stock.to_move();
        if moved != shown {
            self.stock.moving();
            self.stock.moved(shown);
            *queue += shown - moved;
            self.stock.queued(*queue);
        }
    }
}

/// A feeder shows two items (`Call::show`), somebody moves what is there (`Call::accepted`), and a
/// keeper takes both (`Core::rest`, `Seat::doze`, `Call::take`).
#[test]
fn no_keeper_sleeps_through_an_item_that_is_moved() {
    super::bounded(3, || {
        let shared = Arc::new(Shared {
            stock: Stock::default(),
            queue: Mutex::new(0),
            idle: AtomicUsize::new(0),
            bell: Pipe::new(),
        });
        let feeder = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for shown in 1..=2 {
                    shared.stock.show(shown);
                    if shared.idle.load(Ordering::Relaxed) > 0 {
                        shared.bell.write();
                    }
                }
            })
        };
        let mover = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.absorb(&mut shared.queue.lock().unwrap()))
        };
        let mut taken = 0;
        while taken < 2 {
            shared.idle.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if !shared.stock.has_items() {
                shared.bell.read();
            }
            shared.idle.store(0, Ordering::Relaxed);
            let mut queue = shared.queue.lock().unwrap();
            shared.absorb(&mut queue);
            taken += std::mem::take(&mut *queue);
            shared.stock.queued(0);
        }
        feeder.join().unwrap();
        mover.join().unwrap();
    });
}
