//! Machines that lack a wall: the pool is refused by name, unless it was told to do without.

use sandpool::{Cache, CallError, Instance, Pool, TaskErrorKind, TaskModule, Zygote};
use std::process::{Command, Output};

fn poor_host(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poor-host")).args(args).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// isolation.md §D 55.
#[test]
fn a_missing_mandatory_wall_is_refused_by_name() {
    for (lacking, wall) in [
        ("landlock", "Landlock"),
        ("landlock-refused", "Landlock"),
        ("seccomp", "seccomp"),
        ("no-new-privs", "no-new-privileges"),
        ("dumpable", "undumpable"),
        ("rlimits", "resource limits"),
    ] {
        for workers in ["1", "2", "8"] {
            let output = poor_host(&[lacking, workers]);
            let text = said(&output);
            assert_eq!(output.status.code(), Some(3), "{lacking}: {text}");
            assert_eq!(text.lines().count(), 1, "{lacking}: {text}");
            let named = text.contains(&format!("the wall `{wall}` cannot be raised"));
            assert!(named, "{lacking}: {text}");
            let forked = poor_host(&[lacking, workers, "zygote"]);
            assert_eq!((forked.status.code(), said(&forked)), (Some(3), text), "{lacking}");
            for forked in [&[][..], &["zygote"]] {
                let off = poor_host(&[&[lacking, workers, "sandbox-off"], forked].concat());
                assert_eq!(off.status.code(), Some(0), "{lacking}: {}", said(&off));
            }
        }
    }
}

#[test]
fn what_older_kernels_and_containers_lack_is_done_without() {
    for lacking in ["mdwe", "namespaces"] {
        for args in [&[lacking][..], &[lacking, "zygote"]] {
            let output = poor_host(args);
            assert_eq!(output.status.code(), Some(0), "{lacking}: {}", said(&output));
        }
    }
}

/// Root that may not become another user: a wall fewer than was promised, so it is refused.
#[test]
fn root_that_cannot_become_nobody_is_refused() {
    let root = rustix::process::geteuid().is_root();
    let output = poor_host(&["setuid"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(if root { 3 } else { 0 }), "{text}");
    assert!(!root || text.contains("the wall `identity` cannot be raised"), "{text}");
}

/// Writes a secret everywhere on item 0, and on every other looks for it, in memory that is only
/// grown into as well.
const CANARY: &str = r#"(module
    (memory 2) (table $t 10 funcref) (elem declare func $f) (global $g (mut i64) (i64.const 5))
    (func $f)
    (func (export "run") (param $item i64) (result i64) (local $at i32) (local $end i32)
        (drop (memory.grow (i32.const 30)))
        (drop (table.grow $t (ref.null func) (i32.const 100)))
        (local.set $end (i32.mul (memory.size) (i32.const 65536)))
        (if (i64.eqz (i64.rem_u (local.get $item) (i64.const 100))) (then
            (memory.fill (i32.const 0) (i32.const 0xaa) (local.get $end))
            (table.fill $t (i32.const 0) (ref.func $f) (table.size $t))
            (global.set $g (i64.const 6))
            (return (i64.const 0))))
        (if (i64.ne (global.get $g) (i64.const 5)) (then (return (i64.const 1))))
        (if (i32.eqz (ref.is_null (table.get $t (i32.const 105)))) (then (return (i64.const 2))))
        (loop $next
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i64.const 3))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
        (i64.const 0)))"#;

/// isolation.md §C T6.
#[test]
fn a_secret_of_one_item_is_not_found_by_those_after_it() {
    for (processes, zygote) in
        [1, 2, 8].into_iter().flat_map(|n| [(n, Zygote::Off), (n, Zygote::On)])
    {
        let module = TaskModule::from_bytes("canary.wat", CANARY.as_bytes());
        let builder = Pool::builder(module).processes(processes).cache(Cache::Off);
        let pool = builder.zygote(zygote).build().unwrap();
        let found: Vec<i64> = pool.map("run", 0..1000_i64).unwrap();
        assert!(found.iter().all(|&found| found == 0), "with {processes} workers: {found:?}");
        // The search would find it: in a reused instance it does.
        let module = TaskModule::from_bytes("canary.wat", CANARY.as_bytes());
        let reused = Pool::builder(module).processes(1).instance(Instance::Reuse).zygote(zygote);
        let pool = reused.cache(Cache::Off).build().unwrap();
        assert_eq!(pool.map::<_, i64>("run", 0..2_i64).unwrap(), [0, 1]);
    }
}

/// Takes a list of lists, and never looks at it.
const LISTS: &str = r#"(component
    (core module $m (memory (export "memory") 1024)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "length") (param i32 i32) (result i32) (local.get 1)))
    (core instance $i (instantiate $m))
    (alias core export $i "memory" (core memory $memory))
    (alias core export $i "realloc" (core func $realloc))
    (func (export "length") (param "lists" (list (list u8))) (result u32)
        (canon lift (core func $i "length") (memory $memory) (realloc $realloc))))"#;

/// What a worker needs beside its guest, to convert an item, is bounded too. That it ran out is told
/// as such, and not taken for an attack, although the filter is what ends the process.
#[test]
fn a_worker_that_runs_out_of_memory_by_itself_says_so() {
    let module = TaskModule::from_bytes("lists.wat", LISTS.as_bytes());
    let builder = Pool::builder(module).processes(1).cache(Cache::Off);
    let pool = builder.worker_memory(160 << 20).build().unwrap();
    let lists = |n: usize| vec![Vec::<u8>::new(); n];
    assert_eq!(pool.apply::<_, u32>("length", &lists(3)).unwrap(), 3);
    match pool.apply::<_, u32>("length", &lists(4_000_000)) {
        Err(CallError::Task(error)) => {
            assert_eq!(error.kind(), TaskErrorKind::WorkerDied, "{error}");
            assert!(error.to_string().contains("no memory left"), "{error}");
            assert!(error.to_string().contains("worker_memory"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply::<_, u32>("length", &lists(3)).unwrap(), 3);
}
