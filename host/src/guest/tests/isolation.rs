//! What no item may do: see another item's memory, or start a thread.

use super::component::with_memory;
use super::{Fixture, Setup, failed, fixture};
use crate::artifact::Mapped;
use crate::description::EngineSettings;
use crate::guest::engine::DirtyPages;
use crate::guest::{Guest, compile};
use crate::outcome::TaskErrorKind;

/// A module that looks for anything that is not as it was declared, then spoils all it can reach.
const CANARY: &str = r#"(module
    (memory 2) (data (i32.const 100) "original")
    (table $t 10 funcref) (elem (i32.const 3) $f)
    (global $g (mut i64) (i64.const 5))
    (func $f)
    (func $expect (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
    (func (export "run") (param $pages i32) (local $at i32)
        ;; What is declared is there.
        (call $expect (i32.eq (memory.size) (i32.const 2)))
        (call $expect (i32.eq (table.size $t) (i32.const 10)))
        (call $expect (i64.eq (global.get $g) (i64.const 5)))
        (call $expect (i64.eq (i64.load (i32.const 100)) (i64.const 0x6c616e696769726f)))
        (call $expect (i32.eqz (ref.is_null (table.get $t (i32.const 3)))))
        (call $expect (ref.is_null (table.get $t (i32.const 4))))
        ;; Everything else is zero, also in memory that is only grown into.
        (i64.store (i32.const 100) (i64.const 0))
        (call $expect (i32.ne (i32.const -1) (memory.grow (local.get $pages))))
        (call $expect (i32.ne (i32.const -1)
            (table.grow $t (ref.null func) (i32.const 1000))))
        (loop $next
            (call $expect (i64.eqz (i64.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
        (call $expect (ref.is_null (table.get $t (i32.const 1009))))
        ;; And now it is not.
        (memory.fill (i32.const 0) (i32.const 0xaa) (i32.mul (memory.size) (i32.const 65536)))
        (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1010))
        (global.set $g (i64.const 6))))"#;

#[test]
fn nothing_that_an_item_wrote_reaches_the_next() {
    // From a few pages, which are rewritten, to more than are kept, which are given back.
    never_dirty(&mut fixture(CANARY));
}

#[test]
fn nor_does_it_where_the_kernel_cannot_tell_dirty_pages() {
    let (artifact, description) = compile(CANARY.as_bytes(), EngineSettings::default()).unwrap();
    let config = Setup::default().config(description.clone());
    let mapped = Mapped::from_bytes(&artifact).unwrap();
    let guest = Guest::load_with(mapped, config, DirtyPages::Assumed).unwrap();
    never_dirty(&mut Fixture { guest, description, next: 0 });
}

fn never_dirty(guest: &mut Fixture) {
    for pages in [0, 1, 30, 100, 0, 1000, 3, 0, 64, 0] {
        assert_eq!(guest.json("run", &pages.to_string()).unwrap(), "null", "{pages} pages");
    }
}

#[test]
fn nothing_is_left_behind_by_items_that_end_badly() {
    let text = CANARY.replacen("(global.set $g (i64.const 6))", "unreachable", 1);
    let mut guest = fixture(&text);
    for pages in [0, 50, 0, 300, 1] {
        let failure = guest.json("run", &pages.to_string()).unwrap_err();
        assert_eq!(failure.kind, Some(TaskErrorKind::Trapped));
        // The trap at the end, not one of the checks before it: those are one frame deeper.
        assert_eq!(failure.backtrace.lines().count(), 1, "{}", failure.backtrace);
    }
}

#[test]
fn ordinary_modules_are_pooled() {
    let pooled = |guest: &Fixture| guest.guest.mold.engine.get_pooling_config().is_some();
    assert!(pooled(&fixture(r#"(module (func (export "f")))"#)));
    assert!(pooled(&fixture(CANARY)));
    assert!(pooled(&fixture(&with_memory(
        r#"(core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "f") (canon lift (core func $i "f")))"#
    ))));
    assert!(pooled(&fixture(r#"(module (func (export "_start")))"#)));
    // A table that starts beyond what tables may grow to.
    assert!(pooled(&fixture(r#"(module (table 1000000 funcref) (func (export "f")))"#)));
    let many = "(memory 1) ".repeat(65);
    assert!(!pooled(&fixture(&format!(r#"(module {many} (func (export "f")))"#))));
}

#[test]
fn unpooled_instances_are_as_clean() {
    // More memories than are pooled.
    let many = "(memory 1) ".repeat(70);
    let text = CANARY.replacen("(func $f)", &format!("(func $f) {many}"), 1);
    let mut guest = fixture(&text);
    assert_eq!(guest.description.needs.unwrap().memories, 71);
    for pages in [0, 5, 0] {
        assert_eq!(guest.json("run", &pages.to_string()).unwrap(), "null");
    }
}

#[test]
fn components_are_as_clean() {
    let mut guest = fixture(&with_memory(
        r#"(core module $m (import "libc" "memory" (memory 1))
            (global $calls (mut i32) (i32.const 0))
            (func (export "f") (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (i32.store (i32.const 60000) (i32.add (i32.load (i32.const 60000)) (i32.const 1)))
                (i32.add (global.get $calls) (i32.load (i32.const 60000)))))
        (core instance $i (instantiate $m (with "libc" (instance $libc))))
        (func (export "f") (result u32) (canon lift (core func $i "f")))"#,
    ));
    for _ in 0..5 {
        assert_eq!(guest.json("f", "[]").unwrap(), "2");
    }
}

#[test]
fn deterministic_guests_have_canonical_nans() {
    let text = r#"(module (func (export "bits") (result i64)
        (i64.reinterpret_f64 (f64.div
            (f64.reinterpret_i64 (i64.const 0x7ff8000000000abc)) (f64.const 2)))))"#;
    let settings = EngineSettings { deterministic: true, ..EngineSettings::default() };
    let mut fixed = Setup { settings, ..Setup::default() }.load(text);
    assert_eq!(fixed.json("bits", "[]").unwrap(), (0x7ff8_u64 << 48).to_string());
}

/// Not a test by itself: `no_thread_is_ever_started` runs it in a process of its own, where no
/// other test starts threads.
#[test]
#[ignore = "run by another test"]
fn guests_of_every_kind() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let dir = crate::description::DirGrant {
        host: std::env::temp_dir(),
        guest: "/tmp".into(),
        read_only: true,
    };
    let mut core = fixture(CANARY);
    core.json("run", "1").unwrap();
    let mut command = Setup { dirs: vec![dir], ..Setup::default() }.load(
        r#"(module
        (import "wasi_snapshot_preview1" "path_filestat_get"
            (func $stat (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) ".")
        (func (export "_start")
            (if (call $stat (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.const 64)) (then unreachable))
            (i32.store (i32.const 1040) (i32.const 1))
            (i64.store (i32.const 1048) (i64.const 2000000))
            (if (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 3000))
                (then unreachable))
            (i32.store (i32.const 8) (i32.const 0)) (i32.store (i32.const 12) (i32.const 1))
            (if (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))
                (then unreachable))))"#,
    );
    assert_eq!(command.raw("_start", b"").unwrap(), b".");
    assert_eq!(failed(command.json("_start", "1")).0, TaskErrorKind::BadInput);
    assert_eq!(threads(), before);
}

#[test]
fn no_thread_is_ever_started() {
    #[expect(clippy::disallowed_methods, reason = "the test is run again in a process of its own")]
    let outcome = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--test-threads=1"])
        .arg(format!("{}::guests_of_every_kind", module_path!().split_once("::").unwrap().1))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success() && text.contains("1 passed"), "{text}");
}
