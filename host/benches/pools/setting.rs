//! What sides need and share: pools, other programs, files. Made when first asked for.

use crate::Result;
use crate::cpython::{Flavour, Python};
use crate::guests;
use crate::inprocess;
use crate::place::on_one_core;
use sandpool::{Function, Instance, Pool, PoolBuilder, TaskModule};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The program under test, as built with this one.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandpool");

#[derive(Default)]
pub(crate) struct Setting {
    pools: BTreeMap<&'static str, Function>,
    cores: BTreeMap<&'static str, Arc<inprocess::Core>>,
    echoes: BTreeMap<usize, Arc<inprocess::Echo>>,
    pythons: Vec<(Flavour, Python)>,
    items: BTreeMap<&'static str, Arc<[i64]>>,
}

/// A builder with two workers, as the table wants it.
pub(crate) fn two(text: &str) -> PoolBuilder {
    Pool::builder(TaskModule::from_bytes("task.wat", text.as_bytes())).processes(2)
}

impl Setting {
    /// The default function of a pool of that name.
    pub(crate) fn pool(
        &mut self,
        name: &'static str,
        build: impl FnOnce() -> PoolBuilder,
    ) -> Result<Function> {
        if let Some(function) = self.pools.get(name) {
            return Ok(function.clone());
        }
        let pool = build().build()?;
        let function = pool.default_function()?;
        // It lives as long as the benchmark.
        std::mem::forget(pool);
        self.pools.insert(name, function.clone());
        Ok(function)
    }

    /// The square, one instance for each worker.
    pub(crate) fn reused(&mut self) -> Result<Function> {
        self.pool("reused", || two(guests::SQUARE).instance(Instance::Reuse))
    }

    /// The square, an instance for each item.
    pub(crate) fn fresh(&mut self) -> Result<Function> {
        self.pool("fresh", || two(guests::SQUARE))
    }

    /// So many bytes to and fro through a component, an instance for each item. For each number another
    /// pool: memory that a large item has used stays with its slot, and is wiped for small ones too.
    pub(crate) fn echo(&mut self, size: usize) -> Result<Function> {
        let name = if size < 1 << 20 { "small echo" } else { "large echo" };
        self.pool(name, || two(guests::ECHO))
    }

    /// Items of a wanted cost.
    pub(crate) fn spin(&mut self) -> Result<Function> {
        self.pool("spin", || two(guests::SPIN).instance(Instance::Reuse))
    }

    /// The square within this process.
    pub(crate) fn core(&mut self) -> Result<Arc<inprocess::Core>> {
        self.in_process("square", guests::SQUARE)
    }

    pub(crate) fn core_spin(&mut self) -> Result<Arc<inprocess::Core>> {
        self.in_process("spin", guests::SPIN)
    }

    fn in_process(&mut self, name: &'static str, text: &str) -> Result<Arc<inprocess::Core>> {
        if let Some(core) = self.cores.get(name) {
            return Ok(Arc::clone(core));
        }
        let core = Arc::new(inprocess::Core::new(text, name)?);
        self.cores.insert(name, Arc::clone(&core));
        Ok(core)
    }

    pub(crate) fn core_echo(&mut self, size: usize) -> Result<Arc<inprocess::Echo>> {
        if let Some(echo) = self.echoes.get(&size) {
            return Ok(Arc::clone(echo));
        }
        let echo = Arc::new(inprocess::Echo::new(guests::ECHO)?);
        self.echoes.insert(size, Arc::clone(&echo));
        Ok(echo)
    }

    /// Microseconds per item, as one of CPython's pools measures it.
    pub(crate) fn python(&mut self, flavour: Flavour, what: &str, n: u64) -> Result<f64> {
        if let Some((_, python)) = self.pythons.iter_mut().find(|(other, _)| *other == flavour) {
            return python.measure(what, n);
        }
        let start = || Python::start(flavour);
        let mut python = if flavour == Flavour::OneCore { on_one_core(start)? } else { start()? };
        let answer = python.measure(what, n);
        self.pythons.push((flavour, python));
        answer
    }

    /// Items that were made before, so that making them is in no measurement.
    pub(crate) fn items(
        &mut self,
        name: &'static str,
        make: impl FnOnce() -> Result<Arc<[i64]>>,
    ) -> Result<Arc<[i64]>> {
        if let Some(items) = self.items.get(name) {
            return Ok(Arc::clone(items));
        }
        let items = make()?;
        self.items.insert(name, Arc::clone(&items));
        Ok(items)
    }
}

/// The folder for what is written.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// A file in that folder that is made once.
pub(crate) fn file(name: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<PathBuf> {
    let path = folder()?.join(name);
    if !path.exists() {
        // Under its name there never is half of it.
        let half = path.with_extension("half");
        std::fs::write(&half, make()?)?;
        std::fs::rename(half, &path)?;
    }
    Ok(path)
}

/// A program of that name, by PATH, if it can be started.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    starts(PathBuf::from(name))
}

/// `$WASMTIME`, or else by PATH.
pub(crate) fn wasmtime() -> Option<PathBuf> {
    starts(std::env::var_os("WASMTIME").unwrap_or("wasmtime".into()).into())
}

fn starts(path: PathBuf) -> Option<PathBuf> {
    let told = Command::new(&path).arg("--version").output().ok()?;
    told.status.success().then_some(path)
}
