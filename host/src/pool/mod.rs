//! The pool: what a user holds.
//!
//! This module must not know how items travel; it makes calls and hands them to the queue.

pub(crate) mod builder;
mod call_api;
pub(crate) mod callbacks;
pub(crate) mod compile;
pub(crate) mod core;
mod deadlines;
pub(crate) mod documents;
pub(crate) mod error;
pub(crate) mod function;
pub(crate) mod handle;
pub(crate) mod iter;
pub(crate) mod module;
mod processes;
pub(crate) mod recipe;
pub(crate) mod strikes;
mod submit;
mod turns;

use self::core::Core;
use crate::description::Description;
use crate::event::{Events, PoolStats};
use builder::PoolBuilder;
use error::{BuildError, PoolError};
use function::Function;
use module::TaskModule;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A pool of worker processes that run functions of one task module.
///
/// The methods are those of Python's `multiprocessing.Pool`, on the pool with a function's name, or
/// on a [`Function`], which carries options.
///
/// ```no_run
/// let pool = sandpool::Pool::new("square.wasm")?;
/// let one: i64 = pool.apply("square", &7)?;
/// let all: Vec<i64> = pool.map("square", 0..100)?;
/// for result in pool.imap::<_, i64>("square", 0..)?.take(10) {
///     println!("{}", result?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The end of a pool
///
/// | | new calls | accepted calls | blocks |
/// |---|---|---|---|
/// | [`close`](Self::close) | refused | finish, their remaining input included | no |
/// | [`terminate`](Self::terminate) | refused | end as *terminated*, at once | no |
/// | [`join`](Self::join) | – | waits for them | until all workers have ended |
/// | dropping the last clone | – | finish, as after `close` | no |
/// | dropping it while unwinding | – | end, as after `terminate` | no |
///
/// All are idempotent. Iterators and handles keep what they need alive: results can be iterated
/// after the pool value is gone. This differs from Python, where leaving the `with` block
/// terminates the pool and an iterator that is used later hangs.
///
/// # Worker death
///
/// A worker that dies costs the one item that it was running, which ends as
/// [`WorkerDied`](crate::TaskErrorKind::WorkerDied); items it had finished are delivered, items it
/// had not begun run elsewhere, and a new worker takes its place.
///
/// What a worker had begun is what it says itself, in memory that survives it. One that was taken
/// over by a hostile module can hide that it had begun an item. So an item at whose turn three workers
/// ended by themselves (not killed by somebody), each saying that it had not begun it, is blamed too: it
/// ends as `WorkerDied`, and may then have been started three times. With honest workers no item is
/// started twice, unless [`retries`](Function::retries) were asked for.
///
/// # Forks
///
/// The pool belongs to the process that built it. In a copy of that process, made by `fork` without
/// `exec`, new calls, `join`, and whoever waits for results get
/// [`PoolErrorKind::Forked`](crate::PoolErrorKind::Forked); `close`, `terminate` and drops do nothing. The
/// copy holds nothing up in the process that has the pool, however long it lives. Programs that the
/// host starts inherit no descriptor of the pool.
#[derive(Clone, Debug)]
pub struct Pool {
    core: Arc<Core>,
    _open: Arc<Open>,
}

/// Exists once per pool, for as long as there is a `Pool` value.
#[derive(Debug)]
struct Open(Arc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.terminate();
        } else {
            self.0.close();
        }
    }
}

impl Pool {
    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    fn new_with(core: Arc<Core>) -> Self {
        Self { _open: Arc::new(Open(Arc::clone(&core))), core }
    }

    /// A pool for the module in a file, with every option at its default.
    ///
    /// # Errors
    /// As [`TaskModule::from_file`] and [`PoolBuilder::build`].
    pub fn new(module: impl AsRef<Path>) -> Result<Self, BuildError> {
        Self::builder(TaskModule::from_file(module)?).build()
    }

    /// Options for a pool.
    pub fn builder(module: TaskModule) -> PoolBuilder {
        PoolBuilder::new(module)
    }

    /// The function called `name`: in full, or without its package and interface if that is
    /// unambiguous. Every call through it can have options.
    ///
    /// # Errors
    /// If there is none, or more than one; the text lists the candidates.
    pub fn function(&self, name: &str) -> Result<Function, PoolError> {
        Function::new(&self.core, Some(name))
    }

    /// The function that needs no name: `run` of our own world, else the only callable export, else
    /// the command.
    ///
    /// # Errors
    /// If there are several; the text lists them.
    pub fn default_function(&self) -> Result<Function, PoolError> {
        Function::new(&self.core, None)
    }

    /// What the module is and has.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.core.recipe.config.description
    }

    /// Number of workers.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.core.processes()
    }

    /// A snapshot of counts since the pool was built.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.core.stats.snapshot()
    }

    /// A stream of what happens from now on, begun by the starts of the workers that live.
    #[must_use]
    pub fn events(&self) -> Events {
        self.core.observers.subscribe()
    }

    /// Refuses new calls; accepted ones finish, their remaining input included. Idempotent.
    pub fn close(&self) {
        self.core.close();
    }

    /// Ends running work now: every handle and iterator answers *terminated* at once, and workers
    /// are killed. Idempotent; does not wait for the workers' end, which [`join`](Self::join) does.
    pub fn terminate(&self) {
        self.core.terminate();
    }

    /// Waits until all accepted calls have finished, their callbacks have returned, and all workers
    /// have ended. A callback that joins its own pool waits for itself.
    ///
    /// It does not wait for consumers: while somebody joins, results that nobody reads are kept
    /// instead of holding back the input.
    ///
    /// # Errors
    /// [`PoolErrorKind::Usage`](crate::PoolErrorKind::Usage) before `close` or `terminate`.
    ///
    /// # Blocking
    /// As long as the calls run; for ever, if an input never ends.
    pub fn join(&self) -> Result<(), PoolError> {
        self.core.join(None).map(|_| ())
    }

    /// As [`join`](Self::join), but gives up after `timeout`: `false` then, and nothing is changed.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, PoolError> {
        self.core.join(Instant::now().checked_add(timeout))
    }
}
