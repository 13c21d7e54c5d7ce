//! Core modules: every kind of number, every kind of trap, state and its absence.

use super::{Setup, failed, fixture, reused};
use crate::description::ModuleKind;
use crate::guest::Reply;
use crate::outcome::TaskErrorKind;

const NUMBERS: &str = r#"(module
    (func (export "answer") (result i32) i32.const 42)
    (func (export "nothing"))
    (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
    (func (export "halve") (param f64) (result f64) local.get 0 f64.const 2 f64.div)
    (func (export "neg32") (param f32) (result f32) local.get 0 f32.neg)
    (func (export "wide") (param i64) (result i64) local.get 0 i64.const 1 i64.add)
    (func (export "five") (param i32 i64 f32 f64 i32) (result f64)
        local.get 0 f64.convert_i32_s local.get 1 f64.convert_i64_s f64.add
        local.get 2 f64.promote_f32 f64.add local.get 3 f64.add
        local.get 4 f64.convert_i32_s f64.add)
    (func (export "divmod") (param i32 i32) (result i32 i32)
        local.get 0 local.get 1 i32.div_s local.get 0 local.get 1 i32.rem_s)
    (func (export "vector") (param v128))
    (func (export "ref") (result funcref) ref.null func)
    (memory (export "memory") 1))"#;

#[test]
fn numbers_of_every_width_go_in_and_come_out() {
    let mut guest = fixture(NUMBERS);
    assert_eq!(guest.json("answer", "[]").unwrap(), "42");
    assert_eq!(guest.json("nothing", "null").unwrap(), "null");
    assert_eq!(guest.json("add", "[2147483647, 1]").unwrap(), "-2147483648");
    assert_eq!(guest.json("halve", "5").unwrap(), "2.5");
    assert_eq!(guest.json("neg32", "0.1").unwrap(), "-0.1");
    assert_eq!(guest.json("wide", "9007199254740993").unwrap(), "9007199254740994");
    assert_eq!(guest.json("five", "[1, 2, 0.5, 0.25, 4]").unwrap(), "7.75");
    assert_eq!(guest.json("divmod", "[7, 2]").unwrap(), "[3,1]");
    assert_eq!(guest.star("wide", "[1]").unwrap(), "2");
}

#[test]
fn binary_form_is_numbers_one_after_the_other() {
    let mut guest = fixture(NUMBERS);
    let mut item = 40_i32.to_le_bytes().to_vec();
    item.extend_from_slice(&2_i32.to_le_bytes());
    assert_eq!(guest.binary("add", &item).unwrap(), 42_i32.to_le_bytes());
    item.push(0);
    assert_eq!(failed(guest.binary("add", &item)).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.binary("add", &item[..7])).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.raw("add", &item)).0, TaskErrorKind::BadInput);
}

#[test]
fn the_description_has_what_can_be_called_and_why_the_rest_cannot() {
    let guest = fixture(NUMBERS);
    let description = &guest.description;
    assert_eq!(description.kind, ModuleKind::Core);
    let names: Vec<_> = description
        .functions
        .iter()
        .map(|info| format!("{}{}", info.name, info.signature))
        .collect();
    assert_eq!(
        names,
        [
            "answer() -> s32",
            "nothing()",
            "add(s32, s32) -> s32",
            "halve(f64) -> f64",
            "neg32(f32) -> f32",
            "wide(s64) -> s64",
            "five(s32, s64, f32, f64, s32) -> f64",
            "divmod(s32, s32) -> tuple<s32, s32>",
        ]
    );
    assert_eq!(description.uncallable[0].0, "vector");
    assert!(description.uncallable[0].1.starts_with("parameter 0 is `v128`"));
    assert_eq!(description.uncallable[1].0, "ref");
    assert!(!description.wasi && description.imports.is_empty());
    assert_eq!(description.module_size, NUMBERS.len() as u64);
    let needs = description.needs.unwrap();
    assert_eq!((needs.memories, needs.memory_bytes), (1, 65536));
}

#[test]
fn what_does_not_fit_is_bad_input_with_its_place() {
    let mut guest = fixture(NUMBERS);
    let (kind, message) = failed(guest.json("add", r#"[1, "two"]"#));
    assert_eq!(kind, TaskErrorKind::BadInput);
    assert!(message.contains("[1]") && message.contains("s32"), "{message}");
    assert_eq!(failed(guest.json("add", "[1]")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.json("add", "[1, 2, 3]")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.json("wide", "1.5")).0, TaskErrorKind::BadInput);
    assert_eq!(failed(guest.json("wide", "not json")).0, TaskErrorKind::BadInput);
}

const TRAPS: &str = r#"(module
    (memory 1)
    (table 1 funcref)
    (type $sig (func))
    (func $inner unreachable)
    (func (export "unreachable") call $inner)
    (func (export "divide") (param i32) (result i32) i32.const 1 local.get 0 i32.div_s)
    (func (export "overflow") (result i32) i32.const 0x80000000 i32.const -1 i32.div_s)
    (func (export "convert") (result i32) f32.const nan i32.trunc_f32_s)
    (func (export "memory") (result i32) i32.const 65533 i32.load)
    (func (export "far") (result i32) i32.const -1 i32.load offset=4294967295)
    (func (export "table") (param i32) local.get 0 call_indirect (type $sig))
    (func $deep (export "deep") call $deep))"#;

#[test]
fn every_trap_is_named() {
    let mut guest = fixture(TRAPS);
    for (function, item, expected) in [
        ("unreachable", "[]", "wasm `unreachable` instruction executed"),
        ("divide", "0", "integer divide by zero"),
        ("overflow", "[]", "integer overflow"),
        ("convert", "[]", "invalid conversion to integer"),
        ("memory", "[]", "out of bounds memory access"),
        ("far", "[]", "out of bounds memory access"),
        ("table", "0", "uninitialized element"),
        ("table", "7", "undefined element: out of bounds table access"),
        ("deep", "[]", "call stack exhausted"),
    ] {
        let expected = (TaskErrorKind::Trapped, expected.to_string());
        assert_eq!(failed(guest.json(function, item)), expected, "{function}");
        // The guest layer is as good as new after each of them.
        assert_eq!(guest.json("divide", "1").unwrap(), "1");
    }
}

#[test]
fn backtraces_have_demangled_names_innermost_first() {
    let mut guest = fixture(
        r#"(module
            (func $_ZN5alloc3vec12Vec$LT$T$GT$4push17h0123456789abcdefE unreachable)
            (func $middle call $_ZN5alloc3vec12Vec$LT$T$GT$4push17h0123456789abcdefE)
            (func $outer (export "run") call $middle))"#,
    );
    let failure = guest.json("run", "[]").unwrap_err();
    let lines: Vec<_> = failure.backtrace.lines().collect();
    assert_eq!(lines.len(), 3, "{}", failure.backtrace);
    assert!(lines[0].contains("alloc::vec::Vec<T>::push"), "{}", lines[0]);
    assert!(lines[1].ends_with("middle") && lines[2].ends_with("outer"));
}

const COUNTER: &str = r#"(module
    (global $n (mut i32) (i32.const 0))
    (func (export "next") (result i32)
        global.get $n i32.const 1 i32.add global.set $n global.get $n)
    (func (export "set") (param i32) local.get 0 global.set $n)
    (func (export "trap") unreachable))"#;

#[test]
fn fresh_instances_start_anew_and_reused_ones_go_on() {
    let mut fresh = fixture(COUNTER);
    let mut reused = reused().load(COUNTER);
    for expected in ["1", "2", "3"] {
        assert_eq!(fresh.json("next", "[]").unwrap(), "1");
        assert_eq!(reused.json("next", "[]").unwrap(), expected);
    }
}

#[test]
fn a_trap_ends_a_reused_instance_and_bad_input_does_not() {
    let mut guest = reused().load(COUNTER);
    guest.json("set", "10").unwrap();
    assert_eq!(failed(guest.json("set", "true")).0, TaskErrorKind::BadInput);
    assert_eq!(guest.json("next", "[]").unwrap(), "11");
    assert_eq!(failed(guest.json("trap", "[]")).0, TaskErrorKind::Trapped);
    assert_eq!(guest.json("next", "[]").unwrap(), "1");
}

#[test]
fn the_initializer_runs_once_per_instance() {
    let setup = Setup { initializer: Some((1, 7_i32.to_le_bytes().to_vec())), ..reused() };
    let mut guest = setup.load(COUNTER);
    assert!(guest.guest.needs_preparation());
    guest.guest.prepare().unwrap();
    assert!(!guest.guest.needs_preparation());
    assert_eq!(guest.json("next", "[]").unwrap(), "8");
    assert_eq!(guest.json("next", "[]").unwrap(), "9");
    assert_eq!(failed(guest.json("trap", "[]")).0, TaskErrorKind::Trapped);
    assert!(guest.guest.needs_preparation());
    // Not prepared by hand, it prepares itself.
    assert_eq!(guest.json("next", "[]").unwrap(), "8");
}

#[test]
fn an_initializer_that_traps_fails_the_preparation() {
    let setup = Setup { initializer: Some((2, Vec::new())), ..reused() };
    let mut guest = setup.load(COUNTER);
    assert_eq!(failed(guest.guest.prepare()).0, TaskErrorKind::Trapped);
    assert!(guest.guest.needs_preparation());
    assert_eq!(failed(guest.json("next", "[]")).0, TaskErrorKind::Trapped);
}

#[test]
fn reactors_are_initialised_before_their_first_call() {
    let text = r#"(module
        (global $n (mut i32) (i32.const 0))
        (func (export "_initialize") i32.const 100 global.set $n)
        (func (export "next") (result i32)
            global.get $n i32.const 1 i32.add global.set $n global.get $n))"#;
    let mut guest = reused().load(text);
    assert_eq!(guest.description.functions.len(), 1);
    assert_eq!(guest.json("next", "[]").unwrap(), "101");
    assert_eq!(guest.json("next", "[]").unwrap(), "102");
    assert_eq!(fixture(text).json("next", "[]").unwrap(), "101");
}

#[test]
fn a_trap_in_the_start_function_says_so() {
    let mut guest = fixture(
        r#"(module (func $start unreachable) (start $start)
            (func (export "run")))"#,
    );
    let failure = guest.json("run", "[]").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::Trapped));
    let expected = "wasm `unreachable` instruction executed, in the start function";
    assert_eq!(failure.message, expected);
    assert!(failure.backtrace.contains("start"));
    let mut guest =
        fixture(r#"(module (memory 1) (data (i32.const 65535) "ab") (func (export "run")))"#);
    let expected = "out of bounds memory access, while the instance was made";
    assert_eq!(failed(guest.json("run", "[]")), (TaskErrorKind::Trapped, expected.into()));
}

#[test]
fn an_unknown_function_is_bad_input() {
    let mut guest = fixture(NUMBERS);
    let item = crate::guest::Item {
        index: 0,
        attempt: 1,
        function: u32::MAX,
        form: crate::description::Form::Json,
        star: false,
        bytes: b"1",
    };
    let outcome = guest.guest.run(&item, &mut Reply::default());
    assert_eq!(failed(outcome).0, TaskErrorKind::BadInput);
}
