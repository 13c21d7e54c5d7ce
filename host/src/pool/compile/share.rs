//! Compiles in flight: who wants what somebody is already making waits for it.
//!
//! This module must not keep what was made; that is what the cache is for. Nobody waits here for
//! longer than somebody works, who has a deadline, and who tells even if it panics.

use crate::cache::Key;
use crate::compiled::Compiled;
use crate::limits::CompileLimits;
use crate::pool::error::{BuildError, BuildErrorKind};
use crate::process::Program;
use crate::walls::Sandbox;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What is to be made, and by what means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) key: Key,
    pub(super) program: Program,
    pub(super) sandbox: Sandbox,
    pub(super) limits: CompileLimits,
}

type Made = Result<Arc<Compiled>, BuildError>;

/// Where the others wait for the one who works.
#[derive(Default)]
struct Place {
    made: Mutex<Option<Made>>,
    told: Condvar,
}

/// A few at a time, so that a look at each is cheap.
static IN_FLIGHT: Mutex<Vec<(Errand, Arc<Place>)>> = Mutex::new(Vec::new());

/// Makes it, or waits until somebody has made it who began before.
pub(super) fn once(
    errand: Errand,
    make: impl FnOnce() -> Result<Compiled, BuildError>,
) -> Result<Arc<Compiled>, BuildError> {
    let mut in_flight = lock(&IN_FLIGHT);
    if let Some((_, place)) = in_flight.iter().find(|(other, _)| *other == errand) {
        let place = Arc::clone(place);
        drop(in_flight);
        return place.wait();
    }
    let place = Arc::new(Place::default());
    in_flight.push((errand, Arc::clone(&place)));
    drop(in_flight);
    let work = Work { place, made: None };
    work.finish(make().map(Arc::new))
}

impl Place {
    fn wait(&self) -> Made {
        let mut made = lock(&self.made);
        loop {
            if let Some(made) = &*made {
                return made.clone();
            }
            made = self.told.wait(made).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Whoever drops this has told the others, come what may.
struct Work {
    place: Arc<Place>,
    made: Option<Made>,
}

impl Work {
    fn finish(mut self, made: Made) -> Made {
        self.made = Some(made.clone());
        made
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Gone first: who comes from now on makes it anew, or finds it in the cache.
        lock(&IN_FLIGHT).retain(|(_, place)| !Arc::ptr_eq(place, &self.place));
        let made = self.made.take().unwrap_or_else(|| {
            let text = "compiling the module panicked on another thread of the host";
            Err(BuildError::new(BuildErrorKind::Workers, text))
        });
        *lock(&self.place.made) = Some(made);
        self.place.told.notify_all();
    }
}

/// Nothing panics while it holds one of these locks, so what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start what they like")]
mod tests {
    use super::*;
    use crate::description::EngineSettings;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn errand(module: &str) -> Errand {
        Errand {
            key: Key::of(module.as_bytes(), EngineSettings::default()),
            program: Program::default(),
            sandbox: Sandbox::Strict,
            limits: CompileLimits::default(),
        }
    }

    fn no(text: &str) -> BuildError {
        BuildError::new(BuildErrorKind::Refused, text)
    }

    fn waiting_for(errand: &Errand) -> usize {
        let in_flight = lock(&IN_FLIGHT);
        // The table and the worker have one each.
        let count = |place| Arc::strong_count(place).saturating_sub(2);
        in_flight.iter().find(|(other, _)| other == errand).map_or(0, |(_, place)| count(place))
    }

    #[test]
    fn one_error_wakes_all_who_wait() {
        let begun = Barrier::new(2);
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                once(errand("shared error"), || {
                    begun.wait();
                    while waiting_for(&errand("shared error")) < 7 {
                        thread::yield_now();
                    }
                    made.fetch_add(1, Ordering::SeqCst);
                    Err(no("the first"))
                })
            });
            begun.wait();
            let others: Vec<_> = (0..7)
                .map(|_| scope.spawn(|| once(errand("shared error"), || Err(no("another")))))
                .collect();
            for thread in others.into_iter().chain([first]) {
                let error = thread.join().expect("no panic").expect_err("an error");
                assert_eq!(error.to_string(), "the first");
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        // It is not kept.
        let again = once(errand("shared error"), || Err(no("again"))).expect_err("an error");
        assert_eq!(again.to_string(), "again");
    }

    #[test]
    fn a_panic_of_the_one_who_works_wakes_the_others_too() {
        let begun = Barrier::new(2);
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                once(errand("panic"), || {
                    begun.wait();
                    while waiting_for(&errand("panic")) < 1 {
                        thread::yield_now();
                    }
                    panic!("on purpose");
                })
            });
            begun.wait();
            let other = scope.spawn(|| once(errand("panic"), || Err(no("own"))));
            let error = other.join().expect("no panic").expect_err("an error");
            assert!(error.to_string().contains("panicked"), "{error}");
            first.join().expect_err("the panic itself");
        });
    }

    #[test]
    fn other_errands_do_not_wait() {
        let other = once(errand("outer"), || {
            let error = once(errand("inner"), || Err(no("inner"))).expect_err("an error");
            assert_eq!(error.to_string(), "inner");
            let tighter = Errand {
                limits: CompileLimits { memory: 1, ..Default::default() },
                ..errand("outer")
            };
            once(tighter, || Err(no("tighter"))).map(|_| unreachable!())
        });
        assert_eq!(other.expect_err("an error").to_string(), "tighter");
    }
}
