//! What goes wrong around a run, with every number of workers.
//!
//! Tests are named `dNN_what_is_promised` after the list of faults in `docs/faults.md`.

use crate::support::{Ended, Live, finish, fixture, folder, run, sandpool};
use rustix::process::Signal;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

const COUNTS: [&str; 3] = ["1", "2", "8"];
const MIB: u64 = 1 << 20;

/// Children of all threads of a process.
fn children(host: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{host}/task")) else { return Vec::new() };
    let lists = tasks.flatten().map(|task| fs::read_to_string(task.path().join("children")));
    let text: String = lists.map(Result::unwrap_or_default).collect();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Waits until these processes are gone.
fn gone(pids: &[u32]) {
    let start = Instant::now();
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(start.elapsed() < Duration::from_secs(10), "{pids:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn d76_output_that_cannot_be_written_ends_the_run_with_one_line() {
    let items: String = (0..1000).map(|n| format!("{n}\n")).collect();
    for count in COUNTS {
        for verb in ["map", "imap", "imap-unordered"] {
            let mut command = sandpool(&[verb, "numbers.wat", "-f", "square", "-j", count]);
            command.stdout(fs::File::options().write(true).open("/dev/full").expect("opens"));
            finish(command, &items).says(4, &["cannot write standard output", "No space left"]);
        }
        let args = ["imap", "numbers.wat", "-f", "trap", "-q", "-j", count];
        let errors = [&args[..], &["--errors", "/dev/full"]].concat();
        run(&errors, &items).says(4, &["`/dev/full`", "No space left"]);
        // Neither can an artifact be kept.
        let mut command = sandpool(&["imap", "numbers.wat", "-f", "square", "-j", count]);
        command.env("XDG_CACHE_HOME", "/proc/self");
        finish(command, "3\n4\n").is(0, "9\n16\n", "");
    }
}

#[test]
fn d78_a_reader_that_has_seen_enough_ends_everything_quietly() {
    for count in COUNTS {
        for verb in ["imap", "imap-unordered"] {
            let args = [verb, "numbers.wat", "-f", "square", "-j", count];
            let mut live = Live::start(sandpool(&args));
            let mut stdin = live.stdin.take().expect("open");
            let feeder =
                std::thread::spawn(move || while stdin.write_all(&b"3\n".repeat(1000)).is_ok() {});
            assert_eq!(live.line(), "9\n");
            let workers = children(live.id());
            assert!(!workers.is_empty());
            live.stop_reading();
            live.end().is(0, "", "");
            gone(&workers);
            feeder.join().expect("ends, as its reader has");
        }
    }
}

/// Starts it on as many items that never end as there are workers, after one that does; the last
/// one, which is too long, is told as soon as it is read.
fn busy(count: &str) -> (Live, Vec<u32>) {
    let args = ["imap-unordered", "numbers.wat", "-f", "slow", "-j", count];
    let mut live = Live::start(sandpool(&[&args[..], &["--max-line", "8"]].concat()));
    live.feed("3\n");
    assert_eq!(live.line(), "9\n");
    live.feed(&"-1\n".repeat(count.parse().expect("a number")));
    live.feed("123456789\n");
    live.hear("bad_input");
    let workers = children(live.id());
    assert!(!workers.is_empty());
    (live, workers)
}

#[test]
fn d79_two_interrupts_kill_and_so_does_one_request_to_terminate() {
    for count in COUNTS {
        let (mut live, workers) = busy(count);
        live.signal(Signal::INT);
        live.hear("interrupted: no more input is read");
        live.signal(Signal::INT);
        let Ended { status, stdout, stderr } = live.end();
        assert_eq!((status, stdout.len()), (130, 0), "{stderr}");
        assert!(stderr.contains("not finished"), "{stderr}");
        gone(&workers);

        let (live, workers) = busy(count);
        live.signal(Signal::TERM);
        let Ended { status, stdout, stderr } = live.end();
        assert_eq!((status, stdout.len()), (143, 0), "{stderr}");
        assert!(stderr.contains("not finished"), "{stderr}");
        gone(&workers);
    }
}

#[test]
fn d79_one_interrupt_finishes_what_was_read() {
    for count in COUNTS {
        let args = ["imap-unordered", "numbers.wat", "-f", "slow", "-j", count];
        let args = [&args[..], &["--max-line", "8"]].concat();
        let mut live = Live::start(sandpool(&args));
        live.feed("300\n200\n100\n123456789\n");
        // All four were read by then, and the input stays open.
        live.hear("bad_input");
        live.signal(Signal::INT);
        let Ended { status, stdout, stderr } = live.end();
        let text = String::from_utf8(stdout).expect("text");
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!((status, &*lines), (130, &["10000", "40000", "90000"][..]), "{stderr}");
        assert!(stderr.contains("4 items, 1 failed (1 bad_input)"), "{stderr}");
    }
}

#[test]
fn d92_no_items_are_no_results_and_no_error() {
    for count in COUNTS {
        for verb in ["map", "imap", "imap-unordered", "starmap", "istarmap"] {
            for input in ["", "\n", "\n \n\t\n\r\n", "\u{feff}\n"] {
                run(&[verb, "numbers.wat", "-f", "square", "-j", count], input).is(0, "", "");
            }
        }
    }
}

/// The most memory that a process has had at once.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("is told");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn d93_a_line_of_a_gigabyte_fails_alone_and_fills_no_memory() {
    for count in COUNTS {
        let args = ["imap", "text.wat", "-f", "length", "--input", "lines", "-j", count];
        let args = [&args[..], &["--max-line", "1MiB"]].concat();
        let mut live = Live::start(sandpool(&args));
        live.feed("abc\n");
        assert_eq!(live.line(), "3\n");
        let before = peak(live.id());
        let mut stdin = live.stdin.take().expect("open");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            stdin.write_all(&piece).expect("takes it");
        }
        stdin.write_all(b"\nabcd\n").expect("takes it");
        assert_eq!(live.line(), "4\n");
        let grown = peak(live.id()) - before;
        assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
        drop(stdin);
        let found = live.end();
        assert_eq!(found.status, 1, "{found:?}");
        assert!(found.stderr.contains("item 1: bad_input: standard input, line 2"), "{found:?}");
    }
}

#[test]
fn d97_paths_that_look_like_options_cannot_be_read_or_are_written_too() {
    let folder = folder();
    fs::copy(fixture("numbers.wat"), folder.path().join("--task.wat")).expect("copies");
    fs::write(folder.path().join("--items"), "3\n4\n").expect("writes");
    for count in COUNTS {
        let within = |args: &[&str]| {
            let mut command = sandpool(&[]);
            command.args(["imap", "-f", "square", "-j", count]).args(args);
            command.current_dir(folder.path());
            finish(command, "")
        };
        within(&["--", "--task.wat", "--items"]).is(0, "9\n16\n", "");
        assert_eq!(within(&["--task.wat", "--items"]).status, 2);
        within(&["--", "--gone.wat"]).says(3, &["--gone.wat", "No such file"]);
        within(&["--", "--task.wat", "--gone"]).says(4, &["--gone", "No such file"]);
        // Read and written at once: refused before it is emptied.
        let args = ["--errors", "./--items", "--", "--task.wat", "--items"];
        within(&args).says(2, &["--errors", "name another one"]);
        assert_eq!(fs::read(folder.path().join("--items")).expect("reads"), b"3\n4\n");
    }
}

#[test]
fn d69_times_that_cannot_be_meant_are_usage_errors() {
    for time in ["0", "0s", "-1s", "1", "soon", "1e9s"] {
        for option in ["--timeout", "--deadline"] {
            let args = ["imap", "numbers.wat", "-f", "square", option, time];
            let found = run(&args, "1\n");
            assert_eq!((found.status, found.stdout.len()), (2, 0), "{option} {time}: {found:?}");
        }
    }
    for longest in ["18446744073709549568s", "9999999999999d"] {
        let args = ["imap", "numbers.wat", "-f", "square", "--timeout", longest];
        run(&[&args[..], &["--deadline", longest]].concat(), "3\n").is(0, "9\n", "");
    }
}
