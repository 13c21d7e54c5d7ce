//! Task modules as text.
//!
//! This module must not hold a guest that only one test needs.

/// A core module without imports.
///
/// `sq(x)` x² · `add(x, y)` · `spin(n)` n turns of a loop, gives n · `slow(x)` 2x, for ever if
/// x < 0 · `picky(x)` x, traps if x < 0 · `count(x)` how often it was called in this instance ·
/// `zero()` no parameter · `setup(x)` an initializer, traps if x < 0 · `state(x)` what it was set
/// to.
pub const MATH: &str = r#"(module
    (global $calls (mut i64) (i64.const 0))
    (global $state (mut i64) (i64.const 0))
    (func (export "sq") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0)))
    (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
    (func $spin (export "spin") (param i64) (result i64) (local i64)
        (local.set 1 (local.get 0))
        (block $end (loop $next
            (br_if $end (i64.le_s (local.get 1) (i64.const 0)))
            (local.set 1 (i64.sub (local.get 1) (i64.const 1)))
            (br $next)))
        (local.get 0))
    (func (export "slow") (param i64) (result i64)
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then (loop $ever (br $ever))))
        (i64.mul (local.get 0) (i64.const 2)))
    (func (export "picky") (param i64) (result i64)
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then unreachable))
        (local.get 0))
    (func (export "count") (param i64) (result i64)
        (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
        (global.get $calls))
    (func (export "zero") (result i64) (i64.const 7))
    (func (export "setup") (param i64)
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then unreachable))
        (global.set $state (local.get 0)))
    (func (export "state") (param i64) (result i64) (global.get $state)))"#;

/// `act(item, how)` of [`ACTOR`]: gives the item at once. Numbers from 0 to 9 are gates: it waits
/// until the test opens that gate.
pub const GO: i64 = -1;
/// It traps.
pub const TRAP: i64 = -2;
/// It never ends.
pub const SPIN: i64 = -3;
/// It exits with status 3.
pub const EXIT: i64 = -4;
/// It calls itself without end.
pub const OVERFLOW: i64 = -5;
/// It traps when it is started for the first or second time; the item's number is below 10.
pub const TRAP_TWICE: i64 = -6;
/// It takes memory until there is none, then traps.
pub const HOARD: i64 = -7;
/// It sleeps for 400 ms.
pub const NAP: i64 = -8;

/// A core module that uses WASI: an actor who does as told. It tells the test which items start.
///
/// `act(item, how)` gives the item, see the constants · `init(x)` an initializer that tells it was
/// run; traps if x < 0 · `init_flaky(x)` traps the first time.
pub const ACTOR: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get"
        (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 512) "starts")
    (data (i32.const 528) "inits")
    (data (i32.const 544) "g0")
    (data (i32.const 560) "a0")
    (data (i32.const 576) "b0")
    (global $init (mut i64) (i64.const 0))

    (func $open (param $path i32) (param $len i32) (param $how i32) (result i32)
        (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $len)
            (local.get $how) (i64.const 64) (i64.const 64) (i32.const 1) (i32.const 256)))
    (func $tell (param $path i32) (param $len i32) (param $value i64)
        (if (call $open (local.get $path) (local.get $len) (i32.const 1)) (then unreachable))
        (i64.store (i32.const 264) (local.get $value))
        (i32.store (i32.const 272) (i32.const 264))
        (i32.store (i32.const 276) (i32.const 8))
        (if (call $fd_write (i32.load (i32.const 256)) (i32.const 272) (i32.const 1)
                (i32.const 280)) (then unreachable))
        (drop (call $fd_close (i32.load (i32.const 256)))))
    (func $created (param $path i32) (result i32)
        (if (call $open (local.get $path) (i32.const 2) (i32.const 5))
            (then (return (i32.const 0))))
        (drop (call $fd_close (i32.load (i32.const 256))))
        (i32.const 1))
    (func $nap (param $nanos i64)
        (i64.store (i32.const 128) (i64.const 0))
        (i64.store (i32.const 136) (i64.const 0))
        (i64.store (i32.const 144) (i64.const 1))
        (i64.store (i32.const 152) (local.get $nanos))
        (i64.store (i32.const 160) (i64.const 0))
        (i64.store (i32.const 168) (i64.const 0))
        (if (call $poll_oneoff (i32.const 128) (i32.const 192) (i32.const 1) (i32.const 240))
            (then unreachable)))
    (func $await (param $gate i64)
        (i32.store8 (i32.const 545) (i32.add (i32.const 48) (i32.wrap_i64 (local.get $gate))))
        (block $open (loop $look
            (br_if $open (i32.eqz (call $path_filestat_get (i32.const 3) (i32.const 0)
                (i32.const 544) (i32.const 2) (i32.const 1024))))
            (call $nap (i64.const 1000000))
            (br $look))))
    (func $overflow (param i64) (result i64)
        (i64.add (i64.const 1) (call $overflow (local.get 0))))
    (func $twice (param $item i64)
        (i32.store8 (i32.const 561) (i32.add (i32.const 48) (i32.wrap_i64 (local.get $item))))
        (i32.store8 (i32.const 577) (i32.add (i32.const 48) (i32.wrap_i64 (local.get $item))))
        (if (call $created (i32.const 560)) (then unreachable))
        (if (call $created (i32.const 576)) (then unreachable)))
    (func $hoard
        (loop $more
            (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        unreachable)

    (func (export "act") (param $item i64) (param $how i64) (result i64)
        (call $tell (i32.const 512) (i32.const 6) (local.get $item))
        (if (i64.ge_s (local.get $how) (i64.const 0)) (then (call $await (local.get $how))))
        (if (i64.eq (local.get $how) (i64.const -2)) (then unreachable))
        (if (i64.eq (local.get $how) (i64.const -3)) (then (loop $ever (br $ever))))
        (if (i64.eq (local.get $how) (i64.const -4)) (then (call $proc_exit (i32.const 3))))
        (if (i64.eq (local.get $how) (i64.const -5))
            (then (drop (call $overflow (i64.const 0)))))
        (if (i64.eq (local.get $how) (i64.const -6)) (then (call $twice (local.get $item))))
        (if (i64.eq (local.get $how) (i64.const -7)) (then (call $hoard)))
        (if (i64.eq (local.get $how) (i64.const -8)) (then (call $nap (i64.const 400000000))))
        (local.get $item))
    (func (export "init") (param i64)
        (call $tell (i32.const 528) (i32.const 5) (local.get 0))
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then unreachable))
        (global.set $init (local.get 0)))
    (func (export "init_flaky") (param i64)
        (if (call $created (i32.const 560)) (then unreachable))
        (call $tell (i32.const 528) (i32.const 5) (local.get 0))
        (global.set $init (local.get 0)))
    (func (export "initialised") (param i64 i64) (result i64)
        (call $tell (i32.const 512) (i32.const 6) (local.get 0))
        (if (i64.ge_s (local.get 1) (i64.const 0)) (then (call $await (local.get 1))))
        (global.get $init)))"#;

/// A component with typed exports.
///
/// `sub(a, b)` · `echo(bytes) -> bytes` · `text(bytes) -> string`, the same bytes, whatever they
/// are · `big(x, from, n) -> bytes`: n bytes if x ≥ from, else none · `fail(x)` x, its own error
/// "negative" if x < 0.
pub const TYPED: &str = r#"(component
    (core module $m
        (memory (export "memory") 1)
        (global $top (mut i32) (i32.const 4096))
        (data (i32.const 64) "negative")
        (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
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
            (local.get $at))
        (func $pair (export "pair") (param i32 i32) (result i32)
            (i32.store (i32.const 16) (local.get 0))
            (i32.store (i32.const 20) (local.get 1))
            (i32.const 16))
        (func (export "sub") (param i64 i64) (result i64)
            (i64.sub (local.get 0) (local.get 1)))
        (func (export "big") (param i64 i64 i32) (result i32)
            (if (i64.lt_s (local.get 0) (local.get 1)) (then (local.set 2 (i32.const 0))))
            (call $pair
                (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get 2))
                (local.get 2)))
        (func (export "fail") (param i64) (result i32)
            (if (i64.lt_s (local.get 0) (i64.const 0))
                (then
                    (i32.store8 (i32.const 16) (i32.const 1))
                    (i32.store (i32.const 24) (i32.const 64))
                    (i32.store (i32.const 28) (i32.const 8)))
                (else
                    (i32.store8 (i32.const 16) (i32.const 0))
                    (i64.store (i32.const 24) (local.get 0))))
            (i32.const 16)))
    (core instance $i (instantiate $m))
    (alias core export $i "memory" (core memory $memory))
    (alias core export $i "realloc" (core func $realloc))
    (func (export "sub") (param "a" s64) (param "b" s64) (result s64)
        (canon lift (core func $i "sub")))
    (func (export "echo") (param "x" (list u8)) (result (list u8))
        (canon lift (core func $i "pair") (memory $memory) (realloc (core func $realloc))))
    (func (export "text") (param "x" (list u8)) (result string)
        (canon lift (core func $i "pair") (memory $memory) (realloc (core func $realloc))))
    (func (export "big") (param "x" s64) (param "from" s64) (param "n" u32) (result (list u8))
        (canon lift (core func $i "big") (memory $memory) (realloc (core func $realloc))))
    (func (export "fail") (param "x" s64) (result (result s64 (error string)))
        (canon lift (core func $i "fail") (memory $memory) (realloc (core func $realloc)))))"#;
