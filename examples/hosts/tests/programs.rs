//! Runs every example program and checks what it prints.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a program prints. It must end by itself, with success.
fn run(program: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    // Two of the programs build a guest first, which may wait for somebody else's cargo.
    let deadline = Instant::now() + Duration::from_secs(600);
    let status = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                panic!("`{program}` does not end");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = reader.join().expect("the reader does not panic").expect("the output is text");
    assert!(status.success(), "`{program}`: {status}, having printed:\n{text}");
    text
}

macro_rules! output_of {
    ($program:literal) => {
        run(env!(concat!("CARGO_BIN_EXE_", $program)), &[])
    };
    ($program:literal, $arguments:expr) => {
        run(env!(concat!("CARGO_BIN_EXE_", $program)), $arguments)
    };
}

/// The identifiers in lines such as `at 0.045 s: task 3 slept for 0.012 s`.
fn tasks(text: &str) -> Vec<u32> {
    let identifier = |line: &str| {
        let (_, rest) = line.split_once("task ")?;
        rest.split(' ').next()?.parse().ok()
    };
    text.lines().filter_map(identifier).collect()
}

#[test]
fn apply() {
    assert_eq!(
        output_of!("apply"),
        "12 squared is 144\n40 and 2 is 42\n\
         1 by 0: item 0: trapped: integer divide by zero\n84 by 2 is 42\n"
    );
}

#[test]
fn apply_async() {
    assert_eq!(
        output_of!("apply_async"),
        "callback: 64\nget: 64\nsuccessful: true\n\
         error callback: item 0: trapped: integer divide by zero\nsuccessful: false\n\
         one of many: 1\none of many: 8\none of many: 27\none of many: 64\none of many: 125\n"
    );
}

#[test]
fn map() {
    let text = output_of!("map");
    assert!(tasks(&text).into_iter().eq(0..10), "{text}");
    assert!(text.contains(" s of sleep in "), "{text}");
}

#[test]
fn map_async() {
    let text = output_of!("map_async");
    assert!(text.starts_with("callback: 20 naps\nlooked "), "{text}");
    assert!(text.contains("the longest of 20 naps took 0."), "{text}");
}

#[test]
fn imap() {
    let text = output_of!("imap");
    assert!(tasks(&text).into_iter().eq(0..10), "{text}");
    assert!(text.ends_with("at most 11 were pulled: true\n"), "{text}");
}

#[test]
fn imap_unordered() {
    let text = output_of!("imap_unordered");
    let mut tasks = tasks(&text);
    tasks.sort_unstable();
    assert!(tasks.into_iter().eq(0..10), "{text}");
    // Printed as they come: the times never fall.
    let times: Vec<&str> = text.lines().filter_map(|line| line.get(3..8)).collect();
    assert!(times.is_sorted(), "{text}");
}

#[test]
fn starmap() {
    assert_eq!(output_of!("starmap"), "1 + 2 = 3\n3 + 4 = 7\n5 + 6 = 11\nsquares: [4, 9]\n");
}

#[test]
fn starmap_async() {
    assert_eq!(
        output_of!("starmap_async"),
        "quick: [100, 101, 102, 103, 104, 105, 106, 107]\nthe slow one is ready: false\n\
         slow: [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007]\n"
    );
}

#[test]
fn istarmap() {
    let text = output_of!("istarmap");
    let lines: Vec<&str> = text.lines().collect();
    let [first, late, third, fourth] = lines[..] else { panic!("{text}") };
    assert_eq!([first, third, fourth], ["1 + 1 = 2", "3 + 3 = 6", "4 + 4 = 8"]);
    assert!(late.starts_with("2 + 2: item 1: timed_out"), "{text}");
}

#[test]
fn istarmap_unordered() {
    let start = Instant::now();
    let text = output_of!("istarmap_unordered");
    assert!(text.starts_with("the first answer is 6\nthe pool is free again: 42\n"), "{text}");
    // The program speaks of a second; a loaded machine may take some more, but never the minute
    // of the items that were cancelled.
    assert!(start.elapsed() < Duration::from_secs(30), "{text}");
}

#[test]
fn chunks() {
    let text = output_of!("chunks");
    for chunk in ["chunks of 1:", "chunks of 2:", "chunks of 10:"] {
        let line = text.lines().find(|line| line.starts_with(chunk)).unwrap_or_default();
        assert!(line.contains("40 results in order: true"), "{text}");
    }
}

#[test]
fn detach() {
    assert_eq!(
        output_of!("detach"),
        "after close: the pool is closed\n200 of 200 tasks ran, 0 failed\n"
    );
}

#[test]
fn outlive() {
    let text = output_of!("outlive");
    assert_eq!(text.lines().count(), 11);
    assert!(text.ends_with("all 10 results are here\n"), "{text}");
}

/// A small picture: symmetric, black in the middle, not black at the edge.
#[test]
fn mandelbrot() {
    let (width, height) = (60_usize, 40_usize);
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/mandelbrot.ppm");
    let text = output_of!("mandelbrot", &["60", "40", file]);
    assert!(text.contains("60 × 40 pixels"), "{text}");
    let picture = std::fs::read(file).expect("the picture was written");
    let pixels = picture.strip_prefix(b"P6\n60 40\n255\n").expect("a PPM header");
    assert_eq!(pixels.len(), width * height * 3);
    let row = |y: usize| &pixels[y * width * 3..][..width * 3];
    assert!((0..height).all(|y| row(y) == row(height - 1 - y)));
    let pixel = |x: usize, y: usize| &row(y)[x * 3..][..3];
    assert_eq!(pixel(width / 2, height / 2), [0, 0, 0]);
    assert_ne!(pixel(0, 0), [0, 0, 0]);
}

/// The demo renders this repository's own documents.
#[test]
fn demo() {
    let text = output_of!("demo");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains(" files, ") && last.contains(" sandboxed workers"), "{text}");
    for name in ["README.md", "docs/json.md"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing:\n{text}");
    }
    let page = sandpool_examples::repository().join("target/demo/docs/json.html");
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.starts_with("<h1>JSON for WIT types</h1>"), "{page}");
}
