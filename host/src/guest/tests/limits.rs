//! Limits: memory over all memories and tables, fuel, logs.

use super::{Setup, failed, fixture, reused};
use crate::description::EngineSettings;
use crate::limits::Limits;
use crate::outcome::TaskErrorKind;

const PAGE: u64 = 65536;

fn memory_limit(pages: u64) -> Setup {
    Setup { limits: Limits { memory: pages * PAGE, ..Limits::default() }, ..Setup::default() }
}

const GROW: &str = r#"(module
    (memory 1) (memory $other 1)
    (table $t 0 funcref)
    (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
    (func (export "grow-other") (param i32) (result i32) local.get 0 memory.grow $other)
    (func (export "grow-table") (param i32) (result i32)
        ref.null func local.get 0 table.grow $t)
    (func (export "both") (param i32) (result i32)
        local.get 0 memory.grow drop local.get 0 memory.grow $other)
    (func (export "must-grow") (param i32)
        local.get 0 memory.grow i32.const -1 i32.eq if unreachable end))"#;

#[test]
fn refused_growth_is_minus_one_to_the_guest() {
    let mut guest = memory_limit(10).load(GROW);
    assert_eq!(guest.json("grow", "8").unwrap(), "1");
    assert_eq!(guest.json("grow", "9").unwrap(), "-1");
    assert_eq!(guest.json("grow-other", "8").unwrap(), "1");
    assert_eq!(guest.json("grow", "65536").unwrap(), "-1");
    // All memories count together.
    assert_eq!(guest.json("both", "4").unwrap(), "1");
    assert_eq!(guest.json("both", "5").unwrap(), "-1");
    // Eight bytes for each element of a table: 8 pages hold 65536 of them.
    assert_eq!(guest.json("grow-table", "65536").unwrap(), "0");
    assert_eq!(guest.json("grow-table", "65537").unwrap(), "-1");
}

#[test]
fn a_trap_after_a_refusal_is_out_of_memory_with_numbers() {
    let mut guest = memory_limit(10).load(GROW);
    guest.json("must-grow", "8").unwrap();
    let failure = guest.json("must-grow", "20").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutOfMemory));
    assert_eq!(failure.used, Some((2 * PAGE, 10 * PAGE)));
    assert_eq!(failure.message, "used 131072 of 655360 bytes and asked for 1310720 more");
    assert!(!failure.backtrace.is_empty());
}

#[test]
fn a_refusal_is_forgotten_with_its_item() {
    let limits = Limits { memory: 3 * PAGE, ..Limits::default() };
    let text = r#"(module (memory 1)
        (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
        (func (export "trap") unreachable))"#;
    let mut guest = Setup { limits, ..reused() }.load(text);
    assert_eq!(guest.json("grow", "5").unwrap(), "-1");
    assert_eq!(failed(guest.json("trap", "[]")).0, TaskErrorKind::Trapped);
    // The growth of earlier items counts as long as the instance lives.
    assert_eq!(guest.json("grow", "2").unwrap(), "1");
    assert_eq!(guest.json("grow", "1").unwrap(), "-1");
    assert_eq!(failed(guest.json("trap", "[]")).0, TaskErrorKind::Trapped);
    assert_eq!(guest.json("grow", "2").unwrap(), "1");
}

#[test]
fn the_own_maximum_of_a_module_is_no_limit_of_ours() {
    let mut guest = memory_limit(10).load(
        r#"(module (memory 1 2)
            (func (export "f") i32.const 5 memory.grow i32.const -1 i32.eq if unreachable end))"#,
    );
    assert_eq!(failed(guest.json("f", "[]")).0, TaskErrorKind::Trapped);
}

#[test]
fn a_module_that_starts_above_the_limit_is_not_loaded() {
    let text = r#"(module (memory 11) (func (export "f")))"#;
    let error = memory_limit(10).try_load(text.as_bytes()).err().unwrap();
    let expected =
        "the module starts with a memory of 720896 bytes, and the memory limit is 655360";
    assert_eq!(error, expected);
    // Two memories that only together are too large show when they are made.
    let mut guest = memory_limit(10).load(r#"(module (memory 6) (memory 6) (func (export "f")))"#);
    let failure = guest.json("f", "[]").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutOfMemory));
    assert_eq!(failure.used, Some((6 * PAGE, 10 * PAGE)));
}

#[test]
fn growth_up_to_the_default_limit_works_and_is_given_back() {
    let text = r#"(module (memory 1)
        (func (export "fill") (param i32) (result i32)
            (if (i32.eq (memory.grow (local.get 0)) (i32.const -1)) (then unreachable))
            (memory.fill (i32.const 0) (i32.const 255)
                (i32.mul (memory.size) (i32.const 65536)))
            (memory.size)))"#;
    let mut guest = fixture(text);
    assert_eq!(guest.json("fill", "4095").unwrap(), "4096");
    assert_eq!(failed(guest.json("fill", "4096")).0, TaskErrorKind::OutOfMemory);
    assert_eq!(guest.json("fill", "1").unwrap(), "2");
}

fn fuel(limit: Option<u64>) -> Setup {
    Setup {
        settings: EngineSettings { fuel: true, ..EngineSettings::default() },
        limits: Limits { fuel: limit, ..Limits::default() },
        ..Setup::default()
    }
}

const LOOP: &str = r#"(module
    (func (export "loop") (param i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;

#[test]
fn fuel_is_counted_per_item() {
    for reuse in [false, true] {
        let mut guest = Setup { reuse, ..fuel(Some(10_000)) }.load(LOOP);
        for _ in 0..5 {
            guest.json("loop", "1000").unwrap();
        }
        let failure = guest.json("loop", "100000").unwrap_err();
        assert_eq!(failure.kind, Some(TaskErrorKind::OutOfFuel));
        assert_eq!(failure.used, Some((10_000, 10_000)));
        guest.json("loop", "1000").unwrap();
    }
    fuel(None).load(LOOP).json("loop", "1000000").unwrap();
}

#[test]
fn a_start_function_burns_fuel_too() {
    let mut guest = fuel(Some(1000))
        .load(r#"(module (func $s (loop $l (br $l))) (start $s) (func (export "f")))"#);
    assert_eq!(failed(guest.json("f", "[]")).0, TaskErrorKind::OutOfFuel);
}

#[test]
fn a_fuel_limit_without_counting_is_refused() {
    let limits = Limits { fuel: Some(1), ..Limits::default() };
    let error = Setup { limits, ..Setup::default() }.try_load(LOOP.as_bytes()).err().unwrap();
    assert!(error.contains("fuel"), "{error}");
}
