//! Golden cases, by the program and from Rust.

use crate::support::{fixture, folder, run};
use sandpool::testing::{Cases, check};
use std::fs;

const GOOD: &str = r#"{"function":"div","args":[6,3],"ok":2}
{"function":"div","args":[1,0],"error":{"kind":"trapped","message":"integer divide by zero"}}

{"name":"spelled otherwise","function":"half","args":[1],"ok":0.50}
{"function":"count","ok":1}
{"function":"count","ok":1}
{"function":"nothing","ok":null}
{"function":"square","args":["x"],"error":{"kind":"bad_input","contains":"expected s64"}}
"#;

#[test]
fn cases_that_agree_are_0() {
    let found = run(&["test", "numbers.wat", "-"], GOOD);
    assert_eq!((found.status, found.stderr.as_str()), (0, ""), "{found:?}");
    let text = String::from_utf8(found.stdout).expect("text");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{text}");
    assert!(text.contains("standard input:4  spelled otherwise\n"), "{text}");
    assert!(text.ends_with("7 cases, all as expected\n"), "{text}");
    run(&["test", "numbers.wat", "-q", "-"], GOOD).is(0, "", "");
}

#[test]
fn every_difference_is_reported_and_1() {
    let cases = r#"{"args":[6,3],"ok":3}
{"args":[6,3],"error":{"kind":"trapped"}}
{"args":[1,0],"ok":1}
{"args":[1,0],"error":{"kind":"timed_out"}}
{"args":[1,0],"error":{"kind":"trapped","message":"by zero"}}
{"args":[6,3],"ok":"x"}
{"args":[6,3],"input":null,"output":"2"}
{"function":"cube","args":[6,3],"ok":2}
{"args":[6,3],"ok":2}
"#;
    let found = run(&["test", "numbers.wat", "-f", "div", "-q", "-"], cases);
    let text = String::from_utf8(found.stdout).expect("text");
    assert_eq!(found.status, 1, "{text}");
    assert_eq!(text.matches("DIFFERS").count(), 8, "{text}");
    assert!(text.ends_with("9 cases, 8 differ\n"), "{text}");
    for part in [
        "expected  value 3\n         found     value 2\n",
        "expected  error trapped\n         found     value 2\n",
        "found     error trapped: integer divide by zero\n",
        "the expected value is no `s32`",
        "a text is no `s32`",
        "no function `cube`",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn texts_serve_commands_and_strings() {
    let cases = r#"{"input":"ab\n","output":"AB\n"}
{"input":"!","error":{"kind":"exited"}}
"#;
    assert_eq!(run(&["test", "upper.wat", "-"], cases).status, 0);
    let cases = r#"{"function":"echo","input":"a","output":"a"}
{"function":"copy","input":"a","ok":"YQ=="}
{"function":"copy","args":["YQ=="],"ok":[97]}
{"function":"echo","args":{"text":"a"},"ok":"a"}
"#;
    let found = run(&["test", "text.wat", "-"], cases);
    assert_eq!(found.status, 0, "{found:?}");
}

#[test]
fn cases_that_cannot_be_used_are_2_and_files_that_cannot_be_read_4() {
    run(&["test", "numbers.wat", "-"], "{\"ok\":1}\n{\n").says(2, &["standard input:2: "]);
    run(&["test", "numbers.wat", "-"], "\n").says(2, &["no case"]);
    run(&["test", "numbers.wat", "/no/such/file"], "").says(4, &["/no/such/file"]);
    run(&["test", "/no/such.wasm", "-"], GOOD).says(3, &["/no/such.wasm"]);
}

#[test]
fn tests_in_rust_check_the_same_cases() {
    let folder = folder();
    let path = folder.path().join("cases.jsonl");
    fs::write(&path, GOOD).expect("writes");
    check(fixture("numbers.wat"), &path);
    let pool = sandpool::Pool::new(fixture("numbers.wat")).expect("a pool");
    let bad = Cases::parse("bad", br#"{"args":[2],"ok":5}"#).expect("a case").function("square");
    let report = bad.run(&pool).expect("runs");
    assert!(!report.is_ok() && report.failed() == 1);
    assert_eq!(report.results()[0].place(), "bad:1");
    assert!(report.to_string().contains("expected  value 5\n         found     value 4\n"));
    fs::write(&path, r#"{"function":"square","args":[2],"ok":5}"#).expect("writes");
    let differs = std::panic::catch_unwind(|| check(fixture("numbers.wat"), &path));
    let panic = differs.expect_err("it differs");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("1 case, 1 differs"), "{text}");
}
