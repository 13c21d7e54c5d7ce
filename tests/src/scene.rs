//! A pool with a folder that its guests see, through which the test holds and watches them.
//!
//! This module must not look inside the pool.

use crate::{eventually, processes};
use sandpool::{BuildError, Cache, DirAccess, Pool, PoolBuilder, TaskModule, Zygote};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Compiled guests of this process. Nobody drops it, so each process removes what those before left.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| {
    const PREFIX: &str = "sandpool-tests-";
    for left in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = left.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|name| name.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid| !processes::is_alive(pid)) {
            // It may be another user's, or gone by now.
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder")
});

/// Where compiled guests are kept that only this process uses.
pub fn cache() -> Cache {
    Cache::Dir(CACHE.path().join("artifacts"))
}

/// Pools are built one at a time, so that a new keeper thread belongs to the pool that is built.
static BUILDING: Mutex<()> = Mutex::new(());

/// A builder for a guest given as text, with a cache that only this process uses.
pub fn builder(text: &str) -> PoolBuilder {
    let module = TaskModule::from_bytes("guest.wat", text.as_bytes());
    Pool::builder(module).cache(cache()).zygote(zygote())
}

/// Whether this run of the tests is one with zygotes.
pub fn zygote() -> Zygote {
    match std::env::var_os("SANDPOOL_TESTS_ZYGOTE") {
        Some(_) => Zygote::On,
        None => Zygote::Off,
    }
}

/// Threads that start workers: keepers, or the nurseries of pools with a zygote.
fn starters() -> BTreeSet<u32> {
    let mut threads = processes::threads("sandpool-keeper");
    threads.extend(processes::threads("sandpool-zygote"));
    threads
}

/// The keeper threads of a pool that was just built. A thread names itself, so it may take a moment
/// until the last of them can be told from others.
fn new_keepers(pool: &Pool, before: &BTreeSet<u32>) -> BTreeSet<u32> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut keepers = starters();
        keepers.retain(|tid| !before.contains(tid));
        // A pool whose workers do not live may have ended by now.
        let ending = pool.stats().workers_ended > 0;
        if keepers.len() >= pool.processes() + usize::from(zygote() == Zygote::On)
            || ending
            || Instant::now() > deadline
        {
            return keepers;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A pool, and what a test can see and do beside it.
#[derive(Debug)]
pub struct Scene {
    /// The pool.
    pub pool: Pool,
    /// What its guests see.
    pub stage: Stage,
    keepers: BTreeSet<u32>,
}

impl Scene {
    /// A pool of `processes` workers for the guest `text`.
    pub fn new(text: &str, processes: usize) -> Self {
        Self::with(text, |builder| builder.processes(processes))
    }

    /// A pool with other options.
    pub fn with(text: &str, options: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        Self::try_with(text, options).expect("the pool can be built")
    }

    /// A pool with options that may be refused.
    ///
    /// # Errors
    /// If they are.
    pub fn try_with(
        text: &str,
        options: impl FnOnce(PoolBuilder) -> PoolBuilder,
    ) -> Result<Self, BuildError> {
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Stage { folder };
        let path = stage.folder.path().to_path_buf();
        let builder = options(builder(text).dir(path, "/", DirAccess::ReadWrite));
        let alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = starters();
        let pool = builder.build()?;
        let keepers = new_keepers(&pool, &before);
        drop(alone);
        Ok(Self { pool, stage, keepers })
    }

    /// Process ids of the pool's workers, those that start or end just now included.
    pub fn workers(&self) -> Vec<u32> {
        let children = self.keepers.iter().copied().flat_map(processes::children_of);
        children.filter(|pid| !processes::is_zygote(*pid)).collect()
    }

    /// Waits until the pool has all its workers, and gives their process ids.
    pub fn all_workers(&self) -> Vec<u32> {
        let wanted = self.pool.processes();
        let stats = || self.pool.stats();
        eventually("all workers are there", || {
            let stats = stats();
            stats.workers_started - stats.workers_ended == wanted as u64
                && self.workers().len() == wanted
        });
        self.workers()
    }

    /// Checks that every item that was submitted has ended, exactly once.
    #[track_caller]
    pub fn nothing_is_lost(&self) {
        eventually("as many items end as were submitted", || {
            let stats = self.pool.stats();
            stats.submitted == stats.values + stats.errors
        });
    }
}

/// The folder that guests see: files in it are gates that they wait for, and what they tell.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets everybody go on who waits for this gate, now or later.
    pub fn open(&self, gate: i64) {
        std::fs::write(self.path(&format!("g{gate}")), b"").expect("the folder can be written");
    }

    fn told(&self, name: &str) -> Vec<i64> {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok());
        words.map(i64::from_le_bytes).collect()
    }

    /// The items that guests have started, in that order, each as often as it was started.
    pub fn starts(&self) -> Vec<i64> {
        self.told("starts")
    }

    /// What initializers were run with.
    pub fn inits(&self) -> Vec<i64> {
        self.told("inits")
    }

    /// Waits until some guest has started this item.
    #[track_caller]
    pub fn await_start(&self, item: i64) {
        eventually(&format!("item {item} starts"), || self.starts().contains(&item));
    }

    /// Waits until guests have started so many items.
    #[track_caller]
    pub fn await_starts(&self, count: usize) {
        eventually(&format!("{count} items start"), || self.starts().len() >= count);
    }
}
