//! What a terminal does to a run beside Ctrl-C: stops and continues it, quits it, hangs up.

use crate::support::{Live, fixture, folder, sandpool};
use rustix::process::{Pid, Signal, WaitIdOptions, kill_process, kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

/// Longest that anything may live on after its host.
const GONE: Duration = Duration::from_secs(1);

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process")
}

/// A run of these items, in a process group of its own, as a shell starts it.
fn started(workers: &str, more: &[&str], items: &str) -> Live {
    let mut args = vec!["imap", "numbers.wat", "-f", "slow", "-j", workers];
    args.extend(more);
    let mut command = sandpool(&args);
    command.process_group(0);
    let mut live = Live::start(command);
    live.feed(items);
    live
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Children of all threads of a process.
fn children(host: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{host}/task")) else { return Vec::new() };
    let lists = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")));
    let text: String = lists.map(Result::unwrap_or_default).collect();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn workers(live: &Live, count: &str) -> Vec<u32> {
    let count: usize = count.parse().expect("a number");
    eventually("all workers are there", || children(live.id()).len() == count);
    children(live.id())
}

/// Stops processes, and waits until they are.
fn stop(pids: &[u32]) {
    pids.iter().for_each(|each| kill_process(pid(*each), Signal::STOP).expect("is there"));
    eventually("all are stopped", || pids.iter().all(|each| state(*each) == Some('T')));
}

/// With each number of workers, all at once, as most of it is waiting.
fn for_each_count(run: impl Fn(&str) + Sync) {
    std::thread::scope(|threads| {
        for count in ["1", "2", "8"] {
            let run = &run;
            threads.spawn(move || run(count));
        }
    });
}

fn go_on(pids: &[u32]) {
    pids.iter().for_each(|each| kill_process(pid(*each), Signal::CONT).expect("is there"));
}

/// The time that the item takes that takes its worker a thousand million turns.
fn thousand() -> Duration {
    let began = Instant::now();
    sandpool(&["apply", "numbers.wat", "-f", "slow", "1000"]).output().expect("it runs");
    began.elapsed()
}

#[test]
fn d79_a_run_that_is_stopped_and_continued_loses_nothing() {
    for_each_count(|count| {
        let items: String = (0..60).map(|n| format!("{n}\n")).collect();
        let mut live = started(count, &[], &items);
        let old = workers(&live, count);
        for _ in 0..3 {
            // What Ctrl-Z does, and what `fg` does.
            kill_process_group(pid(live.id()), Signal::TSTP).expect("is there");
            eventually("it is stopped", || state(live.id()) == Some('T'));
            std::thread::sleep(Duration::from_millis(700));
            kill_process_group(pid(live.id()), Signal::CONT).expect("is there");
            for _ in 0..5 {
                live.line();
            }
        }
        assert_eq!(children(live.id()), old, "the same workers");
        live.stdin = None;
        let expected: String = (15..60).map(|n| format!("{}\n", n * n)).collect();
        live.end().is(0, &expected, "");
    });
}

/// Time in which the whole run was stopped (a frozen container, a paused machine) counts for nobody.
#[test]
fn d79_what_is_stopped_with_its_host_has_its_time_afterwards() {
    let limit = thousand() * 2 + Duration::from_secs(2);
    let timeout = format!("{}ms", limit.as_millis());
    for_each_count(|count| {
        let mut live = started(count, &["--timeout", &timeout], "600\n");
        let mut all = workers(&live, count);
        all.insert(0, live.id());
        // It is claimed, or will be.
        std::thread::sleep(Duration::from_millis(100));
        stop(&all);
        std::thread::sleep(limit + Duration::from_secs(1));
        go_on(&all);
        live.stdin = None;
        live.end().is(0, "360000\n", "");
    });
}

/// Ctrl-Z stops the host only. Workers run on; what ends in that time has ended, and what does not
/// end has its limit, counted without that time.
#[test]
fn d79_an_item_that_ends_while_its_host_is_stopped_has_ended() {
    let limit = thousand() + Duration::from_secs(2);
    let timeout = format!("{}ms", limit.as_millis());
    for_each_count(|count| {
        let args = ["--timeout", &timeout, "--emit", "record"];
        let mut live = started(count, &args, "900\n-1\n3\n");
        workers(&live, count);
        let began = Instant::now();
        // They are claimed, or will be.
        std::thread::sleep(Duration::from_millis(300));
        stop(&[live.id()]);
        std::thread::sleep(limit + Duration::from_secs(2));
        go_on(&[live.id()]);
        live.stdin = None;
        let found = live.end();
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{found:?}");
        assert!(lines[0].contains("810000") && lines[2].contains("\"ok\":9"), "{text}");
        assert!(lines[1].contains("timed_out"), "{text}");
        assert!(began.elapsed() < limit * 3 + Duration::from_secs(20), "{:?}", began.elapsed());
    });
}

/// Whether this process ignores a signal, which those that it starts then do as well.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.unwrap_or(0) >> (signal.as_raw() - 1) & 1 != 0
}

#[test]
fn d79_hang_up_and_quit_leave_no_process_behind() {
    for signal in [Signal::HUP, Signal::QUIT] {
        if is_ignored(signal) {
            eprintln!("{signal:?} is ignored here, as under `nohup`: not tried");
            continue;
        }
        for count in ["1", "2", "8"] {
            let folder = folder();
            let mut command = sandpool(&["imap", "-f", "slow", "-j", count]);
            // Where a core file does no harm.
            command.arg(fixture("numbers.wat")).current_dir(folder.path()).process_group(0);
            let mut live = Live::start(command);
            live.feed("3\n");
            assert_eq!(live.line(), "9\n");
            live.feed("-1\n-1\n-1\n");
            let left = workers(&live, count);
            kill_process_group(pid(live.id()), signal).expect("is there");
            live.wait(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let killed = Instant::now();
            let alive = |pid: &u32| state(*pid).is_some_and(|state| !matches!(state, 'Z' | 'X'));
            while left.iter().any(alive) {
                assert!(killed.elapsed() < GONE, "{signal:?} {count}: {left:?}");
                std::thread::sleep(Duration::from_micros(200));
            }
            assert_eq!(live.end().status, -1, "by the signal");
        }
    }
}
