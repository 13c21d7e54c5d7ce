//! Every exit status, and what is said with it.

use crate::support::{Live, finish, folder, run, sandpool};
use std::fs;

const TRAP: &str = "trapped: integer divide by zero";

#[test]
fn values_are_0_and_say_nothing() {
    let found = run(&["imap", "numbers.wat", "-f", "square"], "1\n2\n-3\n");
    found.is(0, "1\n4\n9\n", "");
}

#[test]
fn a_failed_item_is_1_after_the_others() {
    for verb in ["imap", "map", "istarmap", "starmap"] {
        let found = run(&[verb, "numbers.wat", "-f", "div"], "[6,2]\n[1,0]\n[8,2]\n");
        let said = format!("sandpool: item 1: {TRAP}\nsandpool: 3 items, 1 failed (1 trapped)\n");
        found.is(1, "3\n4\n", &said);
    }
    run(&["imap", "numbers.wat", "-f", "div", "-q"], "[1,0]\n[8,2]\n").is(1, "4\n", "");
}

#[test]
fn usage_is_2() {
    for args in [
        &["imap", "numbers.wat", "-f", "square", "-j", "0"][..],
        &["imap", "numbers.wat", "-f", "square", "--chunk-size", "0"],
        &["imap", "numbers.wat", "-f", "square", "--window", "0"],
        &["imap", "numbers.wat", "-f", "square", "--timeout", "0s"],
        &["imap", "numbers.wat", "-f", "square", "--memory", "1M"],
        &["imap", "numbers.wat", "-f", "square", "--no-such-option"],
        &["imap", "numbers.wat", "-f", "square", "--init-args", "1"],
        &["imap"],
        &["no-such-verb"],
    ] {
        let found = run(args, "1\n");
        assert_eq!((found.status, found.stdout.len()), (2, 0), "{args:?}: {found:?}");
        assert!(found.stderr.starts_with("error: "), "{found:?}");
    }
    run(&["imap", "numbers.wat", "-f", "cube"], "").says(2, &["no function `cube`", "square(s64)"]);
    run(&["imap", "numbers.wat"], "").says(2, &["name one function", "`div(s32, s32) -> s32`"]);
    let lines = run(&["imap", "numbers.wat", "-f", "div", "--input", "lines"], "");
    lines.says(2, &["`div(s32, s32) -> s32`", "--input json", "--input files"]);
    run(&["starmap", "text.wat", "-f", "echo", "--input", "lines"], "").says(2, &["arguments"]);
    let raw = ["imap", "text.wat", "-f", "echo", "--output", "raw"];
    run(&[&raw[..], &["--emit", "record"]].concat(), "").says(2, &["records"]);
    run(&[&raw[..], &["--on-error", "null"]].concat(), "").says(2, &["--on-error null"]);
    run(&["imap", "upper.wat", "--instance", "reuse"], "").says(2, &["command"]);
    let fresh = ["imap", "numbers.wat", "-f", "count", "--init", "set", "--instance", "fresh"];
    run(&fresh, "").says(2, &["initializer"]);
}

#[test]
fn a_module_that_cannot_be_used_is_3() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("no.wasm"), "no module").expect("writes");
    fs::write(path("import.wasm"), r#"(module (import "a" "b" (func)))"#).expect("writes");
    run(&["imap", &path("missing.wasm")], "").says(3, &["missing.wasm", "No such file"]);
    run(&["imap", &path("no.wasm")], "").says(3, &["no.wasm"]);
    run(&["inspect", &path("import.wasm")], "").says(3, &["`a.b`"]);
    run(&["apply", &folder.path().display().to_string()], "").says(3, &["directory"]);
}

#[test]
fn input_that_cannot_be_read_is_4() {
    let folder = folder();
    let missing = folder.path().join("missing.jsonl").display().to_string();
    run(&["imap", "numbers.wat", "-f", "square", &missing], "").says(4, &["missing.jsonl"]);
    let directory = folder.path().display().to_string();
    run(&["imap", "numbers.wat", "-f", "square", &directory], "").says(4, &["directory"]);
    // Reading this one fails once it is open; what came before is printed.
    let found = run(&["imap", "numbers.wat", "-f", "square", "-", "/proc/self/mem"], "2\n");
    assert_eq!(found.stdout, b"4\n", "{found:?}");
    found.says(4, &["/proc/self/mem"]);
}

#[test]
fn output_that_cannot_be_written_is_4() {
    let mut command = sandpool(&["imap", "numbers.wat", "-f", "square"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").expect("opens"));
    finish(command, "1\n2\n").says(4, &["cannot write standard output", "No space left"]);
    let errors = ["imap", "numbers.wat", "-f", "trap", "-q", "--errors", "/dev/full"];
    run(&errors, "1\n").says(4, &["`/dev/full`", "No space left"]);
    let errors = ["imap", "numbers.wat", "-f", "trap", "--errors", "/no/such/folder/errors"];
    run(&errors, "1\n").says(4, &["/no/such/folder/errors"]);
}

#[test]
fn a_pool_that_cannot_go_on_is_5() {
    let found = run(&["imap", "numbers.wat", "-f", "count", "--init", "trap"], "1\n");
    assert_eq!(found.status, 5, "{found:?}");
    assert!(found.stderr.contains("unreachable"), "{found:?}");
}

#[test]
fn a_run_that_stops_at_the_first_error_is_6() {
    for verb in ["imap", "map"] {
        let args = [verb, "numbers.wat", "-f", "div", "--on-error", "stop"];
        let found = run(&args, "[6,2]\n[1,0]\n[8,2]\n[1,0]\n");
        let said = format!("sandpool: item 1: {TRAP}\nsandpool: 2 items, 1 failed (1 trapped)\n");
        found.is(6, "3\n", &said);
    }
}

#[test]
fn limits_end_items_and_nothing_else() {
    let args = ["imap", "numbers.wat", "-f", "slow", "--timeout", "200ms"];
    let found = run(&args, "2\n-1\n3\n");
    assert_eq!((found.status, &*found.stdout), (1, &b"4\n9\n"[..]), "{found:?}");
    assert!(found.stderr.contains("item 1: timed_out"), "{found:?}");
    let grow = ["imap", "numbers.wat", "-f", "grow", "--memory", "1MiB"];
    let found = run(&grow, "3\n100\n");
    assert!(found.stdout == b"4\n" && found.stderr.contains("item 1: out_of_memory"), "{found:?}");
    let fuel = ["imap", "numbers.wat", "-f", "slow", "--fuel", "1000"];
    assert!(run(&fuel, "9\n").stderr.contains("item 0: out_of_fuel"));
    let output = ["imap", "text.wat", "-f", "zeros", "--max-output", "10"];
    let found = run(&output, "3\n300\n");
    assert!(
        found.stdout == b"\"AAAA\"\n" && found.stderr.contains("output_too_large"),
        "{found:?}"
    );
}

#[test]
fn help_and_version_are_0_and_on_standard_output() {
    for args in [&["--help"][..], &["imap", "-h"], &["--version"]] {
        let found = run(args, "");
        assert_eq!((found.status, found.stderr.as_str()), (0, ""), "{found:?}");
    }
    let help = String::from_utf8(run(&["imap", "--help"], "").stdout).expect("text");
    let examples = help.find("Examples:\n").expect("examples");
    assert!(examples < help.find("Usage:").expect("usage"), "{help}");
}

#[test]
fn options_come_from_the_environment_too() {
    let mut command = sandpool(&["imap", "numbers.wat"]);
    command.env("SANDPOOL_FUNCTION", "div").env("SANDPOOL_ON_ERROR", "null");
    command.env("SANDPOOL_QUIET", "1");
    finish(command, "[1,0]\n[4,2]\n").is(1, "null\n2\n", "");
    let mut command = sandpool(&["imap", "numbers.wat", "-f", "square"]);
    command.env("SANDPOOL_CHUNK_SIZE", "0");
    assert_eq!(finish(command, "1\n").status, 2);
}

#[test]
fn the_file_of_errors_is_not_one_that_is_read() {
    let folder = folder();
    let items = folder.path().join("items");
    fs::write(&items, "1\n").expect("writes");
    let items = items.to_str().expect("a name");
    let found = run(&["imap", "numbers.wat", "-f", "square", items, "--errors", items], "");
    found.says(2, &["--errors", "name another one"]);
    assert_eq!(fs::read(items).expect("reads"), b"1\n", "nothing was emptied");
}

#[test]
fn a_huge_chunk_is_as_good_as_any() {
    let most = u64::MAX.to_string();
    let found = run(&["imap", "numbers.wat", "-f", "square", "--chunk-size", &most], "1\n2\n3\n");
    found.is(0, "1\n4\n9\n", "");
}

#[test]
fn a_deadline_ends_the_run_with_6_if_input_was_left() {
    let mut live =
        Live::start(sandpool(&["imap", "numbers.wat", "-f", "square", "--deadline", "1s"]));
    live.feed("3\n");
    assert_eq!(live.line(), "9\n");
    // The input stays open.
    let found = live.end();
    found.says(6, &["the call had not ended after its 1000 ms"]);
}
