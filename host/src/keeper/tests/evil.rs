//! Workers that speak the protocol badly, in every way that is known.

use super::lab::{SIZES, Site, alone, besiege, peak_memory};
use super::{PATIENCE, end};
use crate::child::evil::{Deed, End, FIRST, Field, Point};
use crate::outcome::TaskErrorKind;
use crate::{BuildErrorKind, Function, Pool, PoolBuilder, PoolErrorKind, PoolEvent};
use crate::{Sandbox, TaskError, WorkerEnd};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

type Outcome = Result<i64, TaskError>;

/// Lets pools of all sizes be besieged, and checks what the deeds' own items end in.
pub(super) fn siege(
    deeds: &[Deed],
    build: impl Fn(PoolBuilder) -> PoolBuilder,
    options: impl Fn(Function) -> Function,
    check: impl Fn(&Deed, &Outcome),
) {
    for size in SIZES {
        let site = Site::new(deeds);
        let pool = build(site.builder(size)).build().unwrap();
        // Nothing is believed that a worker says after a lie; these go on after theirs.
        let goes_on = |deed: &Deed| matches!(deed, Deed::Long(_) | Deed::LongLogs(_));
        let spared = !deeds.iter().any(goes_on);
        let outcomes = besiege(&pool, deeds.len(), spared, &options);
        deeds.iter().zip(&outcomes).for_each(|(deed, outcome)| check(deed, outcome));
        end(&pool);
    }
}

/// The item ended as one whose worker was found out.
#[track_caller]
pub(super) fn found_out(outcome: &Outcome, what: &str) {
    let error = outcome.as_ref().expect_err(what);
    assert_eq!(error.kind(), TaskErrorKind::WorkerDied, "{error}");
    assert!(error.message().contains(what), "{error}");
}

fn frame(kind: u8, len: u64, bytes: usize) -> Deed {
    Deed::Frame { kind, len, bytes }
}

pub(super) fn as_is<T>(it: T) -> T {
    it
}

#[test]
fn d41_lengths_that_cannot_be() {
    alone(|| {
        // A head has 61 bits for it.
        let most = u64::MAX >> 3;
        let deeds = [1 << 31, 1 << 60, most, most - 7, most - 15, (64 << 20) + (2 << 20)];
        let deeds = deeds.map(|len| frame(0, len, 8));
        let before = peak_memory();
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "longer than any may be"));
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
    });
}

#[test]
fn d41_a_result_of_another_length_than_its_type_spoils_its_own_item_only() {
    alone(|| {
        let deeds = [frame(0, 0, 0), frame(0, 7, 7), frame(0, 9, 9), frame(0, 100_000, 100_000)];
        // Two at a time: three deaths right after a result may be blamed on the item behind it.
        for deeds in deeds.chunks(2) {
            siege(deeds, as_is, as_is, |_, outcome| {
                assert_eq!(outcome.as_ref().unwrap_err().kind(), TaskErrorKind::BadOutput);
            });
        }
    });
}

#[test]
fn d42_unknown_kinds_and_reports_that_are_none() {
    alone(|| {
        let trapped = TaskErrorKind::ALL.iter().position(|kind| *kind == TaskErrorKind::Trapped);
        let deeds = [
            frame(5, 8, 8),
            frame(7, 8, 8),
            frame(6, 0, 0),
            // A row of values that are too large for one.
            frame(4, 1025, 0),
            frame(4, 1 << 20, 8),
            // A failure and logs, of ones.
            frame(2, 100, 100),
            frame(1, 100, 100),
            frame(2, 0, 0),
            Deed::Report(trapped.unwrap(), 1),
            Deed::Report(trapped.unwrap(), 100),
            Deed::Fatal,
        ];
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "malformed"));
    });
}

#[test]
fn d42_half_a_value_in_a_row() {
    alone(|| {
        let deeds = [frame(4, 16, 8), frame(4, 1000, 8)];
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "position"));
    });
}

#[test]
fn t8_a_worker_cannot_say_what_only_the_host_knows() {
    alone(|| {
        let kinds =
            [TaskErrorKind::WorkerDied, TaskErrorKind::Cancelled, TaskErrorKind::Terminated];
        let deeds = kinds.map(|lie| {
            let number = TaskErrorKind::ALL.iter().position(|kind| *kind == lie);
            Deed::Report(number.unwrap(), 0)
        });
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "malformed"));
    });
}

// Results belong to items by their order alone, so there is no item that a worker could name.
#[test]
fn d43_a_second_result_and_one_for_an_item_that_was_not_claimed() {
    alone(|| {
        // The last one: three values side by side.
        let deeds = [Deed::Twice, Deed::Ahead, frame(4, 8, 24)];
        for items in [1, 2, 20] {
            let chunked = |echo: Function| echo.chunk_size(items);
            siege(&deeds, as_is, chunked, |_, outcome| {
                outcome.as_ref().expect("the first one was right");
            });
        }
    });
}

#[test]
fn d44_a_result_while_idle() {
    alone(|| {
        siege(&[Deed::Unsolicited], as_is, as_is, |_, outcome| {
            outcome.as_ref().expect("it was right");
        });
    });
}

/// Nobody listens to an idle worker. What it said is found before it is given anything, and then the
/// item that was meant for it goes to another one.
#[test]
fn d44_whoever_spoke_while_idle_gets_no_further_item() {
    alone(|| {
        for size in SIZES {
            let site = Site::new(&[Deed::Unsolicited]);
            let pool = site.builder(size).build().unwrap();
            let events = pool.events();
            assert_eq!(pool.apply::<_, i64>("echo", &FIRST).unwrap(), FIRST);
            // Time for it to speak in, and for a worker that is not ready yet to be.
            std::thread::sleep(Duration::from_millis(300));
            let start = Instant::now();
            while pool.stats().workers_ended == 0 && start.elapsed() < PATIENCE {
                assert_eq!(pool.map::<_, i64>("echo", 0..100_i64).unwrap().len(), 100);
            }
            assert_eq!(pool.stats().errors, 0);
            end(&pool);
            let ends = events.filter_map(|event| match event {
                PoolEvent::WorkerEnded { reason: WorkerEnd::Broken(why), items, .. } => {
                    Some((why, items))
                }
                _ => None,
            });
            let ends: Vec<_> = ends.collect();
            // One item, and no more: what came behind its result ended this worker.
            assert!(matches!(ends.as_slice(), [(_, 1)]), "{ends:?}");
        }
    });
}

#[test]
fn d45_a_result_that_comes_byte_by_byte_and_one_that_stops_in_the_middle() {
    alone(|| {
        let deeds = [Deed::Dribble(100), Deed::At(Point::HalfResult, End::Park)];
        let timed = |echo: Function| echo.timeout(Duration::from_millis(500));
        siege(&deeds, as_is, timed, |_, outcome| {
            assert!(outcome.as_ref().unwrap_err().is_timeout(), "{outcome:?}");
        });
        // In time it is a result like any other.
        siege(&[Deed::Dribble(1)], as_is, timed, |_, outcome| {
            outcome.as_ref().expect("it was right");
        });
        let dies = [Deed::At(Point::HalfResult, End::Exit(0))];
        siege(&dies, as_is, as_is, |_, outcome| found_out(outcome, "exited with status 0"));
    });
}

#[test]
fn d47_floods_fill_no_memory() {
    alone(|| {
        let small = |builder: PoolBuilder| builder.max_output(64 << 10);
        let before = peak_memory();
        siege(&[Deed::Stream], small, as_is, |_, outcome| found_out(outcome, "longer than any"));
        siege(&[Deed::Flood], small, as_is, |_, outcome| {
            outcome.as_ref().expect("the first one was right");
        });
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
    });
}

#[test]
fn d47_bells_without_end() {
    alone(|| {
        let before = Instant::now();
        siege(&[Deed::Bells], as_is, as_is, |_, outcome| found_out(outcome, "without cause"));
        assert!(before.elapsed() < PATIENCE);
    });
}

#[test]
fn what_is_above_the_limits_of_output_and_logs_is_refused() {
    alone(|| {
        let small = |builder: PoolBuilder| builder.max_output(10_000).max_log(1000);
        let deeds = [Deed::Long(10_017), Deed::LongLogs(1001), Deed::Long(900_000)];
        siege(&deeds, small, as_is, |_, outcome| found_out(outcome, "longer than any may be"));
        siege(&[Deed::LongLogs(1000)], small, as_is, |_, outcome| {
            outcome.as_ref().expect("that is allowed");
        });
    });
}

#[test]
fn d49_the_ring_cannot_be_cut_or_grown() {
    alone(|| {
        let deeds = [Deed::Truncate(0), Deed::Truncate(4096), Deed::Truncate(1 << 30)];
        let open = |builder: PoolBuilder| builder.sandbox(Sandbox::Off);
        siege(&deeds, open, as_is, |_, outcome| {
            assert_eq!(*outcome.as_ref().unwrap(), i64::from(libc::EPERM));
        });
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "seccomp"));
    });
}

#[test]
fn d50_whatever_stands_in_the_control_block_harms_no_other_item() {
    alone(|| {
        let bits = [0, 1, 2, 3, 4, 7, 1 << 20, (1 << 20) + 8, 1 << 33, 1 << 63, u64::MAX];
        let steps = [1, -1, 3, 4, -4, 8, -8, 1 << 20, -(1 << 20), 1 << 33, -(1 << 33), 1 << 62];
        let set = |field| bits.map(|bits| Deed::Set(field, bits));
        let add = |field| steps.map(|step| Deed::Add(field, step));
        let every = Field::ALL.into_iter();
        let mut deeds: Vec<_> = every.flat_map(|f| set(f).into_iter().chain(add(f))).collect();
        deeds.push(Deed::Contend);
        for size in SIZES {
            let site = Site::new(&deeds);
            let pool = site.builder(size).build().unwrap();
            // One by one, so that what a word hides is the item's own affair.
            let timed = |echo: Function| echo.timeout(Duration::from_secs(2)).chunk_size(1);
            let outcomes = besiege(&pool, deeds.len(), false, timed);
            for (deed, outcome) in deeds.iter().zip(&outcomes) {
                // What lies in the arena can look like a value of this item, which its worker may give.
                let Err(error) = outcome else {
                    assert!(is_tail(deed), "{deed:?} published nothing");
                    continue;
                };
                let ends = [TaskErrorKind::WorkerDied, TaskErrorKind::TimedOut];
                let spoilt = ends.contains(&error.kind())
                    || (is_tail(deed) && error.kind() == TaskErrorKind::BadOutput);
                assert!(spoilt, "{deed:?}: {error}");
            }
            // An outcome that is no value of its type counts as one here. Who says to have begun more,
            // or hides what has ended, takes along what it was handed together with the deed.
            let blamed = pool.stats().errors.saturating_sub(deeds.len() as u64);
            assert!(blamed <= 4 * deeds.len() as u64, "{blamed} honest items");
            end(&pool);
        }
    });
}

#[test]
fn d50_an_item_whose_worker_says_that_it_had_not_begun_it_is_blamed_in_the_end() {
    alone(|| {
        // On one place, more of them than a pool has patience with places that fail: honest items
        // come in between. With several, those may all have ended elsewhere while nothing but these
        // is left, and enough of them would be the end of the pool, as where nothing works.
        for (size, deeds) in [(1, 12), (2, 2), (8, 4)] {
            let deeds = vec![Deed::Unclaim; deeds];
            let site = Site::new(&deeds);
            let pool = site.builder(size).build().unwrap();
            besiege(&pool, 0, true, as_is);
            let outcomes = besiege(&pool, deeds.len(), false, |echo| echo.chunk_size(1));
            // Some of them are looked at in that moment, and found out.
            outcomes.iter().for_each(|outcome| found_out(outcome, "the worker"));
            end(&pool);
        }
    });
}

fn is_tail(deed: &Deed) -> bool {
    matches!(deed, Deed::Set(Field::ResultsTail, _) | Deed::Add(Field::ResultsTail, _))
}

#[test]
fn d52_a_worker_that_closes_its_bell_and_runs_on_is_replaced() {
    alone(|| {
        for size in SIZES {
            let site = Site::new(&[Deed::CloseBell]).tokens(size);
            let pool = site.builder(size).build().unwrap();
            let outcomes = pool
                .function("count")
                .unwrap()
                .map_outcomes::<_, i64>((1..2000).map(|n| n * 10))
                .unwrap();
            let died = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            let died = died.inspect(|error| assert!(error.is_worker_death(), "{error}")).count();
            assert!(died <= size, "{died}");
            let right =
                |(n, outcome): (i64, &Outcome)| outcome.as_ref().is_ok_and(|v| *v == n * 10);
            assert_eq!((1..).zip(&outcomes).filter(|each| right(*each)).count(), 1999 - died);
            besiege(&pool, 0, true, as_is);
            end(&pool);
        }
    });
}

#[test]
fn d52_a_worker_that_closes_all_it_has_in_the_middle_of_an_item_is_replaced() {
    alone(|| {
        let open = |builder: PoolBuilder| builder.sandbox(Sandbox::Off);
        siege(&[Deed::CloseAll], open, as_is, |_, outcome| found_out(outcome, "the worker"));
        siege(&[Deed::CloseAll], as_is, as_is, |_, outcome| found_out(outcome, "seccomp"));
    });
}

/// Behind the walls no worker has a child. Without them one that holds all that the worker had does
/// not make it live, nor hold anything up.
#[test]
fn d52_a_worker_that_ends_and_leaves_a_child() {
    alone(|| {
        let deeds = [Deed::LeaveChild];
        siege(&deeds, as_is, as_is, |_, outcome| found_out(outcome, "seccomp"));
        let open = |builder: PoolBuilder| builder.sandbox(Sandbox::Off);
        let before = Instant::now();
        siege(&deeds, open, as_is, |_, outcome| found_out(outcome, "exited with status 0"));
        // Before it greets, with the stream to the host in the child's hands.
        once(Deed::LeaveChild);
        never(Deed::LeaveChild, PoolErrorKind::Broken, "exited with status 0");
        // The child, and the longest silence of a worker that starts, each take longer.
        assert!(before.elapsed() < Duration::from_secs(4) * 6, "{:?}", before.elapsed());
    });
}

#[test]
fn t8_a_worker_that_lies_spoils_its_own_item_only() {
    alone(|| {
        let deeds = [Deed::Wrong(7_i64.to_le_bytes().into()), Deed::Wrong(vec![1, 2, 3])];
        siege(&deeds, as_is, as_is, |deed, outcome| match deed {
            Deed::Wrong(bytes) if bytes.len() == 8 => assert_eq!(*outcome.as_ref().unwrap(), 7),
            _ => assert_eq!(outcome.as_ref().unwrap_err().kind(), TaskErrorKind::BadOutput),
        });
    });
}

#[test]
fn dying_words_cannot_speak_to_a_terminal() {
    alone(|| {
        let deeds = [
            Deed::Note("\u{1b}]0;owned\u{7}\r\nall is well\u{9b}2J".into()),
            Deed::Note("x".repeat(10_000)),
        ];
        siege(&deeds, as_is, as_is, |_, outcome| {
            found_out(outcome, "exited with status 9");
            let text = outcome.as_ref().unwrap_err().to_string();
            assert!(!text.chars().any(char::is_control) && text.len() < 1000, "{text}");
        });
    });
}

// ---- before the first item ----

/// A pool all of whose workers start badly says so, in time.
fn never(deed: Deed, kind: PoolErrorKind, text: &str) {
    for size in SIZES {
        let site = Site::new(std::slice::from_ref(&deed));
        let before = Instant::now();
        let error = match site.early_builder(size).build() {
            Err(error) => {
                assert_eq!(error.kind(), BuildErrorKind::Workers, "{deed:?}: {error}");
                error.to_string()
            }
            // A worker that ends after it was ready.
            Ok(pool) => {
                let error = pool.apply::<_, i64>("echo", &1_i64).unwrap_err();
                assert_eq!(error.pool().map(|error| error.kind()), Some(kind), "{deed:?}: {error}");
                pool.close();
                assert!(pool.join_timeout(PATIENCE).unwrap());
                error.to_string()
            }
        };
        assert!(error.contains(text), "{deed:?}: {error}");
        assert!(!error.chars().any(char::is_control), "{deed:?}: {error}");
        assert!(before.elapsed() < PATIENCE, "{deed:?}: {:?}", before.elapsed());
    }
}

/// One bad start costs nothing but its time.
fn once(deed: Deed) {
    for size in SIZES {
        let site = Site::new(std::slice::from_ref(&deed)).tokens(1);
        let pool = site.early_builder(size).build().unwrap();
        besiege(&pool, 0, true, as_is);
        assert_eq!(site.tokens_left(), 0, "{deed:?}");
        end(&pool);
    }
}

#[test]
fn a_worker_of_another_version_is_one_clear_error() {
    alone(|| never(Deed::OtherHello, PoolErrorKind::Broken, "sandpool 9.9.9"));
}

#[test]
fn a_worker_that_can_be_none_is_the_affair_of_its_place() {
    alone(|| {
        for deed in [Deed::OtherHello, Deed::Refuse("no".into())] {
            let site = Site::new(&[deed]).tokens(1);
            let pool = site.early_builder(2).build().unwrap();
            besiege(&pool, 0, true, as_is);
            let before = Instant::now();
            while pool.stats().workers_started < 2 && before.elapsed() < PATIENCE {
                besiege(&pool, 0, true, as_is);
            }
            assert_eq!(site.tokens_left(), 0);
            assert_eq!(pool.stats().workers_started, 2, "and it is tried again");
            end(&pool);
        }
    });
}

#[test]
fn a_worker_that_refuses_is_one_clear_error() {
    let text = "no\u{1b}[2J\nthanks";
    alone(|| never(Deed::Refuse(text.into()), PoolErrorKind::Broken, "thanks"));
}

#[test]
fn garbage_instead_of_a_hello_is_one_clear_error_or_nothing() {
    alone(|| {
        let whole = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        for bytes in [
            b"SSH-2.0-OpenSSH".to_vec(),
            vec![0xff; 100],
            whole("{}"),
            whole("not json"),
            whole(r#"{"protocol":-1,"build":null}"#),
            whole(&"[".repeat(100_000)),
        ] {
            once(Deed::Garbage(bytes.clone()));
            never(Deed::Garbage(bytes), PoolErrorKind::Broken, "does not speak");
        }
    });
}

#[test]
fn d35_ends_before_the_first_item_are_waited_out_and_then_one_clear_error() {
    alone(|| {
        for point in [Point::BeforeHello, Point::BeforeReady, Point::Ready] {
            let deed = Deed::At(point, End::Exit(0));
            once(deed.clone());
            never(deed, PoolErrorKind::Broken, "exited with status 0");
        }
    });
}

#[test]
fn d35_a_worker_that_stays_silent_is_given_up() {
    alone(|| {
        let deeds = [
            Deed::At(Point::BeforeHello, End::Park),
            Deed::At(Point::BeforeReady, End::Park),
            // Half a message, and no more.
            Deed::Garbage(vec![1, 0, 0]),
        ];
        // All at once, as all there is to do is to wait.
        std::thread::scope(|threads| {
            for deed in deeds {
                for size in SIZES {
                    let deed = deed.clone();
                    threads.spawn(move || given_up(deed, size));
                }
            }
        });
    });
}

fn given_up(deed: Deed, size: usize) {
    let site = Site::new(std::slice::from_ref(&deed)).tokens(1);
    let pool: Pool = site.early_builder(size).build().unwrap();
    let start = Instant::now();
    while pool.stats().workers_started < size as u64 && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(pool.stats().workers_started, size as u64, "{deed:?}");
    assert_eq!(site.tokens_left(), 0);
    besiege(&pool, 0, true, as_is);
    end(&pool);
}

#[test]
fn a_second_ready_changes_nothing() {
    alone(|| once(Deed::ReadyTwice));
}
