//! Guests that go wrong on purpose, in pools of every size: each costs its own item, says what it
//! was, and leaves the pool as good as new.
//!
//! Tests are named `dNN_what_is_promised` after the list of faults in `docs/faults.md`.

use sandpool::{PoolEvent, TaskError, TaskErrorKind};
use sandpool_tests::guests::{ACTOR, EXIT, GO, SPIN, TYPED};
use sandpool_tests::scene::builder;
use sandpool_tests::{Scene, eventually, hard_limit};
use std::collections::BTreeSet;
use std::time::Duration;

/// Numbers of workers that every test runs with.
pub(crate) const SIZES: [usize; 3] = [1, 2, 8];

const MIB: u64 = 1 << 20;
const TRAPPED: TaskErrorKind = TaskErrorKind::Trapped;
const OUT_OF_MEMORY: TaskErrorKind = TaskErrorKind::OutOfMemory;

/// `go(how)` gives `how`, or goes wrong in the way with this number.
pub(crate) const ROGUE: &str = r#"(module
    (type $none (func)) (type $deep (func (param i64) (result i64)))
    (memory 1 65536) (table $t 2 funcref) (elem (i32.const 0) func $nothing)
    (func $nothing)
    (func $recurse (param i64) (result i64)
        (i64.add (i64.const 1) (call $recurse (i64.add (i64.const 1) (local.get 0)))))
    (func $hoard (local $at i32)
        (loop $more
            (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        ;; All that it got, a page after the other.
        (loop $page
            (i32.store (local.get $at) (i32.const 1))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $page (i32.lt_u (local.get $at)
                (i32.mul (memory.size) (i32.const 65536)))))
        unreachable)
    (func (export "go") (param $how i64) (result i64) (local $end i32)
        (local.set $end (i32.mul (memory.size) (i32.const 65536)))
        (if (i64.eq (local.get $how) (i64.const -1)) (then unreachable))
        (if (i64.eq (local.get $how) (i64.const -2))
            (then (return (i64.div_s (i64.const 1) (i64.const 0)))))
        (if (i64.eq (local.get $how) (i64.const -3))
            (then (return (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))))
        (if (i64.eq (local.get $how) (i64.const -4))
            (then (return (i64.trunc_f64_s (f64.const nan)))))
        (if (i64.eq (local.get $how) (i64.const -5))
            (then (return (i64.load (i32.sub (local.get $end) (i32.const 7))))))
        (if (i64.eq (local.get $how) (i64.const -6))
            (then (i64.store offset=0xfffffff0 (i32.const -1) (i64.const 1))))
        (if (i64.eq (local.get $how) (i64.const -7))
            (then (memory.fill (i32.const 1) (i32.const 7) (local.get $end))))
        (if (i64.eq (local.get $how) (i64.const -8))
            (then (return (call_indirect (type $deep) (local.get $how) (i32.const 0)))))
        (if (i64.eq (local.get $how) (i64.const -9))
            (then (call_indirect (type $none) (i32.const 1))))
        (if (i64.eq (local.get $how) (i64.const -10))
            (then (call_indirect (type $none) (i32.const 2))))
        (if (i64.eq (local.get $how) (i64.const -11))
            (then (return (call $recurse (i64.const 0)))))
        (if (i64.eq (local.get $how) (i64.const -12)) (then (call $hoard)))
        (if (i64.eq (local.get $how) (i64.const -13))
            (then (if (i32.ne (table.grow $t (ref.null func) (i32.const -16)) (i32.const -1))
                (then unreachable))))
        (local.get $how)))"#;

/// What each of them ends in: kind, and a part of the message.
const FAULTS: [(i64, TaskErrorKind, &str); 12] = [
    (-1, TRAPPED, "`unreachable`"),
    (-2, TRAPPED, "integer divide by zero"),
    (-3, TRAPPED, "integer overflow"),
    (-4, TRAPPED, "invalid conversion to integer"),
    (-5, TRAPPED, "out of bounds memory access"),
    (-6, TRAPPED, "out of bounds memory access"),
    (-7, TRAPPED, "out of bounds memory access"),
    (-8, TRAPPED, "indirect call type mismatch"),
    (-9, TRAPPED, "uninitialized element"),
    (-10, TRAPPED, "out of bounds table access"),
    (-11, TRAPPED, "call stack exhausted"),
    (-12, OUT_OF_MEMORY, "asked for"),
];

/// Runs each fault once for every worker, with honest items around it, and checks the honest ones.
/// Gives what the faults ended in.
fn among_honest(scene: &Scene, faults: &[i64], chunk: usize) -> Vec<(i64, TaskError)> {
    let around = |fault: &i64| [1, *fault, 2, 3];
    let items: Vec<i64> =
        (0..scene.pool.processes()).flat_map(|_| faults.iter().flat_map(around)).collect();
    let go = scene.pool.function("go").unwrap().chunk_size(chunk);
    let outcomes = go.map_outcomes::<_, i64>(items.iter().copied()).unwrap();
    assert_eq!(outcomes.len(), items.len());
    let mut ends = Vec::new();
    for (item, outcome) in items.into_iter().zip(outcomes) {
        match outcome {
            Ok(value) => assert!(item > 0 && value == item, "{item} gave {value}"),
            Err(error) => ends.push((item, error)),
        }
    }
    assert_eq!(ends.len(), faults.len() * scene.pool.processes());
    ends
}

#[test]
fn d01_of_endless_items_each_costs_its_worker_and_no_other_item() {
    let _limit = hard_limit();
    for workers in SIZES {
        for chunk in [1, 10] {
            let scene = Scene::new(ACTOR, workers);
            let before = scene.all_workers();
            let act = scene.pool.function("act").unwrap();
            let act = act.chunk_size(chunk).timeout(Duration::from_millis(400));
            let endless = |i: i64| i % 20 == 13;
            let items = (0..60).map(|i| (i, if endless(i) { SPIN } else { GO }));
            let outcomes = act.map_outcomes::<_, i64>(items).unwrap();
            for (i, outcome) in (0..).zip(outcomes) {
                match outcome {
                    Ok(value) => assert!(value == i && !endless(i)),
                    Err(error) => {
                        assert!(error.is_timeout() && endless(i), "{i}: {error}");
                        let (ran, limit) = error.used_of_limit().unwrap();
                        // Looked at often enough, on a machine that is busy with other things.
                        assert!(limit == 400 && (400..2000).contains(&ran), "{error}");
                    }
                }
            }
            let mut starts = scene.stage.starts();
            starts.sort_unstable();
            assert!(starts.into_iter().eq(0..60), "each was started once");
            assert_eq!(scene.pool.stats().errors, 3);
            eventually("their workers are replaced", || scene.pool.stats().workers_ended == 3);
            let after = scene.all_workers();
            let replaced = before.iter().filter(|pid| !after.contains(pid)).count();
            assert!((1..=3).contains(&replaced), "{replaced} of {workers}");
        }
    }
}

#[test]
fn d03_to_d10_traps_name_themselves_and_cost_no_process() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::with(ROGUE, |builder| builder.processes(workers).memory(16 * MIB));
        let before = scene.all_workers();
        let faults = FAULTS.map(|(fault, ..)| fault);
        for chunk in [1, 7] {
            for (fault, error) in among_honest(&scene, &faults, chunk) {
                let (_, kind, part) = FAULTS.iter().find(|(known, ..)| *known == fault).unwrap();
                assert_eq!(error.kind(), *kind, "{fault}: {error}");
                assert!(error.message().contains(part), "{fault}: {error}");
                assert_eq!(error.attempts(), 1);
                let numbers = error.used_of_limit();
                assert_eq!(numbers.is_some(), *kind == OUT_OF_MEMORY, "{fault}: {error}");
            }
        }
        // A table that is to have four thousand million elements stays as it is, and the guest is told.
        let told = scene.pool.map::<_, i64>("go", vec![-13; 10 * workers]).unwrap();
        assert!(told.iter().all(|how| *how == -13));
        assert_eq!(scene.all_workers(), before, "the same workers serve on");
        scene.nothing_is_lost();
    }
}

/// The most memory that a process had at once.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn d06_guests_that_take_all_memory_get_what_the_limit_says() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::with(ROGUE, |builder| builder.processes(workers).memory(48 * MIB));
        let pids = scene.all_workers();
        let unused: Vec<_> = pids.iter().copied().map(peak).collect();
        // Several each, one after the other.
        for _ in 0..3 {
            let ends = among_honest(&scene, &[-12], 1);
            for (_, error) in ends {
                let (used, limit) = error.used_of_limit().unwrap();
                assert!(limit == 48 * MIB && used <= limit && used > limit - 2 * MIB, "{error}");
            }
        }
        assert_eq!(scene.all_workers(), pids);
        let mut ran = false;
        for (pid, unused) in pids.into_iter().zip(unused) {
            let grown = peak(pid) - unused;
            assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
            ran |= grown > 40 * MIB;
        }
        assert!(ran, "what it took is seen here");
    }
}

/// A command that answers with its first byte; after `a` it writes ten gigabytes in large pieces,
/// after `b` byte by byte without end, after `x` it exits from an inner function with the status
/// that the second byte is.
const COMMAND: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (func $put (param $len i32) (result i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (local.get $len))
        (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (func $leave (call $exit (i32.load8_u (i32.const 65))))
    (func (export "_start") (local $n i32) (local $first i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 2))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $first (i32.load8_u (i32.const 64)))
        (if (i32.eq (local.get $first) (i32.const 97)) (then
            (local.set $n (i32.const 100000))
            (loop $more
                (drop (call $put (i32.const 100000)))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $more (local.get $n)))))
        (if (i32.eq (local.get $first) (i32.const 98)) (then
            (loop $more (drop (call $put (i32.const 1))) (br $more))))
        (drop (call $put (i32.const 1)))
        (if (i32.eq (local.get $first) (i32.const 120)) (then (call $leave)))))"#;

#[test]
fn d11_output_above_the_limit_ends_its_item_however_it_comes() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::with(COMMAND, |builder| builder.processes(workers).max_output(200_000));
        let before = scene.all_workers();
        let start = scene.pool.function("_start").unwrap();
        let items = || (0..12 * workers).map(|i| [b"a".as_slice(), b"b", b"c"][i % 3]);
        let outcomes = start.map_outcomes::<_, Vec<u8>>(items()).unwrap();
        for (item, outcome) in items().zip(outcomes) {
            match outcome {
                Ok(bytes) => assert!(bytes == b"c" && item == b"c"),
                Err(error) => {
                    assert_eq!(error.kind(), TaskErrorKind::OutputTooLarge, "{item:?}: {error}");
                    assert!(item != b"c");
                    let (used, limit) = error.used_of_limit().unwrap();
                    assert!(limit == 200_000 && used > limit && used <= 400_000, "{error}");
                }
            }
        }
        assert_eq!(scene.all_workers(), before);
    }
}

#[test]
fn d13_text_that_is_none_is_told_as_such() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(TYPED, workers);
        let texts: [&[u8]; 4] = [b"\xff", b"text", b"a\xc3", b"\xed\xa0\x80"];
        let text = scene.pool.function("text").unwrap();
        let outcomes = text.map_outcomes::<_, String>(texts.repeat(workers)).unwrap();
        for (bytes, outcome) in texts.iter().cycle().zip(outcomes) {
            match std::str::from_utf8(bytes) {
                Ok(text) => assert_eq!(outcome.unwrap(), text),
                Err(_) => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), TaskErrorKind::BadOutput, "{bytes:?}: {error}");
                }
            }
        }
        assert_eq!(scene.pool.stats().workers_ended, 0);
    }
}

#[test]
fn d14_a_guest_that_waits_in_the_host_is_late_like_any_other() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(ACTOR, workers);
        let act = scene.pool.function("act").unwrap().timeout(Duration::from_millis(500));
        // Gate 9 is never opened: it sleeps again and again.
        let items = [(1, GO), (2, 9), (3, GO), (4, 9), (5, GO)];
        let outcomes = act.map_outcomes::<_, i64>(items).unwrap();
        for ((item, how), outcome) in items.into_iter().zip(outcomes) {
            match outcome {
                Ok(value) => assert!(value == item && how == GO),
                Err(error) => assert!(error.is_timeout() && how == 9, "{item}: {error}"),
            }
        }
        eventually("their workers are replaced", || scene.pool.stats().workers_ended == 2);
        scene.nothing_is_lost();
    }
}

#[test]
fn d15_an_exit_is_told_with_its_status_and_costs_no_process() {
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(COMMAND, workers);
        let start = scene.pool.function("_start").unwrap();
        let statuses = [0_u8, 1, 7, 125];
        let items = statuses.repeat(2 * workers);
        let outcomes =
            start.map_outcomes::<_, Vec<u8>>(items.iter().map(|n| vec![b'x', *n])).unwrap();
        for (status, outcome) in items.iter().zip(outcomes) {
            match outcome {
                Ok(bytes) => assert!(*status == 0 && bytes == b"x"),
                Err(error) => {
                    assert_eq!(error.kind(), TaskErrorKind::Exited, "{error}");
                    assert_eq!(error.code(), Some(i32::from(*status)), "{error}");
                }
            }
        }
        // Of a function that is no command an exit is no value, whatever its status.
        let acting = Scene::new(ACTOR, workers);
        let error = acting.pool.apply::<_, i64>("act", &(1, EXIT)).unwrap_err();
        assert_eq!(error.task().unwrap().code(), Some(3));
        assert_eq!(acting.pool.apply::<_, i64>("act", &(2, GO)).unwrap(), 2);
        for scene in [scene, acting] {
            assert_eq!(scene.pool.stats().workers_ended, 0);
        }
    }
}

#[test]
fn d17_a_start_function_that_traps_fails_every_item_and_starts_no_worker_anew() {
    const STARTS: &str = r#"(module (start $start) (func $start unreachable)
        (func (export "go") (param i64) (result i64) (local.get 0)))"#;
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(STARTS, workers);
        let before = scene.all_workers();
        let outcomes = scene.pool.map_outcomes::<_, i64>("go", 0..100).unwrap();
        assert_eq!(outcomes.len(), 100);
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), TRAPPED, "{error}");
            assert!(error.message().contains("start"), "{error}");
        }
        assert_eq!(scene.all_workers(), before);
        assert_eq!(scene.pool.stats().workers_started, workers as u64);
    }
}

#[test]
fn d21_calls_without_end_in_place_of_each_other_are_late() {
    const TAIL: &str = r#"(module
        (func $other (param i64) (result i64) (return_call $go (local.get 0)))
        (func $go (export "go") (param i64) (result i64)
            (if (i64.gt_s (local.get 0) (i64.const 0)) (then (return (local.get 0))))
            (return_call $other (local.get 0))))"#;
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(TAIL, workers);
        let go = scene.pool.function("go").unwrap().timeout(Duration::from_millis(400));
        let items = [1, 0, 2, -1, 3];
        let outcomes = go.map_outcomes::<_, i64>(items).unwrap();
        for (item, outcome) in items.into_iter().zip(outcomes) {
            match outcome {
                Ok(value) => assert!(value == item && item > 0),
                Err(error) => assert!(error.is_timeout() && item <= 0, "{item}: {error}"),
            }
        }
    }
}

#[test]
fn d22_several_memories_are_taken() {
    const TWO: &str = r#"(module (memory 1) (memory $b 1)
        (func (export "go") (param i64) (result i64)
            (i64.store $b (i32.const 8) (local.get 0))
            (i64.add (i64.load (i32.const 8)) (i64.load $b (i32.const 8)))))"#;
    let _limit = hard_limit();
    for workers in SIZES {
        let scene = Scene::new(TWO, workers);
        assert!(scene.pool.map::<_, i64>("go", 0..100).unwrap().into_iter().eq(0..100));
    }
}

/// A line of what the kernel says of a process.
fn told(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

/// What the kernel says of every worker that serves, which nothing in it can change.
#[test]
fn d56_d57_d59_every_worker_is_one_sealed_thread_of_nobody() {
    let _limit = hard_limit();
    let filters = |pid: u32| told(pid, "Seccomp_filters:").parse::<u32>().unwrap();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    for workers in SIZES {
        let pool = builder(ROGUE).processes(workers).build().unwrap();
        let mut events = pool.events();
        let mut pids = BTreeSet::new();
        while pids.len() < workers {
            let event = events.next_timeout(Duration::from_secs(30)).expect("they start");
            if let PoolEvent::WorkerStarted { pid, .. } = event {
                pids.insert(pid);
            }
        }
        // One of them is told of when it is about to seal itself, and some may get no item here.
        let unsealed = filters(std::process::id());
        eventually("all are sealed", || pids.iter().all(|pid| filters(*pid) == unsealed + 2));
        assert_eq!(pool.map::<_, i64>("go", 1..100).unwrap().len(), 99);
        for pid in pids {
            assert_eq!(told(pid, "Threads:"), "1");
            assert_eq!(told(pid, "NoNewPrivs:"), "1");
            assert_eq!(told(pid, "Seccomp:"), "2");
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(told(pid, set), "0000000000000000", "{set}");
            }
            let users = told(pid, "Uid:");
            assert!(!initial || users.split_whitespace().all(|user| user != "0"), "{users}");
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            // Group, session, and terminal.
            let pid_text = pid.to_string();
            assert_eq!(fields[2..5], [pid_text.as_str(), pid_text.as_str(), "0"], "{stat}");
            limits_of(pid);
            belongings_of(pid);
        }
    }
}

/// What is closed to it for good, and that memory is wanted back from it first.
fn limits_of(pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    for closed in [
        "Max core file size",
        "Max processes",
        "Max locked memory",
        "Max pending signals",
        "Max msgqueue size",
        "Max open files",
        "Max file size",
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(closed)).unwrap();
        let most: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(most, ["0", "0"], "{closed}: {limits}");
    }
    let data = limits.lines().find_map(|line| line.strip_prefix("Max data size")).unwrap();
    assert!(!data.contains("unlimited"), "{limits}");
    let wanted = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(wanted.trim(), "1000");
}

/// What only root can see of an undumpable process.
fn belongings_of(pid: u32) {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return };
    assert_eq!(environment, b"");
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string();
        let known = target == "/dev/null"
            || target.starts_with("pipe:")
            || target == format!("/proc/{pid}/pagemap");
        assert!(known, "{pid} has {target}");
    }
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(folder.as_os_str(), "/");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let both = |line: &&str| line.contains(" rwx") || line.contains(" -wx");
    assert_eq!(maps.lines().filter(both).count(), 0, "{maps}");
}
