//! A module, or the process that compiles it, can cost its own pool; not the host, not another
//! module, and not more time than it was given.
//!
//! `fault_NN` names the case of the list of faults that the suite was written from.

use sandpool::{BuildError, BuildErrorKind, Cache, Pool, TaskModule};
use sandpool_tests::{bombs, hard_limit, processes};
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a compiler gets here before the host loses patience.
const PATIENCE: Duration = Duration::from_millis(1500);
/// What everything around it may take on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

const SQUARE: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#;

/// Programs that are the evil compiler, each under the name of what it does.
struct Evil(TempDir);

impl Evil {
    fn new() -> Self {
        // Beside the program if possible, for links to it.
        let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self(beside.or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn program(&self, how: &str) -> PathBuf {
        let path = self.0.path().join(how);
        let original = env!("CARGO_BIN_EXE_evil-compiler");
        std::fs::hard_link(original, &path)
            .or_else(|_| std::fs::copy(original, &path).map(drop))
            .unwrap();
        path
    }

    fn build(&self, how: &str) -> BuildError {
        let program = self.program(how);
        loop {
            let module = format!("(module) ;; {how}").into_bytes();
            let builder = Pool::builder(TaskModule::from_bytes("task.wat", module)).processes(1);
            let builder = builder.cache(Cache::Off).worker_program(&program);
            let began = Instant::now();
            let error = builder.compile_timeout(PATIENCE).build().map(|_| ()).unwrap_err();
            assert!(began.elapsed() < PATIENCE * 2 + SLACK, "{how}: {:?}", began.elapsed());
            // A child of another test has a copy open for writing until it executes.
            if !error.to_string().contains("Text file busy") {
                return error;
            }
        }
    }
}

fn square_works() {
    let module = TaskModule::from_bytes("square.wat", SQUARE.as_bytes());
    let pool = Pool::builder(module).processes(1).cache(Cache::Off).build().unwrap();
    assert_eq!(pool.apply::<_, i64>("square", &12).unwrap(), 144);
}

/// What each of them ends in, with parts of the message.
const DEEDS: [(&str, BuildErrorKind, &[&str]); 35] = {
    use BuildErrorKind::{CompileLimit, Refused, Workers};
    const LATE: &[&str] = &["takes longer than 1.5 s to compile", "--compile-timeout"];
    const SHORT: &[&str] = &["exited with status 0 before it had an answer"];
    const NONSENSE: &[&str] = &["nonsense"];
    [
        ("mute", Workers, &["did not become one within 1.5 s", "sandpool::init()"]),
        ("stopped-at-once", Workers, &["did not become one within 1.5 s"]),
        ("greets-with-garbage", Refused, NONSENSE),
        ("greets-with-a-lie", Refused, NONSENSE),
        ("another-build", Workers, &["sandpool 9.9.9"]),
        ("silent", CompileLimit, LATE),
        ("stopped", CompileLimit, LATE),
        ("closes-and-stays", Refused, &["stopped talking before it had an answer"]),
        ("leaves-a-child", Refused, SHORT),
        ("exits", Refused, SHORT),
        ("exits-101", Refused, &["it panicked"]),
        ("has-no-memory", CompileLimit, &["more than 2048 MiB of memory", "--compile-memory"]),
        ("kills-itself", CompileLimit, &["was killed by SIGKILL", "ran out of its 1.5 s"]),
        ("crashes", Refused, &["was killed by SIGSEGV", "breaks the compiler"]),
        ("aborts", CompileLimit, &["was killed by SIGABRT", "2048 MiB of memory"]),
        ("out-of-time", CompileLimit, &["more than 1.5 s of processor time", "--compile-timeout"]),
        ("forbidden-call", Refused, &["was killed by SIGSYS", "walls forbid"]),
        ("answers-garbage", Refused, NONSENSE),
        ("answers-nothing", Refused, NONSENSE),
        ("answers-half", Refused, SHORT),
        ("answers-half-and-stays", CompileLimit, LATE),
        ("cut-json", Refused, NONSENSE),
        ("lies-about-the-message", Refused, NONSENSE),
        ("lies-about-the-artifact", Refused, &["artifact of 18446744073709551615 bytes"]),
        ("claims-too-much", Refused, &["no more than 2147483648 are possible"]),
        ("half-an-artifact", Refused, SHORT),
        ("half-an-artifact-and-stays", CompileLimit, LATE),
        ("dribbles", CompileLimit, LATE),
        ("floods", Refused, &["more bytes than its artifact has"]),
        ("one-byte-more", Refused, &["more bytes than its artifact has"]),
        ("another-module", Refused, &["a description of another module"]),
        ("empty-types", Refused, &["types that no module can have"]),
        ("nothing-in-a-list", Refused, &["types that no module can have"]),
        ("deep-types", Refused, &["types that no module can have"]),
        ("many-types", Refused, &["types that no module can have"]),
    ]
};

#[test]
fn fault_31_32_a_compiler_that_goes_wrong_is_one_clear_error() {
    let _limit = hard_limit();
    let evil = Evil::new();
    let check = |(how, kind, parts): &(&str, BuildErrorKind, &[&str])| {
        let error = evil.build(how);
        let text = error.to_string();
        assert_eq!(error.kind(), *kind, "{how}: {text}");
        assert!(text.contains("`task.wat`"), "{how}: {text}");
        assert!(!text.chars().any(char::is_control), "{how}: {text}");
        for part in *parts {
            assert!(text.contains(part), "{how}: {text}");
        }
    };
    thread::scope(|scope| {
        for some in DEEDS.chunks(4) {
            scope.spawn(|| some.iter().for_each(check));
        }
        for _ in 0..5 {
            square_works();
        }
    });
    assert_eq!(evil.build("control-characters").to_string(), "`task.wat`: a [31m b");
}

#[test]
fn fault_31_a_compiler_killed_from_outside_costs_its_module_only() {
    let _limit = hard_limit();
    let evil = Evil::new();
    thread::scope(|scope| {
        let builds = scope.spawn(|| evil.build("silent"));
        let ours = loop {
            let found = processes::children().into_iter().find(|pid| {
                let path = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
                path == evil.0.path().join("silent")
            });
            if let Some(pid) = found {
                break pid;
            }
            assert!(!builds.is_finished());
        };
        processes::kill(ours);
        square_works();
        let error = builds.join().unwrap();
        assert!(error.to_string().contains("was killed by SIGKILL"), "{error}");
    });
}

#[test]
fn fault_30_a_bomb_ends_within_its_budget_and_others_compile_meanwhile() {
    let _limit = hard_limit();
    use BuildErrorKind::{CompileLimit, Refused};
    let late = "takes longer than 1.5 s to compile";
    let bombs = [
        ("nested loops", bombs::loops(1, 251, 10), Refused, "251 loops inside each other"),
        ("many loops", bombs::loops(60, 250, 200), CompileLimit, late),
        ("deep blocks", bombs::tables(20_001, 1), Refused, "20001 blocks inside each other"),
        ("long table", bombs::tables(10_000, 401), Refused, "4010000 targets of all `br_table`s"),
        ("grid of tables", bombs::tables(6000, 600), CompileLimit, late),
        ("functions", bombs::functions(1_000_000), Refused, "1000000 functions; at most 300000"),
        ("fewer functions", bombs::functions(300_000), CompileLimit, late),
        ("expression", bombs::expression(1_500_000), CompileLimit, late),
        ("too large", vec![0; (256 << 20) + 1], Refused, "larger than 256 MiB"),
    ];
    thread::scope(|scope| {
        for (name, bytes, kind, part) in bombs {
            scope.spawn(move || {
                let module = TaskModule::from_bytes(name, bytes);
                let builder = Pool::builder(module).processes(1).cache(Cache::Off);
                let began = Instant::now();
                let error = builder.compile_timeout(PATIENCE).build().map(|_| ()).unwrap_err();
                assert!(began.elapsed() < PATIENCE * 2 + SLACK, "{name}: {:?}", began.elapsed());
                assert_eq!(error.kind(), kind, "{error}");
                let text = error.to_string();
                assert!(text.starts_with(&format!("`{name}`: ")) && text.contains(part), "{text}");
            });
        }
        square_works();
    });
}

#[test]
fn fault_30_a_bomb_that_takes_memory_is_told_its_limit() {
    let _limit = hard_limit();
    for (mib, bytes) in [(48, bombs::functions(100_000)), (96, bombs::expression(2_000_000))] {
        let builder = Pool::builder(TaskModule::from_bytes("bomb", bytes)).processes(1);
        let builder = builder.cache(Cache::Off).compile_memory(mib << 20);
        let error = builder.build().map(|_| ()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), BuildErrorKind::CompileLimit, "{text}");
        assert!(
            text.starts_with(&format!("`bomb`: takes more than {mib} MiB of memory")),
            "{text}"
        );
        assert!(text.contains("`compile_memory` (`--compile-memory`)"), "{text}");
        square_works();
    }
}

#[test]
fn a_deep_expression_compiles() {
    let _limit = hard_limit();
    let module = TaskModule::from_bytes("deep", bombs::expression(60_000));
    let pool = Pool::builder(module).processes(1).cache(Cache::Off).build().unwrap();
    assert_eq!(pool.apply::<_, i32>("f", &3).unwrap(), 180_000);
}

#[test]
fn fault_33_eight_callers_at_once_share_one_compile() {
    let _limit = hard_limit();
    // Takes long enough that all of them come before it is done.
    let bytes = bombs::loops(1, 250, 100);
    let together = Barrier::new(8);
    let build = || {
        let module = TaskModule::from_bytes("shared", bytes.clone());
        let builder = Pool::builder(module).processes(1).cache(Cache::Off);
        together.wait();
        let pool = builder.build().unwrap();
        assert_eq!(pool.apply::<_, i32>("f", &0).unwrap(), 0);
        pool.description().compile_micros
    };
    let times: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(build)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(times.iter().all(|time| *time == times[0]), "each was told another: {times:?}");
}

#[test]
fn no_time_at_all_is_refused() {
    let module = TaskModule::from_bytes("square.wat", SQUARE.as_bytes());
    let builder = Pool::builder(module).cache(Cache::Off).compile_timeout(Duration::ZERO);
    assert_eq!(builder.build().map(|_| ()).unwrap_err().kind(), BuildErrorKind::Usage);
    let module = TaskModule::from_bytes("square.wat", SQUARE.as_bytes());
    let builder = Pool::builder(module).processes(1).cache(Cache::Off);
    builder.compile_timeout(Duration::MAX).build().unwrap();
}
