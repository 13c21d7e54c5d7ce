//! Everything that is accepted, natively: the functions stay what they are.

#![deny(warnings)]

use sandpool_guest::{TaskType, context, log, task};

#[derive(TaskType, Debug, PartialEq)]
struct Everything {
    number: u64,
    maybe: Option<Option<i8>>,
    text: String,
    parts: (bool, char, f32),
    kind: Kind,
    outcomes: Vec<Result<Payload, ()>>,
}

#[derive(TaskType, Debug, PartialEq, Clone, Copy)]
enum Kind {
    Plain,
    Other2D,
}

#[derive(TaskType, Debug, PartialEq)]
enum Payload {
    Nothing,
    One(Vec<u8>),
    Several(Kind, u16, std::string::String),
}

/// No task uses it, no code makes one, and nothing is said about that.
#[derive(TaskType)]
enum Unused {
    Never(Kind),
}

#[task]
fn run(input: Vec<u8>) -> Result<Vec<u8>, String> {
    log::info!("{} bytes in item {}", input.len(), context::index());
    Ok(input)
}

#[task]
fn everything(mut value: Everything, _unused: u8) -> Everything {
    value.number += 1;
    value
}

#[task]
fn nothing() {}

#[task]
fn check(kinds: Vec<Kind>) -> Result<(), Payload> {
    if kinds.is_empty() { Err(Payload::Nothing) } else { Ok(()) }
}

fn main() {
    let value = Everything {
        number: 1,
        maybe: Some(None),
        text: String::new(),
        parts: (true, 'x', 0.5),
        kind: Kind::Plain,
        outcomes: vec![Ok(Payload::One(Vec::new())), Err(())],
    };
    assert_eq!(everything(value, 0).number, 2);
    assert_eq!(run(vec![1]), Ok(vec![1]));
    assert_eq!(check(vec![]), Err(Payload::Nothing));
    assert_eq!((context::index(), context::attempt()), (0, 0));
    nothing();
}
