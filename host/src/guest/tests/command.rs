//! WASI commands and WASI in ordinary functions: streams, exits, grants, clocks.

use super::{Setup, failed, fixture, reused};
use crate::description::{DirGrant, EngineSettings, Form, ModuleKind};
use crate::limits::Limits;
use crate::outcome::TaskErrorKind;
use std::time::{Duration, Instant};

/// Imports of preview 1, a memory, and code.
fn preview1(code: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read"
            (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
        (import "wasi_snapshot_preview1" "random_get"
            (func $random_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get"
            (func $clock_time_get (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get"
            (func $args_sizes_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get"
            (func $environ_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (func $write (param $fd i32) (param $at i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len))
            (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $read (param $fd i32) (result i32)
            (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 65536))
            (drop (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
            (i32.load (i32.const 8)))
        {code})"#
    )
}

/// Copies standard input to standard output; the code after it runs then.
fn echo(after: &str) -> String {
    preview1(&format!(
        r#"(func (export "_start") (local $n i32)
            (block $end (loop $next
                (br_if $end (i32.eqz (local.tee $n (call $read (i32.const 0)))))
                (call $write (i32.const 1) (i32.const 65536) (local.get $n))
                (br $next)))
            {after})
        (data (i32.const 100) "complaint")"#
    ))
}

#[test]
fn standard_input_becomes_standard_output() {
    let mut guest = fixture(&echo(""));
    assert_eq!(guest.description.kind, ModuleKind::CommandP1);
    assert!(guest.description.wasi);
    assert_eq!(guest.description.functions[0].name, "_start");
    assert_eq!(guest.raw("_start", b"a line\n").unwrap(), b"a line\n");
    assert_eq!(guest.raw("_start", b"").unwrap(), b"");
    let large: Vec<u8> = (0..1_000_000_u32).map(|i| (i / 7) as u8).collect();
    assert_eq!(guest.raw("_start", &large).unwrap(), large);
    assert_eq!(guest.binary("_start", b"\x02\0\0\0ab").unwrap(), b"ab");
    assert_eq!(guest.json("_start", r#""YWI=""#).unwrap(), r#""YWI=""#);
    assert_eq!(failed(guest.binary("_start", b"\x03\0\0\0ab")).0, TaskErrorKind::BadInput);
    assert!(guest.logs().is_empty());
}

#[test]
fn exits_and_their_logs() {
    let complain = "(call $write (i32.const 2) (i32.const 100) (i32.const 9))";
    let mut guest = fixture(&echo(&format!("{complain} (call $proc_exit (i32.const 3))")));
    let failure = guest.raw("_start", b"x").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::Exited));
    assert_eq!(failure.code, Some(3));
    assert_eq!(
        (failure.message.as_str(), failure.backtrace.as_str()),
        ("exited with status 3", "")
    );
    let logs = guest.logs();
    assert_eq!((logs.stdout.as_slice(), logs.stderr.as_slice()), (&b""[..], &b"complaint"[..]));

    let mut guest = fixture(&echo("(call $proc_exit (i32.const 0))"));
    assert_eq!(guest.raw("_start", b"x").unwrap(), b"x");

    let mut guest = fixture(&echo("unreachable"));
    assert_eq!(failed(guest.raw("_start", b"x")).0, TaskErrorKind::Trapped);
}

#[test]
fn a_command_that_writes_too_much_is_stopped() {
    let limits = Limits { output: 1000, ..Limits::default() };
    let setup = Setup { limits, ..Setup::default() };
    // Writes for ever: only being stopped ends it.
    let text = preview1(
        r#"(func (export "_start")
            (loop $l (call $write (i32.const 1) (i32.const 100) (i32.const 9)) (br $l)))
        (data (i32.const 100) "complaint")"#,
    );
    let mut guest = setup.load(&text);
    let failure = guest.raw("_start", b"").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutputTooLarge));
    assert_eq!(failure.used, Some((1008, 1000)));
    let mut guest = setup_with_output(1000).load(&echo(""));
    assert_eq!(guest.raw("_start", &[b'a'; 1000]).unwrap().len(), 1000);
    assert_eq!(failed(guest.raw("_start", &[b'a'; 1001])).0, TaskErrorKind::OutputTooLarge);
    assert_eq!(guest.raw("_start", b"b").unwrap(), b"b");
}

fn setup_with_output(output: u64) -> Setup {
    Setup { limits: Limits { output, ..Limits::default() }, ..Setup::default() }
}

#[test]
fn logs_keep_their_tail_and_count_what_was_dropped() {
    let limits = Limits { log: 20, ..Limits::default() };
    let text = preview1(
        r#"(func (export "chatty") (param i32)
            (loop $l (call $write (i32.const 2) (i32.const 100) (i32.const 9))
                (call $write (i32.const 1) (i32.const 100) (i32.const 3))
                (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "quiet"))
        (data (i32.const 100) "complaint")"#,
    );
    for mut guest in
        [Setup { limits: limits.clone(), ..Setup::default() }, Setup { limits, ..reused() }]
            .map(|setup| setup.load(&text))
    {
        guest.json("chatty", "10").unwrap();
        let logs = guest.logs();
        assert_eq!(logs.stderr, b"ntcomplaintcomplaint");
        assert_eq!(logs.stdout, b"omcomcomcomcomcomcom");
        assert_eq!(logs.dropped, 70 + 10);
        guest.json("chatty", "1").unwrap();
        guest.json("quiet", "[]").unwrap();
        assert!(guest.logs().is_empty());
    }
}

#[test]
fn an_exit_in_an_ordinary_function_is_an_outcome_even_with_status_0() {
    let text = preview1(
        r#"(func (export "leave") (param i32) (call $proc_exit (local.get 0)))
        (func (export "stdin") (result i32) (call $read (i32.const 0)))"#,
    );
    let mut guest = reused().load(&text);
    for code in [0, 7] {
        let failure = guest.json("leave", &code.to_string()).unwrap_err();
        assert_eq!(failure.kind, Some(TaskErrorKind::Exited));
        assert_eq!(failure.code, Some(code));
    }
    assert_eq!(guest.json("stdin", "[]").unwrap(), "0");
}

#[test]
fn a_command_cannot_be_reused() {
    let error = reused().try_load(echo("").as_bytes()).err().unwrap();
    assert!(error.contains("cannot be reused"), "{error}");
}

#[test]
fn an_exit_after_a_refused_growth_is_out_of_memory() {
    let limits = Limits { memory: 200_000, ..Limits::default() };
    let text = echo(
        "(if (i32.eq (memory.grow (i32.const 5)) (i32.const -1))
            (then (call $proc_exit (i32.const 1))))",
    );
    let mut guest = Setup { limits, ..Setup::default() }.load(&text);
    let failure = guest.raw("_start", b"").unwrap_err();
    assert_eq!(failure.kind, Some(TaskErrorKind::OutOfMemory));
    assert_eq!(failure.code, Some(1));
}

/// Writes the bytes at 1024 up to the first zero.
const WORLD: &str = r#"
    (func $text (param $at i32) (local $end i32)
        (local.set $end (local.get $at))
        (block $stop (loop $next
            (br_if $stop (i32.eqz (i32.load8_u (local.get $end))))
            (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $next)))
        (call $write (i32.const 1) (local.get $at)
            (i32.sub (local.get $end) (local.get $at))))"#;

#[test]
fn arguments_and_environment_are_what_was_granted() {
    let text = preview1(&format!(
        r#"{WORLD} (func (export "_start")
            (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
            (drop (call $args_get (i32.const 512) (i32.const 1024)))
            (i32.store8 (i32.const 100) (i32.add (i32.const 48) (i32.load (i32.const 16))))
            (call $text (i32.const 100))
            (call $text (i32.load (i32.const 512)))
            (if (i32.gt_u (i32.load (i32.const 16)) (i32.const 1))
                (then (call $text (i32.load (i32.const 516)))))
            (drop (call $environ_get (i32.const 600) (i32.const 2048)))
            (call $text (i32.const 2048)))"#
    ));
    assert_eq!(fixture(&text).raw("_start", b"").unwrap(), b"1task");
    let setup = Setup {
        args: vec!["-v".into()],
        env: vec![("KEY".into(), "value".into())],
        ..Setup::default()
    };
    assert_eq!(setup.load(&text).raw("_start", b"").unwrap(), b"2task-vKEY=value");
}

/// Opens `file` in the first granted directory, to read or to write, and says how that went;
/// what it reads it writes to standard output.
fn open(flags: u32, rights: u64) -> String {
    preview1(&format!(
        r#"(func (export "_start") (local $errno i32)
            (local.set $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 100)
                (i32.const 4) (i32.const {flags}) (i64.const {rights}) (i64.const 0)
                (i32.const 0) (i32.const 16)))
            (if (local.get $errno) (then (call $proc_exit (local.get $errno))))
            (call $write (i32.const 1) (i32.const 65536) (call $read (i32.load (i32.const 16)))))
        (data (i32.const 100) "file")"#
    ))
}

#[test]
fn files_are_there_only_where_they_were_granted() {
    const READ: u64 = 2;
    const WRITE: u64 = 64;
    const CREATE: u32 = 1;
    const BADF: Option<i32> = Some(8);
    let dir = std::env::temp_dir().join(format!("sandpool-grant-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("file"), "content").unwrap();
    let grant = |read_only| Setup {
        dirs: vec![DirGrant { host: dir.clone(), guest: "/data".into(), read_only }],
        ..Setup::default()
    };
    let mut none = fixture(&open(0, READ));
    assert_eq!(none.raw("_start", b"").unwrap_err().code, BADF);
    for read_only in [false, true] {
        let mut guest = grant(read_only).load(&open(0, READ));
        for _ in 0..3 {
            assert_eq!(guest.raw("_start", b"").unwrap(), b"content");
        }
    }
    assert!(grant(false).load(&open(CREATE, READ | WRITE)).raw("_start", b"").is_ok());
    let outcome = grant(true).load(&open(CREATE, READ | WRITE)).raw("_start", b"");
    assert_eq!(outcome.unwrap_err().kind, Some(TaskErrorKind::Exited));
    std::fs::remove_dir_all(&dir).unwrap();
    let error = grant(true).try_load(open(0, READ).as_bytes()).err().unwrap();
    assert!(error.contains("sandpool-grant"), "{error}");
}

/// Two clocks, monotonic first, then twelve bytes of randomness, as standard output.
fn clocks() -> String {
    preview1(
        r#"(func $all
            (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 1024)))
            (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 1032)))
            (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 1040)))
            (drop (call $random_get (i32.const 1048) (i32.const 12)))
            (call $write (i32.const 1) (i32.const 1024) (i32.const 36)))
        (func (export "all") (call $all))"#,
    )
}

#[test]
fn a_deterministic_world_depends_on_the_index_alone() {
    let settings = EngineSettings { deterministic: true, ..EngineSettings::default() };
    let mut fresh = Setup { settings, ..Setup::default() }.load(&clocks());
    let mut kept = Setup { settings, ..reused() }.load(&clocks());
    let mut all = Vec::new();
    for _ in 0..3 {
        fresh.run("all", Form::Json, false, b"[]").unwrap();
        kept.run("all", Form::Json, false, b"[]").unwrap();
        let (a, b) = (fresh.logs().stdout, kept.logs().stdout);
        assert_eq!(a, b);
        let word = |i: usize| u64::from_le_bytes(a[i..i + 8].try_into().unwrap());
        assert_eq!(word(8) - word(0), 1000);
        assert_eq!(word(16), 0);
        all.push(a[24..].to_vec());
    }
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    assert_eq!(all[0].len(), 12);
}

#[test]
fn an_ordinary_world_has_real_clocks_and_randomness() {
    let mut guest = fixture(&clocks());
    let mut seen = Vec::new();
    for _ in 0..2 {
        guest.json("all", "[]").unwrap();
        let out = guest.logs().stdout;
        let wall = Duration::from_nanos(u64::from_le_bytes(out[16..24].try_into().unwrap()));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        assert!(now.abs_diff(wall) < Duration::from_secs(60));
        seen.push(out[24..].to_vec());
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_sleep_takes_its_time_and_ends() {
    // One subscription: a relative deadline of 30 ms on the monotonic clock.
    let text = preview1(
        r#"(func (export "nap") (result i32)
            (i32.store (i32.const 1040) (i32.const 1))
            (i64.store (i32.const 1048) (i64.const 30000000))
            (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1)
                (i32.const 3000)))"#,
    );
    let mut guest = fixture(&text);
    let began = Instant::now();
    assert_eq!(guest.json("nap", "[]").unwrap(), "0");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(30) && took < Duration::from_secs(10), "{took:?}");
}

/// A preview 2 command: copies standard input to standard output, and succeeds unless the input
/// begins with `!`.
const PREVIEW2: &str = r#"(component
    (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $error))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "input-stream" (type $in (sub resource)))
        (export "output-stream" (type $out (sub resource)))
        (alias outer 1 $error (type $error'))
        (export "error" (type $error (eq $error')))
        (type $failure' (variant (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $failure (eq $failure')))
        (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in))
            (param "len" u64) (result (result (list u8) (error $failure)))))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $out)) (param "contents" (list u8))
            (result (result (error $failure)))))))
    (alias export $streams "input-stream" (type $in))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdin@0.2.0" (instance $stdin
        (alias outer 1 $in (type $in'))
        (export "input-stream" (type $in (eq $in')))
        (export "get-stdin" (func (result (own $in))))))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $out (type $out'))
        (export "output-stream" (type $out (eq $out')))
        (export "get-stdout" (func (result (own $out))))))
    (core module $libc (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))
    (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
        (memory $memory) (realloc (core func $realloc))))
    (core func $write (canon lower
        (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
    (core func $get-stdin (canon lower (func $stdin "get-stdin")))
    (core func $get-stdout (canon lower (func $stdout "get-stdout")))
    (core module $m
        (import "" "read" (func $read (param i32 i64 i32)))
        (import "" "write" (func $write (param i32 i32 i32 i32)))
        (import "" "get-stdin" (func $get-stdin (result i32)))
        (import "" "get-stdout" (func $get-stdout (result i32)))
        (import "libc" "memory" (memory 2))
        (func (export "run") (result i32) (local $in i32) (local $out i32) (local $failed i32)
            (local.set $in (call $get-stdin)) (local.set $out (call $get-stdout))
            (block $end (loop $next
                (call $read (local.get $in) (i64.const 4096) (i32.const 16))
                (br_if $end (i32.load8_u (i32.const 16)))
                (if (i32.eq (i32.load8_u (i32.load (i32.const 20))) (i32.const 33))
                    (then (local.set $failed (i32.const 1))))
                (call $write (local.get $out) (i32.load (i32.const 20)) (i32.load (i32.const 24))
                    (i32.const 32))
                (br $next)))
            (local.get $failed)))
    (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "" (instance
        (export "read" (func $read)) (export "write" (func $write))
        (export "get-stdin" (func $get-stdin)) (export "get-stdout" (func $get-stdout))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#;

#[test]
fn a_preview_2_command_runs_like_one_of_preview_1() {
    let mut guest = fixture(PREVIEW2);
    assert_eq!(guest.description.kind, ModuleKind::CommandP2);
    assert_eq!(guest.description.functions[0].name, "wasi:cli/run");
    assert_eq!(guest.raw("wasi:cli/run", b"some input").unwrap(), b"some input");
    assert_eq!(guest.raw("wasi:cli/run", b"").unwrap(), b"");
    let large: Vec<u8> = (0..50_000_u32).map(|i| (i % 251) as u8 | 64).collect();
    assert_eq!(guest.raw("wasi:cli/run", &large).unwrap(), large);
    let failure = guest.raw("wasi:cli/run", b"!").unwrap_err();
    assert_eq!((failure.kind, failure.code), (Some(TaskErrorKind::Exited), Some(1)));
    let mut small = setup_with_output(5).load(PREVIEW2);
    assert_eq!(failed(small.raw("wasi:cli/run", b"123456")).0, TaskErrorKind::OutputTooLarge);
    assert_eq!(small.raw("wasi:cli/run", b"12345").unwrap(), b"12345");
}

#[test]
fn a_component_with_a_command_and_functions_lists_both() {
    let text = PREVIEW2.trim_end().strip_suffix(')').unwrap().to_string()
        + r#"(core module $n (func (export "two") (result i32) i32.const 2))
        (core instance $j (instantiate $n))
        (func (export "two") (result u8) (canon lift (core func $j "two"))))"#;
    let mut guest = fixture(&text);
    assert_eq!(guest.description.kind, ModuleKind::Component);
    let names: Vec<_> = guest.description.functions.iter().map(|info| &info.name).collect();
    assert_eq!(names, ["wasi:cli/run@0.2.0#run", "two"]);
    assert_eq!(guest.json("two", "[]").unwrap(), "2");
    assert_eq!(guest.json("wasi:cli/run@0.2.0#run", "[]").unwrap(), "null");
}

#[test]
fn grants_that_imports_need_are_described() {
    let guest = fixture(&open(0, 2));
    let grant = |name: &str| {
        let name = format!("wasi_snapshot_preview1.{name}");
        let import = guest.description.imports.iter().find(|import| import.name == name);
        import.unwrap().grant.clone()
    };
    assert_eq!(grant("path_open").as_deref(), Some("--dir"));
    assert_eq!(grant("environ_get").as_deref(), Some("--env"));
    assert_eq!(grant("args_get").as_deref(), Some("--arg"));
    assert_eq!(grant("fd_write"), None);
}
