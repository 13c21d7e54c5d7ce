//! Components: typed calls, dynamic values of every type, results, imports of ours.

use super::{Setup, failed, fixture, reused};
use crate::description::ModuleKind;
use crate::limits::Limits;
use crate::outcome::TaskErrorKind;

/// A core module with a memory and a bump allocator, to be put into components.
const MEMORY: &str = r#"
    (core module $libc
        (memory (export "memory") 1)
        (global $top (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and
                (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
                (i32.sub (i32.const 0) (local.get 2))))
            (global.set $top (i32.add (local.get $at) (local.get 3)))
            (block $room
                (br_if $room (i32.le_u (global.get $top)
                    (i32.mul (memory.size) (i32.const 65536))))
                (br_if $room (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
                    (i32.div_u (local.get 3) (i32.const 65536))))))
                unreachable)
            (local.get $at)))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))"#;

/// A component in which `body` sees `$memory` and `$realloc`.
pub(super) fn with_memory(body: &str) -> String {
    format!("(component {MEMORY} {body})")
}

/// A component whose functions give back their one parameter, each through a core function that
/// moves the flat parameter words to where the canonical ABI wants the result.
fn echo(functions: &[(&str, &str, &str)]) -> String {
    let mut core = String::new();
    let mut lifts = String::new();
    for (name, ty, body) in functions {
        core.push_str(&format!("(func (export \"{name}\") {body})"));
        lifts.push_str(&format!(
            r#"(func (export "{name}") {ty} (canon lift (core func $i "{name}")
                (memory $memory) (realloc (core func $realloc))))"#
        ));
    }
    with_memory(&format!(
        r#"(core module $m (import "libc" "memory" (memory 1))
            (func $pair (param i32 i32) (result i32)
                (i32.store (i32.const 16) (local.get 0))
                (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
            {core})
        (core instance $i (instantiate $m (with "libc" (instance $libc))))
        {lifts}"#
    ))
}

const PAIR: &str = "(param i32 i32) (result i32) (call $pair (local.get 0) (local.get 1))";

#[test]
fn bytes_and_strings_have_typed_calls_in_every_form() {
    let mut guest = fixture(&echo(&[
        ("bytes", r#"(param "x" (list u8)) (result (list u8))"#, PAIR),
        ("text", r#"(param "x" string) (result string)"#, PAIR),
        ("as-text", r#"(param "x" (list u8)) (result string)"#, PAIR),
    ]));
    assert_eq!(guest.raw("bytes", b"\0\xff\n").unwrap(), b"\0\xff\n");
    assert_eq!(guest.raw("bytes", b"").unwrap(), b"");
    assert_eq!(guest.json("bytes", r#""AP8K""#).unwrap(), r#""AP8K""#);
    assert_eq!(guest.binary("bytes", b"\x02\0\0\0ab").unwrap(), b"ab");
    assert_eq!(guest.json("text", r#""äö\n""#).unwrap(), r#""äö\n""#);
    assert_eq!(guest.raw("text", "äö".as_bytes()).unwrap(), "äö".as_bytes());
    assert_eq!(failed(guest.raw("text", b"\xff")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.binary("bytes", b"\x03\0\0\0ab")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.binary("bytes", b"\x01\0\0\0ab")).0, TaskErrorKind::BadInput);
    assert_eq!(guest.raw("as-text", b"ok").unwrap(), b"ok");
    let (kind, message) = failed(guest.raw("as-text", b"\xff"));
    assert_eq!(kind, TaskErrorKind::BadOutput);
    assert!(message.contains("utf-8"), "{message}");
    let large: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
    assert_eq!(guest.raw("bytes", &large).unwrap(), large);
}

#[test]
fn lists_of_numbers_have_typed_calls() {
    let sum = r#"(param i32 i32) (result f64) (local $sum f64)
        (block $end (loop $next
            (br_if $end (i32.eqz (local.get 1)))
            (local.set $sum (f64.add (local.get $sum) (f64.load (local.get 0))))
            (local.set 0 (i32.add (local.get 0) (i32.const 8)))
            (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
            (br $next)))
        (local.get $sum)"#;
    let mut guest = fixture(&echo(&[
        ("floats", r#"(param "x" (list f64)) (result (list f64))"#, PAIR),
        ("words", r#"(param "x" (list u32)) (result (list u32))"#, PAIR),
        ("sum", r#"(param "x" (list f64)) (result f64)"#, sum),
    ]));
    assert_eq!(guest.json("floats", "[1.5, -0.0, 1e300]").unwrap(), "[1.5,-0.0,1e+300]");
    assert_eq!(guest.json("floats", "[]").unwrap(), "[]");
    assert_eq!(guest.json("words", "[4294967295, 0]").unwrap(), "[4294967295,0]");
    assert_eq!(guest.json("sum", "[1, 2, 3.5]").unwrap(), "6.5");
    assert_eq!(failed(guest.binary("words", b"\xff\xff\xff\xff")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.raw("words", b"1234")).0, TaskErrorKind::BadInput);
}

#[test]
fn scalars_of_every_type_pass() {
    let word = "(param i32) (result i32) (local.get 0)";
    let mut guest = fixture(&echo(&[
        ("bool", r#"(param "x" bool) (result bool)"#, word),
        ("s8", r#"(param "x" s8) (result s8)"#, word),
        ("u8", r#"(param "x" u8) (result u8)"#, word),
        ("s16", r#"(param "x" s16) (result s16)"#, word),
        ("u16", r#"(param "x" u16) (result u16)"#, word),
        ("s32", r#"(param "x" s32) (result s32)"#, word),
        ("u32", r#"(param "x" u32) (result u32)"#, word),
        ("s64", r#"(param "x" s64) (result s64)"#, "(param i64) (result i64) (local.get 0)"),
        ("u64", r#"(param "x" u64) (result u64)"#, "(param i64) (result i64) (local.get 0)"),
        ("f32", r#"(param "x" f32) (result f32)"#, "(param f32) (result f32) (local.get 0)"),
        ("f64", r#"(param "x" f64) (result f64)"#, "(param f64) (result f64) (local.get 0)"),
        ("char", r#"(param "x" char) (result char)"#, word),
        ("none", r#"(param "x" u32)"#, "(param i32)"),
        (
            "two",
            r#"(param "a" u8) (param "b" u32) (result u32)"#,
            "(param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))",
        ),
    ]));
    for (function, value) in [
        ("bool", "true"),
        ("s8", "-128"),
        ("u8", "255"),
        ("s16", "-32768"),
        ("u16", "65535"),
        ("s32", "-2147483648"),
        ("u32", "4294967295"),
        ("s64", "-9223372036854775808"),
        ("u64", "18446744073709551615"),
        ("f32", "0.1"),
        ("f64", "0.1"),
        ("char", r#""🦀""#),
    ] {
        assert_eq!(guest.json(function, value).unwrap(), value, "{function}");
    }
    assert_eq!(guest.json("none", "1").unwrap(), "null");
    assert_eq!(guest.json("two", "[1, 2]").unwrap(), "3");
    assert_eq!(guest.json("two", r#"{"b": 5, "a": 1}"#).unwrap(), "6");
    assert_eq!(failed(guest.json("u8", "256")).0, TaskErrorKind::BadInput);
}

/// One function for compound types: its parameters are stored, and read back as the result.
fn compound() -> String {
    let echo = |name: &str| {
        format!(
            r#"(func (export "{name}") (param "x" ${name}) (result ${name})
                (canon lift (core func $i "{name}")
                (memory $memory) (realloc (core func $realloc))))"#
        )
    };
    let names = ["point", "pair", "shape", "color", "maybe", "outcome", "perms"];
    let types = r#"
        (type $point' (record (field "x" s32) (field "name" string)))
        (export $point "point-type" (type $point'))
        (type $pair (tuple u8 f64))
        (type $shape' (variant (case "dot") (case "circle" f32) (case "label" string)))
        (export $shape "shape-type" (type $shape'))
        (type $color' (enum "red" "green" "blue"))
        (export $color "color-type" (type $color'))
        (type $maybe (option u16))
        (type $outcome (option (result u32 (error string))))
        (type $perms' (flags "read" "write" "exec" "a" "b" "c" "d" "e" "f"))
        (export $perms "perms-type" (type $perms'))"#;
    let lifts: String = names.iter().map(|name| echo(name)).collect();
    with_memory(&format!(
        r#"(core module $m (import "libc" "memory" (memory 1))
            (func (export "point") (param i32 i32 i32) (result i32)
                (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))
                (i32.store (i32.const 24) (local.get 2)) (i32.const 16))
            (func (export "pair") (param i32 f64) (result i32)
                (i32.store8 (i32.const 16) (local.get 0)) (f64.store (i32.const 24) (local.get 1))
                (i32.const 16))
            (func (export "shape") (param i32 i32 i32) (result i32)
                (i32.store8 (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))
                (i32.store (i32.const 24) (local.get 2)) (i32.const 16))
            (func (export "color") (param i32) (result i32) (local.get 0))
            (func (export "maybe") (param i32 i32) (result i32)
                (i32.store8 (i32.const 16) (local.get 0)) (i32.store16 (i32.const 18) (local.get 1))
                (i32.const 16))
            (func (export "outcome") (param i32 i32 i32 i32) (result i32)
                (i32.store8 (i32.const 16) (local.get 0)) (i32.store8 (i32.const 20) (local.get 1))
                (i32.store (i32.const 24) (local.get 2)) (i32.store (i32.const 28) (local.get 3))
                (i32.const 16))
            (func (export "perms") (param i32) (result i32) (local.get 0)))
        (core instance $i (instantiate $m (with "libc" (instance $libc))))
        {types} {lifts}"#
    ))
}

#[test]
fn compound_values_pass_unchanged() {
    let mut guest = fixture(&compound());
    for (function, value) in [
        ("point", r#"{"x":-7,"name":"äö"}"#),
        ("pair", "[200,0.25]"),
        ("shape", r#""dot""#),
        ("shape", r#"{"circle":1.5}"#),
        ("shape", r#"{"label":"here"}"#),
        ("color", r#""blue""#),
        ("maybe", "null"),
        ("maybe", "65535"),
        ("outcome", "null"),
        ("outcome", r#"{"ok":9}"#),
        ("outcome", r#"{"err":"no"}"#),
        ("perms", "[]"),
        ("perms", r#"["read","exec","f"]"#),
    ] {
        // One parameter: a tuple is itself an array, so it goes as an argument list.
        let item = format!("[{value}]");
        assert_eq!(guest.star(function, &item).unwrap(), value, "{function}");
    }
    let (kind, message) = failed(guest.json("point", r#"{"x":1,"nam":"a"}"#));
    assert_eq!(kind, TaskErrorKind::BadInput);
    assert!(message.contains("nam"), "{message}");
    // The binary form of the same type, taken apart: -7, then "ab".
    let item = b"\xf9\xff\xff\xff\x02\0\0\0ab";
    assert_eq!(guest.binary("point", item).unwrap(), item);
    assert_eq!(guest.binary("perms", b"\x05\x01").unwrap(), b"\x05\x01");
    assert_eq!(guest.binary("shape", b"\x00").unwrap(), b"\x00");
    assert_eq!(failed(guest.binary("shape", b"\x03")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.binary("color", b"\x03")).0, TaskErrorKind::BadInput);
}

/// `run` of our world: succeeds with the input, or fails with it if it starts with `!`.
fn results() -> String {
    let run = "(param i32 i32) (result i32)
        (i32.store8 (i32.const 16) (i32.const 0))
        (if (i32.gt_u (local.get 1) (i32.const 0))
            (then (i32.store8 (i32.const 16)
                (i32.eq (i32.load8_u (local.get 0)) (i32.const 33)))))
        (i32.store (i32.const 20) (local.get 0)) (i32.store (i32.const 24) (local.get 1))
        (i32.const 16)";
    let code = "(param i32) (result i32)
        (i32.store8 (i32.const 16) (i32.ne (local.get 0) (i32.const 0)))
        (i32.store (i32.const 20) (local.get 0)) (i32.const 16)";
    echo(&[
        ("run", r#"(param "input" (list u8)) (result (result (list u8) (error string)))"#, run),
        ("text", r#"(param "x" string) (result (result string (error string)))"#, run),
        ("code", r#"(param "x" u32) (result (result (error u32)))"#, code),
        ("bare", r#"(param "x" bool) (result (result))"#, "(param i32) (result i32) (local.get 0)"),
    ])
}

#[test]
fn the_ok_of_a_result_is_the_value_and_the_err_fails_the_item() {
    let mut guest = fixture(&results());
    assert_eq!(guest.raw("run", b"fine").unwrap(), b"fine");
    assert_eq!(guest.binary("run", b"\x01\0\0\0x").unwrap(), b"x");
    assert_eq!(guest.json("text", r#""a""#).unwrap(), r#""a""#);
    assert_eq!(guest.json("code", "0").unwrap(), "null");
    assert_eq!(guest.json("bare", "false").unwrap(), "null");

    let failure = guest.raw("run", b"!boom").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::Failed));
    assert_eq!(failure.message, "!boom");
    assert_eq!(failure.payload.as_deref(), Some(&b"!boom"[..]));
    let failure = guest.json("text", r#""!no""#).unwrap_err();
    assert_eq!(failure.message, "!no");
    assert_eq!(failure.payload.as_deref(), Some(&br#""!no""#[..]));
    let failure = guest.binary("text", b"\x01\0\0\0!").unwrap_err();
    assert_eq!(failure.payload.as_deref(), Some(&b"\x01\0\0\0!"[..]));
    let failure = guest.json("code", "17").unwrap_err();
    assert_eq!(failure.message, "17");
    assert_eq!(failure.payload.as_deref(), Some(&b"17"[..]));
    let failure = guest.binary("code", b"\x11\0\0\0").unwrap_err();
    assert_eq!(failure.payload.as_deref(), Some(&b"\x11\0\0\0"[..]));
    let failure = guest.json("bare", "true").unwrap_err();
    assert_eq!(failure.message, "the function returned an error");
}

#[test]
fn an_error_beyond_the_output_limit_is_refused_in_every_form() {
    let limits = Limits { output: 10, ..Limits::default() };
    let mut guest = Setup { limits, ..Setup::default() }.load(&results());
    assert_eq!(failed(guest.raw("run", b"!123456789")).0, TaskErrorKind::Failed);
    let failure = guest.raw("run", b"!123456789a").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutputTooLarge));
    assert_eq!(failure.used, Some((11, 10)));
    assert_eq!(failed(guest.json("text", r#""!12345678""#)).0, TaskErrorKind::OutputTooLarge);
}

#[test]
fn an_error_of_the_function_keeps_a_reused_instance() {
    let mut guest = reused().load(&results());
    for _ in 0..3 {
        assert_eq!(failed(guest.raw("run", b"!")).0, TaskErrorKind::Failed);
        assert_eq!(guest.raw("run", b"ok").unwrap(), b"ok");
    }
}

#[test]
fn output_beyond_the_limit_is_refused_in_every_form() {
    let limits = Limits { output: 10, ..Limits::default() };
    let setup = Setup { limits, ..Setup::default() };
    let mut guest = setup.load(&echo(&[
        ("bytes", r#"(param "x" (list u8)) (result (list u8))"#, PAIR),
        ("texts", r#"(param "x" (list string)) (result (list string))"#, PAIR),
    ]));
    assert_eq!(guest.raw("bytes", b"0123456789").unwrap().len(), 10);
    let failure = guest.raw("bytes", b"0123456789a").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutputTooLarge));
    assert_eq!(failure.used, Some((11, 10)));
    assert_eq!(failure.message, "the output has 11 bytes, the limit is 10");
    assert_eq!(guest.binary("bytes", b"\x0a\0\0\0abcdefghij").unwrap().len(), 10);
    // As base64 and with quotes, six bytes are ten.
    assert_eq!(guest.json("bytes", r#""YWJjZGVm""#).unwrap().len(), 10);
    let failure = guest.json("bytes", r#""YWJjZGVmZw==""#).unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutputTooLarge));
    assert_eq!(guest.json("texts", r#"["aaa", ""]"#).unwrap(), r#"["aaa",""]"#);
    let failure = guest.json("texts", r#"["aaa", "bb"]"#).unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutputTooLarge));
}

#[test]
fn a_small_list_that_would_unfold_into_gigabytes_is_refused() {
    // Every element of the list is the same half megabyte of the guest's memory.
    let body = "(param i32) (result i32) (local $at i32)
        (local.set $at (i32.const 0))
        (drop (memory.grow (i32.const 16)))
        (loop $next
            (i32.store (i32.add (i32.const 524288) (local.get $at)) (i32.const 0))
            (i32.store (i32.add (i32.const 524292) (local.get $at)) (i32.const 524288))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 65536))))
        (call $pair (i32.const 524288) (local.get 0))";
    let mut guest = fixture(&echo(&[("texts", r#"(param "n" u32) (result (list string))"#, body)]));
    assert!(guest.json("texts", "1").unwrap().len() > 500_000);
    let (kind, message) = failed(guest.json("texts", "8192"));
    assert_eq!(kind, TaskErrorKind::OutputTooLarge, "{message}");
}

#[test]
fn exported_interfaces_have_full_names() {
    let text = r#"(component
        (core module $m (func (export "f") (result i32) i32.const 3))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $api (export "three" (func $f)))
        (export "my:pkg/api@1.2.3" (instance $api))
        (export "plain" (func $f)))"#;
    let mut guest = fixture(text);
    let names: Vec<_> = guest.description.functions.iter().map(|info| &info.name).collect();
    assert_eq!(names, ["my:pkg/api@1.2.3#three", "plain"]);
    assert_eq!(guest.description.kind, ModuleKind::Component);
    assert_eq!(guest.json("my:pkg/api@1.2.3#three", "[]").unwrap(), "3");
    assert_eq!(guest.json("plain", "[]").unwrap(), "3");
}

#[test]
fn handles_cannot_be_called_and_the_place_is_named() {
    let text = r#"(component
        (type $r' (resource (rep i32)))
        (export $r "res" (type $r'))
        (core func $new (canon resource.new $r'))
        (core module $m (import "" "new" (func $new (param i32) (result i32)))
            (func (export "make") (result i32) (call $new (i32.const 1)))
            (func (export "fine") (result i32) i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "make") (result (own $r)) (canon lift (core func $i "make")))
        (func (export "fine") (result u8) (canon lift (core func $i "fine"))))"#;
    let mut guest = fixture(text);
    assert_eq!(guest.json("fine", "[]").unwrap(), "1");
    let (name, reason) = &guest.description.uncallable[0];
    assert_eq!(name, "make");
    assert_eq!(reason, "`result` is a resource handle, which cannot be spelled in JSON");
}

/// A component that logs, and tells its index and attempt.
const IMPORTS: &str = r#"(component
    (import "sandpool:task/log@0.1.0" (instance $log
        (type $level' (enum "trace" "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $level')))
        (export "log" (func (param "level" $level) (param "message" string)))))
    (import "sandpool:task/context@0.1.0" (instance $context
        (export "index" (func (result u64)))
        (export "attempt" (func (result u32)))))
    (core module $libc (memory (export "memory") 1)
        (data (i32.const 0) "hello"))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (core func $log (canon lower (func $log "log") (memory $memory)))
    (core func $index (canon lower (func $context "index")))
    (core func $attempt (canon lower (func $context "attempt")))
    (core module $m
        (import "" "log" (func $log (param i32 i32 i32)))
        (import "" "index" (func $index (result i64)))
        (import "" "attempt" (func $attempt (result i32)))
        (func (export "f") (result i64)
            (call $log (i32.const 3) (i32.const 0) (i32.const 5))
            (i64.add (i64.mul (call $index) (i64.const 10))
                (i64.extend_i32_u (call $attempt)))))
    (core instance $i (instantiate $m (with "" (instance
        (export "log" (func $log)) (export "index" (func $index))
        (export "attempt" (func $attempt))))))
    (func (export "f") (result u64) (canon lift (core func $i "f"))))"#;

#[test]
fn our_own_imports_log_and_tell_the_item() {
    for mut guest in [fixture(IMPORTS), reused().load(IMPORTS)] {
        assert!(!guest.description.wasi);
        assert_eq!(guest.description.imports.len(), 2);
        for index in 0..3 {
            assert_eq!(guest.json("f", "[]").unwrap(), format!("{}", index * 10 + 1));
            let logs = guest.logs();
            assert_eq!(logs.stderr, b"warn: hello\n");
            assert!(guest.logs().is_empty());
        }
    }
}

#[test]
fn a_trap_inside_a_component_has_a_backtrace() {
    let mut guest = fixture(&echo(&[("f", r#"(param "x" u32)"#, "(param i32) unreachable")]));
    let failure = guest.json("f", "1").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::Trapped));
    assert_eq!(failure.message, "wasm `unreachable` instruction executed");
    assert!(!failure.backtrace.is_empty());
}
