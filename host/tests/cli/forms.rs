//! How results are printed, `apply`, `inspect`, and what is said of failed items.

use crate::support::{Live, finish, folder, run, sandpool};
use std::fs;
use std::io::Read as _;

#[test]
fn plain_values_are_printed_plain_or_as_json() {
    let echo = |output: &str, input: &str| {
        run(&["imap", "text.wat", "-f", "echo", "--output", output], input)
    };
    echo("json", "\"a\\nb\"\n").is(0, "\"a\\nb\"\n", "");
    echo("raw", "\"a\\nb\"\n\"c\"\n").is(0, "a\nbc", "");
    echo("null", "\"a\\nb\"\n\"c\"\n").is(0, "a\nb\0c\0", "");
    let found = echo("lines", "\"a\\nb\"\n\"c\"\n");
    assert_eq!((found.status, &*found.stdout), (1, &b"c\n"[..]));
    assert!(found.stderr.contains("item 0: bad_output: the result contains a newline"));
    let nul = echo("null", "\"a\\u0000b\"\n");
    assert!(nul.status == 1 && nul.stderr.contains("NUL"), "{nul:?}");
    let bytes = ["imap", "text.wat", "-f", "copy", "--output", "json"];
    run(&bytes, "ab\n").is(0, "\"YWI=\"\n", "");
    let decoded = ["imap", "text.wat", "-f", "copy", "--input", "json", "--output", "lines"];
    run(&decoded, "\"YWI=\"\n[99]\n").is(0, "ab\nc\n", "");
    let length = ["imap", "text.wat", "-f", "length", "--input", "lines", "--output", "lines"];
    run(&length, "\"quoted\"\n").is(0, "8\n", "");
    let nothing = ["imap", "numbers.wat", "-f", "nothing", "--input", "lines"];
    run(&nothing, "x\n\n").is(0, "null\nnull\n", "");
}

#[test]
fn a_command_reads_the_item_and_prints_the_result() {
    run(&["imap", "upper.wat"], "a\nb\n").is(0, "AB", "");
    run(&["imap", "upper.wat", "--output", "lines"], "a\nb\n").is(0, "A\nB\n", "");
    run(&["imap", "upper.wat", "--emit", "record"], "a\n").is(
        0,
        "{\"index\":0,\"ok\":\"QQ==\"}\n",
        "",
    );
    let readable = ["imap", "upper.wat", "--emit", "record", "--output", "lines"];
    run(&readable, "a\n").is(0, "{\"index\":0,\"ok\":\"A\"}\n", "");
    let found = run(&["imap", "upper.wat"], "a\n!b\n");
    let said = "[1] no \u{1b}[2Jway\nsandpool: item 1: exited: exited with status 3\n\
                sandpool: 2 items, 1 failed (1 exited)\n";
    found.is(1, "A", said);
}

#[test]
fn failed_items_are_recorded_or_keep_their_place() {
    let folder = folder();
    let path = folder.path().join("errors.jsonl").display().to_string();
    let args = ["imap", "numbers.wat", "-f", "div", "-q", "--errors", &path];
    run(&args, "[4,2]\n[1,0]\n").is(1, "2\n", "");
    let errors = fs::read_to_string(&path).expect("reads");
    let begin = r#"{"index":1,"error":{"kind":"trapped","message":"integer divide by zero""#;
    assert!(errors.starts_with(begin) && errors.lines().count() == 1, "{errors}");
    let null = ["imap", "numbers.wat", "-f", "div", "-q", "--on-error", "null"];
    run(&null, "[4,2]\n[1,0]\n[6,2]\n").is(1, "2\nnull\n3\n", "");
    let null = ["map", "text.wat", "-f", "echo", "-q", "--on-error", "null", "--output", "null"];
    run(&null, "1\n\"a\"\n").is(1, "null\0a\0", "");
    let found = run(&["imap", "numbers.wat", "-f", "trap", "-v"], "1\n");
    assert!(found.stderr.contains("\n    ") && found.stderr.contains("trap"), "{found:?}");
}

#[test]
fn apply_takes_parameters_as_json() {
    run(&["apply", "numbers.wat", "-f", "div", "7", "-2"], "").is(0, "-3\n", "");
    run(&["apply", "numbers.wat", "-f", "div", "-7", "2"], "").is(0, "-3\n", "");
    run(&["apply", "numbers.wat", "-f", "half", "-1.5e1"], "").is(0, "-7.5\n", "");
    run(&["apply", "numbers.wat", "-f", "nothing"], "").is(0, "null\n", "");
    run(&["apply", "text.wat", "-f", "echo", "\"a\""], "").is(0, "\"a\"\n", "");
    let lines = ["apply", "text.wat", "-f", "echo", "\"a\"", "--output", "lines"];
    run(&lines, "").is(0, "a\n", "");
    run(&["apply", "text.wat", "-f", "echo", "a"], "").says(2, &["argument 1, `a`, is not JSON"]);
    run(&["apply", "numbers.wat", "-f", "div", "1,2"], "").says(2, &["takes 2 arguments, found 1"]);
    run(&["apply", "numbers.wat", "-f", "square", "1,2"], "").says(2, &["is not JSON"]);
    let trap = run(&["apply", "numbers.wat", "-f", "div", "1", "0"], "");
    trap.is(1, "", "sandpool: trapped: integer divide by zero\n");
}

#[test]
fn apply_gives_a_command_its_argument_or_standard_input() {
    run(&["apply", "upper.wat", "ab"], "x").is(0, "AB", "");
    run(&["apply", "upper.wat"], "a\nb\n").is(0, "A\nB\n", "");
    run(&["apply", "text.wat", "-f", "copy", "ab"], "").is(0, "ab\n", "");
    run(&["apply", "text.wat", "-f", "copy", "--output", "json"], "ab").is(0, "\"YWI=\"\n", "");
    run(&["apply", "upper.wat", "a", "b"], "").says(2, &["a command takes one ARG"]);
}

#[test]
fn state_is_kept_only_where_it_was_asked_for() {
    let fresh = ["imap", "numbers.wat", "-f", "count", "-j", "1"];
    run(&fresh, "1\n1\n1\n").is(0, "1\n1\n1\n", "");
    let reuse = [&fresh[..], &["--instance", "reuse"]].concat();
    run(&reuse, "1\n1\n1\n").is(0, "1\n2\n3\n", "");
    let init = [&fresh[..], &["--init", "set", "--init-args", "-5"]].concat();
    run(&init, "1\n1\n").is(0, "-4\n-3\n", "");
    let retire = [&reuse[..], &["--max-tasks-per-child", "2"]].concat();
    run(&retire, "1\n1\n1\n").is(0, "1\n2\n1\n", "");
}

#[test]
fn stats_are_a_block_on_standard_error() {
    let found = run(&["imap", "numbers.wat", "-f", "div", "--stats", "-q"], "[4,2]\n[1,0]\n");
    assert_eq!((found.status, &*found.stdout), (1, &b"2\n"[..]));
    for line in ["items    2,", "values   1\n", "failed   1 (1 trapped)\n", "retries  0\n"] {
        assert!(found.stderr.contains(line), "{found:?}");
    }
}

#[test]
fn inspect_tells_what_is_there() {
    let text = String::from_utf8(run(&["inspect", "numbers.wat"], "").stdout).expect("text");
    for line in ["kind      core module\n", "  div(s32, s32) -> s32\n", "  handle: parameter 0 is"]
    {
        assert!(text.contains(line), "{text}");
    }
    let json = run(&["inspect", "upper.wat", "--json"], "").stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&json["kind"], &json["default"]), (&"command-p1".into(), &"_start".into()));
    assert_eq!(json["imports"][0]["name"], "wasi_snapshot_preview1.fd_read");
    let json = run(&["inspect", "text.wat", "--json"], "").stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let wanted = serde_json::json!({
        "name": "echo",
        "params": [{ "name": "text", "type": "string" }],
        "result": "string",
    });
    assert_eq!(json["functions"][0], wanted);
    assert_eq!(json["default"], serde_json::Value::Null);
}

#[test]
fn a_terminal_is_asked_for_by_name_only() {
    // A terminal without anybody at it.
    let Ok(terminal) = fs::File::options().read(true).write(true).open("/dev/ptmx") else { return };
    let mut command = sandpool(&["imap", "numbers.wat", "-f", "square"]);
    command.stdin(terminal);
    let mut live = Live::start(command);
    live.stdin = None;
    live.end().says(2, &["items are expected on standard input", "`-`"]);
}

/// Guests and items could else write over what stands there, or answer in the user's name.
#[test]
fn a_terminal_is_not_shown_control_characters() {
    const ITEM: &[u8] = b"a\tb\x1b[2J\xc2\x9b\xff\n";
    let args = ["imap", "text.wat", "-f", "copy"];
    run(&args, &ITEM[..9]).is(0, "a\tb\u{1b}[2J\u{9b}\n", "");
    // One without anybody at it, which repeats what it was told to show.
    let Ok(terminal) = fs::File::options().read(true).write(true).open("/dev/ptmx") else { return };
    let mut command = sandpool(&args);
    command.stdout(terminal.try_clone().expect("clones"));
    finish(command, ITEM).is(0, "", "");
    let mut shown = [0; 100];
    let len = (&terminal).read(&mut shown).expect("reads");
    let shown = String::from_utf8_lossy(&shown[..len]).into_owned();
    assert!(shown.contains("\\u{1b}[2J\\u{9b}\u{fffd}"), "{shown:?}");
}
