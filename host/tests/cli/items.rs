//! How items are read: every oddity of a text has one answer.

use crate::support::{Live, folder, run, sandpool};
use std::fs;

fn square(input: impl AsRef<[u8]>) -> crate::support::Ended {
    run(&["imap", "numbers.wat", "-f", "square", "-q"], input)
}

#[test]
fn json_lines_may_be_blank_end_in_crlf_or_not_at_all() {
    square("\u{feff}1\r\n\n \t\r\n2\n\r\n3").is(0, "1\n4\n9\n", "");
    square("").is(0, "", "");
    square("\n\n").is(0, "", "");
}

#[test]
fn what_is_no_json_fails_at_its_line_and_the_rest_goes_on() {
    let records = ["imap", "numbers.wat", "-f", "square", "--emit", "record"];
    let found = run(&records, b"1\n\nx\n\xff\n2\0\n4\n");
    let lines: Vec<serde_json::Value> = found
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a record"))
        .collect();
    assert_eq!(found.status, 1);
    assert_eq!(lines.len(), 5, "{found:?}");
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
    }
    assert_eq!((&lines[0]["ok"], &lines[4]["ok"]), (&1.into(), &16.into()));
    for line in &lines[1..4] {
        assert_eq!(line["error"]["kind"], "bad_input");
    }
    let message = lines[2]["error"]["message"].as_str().expect("a text");
    assert_eq!(message, "standard input, line 4: not UTF-8 (byte 1)");
    let message = lines[3]["error"]["message"].as_str().expect("a text");
    assert_eq!(message, "standard input, line 5: a NUL byte, which JSON cannot have (byte 2)");
    assert_eq!(found.stderr, "sandpool: 5 items, 3 failed (3 bad_input)\n");
}

#[test]
fn lines_are_items_as_they_are() {
    let args = ["imap", "text.wat", "-f", "copy"];
    // Empty lines count, CRLF ends a line, a lone CR does not; bytes are bytes.
    let found = run(&args, b"a\r\n\nb\rc\n\xff\0d");
    assert_eq!((found.status, &*found.stdout), (0, &b"a\n\nb\rc\n\xff\0d\n"[..]), "{found:?}");
    let text = ["imap", "text.wat", "-f", "echo", "--input", "lines", "--output", "lines"];
    let found = run(&text, b"h\xc3\xa9\n\xff\n \n");
    assert_eq!((found.status, &*found.stdout), (1, "hé\n \n".as_bytes()), "{found:?}");
    assert!(found.stderr.contains("item 1: bad_input: standard input, line 2: not UTF-8"));
}

#[test]
fn nul_ends_items_that_may_have_newlines() {
    let args = ["imap", "text.wat", "-f", "copy", "--input", "null", "--output", "null"];
    run(&args, "a\r\nb\0\0c").is(0, "a\r\nb\0\0c\0", "");
}

#[test]
fn a_line_that_is_too_long_fails_alone() {
    let args = ["imap", "text.wat", "-f", "copy", "--max-line", "8"];
    let found = run(&args, format!("12345678\n{}\nx\n123456789", "y".repeat(1 << 20)));
    assert_eq!((found.status, &*found.stdout), (1, &b"12345678\nx\n"[..]), "{found:?}");
    let says = |text: &str| assert!(found.stderr.contains(text), "{found:?}");
    says("item 1: bad_input: standard input, line 2: longer than 8 B (--max-line)");
    says("item 3: bad_input: standard input, line 4: longer than");
}

#[test]
fn files_are_read_in_order_with_one_count() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("a"), "\u{feff}1\n2").expect("writes");
    fs::write(path("b"), "\u{feff}4\nx\n").expect("writes");
    let args = ["imap", "numbers.wat", "-f", "square", "--emit", "record"];
    let found = run(&[&args[..], &[&path("a"), "-", &path("b")]].concat(), "3\n");
    let text = String::from_utf8(found.stdout).expect("text");
    let begin = r#"{"index":0,"ok":1}
{"index":1,"ok":4}
{"index":2,"ok":9}
{"index":3,"ok":16}
{"index":4,"error":{"kind":"bad_input""#;
    assert!(text.starts_with(begin), "{text}");
}

#[test]
fn a_line_can_name_a_file() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("a"), "one\ntwo\n").expect("writes");
    fs::write(path("b"), "\u{feff}[\n 7,\n 2\n]\n").expect("writes");
    let names = format!("{}\n\n{}\n", path("a"), path("missing"));
    let found = run(&["imap", "upper.wat", "--input", "files"], &names);
    assert_eq!((found.status, &*found.stdout), (1, &b"ONE\nTWO\n"[..]), "{found:?}");
    assert!(found.stderr.contains("item 1: bad_input: standard input, line 3: cannot read `"));
    // For a function that does not take it as it is, the content is JSON.
    run(&["imap", "numbers.wat", "-f", "div", "--input", "files"], path("b")).is(0, "3\n", "");
}

#[test]
fn results_flow_while_the_input_stays_open() {
    for verb in ["imap", "imap-unordered"] {
        let mut live = Live::start(sandpool(&[verb, "numbers.wat", "-f", "square"]));
        for (item, result) in [("3\n", "9\n"), ("4\n", "16\n")] {
            live.feed(item);
            assert_eq!(live.line(), result);
        }
        live.stdin = None;
        live.end().is(0, "", "");
    }
}

#[test]
fn an_eager_verb_prints_when_everything_is_there() {
    let mut live = Live::start(sandpool(&["map", "numbers.wat", "-f", "div"]));
    live.feed("[1,0]\n[4,2]\n");
    live.feed("[9,3]\n");
    live.stdin = None;
    let found = live.end();
    assert_eq!((found.status, &*found.stdout), (1, &b"2\n3\n"[..]), "{found:?}");
}

#[test]
fn unordered_results_are_all_there() {
    let input: String = (0..500).map(|n| format!("{n}\n")).collect();
    let args = ["imap-unordered", "numbers.wat", "-f", "square", "-j", "3", "--emit", "record"];
    let found = run(&args, input);
    let text = String::from_utf8(found.stdout).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut wanted: Vec<String> =
        (0..500).map(|n| format!("{{\"index\":{n},\"ok\":{}}}", n * n)).collect();
    wanted.sort_unstable();
    assert_eq!(lines, wanted);
}
