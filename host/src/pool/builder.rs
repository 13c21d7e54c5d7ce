//! Building a pool: options, their checks, and the steps from a module to running workers.
//!
//! This module must not start anything before every option was checked.

use super::Pool;
use super::compile::{self, Means};
use super::core::Core;
use super::error::{BuildError, BuildErrorKind};
use super::module::TaskModule;
use super::processes::default_processes;
use super::recipe::Recipe;
use crate::cache::Cache;
use crate::codec;
use crate::description::{DirGrant, EngineSettings, GuestConfig};
use crate::keeper;
use crate::keeper::seat::Seat;
use crate::keeper::zygote::Nursery;
use crate::limits::{CompileLimits, Limits};
use crate::process::Program;
use crate::walls::Sandbox;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long an instance of the module serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instance {
    /// Every item gets a new instance: no item sees another's memory. The default.
    Fresh,
    /// One instance per worker, with its state kept between items, as in Python. After a trap, an
    /// exit or a time-out it is never used again.
    Reuse,
}

/// How worker processes come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Zygote {
    /// Each worker is the program, executed anew, which then loads the module: some 1.5 ms. All
    /// have an address layout of their own. The default.
    #[default]
    Off,
    /// One process, the zygote, loads the module and never runs it; workers are forked from it,
    /// some 0.3 ms each, and share with it the memory that nobody writes. That makes a new process
    /// for each item, or a few ([`max_tasks_per_child`](PoolBuilder::max_tasks_per_child)), a real
    /// choice. Its price: all workers of the pool have the *same* address layout and the same
    /// secrets of the C library, so what code that took over one of them finds out there is true
    /// of the next ones too. The walls are the same.
    On,
}

/// Encodes an initializer's arguments once its signature is known.
type EncodeArguments =
    dyn Fn(&codec::types::Signature, &mut Vec<u8>) -> Result<(), String> + Send + Sync;

struct Initializer {
    function: String,
    encode: Box<EncodeArguments>,
}

/// Options of a pool, checked together in [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    module: TaskModule,
    processes: Option<usize>,
    instance: Option<Instance>,
    initializer: Option<Initializer>,
    max_tasks: Option<u64>,
    zygote: Zygote,
    limits: Limits,
    dirs: Vec<DirGrant>,
    env: Vec<(String, String)>,
    args: Vec<String>,
    deterministic: bool,
    program: Program,
    cache: Cache,
    compile_limits: CompileLimits,
    sandbox: Sandbox,
    data_limit: Option<u64>,
}

impl std::fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // By name, so that a new option does not compile until it is shown here.
        let Self {
            module,
            processes,
            instance,
            initializer,
            max_tasks,
            zygote,
            limits,
            dirs,
            env,
            args,
            deterministic,
            program,
            cache,
            compile_limits,
            sandbox,
            data_limit,
        } = self;
        f.debug_struct("PoolBuilder")
            .field("module", module)
            .field("processes", processes)
            .field("instance", instance)
            .field("initializer", &initializer.as_ref().map(|init| &init.function))
            .field("max_tasks_per_child", max_tasks)
            .field("zygote", zygote)
            .field("limits", limits)
            .field("dirs", dirs)
            .field("env", env)
            .field("args", args)
            .field("deterministic", deterministic)
            .field("worker_program", program)
            .field("cache", cache)
            .field("compile_limits", compile_limits)
            .field("sandbox", sandbox)
            .field("worker_memory", data_limit)
            .finish()
    }
}

impl PoolBuilder {
    pub(super) fn new(module: TaskModule) -> Self {
        Self {
            module,
            processes: None,
            instance: None,
            initializer: None,
            max_tasks: None,
            zygote: Zygote::default(),
            limits: Limits::default(),
            dirs: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            deterministic: false,
            program: Program::default(),
            cache: Cache::default(),
            compile_limits: CompileLimits::default(),
            sandbox: Sandbox::default(),
            data_limit: None,
        }
    }

    /// Number of worker processes. 0 is refused by [`build`](Self::build). Default: what this
    /// process may use, min(affinity mask, cgroup quota rounded up).
    pub fn processes(self, processes: usize) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// Whether items share an instance. Default: [`Instance::Fresh`], or [`Instance::Reuse`] if
    /// there is an initializer. Commands cannot be reused.
    pub fn instance(self, instance: Instance) -> Self {
        Self { instance: Some(instance), ..self }
    }

    /// A function that runs once in each instance before its first item, with these arguments (one
    /// parameter: its value; several: a tuple). Implies [`Instance::Reuse`]. A result it gives is
    /// dropped; failing, it fails pending calls after a bounded number of new workers. It has the
    /// time that an item has. Default: none.
    pub fn initializer(
        self,
        function: impl Into<String>,
        arguments: impl Serialize + Send + Sync + 'static,
    ) -> Self {
        let encode = move |signature: &codec::types::Signature, out: &mut Vec<u8>| {
            codec::to_params(signature, false, &arguments, out).map_err(|error| error.to_string())
        };
        let initializer = Initializer { function: function.into(), encode: Box::new(encode) };
        Self { initializer: Some(initializer), ..self }
    }

    /// As [`initializer`](Self::initializer), with the arguments as JSON text.
    pub fn initializer_json(
        self,
        function: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        let arguments = arguments.into();
        let encode = move |signature: &codec::types::Signature, out: &mut Vec<u8>| {
            codec::parse_params(signature, arguments.as_bytes(), false, out)
                .map_err(|error| error.to_string())
        };
        let initializer = Initializer { function: function.into(), encode: Box::new(encode) };
        Self { initializer: Some(initializer), ..self }
    }

    /// Items after whose start a worker process is replaced; exact. 0 is refused. Default: never.
    pub fn max_tasks_per_child(self, items: u64) -> Self {
        Self { max_tasks: Some(items), ..self }
    }

    /// Whether workers are forked from a process that has loaded the module, instead of each
    /// loading it by itself. Default: [`Zygote::Off`].
    pub fn zygote(self, zygote: Zygote) -> Self {
        Self { zygote, ..self }
    }

    /// Wall clock of each item; see [`Limits::timeout`]. Zero is refused. Default: none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout);
        self
    }

    /// Bytes of all memories and tables of an instance; see [`Limits::memory`]. Default: 256 MiB.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// Bytes of one encoded result; see [`Limits::output`]. Default: 64 MiB.
    pub fn max_output(mut self, bytes: u64) -> Self {
        self.limits.output = bytes;
        self
    }

    /// Bytes kept of what an item writes, for each of its two streams; see [`Limits::log`].
    /// Default: 64 KiB.
    pub fn max_log(mut self, bytes: u64) -> Self {
        self.limits.log = bytes;
        self
    }

    /// Bytes of one encoded item; see [`Limits::input`]. Default: 64 MiB.
    pub fn max_input(mut self, bytes: u64) -> Self {
        self.limits.input = bytes;
        self
    }

    /// Fuel of each item; see [`Limits::fuel`]. Default: none, and code that does not count it.
    pub fn fuel(mut self, units: u64) -> Self {
        self.limits.fuel = Some(units);
        self
    }

    /// Lets guests use a directory of the host under a path of their own. Default: none.
    pub fn dir(
        mut self,
        host: impl Into<PathBuf>,
        guest: impl Into<String>,
        access: DirAccess,
    ) -> Self {
        let read_only = access == DirAccess::ReadOnly;
        // Workers have a working directory of their own.
        let host = host.into();
        let host = std::path::absolute(&host).unwrap_or(host);
        self.dirs.push(DirGrant { host, guest: guest.into(), read_only });
        self
    }

    /// Sets a variable in the environment of guests. Default: an empty environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds an argument for guests, after the program name. Default: none.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Fixed clocks, randomness seeded by the item's index, canonical NaNs: the same item gives the
    /// same result, always. Default: false.
    pub fn deterministic(self, deterministic: bool) -> Self {
        Self { deterministic, ..self }
    }

    /// The executable that becomes workers and compilers. It must link this version of sandpool
    /// and, where there is no hook before `main`, call [`init`](crate::init) first. Default: this
    /// executable.
    pub fn worker_program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: Program::Path(program.into()), ..self }
    }

    /// Where compiled artifacts are kept. Default: [`Cache::User`].
    pub fn cache(self, cache: Cache) -> Self {
        Self { cache, ..self }
    }

    /// Wall clock and processor time of compiling the module; see [`CompileLimits::timeout`]. Zero
    /// is refused. Default: 60 s.
    pub fn compile_timeout(mut self, timeout: Duration) -> Self {
        self.compile_limits.timeout = timeout;
        self
    }

    /// Bytes of memory of the process that compiles the module; see [`CompileLimits::memory`].
    /// Default: 2 GiB.
    pub fn compile_memory(mut self, bytes: u64) -> Self {
        self.compile_limits.memory = bytes;
        self
    }

    /// Whether workers and compilers stand behind the walls of the operating system. Default:
    /// [`Sandbox::Strict`], which makes [`build`](Self::build) fail where a mandatory wall is
    /// missing.
    pub fn sandbox(self, sandbox: Sandbox) -> Self {
        Self { sandbox, ..self }
    }

    /// Bytes of writable memory that one worker process may have in all (`RLIMIT_DATA`): the
    /// guest's, the engine's, and what items and results take while they are converted. A guest
    /// that asks for more is told that there is none; a conversion that does not fit ends the
    /// worker. Not enforced without the sandbox. Default: enough for the largest items, results and
    /// guests that the other limits allow.
    pub fn worker_memory(self, bytes: u64) -> Self {
        Self { data_limit: Some(bytes), ..self }
    }

    /// Compiles the module (or finds its artifact), starts the workers, and waits until the first
    /// one is ready; the others follow.
    ///
    /// # Errors
    /// [`BuildError`], whose kind tells whose fault it is: an option, the module, or the system.
    ///
    /// # Blocking
    /// As long as compiling takes, the first time a module is seen, but no longer than it
    /// [may take](Self::compile_timeout); some milliseconds later on. Who builds a pool for a module
    /// that another thread, or another process with the same [cache](Self::cache), is compiling waits
    /// for that, and no longer than as long once more.
    ///
    /// # Worker death
    /// A compiler that dies is an error that says how, and which limit it met. Workers that die before they are ready are
    /// replaced a bounded number of times.
    pub fn build(self) -> Result<Pool, BuildError> {
        let usage = |message: &str| BuildError::new(BuildErrorKind::Usage, message);
        let processes = self.processes.unwrap_or_else(default_processes);
        if processes == 0 {
            return Err(usage("a pool needs at least one process; 0 were asked for"));
        }
        if self.max_tasks == Some(0) {
            return Err(usage("max_tasks_per_child must be at least 1"));
        }
        if self.limits.timeout == Some(Duration::ZERO) {
            return Err(usage("a timeout must be longer than zero"));
        }
        if self.initializer.is_some() && self.instance == Some(Instance::Fresh) {
            return Err(usage(
                "an initializer runs once per instance: with fresh instances it would run for \
                 every item; ask for reused instances, or drop the initializer",
            ));
        }
        let settings =
            EngineSettings { fuel: self.limits.fuel.is_some(), deterministic: self.deterministic };
        let means = Means {
            settings,
            sandbox: self.sandbox,
            limits: self.compile_limits,
            program: &self.program,
            cache: &self.cache,
        };
        let compiled = compile::obtain(&self.module, &means)?;
        let description = compiled.description;
        let reuse = self.initializer.is_some() || self.instance == Some(Instance::Reuse);
        let only_commands = description.functions.iter().all(|function| function.is_command());
        if reuse && only_commands && !description.functions.is_empty() {
            return Err(usage(
                "a command cannot be reused: each run of it is one process of its own kind",
            ));
        }
        let initializer = match &self.initializer {
            None => None,
            Some(Initializer { function, encode }) => {
                let id = description
                    .choose(Some(function))
                    .map_err(|text| BuildError::new(BuildErrorKind::NoSuchFunction, text))?;
                let signature = &description.functions[id as usize].signature;
                let mut arguments = Vec::new();
                encode(signature, &mut arguments).map_err(|text| {
                    usage(&format!("the arguments of the initializer `{function}`: {text}"))
                })?;
                Some((id, arguments))
            }
        };
        let config = GuestConfig {
            description,
            settings,
            reuse,
            limits: self.limits,
            dirs: self.dirs,
            env: self.env,
            args: self.args,
            initializer,
        };
        let recipe = Recipe {
            program: self.program,
            config,
            artifact: compiled.artifact,
            artifact_len: compiled.artifact_len,
            max_tasks: self.max_tasks,
            sandbox: self.sandbox,
            data_limit: self.data_limit,
        };
        start(recipe, processes, self.zygote)
    }
}

fn start(recipe: Recipe, processes: usize, zygote: Zygote) -> Result<Pool, BuildError> {
    let failed = |what: String| BuildError::new(BuildErrorKind::Workers, what);
    let seats: Result<Vec<Seat>, _> = (0..processes).map(|_| Seat::new()).collect();
    let seats = seats.map_err(|error| failed(format!("cannot make {processes} seats: {error}")))?;
    let recipe = Arc::new(recipe);
    let nursery =
        match zygote {
            Zygote::Off => None,
            Zygote::On => Some(Nursery::open(Arc::clone(&recipe)).map_err(|error| {
                failed(format!("cannot start the thread of the zygote: {error}"))
            })?),
        };
    let core = Core::new(recipe, seats, nursery);
    // From here on, dropping the pool ends what was started.
    let pool = Pool::new_with(Arc::clone(&core));
    for seat in 0..processes {
        if let Err(error) = keeper::start(&core, seat) {
            core.terminate();
            return Err(failed(format!("cannot start the thread of worker {seat}: {error}")));
        }
    }
    core.wait_first_ready().map_err(|error| failed(error.to_string()))?;
    Ok(pool)
}

/// What a guest may do in a directory it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirAccess {
    /// Read only.
    ReadOnly,
    /// Read, write, create and remove.
    ReadWrite,
}
