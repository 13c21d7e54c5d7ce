//! Bounded waits: a test fails with a message, it never hangs.
//!
//! This module must not be used to guess how long something takes.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest that one test may take: some twenty times what it needs on a busy machine.
const HARD_LIMIT: Duration = Duration::from_secs(150);
/// Longest that something which must happen may take.
const DEADLINE: Duration = Duration::from_secs(30);

static RUNNING: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(|| {
    let watch = || loop {
        std::thread::sleep(Duration::from_secs(1));
        let late = running().iter().find(|(_, at)| **at <= Instant::now()).map(|(n, _)| n.clone());
        if let Some(name) = late {
            // The harness captures what other threads print, and this one must be seen.
            let text = format!("\n`{name}` hangs: aborting after {HARD_LIMIT:?}\n");
            let _ = rustix::io::write(std::io::stderr(), text.as_bytes());
            std::process::abort();
        }
    };
    std::thread::Builder::new().name("hard-limit".to_owned()).spawn(watch).expect("a thread");
    Mutex::default()
});

fn running() -> MutexGuard<'static, HashMap<String, Instant>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the hard limit of a test when it is dropped.
#[derive(Debug)]
#[must_use = "the limit ends with it"]
pub struct HardLimit(String);

/// Aborts the test program with a message if the calling test is not over in time.
pub fn hard_limit() -> HardLimit {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test").to_owned();
    running().insert(name.clone(), Instant::now() + HARD_LIMIT);
    HardLimit(name)
}

impl Drop for HardLimit {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}

/// Waits until something that must happen has happened.
///
/// # Panics
/// If it has not within 30 s.
#[track_caller]
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !happened() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Watches something that must not change, for a while.
///
/// # Panics
/// If it does.
#[track_caller]
pub fn stays(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        assert!(holds(), "no longer: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
