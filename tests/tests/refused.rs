//! Modules that are refused, for pools of every size: by name, in one line, before any item.
//!
//! Tests are named `dNN_what_is_promised` after the list of faults in `docs/faults.md`.

use crate::hostile::{ROGUE, SIZES};
use sandpool::{BuildErrorKind, Form, Pool, PoolErrorKind, TaskErrorKind, TaskModule};
use sandpool_tests::scene::builder;
use sandpool_tests::{Scene, hard_limit};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[test]
fn d07_d08_modules_that_begin_above_the_limit_are_no_pool() {
    let _limit = hard_limit();
    for workers in SIZES {
        for (text, part) in [
            (r#"(module (memory 600) (func (export "f")))"#, "memory"),
            (r#"(module (memory 1) (memory 599) (func (export "f")))"#, "memory"),
            // Neither of them alone.
            (r#"(module (memory 500) (table 200000 funcref) (func (export "f")))"#, "table"),
            (r#"(module (table 50000000 funcref) (func (export "f")))"#, "table"),
            (r#"(module (table 0xffffffff funcref) (func (export "f")))"#, "table"),
        ] {
            let began = Instant::now();
            let pool = builder(text).processes(workers).memory(32 * MIB).build();
            let error = pool.map(drop).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(error.to_string().lines().count() == 1, "{text}: {error}");
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        }
        // What only all memories together exceed is found when there is an instance.
        let scene = Scene::with(
            r#"(module (memory 300) (memory 300) (func (export "f") (param i64)))"#,
            |builder| builder.processes(workers).memory(32 * MIB),
        );
        for outcome in scene.pool.map_outcomes::<_, ()>("f", 0..20_i64).unwrap() {
            assert_eq!(outcome.unwrap_err().kind(), TaskErrorKind::OutOfMemory);
        }
        assert_eq!(scene.pool.stats().workers_ended, 0);
    }
}

#[test]
fn d18_d22_modules_that_need_what_is_not_there_are_refused_by_its_name() {
    let _limit = hard_limit();
    for (text, part) in [
        (r#"(module (import "env" "now" (func)) (func (export "f")))"#, "`env.now`"),
        (
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "f")))"#,
            "fd_write",
        ),
        (r#"(module (memory (export "f") 1))"#, "it exports no function"),
        (r#"(module (func (export "f") (param v128)))"#, "v128"),
        (r#"(module (tag $t) (func (export "f") (throw $t)))"#, "exception"),
        (
            r#"(module (type $a (array i8))
            (func (export "f") (drop (array.new_default $a (i32.const 1)))))"#,
            "gc",
        ),
        (r#"(module (memory i64 1) (func (export "f")))"#, "memory64"),
        (r#"(module (memory 1 1 shared) (func (export "f")))"#, "threads"),
        (r#"(module (memory 1 1 (pagesize 1)) (func (export "f")))"#, "custom page sizes"),
    ] {
        for workers in SIZES {
            let error = builder(text).processes(workers).build().map(drop).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Refused, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert_eq!(error.to_string().lines().count(), 1, "{text}: {error}");
        }
    }
    for workers in SIZES {
        let scene = Scene::new(ROGUE, workers);
        // None of that name, and what is exported is no function.
        for name in ["gone", "memory"] {
            let error = scene.pool.apply::<_, i64>(name, &1).unwrap_err();
            let error = error.pool().unwrap();
            assert_eq!(error.kind(), PoolErrorKind::NoSuchFunction, "{error}");
            assert!(error.to_string().contains("`go(s64) -> s64`"), "{error}");
        }
        assert_eq!(scene.pool.apply::<_, i64>("go", &4).unwrap(), 4);
    }
}

#[test]
fn d25_to_d29_bytes_that_are_no_module_are_refused_with_what_they_are() {
    let _limit = hard_limit();
    let component_in_a_module = b"\0asm\x01\0\0\0\x0e\x01\0";
    let module_in_a_component = b"\0asm\x0d\0\x01\0\x03\x02\x01\0";
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let bytes: [(&[u8], &str); 9] = [
        (b"", "it is empty"),
        (b"\0", "inside the header"),
        (b"\0asm", "inside the header"),
        (b"\0asm\x01\0", "inside the header"),
        (b"\0asm\x02\0\0\0", "version"),
        (component_in_a_module, "not a valid core module"),
        (module_in_a_component, "not a valid component"),
        (&program[..4096], "native executable"),
        (b"export function f() {}", "text"),
    ];
    for workers in SIZES {
        for (bytes, part) in bytes {
            let module = TaskModule::from_bytes("task", bytes);
            let built = Pool::builder(module).processes(workers).build();
            let error = built.map(drop).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

/// A component with a function of records inside each other, so many levels of them and a number.
fn nested(records: usize) -> String {
    let mut text = String::from(
        r#"(component (core module $m (func (export "f") (param i32) (result i32) (local.get 0)))
        (core instance $i (instantiate $m)) (type $t0 u32)"#,
    );
    for level in 1..=records {
        let inner = if level == 1 { "u32".to_owned() } else { format!("$e{}", level - 1) };
        text.push_str(&format!(
            "(type $t{level} (record (field \"x\" {inner})))
            (export $e{level} \"t{level}\" (type $t{level}))"
        ));
    }
    text.push_str(&format!(
        r#"(func (export "f") (param "a" $e{records}) (result $e{records})
        (canon lift (core func $i "f"))))"#
    ));
    text
}

/// What is described is told as JSON, by the compiler and to the workers, whose depth is limited.
#[test]
fn types_as_deep_as_they_may_be_come_through_and_deeper_ones_are_told_of() {
    let _limit = hard_limit();
    let scene = Scene::new(&nested(31), 1);
    let f = scene.pool.function("f").unwrap().documents(Form::Json);
    let item = format!("{}7{}", r#"{"x":"#.repeat(31), "}".repeat(31));
    assert_eq!(&*f.apply(item.as_bytes()).unwrap(), item.as_bytes());
    let error = builder(&nested(32)).build().map(drop).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Refused);
    assert!(error.to_string().contains("more than 32 levels"), "{error}");
}
