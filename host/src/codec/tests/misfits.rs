//! What mismatches say, and where they point.

use super::{encode, parse, sig, ty};
use crate::codec::{parse_params, to_params};
use serde_json::json;

fn json(spelled: &str, text: &str) -> String {
    parse(&ty(spelled), text).unwrap_err().to_string()
}

const POINTS: &str = "record{points: list<record{x: s32, y: option<s32>}>}";

/// Type, text, message.
const JSON: &[(&str, &str, &str)] = &[
    (
        POINTS,
        r#"{"points":[{"x":1},{"x":2},{"x":"abc"}]}"#,
        r#"at $.points[2].x: expected s32, found string "abc""#,
    ),
    (
        POINTS,
        r#"{"points":[{"x":1,"z":2}]}"#,
        "at $.points[0].z: expected one of `x`, `y`, found `z`",
    ),
    (POINTS, r#"{"points":[{"y":1}]}"#, "at $.points[0].x: expected s32, found no such key"),
    (
        POINTS,
        r#"{"points":[{"x":1,"y":1,"y":2}]}"#,
        "at $.points[0].y: expected `y` once, found it twice",
    ),
    (
        POINTS,
        r#"{"points":[{"y":1,"x":1,"y":2}]}"#,
        "at $.points[0].y: expected `y` once, found it twice",
    ),
    (
        POINTS,
        "[]",
        "at $: expected record{points: list<record{x: s32, y: option<s32>}>}, found an array",
    ),
    ("u8", "256", "at $: expected u8, found 256"),
    ("u8", "1.0", "at $: expected u8, found the float 1.0"),
    ("f32", "1e39", "at $: expected f32, found 1e39"),
    ("option<f32>", "[1]", "at $: expected f32, found an array"),
    ("tuple<u8, u8>", "[1]", "at $: expected 2 values, found 1"),
    ("tuple<u8, u8>", "[1,2,3]", "at $: expected 2 values, found more"),
    ("tuple<u8, bool>", "[1,2]", "at $[1]: expected bool, found 2"),
    ("enum{a, b}", "\"c\"", "at $: expected one of `a`, `b`, found `c`"),
    ("variant{a(u8), b}", "\"a\"", r#"at $: expected {"a": u8}, found string "a""#),
    ("variant{a(u8), b}", r#"{"a":true}"#, "at $.a: expected u8, found true"),
    ("variant{a(u8), b}", r#"{"tag":"a"}"#, "at $.val: expected u8, found no such key"),
    ("variant{a(u8), b}", r#"{"val":[],"tag":"a"}"#, "at $.val: expected u8, found an array"),
    ("variant{a(u8), b}", r#"{"tag":1}"#, "at $.tag: expected the name of a case, found 1"),
    ("result<u8>", r#"{"err":1}"#, "at $.err: expected null, found 1"),
    ("result<u8>", r#"{"ok":1,"err":null}"#, "at $.err: expected no further key, found `err`"),
    (
        "option<option<u8>>",
        "1",
        r#"at $: expected null or {"some": ...} for option<option<u8>>, found 1"#,
    ),
    (
        "list<u8>",
        "\"é\"",
        "at $: expected list<u8> as base64 or an array of numbers, found string \"é\"",
    ),
    ("list<u8>", "[1,-1]", "at $[1]: expected u8, found -1"),
    ("flags{a, b}", r#"["a","c"]"#, "at $[1]: expected one of `a`, `b`, found `c`"),
    ("flags{a, b}", r#"{"a":1}"#, "at $.a: expected bool, found 1"),
    ("record{}", r#"{"a b\n":1}"#, r#"at $["a b\n"]: expected no name, found `a b `"#),
    ("u8", r#"{"$serde_json::private::Number":"5"}"#, "at $: expected u8, found an object"),
    ("u8", "1 2", "at $: not valid JSON: trailing characters at line 1 column 3"),
    ("u8", "", "at $: not valid JSON: EOF while parsing a value at line 1 column 0"),
];

#[test]
fn json_misfits_say_where_and_what() {
    for (spelled, text, message) in JSON {
        assert_eq!(json(spelled, text), *message, "{spelled}: {text}");
    }
}

#[test]
fn long_values_are_cut() {
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    let message = json("u8", &text);
    assert!(message.len() < 200 && message.ends_with('…'), "{message}");
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| {
        let ty = (0..levels).fold(ty("u8"), |ty, _| crate::codec::types::Type::Tuple(vec![ty]));
        parse(&ty, &format!("{}1{}", "[".repeat(levels), "]".repeat(levels)))
    };
    assert!(nested(127).is_ok());
    let message = nested(128).unwrap_err().to_string();
    assert!(message.contains("recursion limit exceeded"), "{message}");
    assert!(json("u8", &"[".repeat(1_000_000)).contains("found an array"));
}

#[test]
fn rust_misfits_say_where_and_what() {
    let points = ty(POINTS);
    let encode = |value| encode(&points, &value).unwrap_err().to_string();
    assert_eq!(
        encode(json!({"points": [{"x": 1}, {"x": "abc"}]})),
        r#"at $.points[1].x: expected s32, found string "abc""#
    );
    assert_eq!(
        encode(json!({"points": [{"x": 1, "z": 1}]})),
        "at $.points[0].z: expected one of `x`, `y`, found `z`"
    );
    assert_eq!(
        encode(json!({"points": [{}]})),
        "at $.points[0].x: expected s32, found no such key"
    );
    assert_eq!(
        encode(json!({})),
        "at $.points: expected list<record{x: s32, y: option<s32>}>, found no such key"
    );
}

#[test]
fn arguments_that_do_not_fit() {
    let two = sig("(a: s32, b: string)");
    let json = |sig, text: &str, star| {
        let mut out = vec![1, 2];
        let error = parse_params(sig, text.as_bytes(), star, &mut out).unwrap_err();
        assert_eq!(out, [1, 2], "the output is left as it was");
        error.to_string()
    };
    assert_eq!(json(&two, "7", false), "at $: expected an array or object of 2 arguments, found 7");
    assert_eq!(json(&two, "[1]", false), "at $: expected 2 values, found 1");
    assert_eq!(json(&two, "[1, 2]", false), "at $[1]: expected string, found 2");
    assert_eq!(json(&two, r#"{"a":1}"#, false), "at $.b: expected string, found no such key");
    assert_eq!(
        json(&sig("(s32)"), r#"{"":1}"#, true),
        "at $: expected an array of 1 arguments, found an object"
    );

    let mut out = vec![1, 2];
    let error = to_params(&two, false, &(1, "x", 3), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "at $: expected 2 arguments, found more");
    let error = to_params(&two, false, &7, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "at $: expected 2 arguments, found 7");
    let error = to_params(&two, true, &(1, 2), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "at $[1]: expected string, found 2");
    assert_eq!(out, [1, 2], "the output is left as it was");
}
