//! From arguments to a pool and a function with options.
//!
//! This module must not print anything but the warning that walls are missing.

use super::args::{CallArgs, ChoiceArgs, InstanceForm, PoolArgs, SandboxForm, TravelArgs};
use super::output;
use crate::pool::Pool;
use crate::pool::builder::{Instance, PoolBuilder, Zygote};
use crate::pool::error::{BuildError, PoolError};
use crate::pool::function::Function;
use crate::pool::module::TaskModule;
use crate::walls::Sandbox;
use std::path::Path;

/// What an initializer is given when nothing is said: enough for one without parameters.
const NO_ARGUMENTS: &str = "null";

/// Builds the pool for the module in the file `task`, for items of at most `longest` bytes.
pub(super) fn pool(task: &Path, args: &PoolArgs, longest: u64) -> Result<Pool, BuildError> {
    builder(TaskModule::from_file(task)?, args).max_input(longest).build()
}

/// As [`pool`], for one item: more than one worker would be started in vain, unless so many were
/// asked for.
pub(super) fn pool_for_one(task: &Path, args: &PoolArgs, longest: u64) -> Result<Pool, BuildError> {
    let builder = builder(TaskModule::from_file(task)?, args).max_input(longest);
    match args.processes {
        None => builder.processes(1).build(),
        Some(_) => builder.build(),
    }
}

fn builder(module: TaskModule, args: &PoolArgs) -> PoolBuilder {
    let PoolArgs {
        processes,
        instance,
        init,
        init_args,
        max_tasks_per_child,
        zygote,
        compiling,
        sandbox,
        limits,
        grants,
    } = args;
    if *sandbox == SandboxForm::Off {
        // Said in every run, quiet or not: it is easy to leave in a script.
        output::say(
            "the operating system's sandbox is off (`--sandbox off`): a module that breaks out of \
             WebAssembly can do what this user can",
        );
    }
    let mut builder = Pool::builder(module)
        .compile_timeout(compiling.compile_timeout)
        .compile_memory(compiling.compile_memory)
        .memory(limits.memory)
        .max_output(limits.max_output)
        .deterministic(grants.deterministic)
        .zygote(if *zygote { Zygote::On } else { Zygote::Off })
        .sandbox(match sandbox {
            SandboxForm::Strict => Sandbox::Strict,
            SandboxForm::Off => Sandbox::Off,
        });
    if let Some(processes) = processes {
        builder = builder.processes(usize::from(*processes));
    }
    if let Some(instance) = instance {
        builder = builder.instance(match instance {
            InstanceForm::Fresh => Instance::Fresh,
            InstanceForm::Reuse => Instance::Reuse,
        });
    }
    if let Some(function) = init {
        let arguments = init_args.as_deref().unwrap_or(NO_ARGUMENTS);
        builder = builder.initializer_json(function, arguments);
    }
    if let Some(items) = max_tasks_per_child {
        builder = builder.max_tasks_per_child(*items);
    }
    if let Some(timeout) = limits.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(fuel) = limits.fuel {
        builder = builder.fuel(fuel);
    }
    for dir in &grants.dir {
        builder = builder.dir(&dir.host, &dir.guest, dir.access);
    }
    for (name, value) in &grants.env {
        builder = builder.env(name, value);
    }
    for arg in &grants.arg {
        builder = builder.arg(arg);
    }
    builder
}

/// The function that is meant, with the options of its calls.
pub(super) fn function(
    pool: &Pool,
    choice: &ChoiceArgs,
    call: &CallArgs,
) -> Result<Function, PoolError> {
    let function = match &choice.function {
        Some(name) => pool.function(name)?,
        None => pool.default_function()?,
    };
    let function = function.retries(call.retries);
    Ok(match call.deadline {
        Some(deadline) => function.deadline(deadline),
        None => function,
    })
}

/// The same function with the options of how its items travel.
pub(super) fn travelling(mut function: Function, travel: &TravelArgs) -> Function {
    if let Some(items) = travel.chunk_size.exactly() {
        function = function.chunk_size(items);
    }
    if let Some(items) = travel.window.exactly() {
        function = function.window(items);
    }
    function
}
