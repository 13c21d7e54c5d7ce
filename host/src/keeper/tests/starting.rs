//! Workers that cannot be started, or not for long: no storm, no hang, no broken pool as long as
//! some of them work.

use super::lab::{SIZES, Site, alone, besiege, children};
use super::{PATIENCE, end};
use crate::child::evil::{Deed, End, Point};
use crate::{BuildErrorKind, Pool, PoolErrorKind};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::time::{Duration, Instant};

fn kill(pid: u32) {
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
}

fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn alive(pool: &Pool) -> u64 {
    let stats = pool.stats();
    stats.workers_started - stats.workers_ended
}

#[test]
fn a_seat_that_crash_loops_beside_one_that_works_makes_no_storm() {
    alone(|| {
        for point in [Point::BeforeHello, Point::Ready] {
            let site = Site::new(&[Deed::At(point, End::Exit(1))]).tokens(0);
            let pool = site.early_builder(2).build().unwrap();
            eventually("both are there", || alive(&pool) == 2);
            site.add_tokens(1000);
            kill(children()[0]);
            let before = Instant::now();
            while before.elapsed() < Duration::from_secs(4) {
                let values = pool.map::<_, i64>("echo", 0..1000_i64).unwrap();
                assert!(values.into_iter().eq(0..1000));
            }
            let tried = 1000 - site.tokens_left();
            // Ten until the pause is a second long, and some seconds.
            assert!((5..=16).contains(&tried), "{tried} starts in 4 s");
            site.take_tokens();
            eventually("it works again", || alive(&pool) == 2);
            besiege(&pool, 0, true, |echo| echo);
            end(&pool);
        }
    });
}

#[test]
fn a_worker_that_is_killed_is_replaced_without_a_pause() {
    alone(|| {
        let site = Site::new(&[]);
        let pool = site.builder(1).build().unwrap();
        let mut times = Vec::new();
        for n in 0..20 {
            assert_eq!(pool.apply::<_, i64>("echo", &n).unwrap(), n);
            let started = pool.stats().workers_started;
            let before = Instant::now();
            kill(children()[0]);
            eventually("there is another one", || pool.stats().workers_started > started);
            times.push(before.elapsed());
        }
        times.sort_unstable();
        // A start takes some milliseconds, many more in a debug build on a busy machine.
        assert!(times[10] < Duration::from_millis(100), "{times:?}");
        end(&pool);
    });
}

#[test]
fn an_idle_pool_that_cannot_keep_a_worker_breaks_and_says_so() {
    alone(|| {
        let site = Site::new(&[Deed::At(Point::Ready, End::Exit(1))]).tokens(0);
        let pool = site.builder(2).build().unwrap();
        eventually("both are there", || alive(&pool) == 2);
        site.add_tokens(1000);
        children().into_iter().for_each(kill);
        let mut error = None;
        eventually("it breaks", || {
            error = pool.apply::<_, i64>("echo", &1_i64).err();
            error.is_some()
        });
        let error = error.unwrap();
        assert_eq!(error.pool().unwrap().kind(), PoolErrorKind::Broken, "{error}");
        assert!(error.to_string().contains("status 1"), "{error}");
        assert!(1000 - site.tokens_left() < 20, "{} left", site.tokens_left());
        pool.terminate();
        assert!(pool.join_timeout(PATIENCE).unwrap());
    });
}

#[test]
fn d34_a_program_that_is_gone_or_is_none_is_one_clear_error() {
    alone(|| {
        for (text, told) in [(None, "No such file"), (Some("no program"), "Exec format")] {
            for size in SIZES {
                let site = Site::new(&[]);
                let pool = site.early_builder(size).build().unwrap();
                besiege(&pool, 0, true, |echo| echo);
                site.replace_program(text);
                let mut error = None;
                eventually("it breaks", || {
                    children().into_iter().for_each(kill);
                    std::thread::sleep(Duration::from_millis(10));
                    let outcomes = pool.function("echo").unwrap().map_outcomes::<_, i64>(0..20_i64);
                    error = outcomes.err();
                    error.is_some()
                });
                let error = error.unwrap().to_string();
                assert!(error.contains(told), "{error}");
                pool.terminate();
                assert!(pool.join_timeout(PATIENCE).unwrap());
            }
        }
    });
}

// ---- descriptors ----

/// Leaves this process room for so many descriptors, while the body runs.
fn with_room<T>(room: usize, body: impl FnOnce() -> T) -> T {
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(500), ..old }).unwrap();
    let mut nulls: Vec<_> =
        std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(500).collect();
    assert!((room..500).contains(&nulls.len()));
    nulls.truncate(nulls.len() - room);
    let done = body();
    setrlimit(Resource::Nofile, old).unwrap();
    done
}

#[test]
fn d74_with_few_descriptors_there_are_fewer_workers() {
    alone(|| {
        let site = Site::new(&[]);
        end(&site.builder(1).build().unwrap());
        // Two for each seat, one for the artifact, and what one or two workers need.
        let pool = with_room(8 + 1 + 16, || {
            let pool = site.builder(4).build().unwrap();
            let before = Instant::now();
            while before.elapsed() < Duration::from_secs(2) {
                let values = pool.map::<_, i64>("echo", 0..1000_i64).unwrap();
                assert!(values.into_iter().eq(0..1000));
            }
            assert!((1..4).contains(&alive(&pool)), "{:?}", pool.stats());
            pool
        });
        eventually("there is room again", || alive(&pool) == 4);
        besiege(&pool, 0, true, |echo| echo);
        end(&pool);
    });
}

#[test]
fn d74_without_descriptors_for_any_worker_there_is_one_clear_error() {
    alone(|| {
        let site = Site::new(&[]);
        end(&site.builder(1).build().unwrap());
        std::thread::sleep(Duration::from_millis(200));
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        for (workers, room) in [(1, 3), (1, 5), (1, 10), (2, 9), (8, 10), (8, 22)] {
            eventually("the one before is gone", || descriptors() == before);
            let started = Instant::now();
            let error = with_room(room, || site.builder(workers).build().unwrap_err());
            assert_eq!(error.kind(), BuildErrorKind::Workers, "{room}: {error}");
            assert!(error.to_string().contains("open files"), "{room}: {error}");
            assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        }
    });
}

#[test]
fn d74_a_want_of_descriptors_that_passes_breaks_nothing() {
    alone(|| {
        for size in [1, 2, 8] {
            let site = Site::new(&[]);
            let pool = site.builder(size).build().unwrap();
            eventually("all are there", || alive(&pool) == size as u64);
            besiege(&pool, 0, true, |echo| echo);
            let workers = children();
            let (few, handle) = with_room(0, || {
                workers.into_iter().for_each(kill);
                // What the dead give back is taken again.
                std::thread::sleep(Duration::from_millis(100));
                let open = || std::fs::File::open("/dev/null").ok();
                let nulls: Vec<_> = std::iter::from_fn(open).collect();
                let handle = pool.function("echo").unwrap().map_async::<_, i64>(0..100_i64);
                std::thread::sleep(Duration::from_millis(1500));
                let few = alive(&pool);
                drop(nulls);
                (few, handle.unwrap())
            });
            assert!(few < size as u64, "{few} workers of {size} live");
            let values = handle.get().unwrap();
            assert!(values.into_iter().eq(0..100));
            end(&pool);
        }
    });
}
