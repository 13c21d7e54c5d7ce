//! Signals, and readers that have seen enough. Nothing here waits for time to pass: every step is
//! taken when the program has shown that it is where it should be.

use crate::support::{Ended, Live, folder, sandpool};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

const HEARD: &str = "interrupted: no more input is read";

/// Starts it on items that all were read once this returns: the last one, which is too long, is told
/// as soon as it is read.
fn started(items: &str) -> Live {
    let args = ["imap-unordered", "numbers.wat", "-f", "slow", "-j", "1", "--max-line", "8"];
    let mut live = Live::start(sandpool(&args));
    live.feed(items);
    live.feed("123456789\n");
    live.hear("bad_input: standard input, line 3");
    live
}

#[test]
fn the_first_interrupt_stops_the_input_and_finishes_what_was_read() {
    let mut live = started("3\n300\n");
    live.signal(Signal::INT);
    live.hear(HEARD);
    // Standard input is still open.
    let Ended { status, stdout, stderr } = live.end();
    assert_eq!((status, &*stdout), (130, &b"9\n90000\n"[..]), "{stderr}");
    assert!(stderr.contains("3 items, 1 failed (1 bad_input)"), "{stderr}");
}

#[test]
fn an_eager_verb_prints_what_it_has_read_when_it_is_interrupted() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a"), "a").expect("writes");
    std::fs::write(path("b"), "b").expect("writes");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, path("pipe"), FileType::Fifo, mode, 0).expect("makes it");
    let args = ["map", "upper.wat", "--input", "files", "--output", "lines"];
    let mut live = Live::start(sandpool(&args));
    for name in ["a", "b", "pipe", "a"] {
        live.feed(&format!("{}\n", path(name).display()));
    }
    // This opens when the third item is being read, so the first two were.
    let pipe = std::fs::File::options().write(true).open(path("pipe")).expect("opens");
    live.signal(Signal::INT);
    live.hear(HEARD);
    drop(pipe);
    let found = live.end();
    assert_eq!((found.status, &*found.stdout), (130, &b"A\nB\n\n"[..]), "{found:?}");
}

#[test]
fn the_second_interrupt_kills() {
    let mut live = started("3\n-1\n");
    assert_eq!(live.line(), "9\n");
    live.signal(Signal::INT);
    live.hear(HEARD);
    live.signal(Signal::INT);
    let found = live.end();
    assert_eq!((found.status, found.stdout.len()), (130, 0), "{found:?}");
    assert!(found.stderr.contains("1 not finished"), "{found:?}");
}

#[test]
fn termination_kills_at_once() {
    let mut live = started("3\n-1\n");
    assert_eq!(live.line(), "9\n");
    live.signal(Signal::TERM);
    let found = live.end();
    assert_eq!((found.status, found.stdout.len()), (143, 0), "{found:?}");
    assert!(!found.stderr.contains("terminated"), "{found:?}");
    assert!(found.stderr.contains("1 not finished"), "{found:?}");
}

#[test]
fn while_one_call_runs_the_first_interrupt_kills() {
    let mut live = Live::start(sandpool(&["apply", "upper.wat"]));
    live.feed("a");
    // It waits for the rest of its item when it has taken this.
    while rustix::io::ioctl_fionread(live.stdin.as_ref().expect("open")).is_ok_and(|left| left > 0)
    {
        std::thread::yield_now();
    }
    live.signal(Signal::INT);
    live.end().is(130, "", "");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for verb in ["imap", "imap-unordered"] {
        let mut live = Live::start(sandpool(&[verb, "numbers.wat", "-f", "square"]));
        live.feed("3\n");
        assert_eq!(live.line(), "9\n");
        // The input stays open, and nothing more is to be written: it must notice all the same.
        live.stop_reading();
        live.end().is(0, "", "");
    }
}

#[test]
fn a_reader_that_goes_while_results_flow_ends_it_quietly() {
    let mut live = Live::start(sandpool(&["imap", "numbers.wat", "-f", "square"]));
    let mut stdin = live.stdin.take().expect("open");
    let feeder = std::thread::spawn(move || {
        use std::io::Write as _;
        while stdin.write_all(&b"3\n".repeat(1000)).is_ok() {}
    });
    assert_eq!(live.line(), "9\n");
    live.stop_reading();
    live.end().is(0, "", "");
    feeder.join().expect("ends, as its reader has");
}
