//! What the program relies on in the library, seen from outside.

use crate::support::fixture;
use sandpool::{Form, Pool, Pulled};
use std::sync::mpsc::sync_channel;

#[test]
fn an_input_that_was_stopped_gives_no_more_items() {
    let pool = Pool::new(fixture("numbers.wat")).expect("a pool");
    let (sender, receiver) = sync_channel::<&[u8]>(0);
    let source = move |out: &mut Vec<u8>| match receiver.recv() {
        Ok(item) => {
            out.extend_from_slice(item);
            Ok(Pulled::Document)
        }
        Err(_) => Ok(Pulled::End),
    };
    let square = pool.function("square").expect("is there").documents(Form::Json);
    let mut results = square.imap(source).expect("starts");
    sender.send(b"3").expect("is taken");
    let first = results.next_outcome().expect("one").expect("runs");
    assert_eq!(&*first.result.expect("a value"), b"9");
    results.stop_input();
    assert!(results.next_outcome().is_none());
    // The feeder waits for this one, then sees that nobody wants it, and ends.
    let _ = sender.send(b"4");
    assert!(sender.send(b"5").is_err(), "the feeder goes on");
    assert_eq!(results.pulled(), 1);
}
