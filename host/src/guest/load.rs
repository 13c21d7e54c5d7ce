//! Loads a compiled task module: checks what can be checked before an item, links, makes data images.
//!
//! This module must not run a guest.

use super::call::Waiter;
use super::compile::one_line;
use super::engine::DirtyPages;
use super::limiter::ELEMENT;
use super::logs::{Capture, Keep};
use super::{Guest, Linked, Mold, Reply, Ways, component, core, engine, imports, is_command, wasi};
use crate::artifact::Mapped;
use crate::description::{Description, GuestConfig, ModuleKind};
use wasmtime::Engine;

/// What wasmtime may copy out of a guest for one host call by default.
const HOSTCALL_FUEL: u64 = 128 * 1024 * 1024;

impl Guest {
    /// Loads an artifact. `code` stays mapped (read-execute) for the rest of the process's life.
    ///
    /// # Errors
    /// One line: a limit that the module exceeds as declared, a grant that cannot be had, settings
    /// that contradict each other, or an artifact that is not for this machine.
    pub(crate) fn load(code: Mapped, config: GuestConfig) -> Result<Self, String> {
        let guest = Self::load_for_copies(code, config)?;
        guest.enter_world()?;
        Ok(guest)
    }

    /// As [`Guest::load`], in a process that is going to be copied: nothing random is made yet.
    /// Each copy then [enters the world](Self::enter_world) by itself.
    ///
    /// # Errors
    /// As for [`Guest::load`].
    pub(crate) fn load_for_copies(code: Mapped, config: GuestConfig) -> Result<Self, String> {
        Self::load_with(code, config, engine::dirty_pages())
    }

    /// Makes what a process has once for all guests, random numbers among it, and tries the grants.
    ///
    /// # Errors
    /// One line: a grant that cannot be had.
    pub(crate) fn enter_world(&self) -> Result<(), String> {
        match self.mold.plan.config.description.wasi {
            true => self.mold.plan.context(None).map(drop),
            false => Ok(()),
        }
    }

    /// As [`Guest::load`], with the way to reset memories given.
    pub(super) fn load_with(
        code: Mapped,
        config: GuestConfig,
        dirty: DirtyPages,
    ) -> Result<Self, String> {
        check(&config)?;
        let Description { kind, wasi, needs, .. } = config.description;
        let line = |error: wasmtime::Error| one_line(&error);
        let mut engine = engine::worker(config.settings, needs, dirty).map_err(line)?;
        let linked = match link(&engine, &code, &config.description) {
            Ok(linked) => linked,
            // The pool may be too small for what an instance turns out to need.
            Err(_) => {
                engine = engine::worker(config.settings, None, dirty).map_err(line)?;
                link(&engine, &code, &config.description).map_err(line)?
            }
        };
        Engine::tls_eager_initialize();
        let waiter = match wasi {
            true => Some(Waiter::new().map_err(|error| format!("cannot make timers: {error}"))?),
            false => None,
        };
        let log = Keep::Tail(config.limits.log);
        let stdout = match is_command(kind) {
            true => Keep::All(config.limits.output),
            false => log,
        };
        let plan = wasi::Plan {
            stdout: Capture::new(stdout),
            stderr: Capture::new(log),
            world: config.settings.deterministic.then(wasi::World::default),
            config,
        };
        let hostcall_fuel = hostcall_fuel(&plan.config);
        // A worker has one guest for as long as it lives, and a reference costs nothing per item.
        let plan = Box::leak(Box::new(plan));
        let ways = Ways::of(&plan.config);
        let mold = Mold { engine, linked, plan, waiter, hostcall_fuel, ways };
        Ok(Self { mold, live: None, scratch: (Vec::new(), Reply::default()) })
    }
}

/// Settings that contradict each other, or what the module declares.
fn check(config: &GuestConfig) -> Result<(), String> {
    let description = &config.description;
    if is_command(description.kind) && (config.reuse || config.initializer.is_some()) {
        return Err("a command cannot be reused: it runs once and exits".into());
    }
    if config.limits.fuel.is_some() && !config.settings.fuel {
        return Err("a fuel limit needs code that was compiled to count fuel".into());
    }
    let needs = description.needs.unwrap_or_default();
    let (memory, limit) = (needs.memory_bytes, config.limits.memory);
    if memory > limit {
        return Err(format!(
            "the module starts with a memory of {memory} bytes, and the memory limit is {limit}"
        ));
    }
    let elements = needs.table_elements;
    if elements.saturating_mul(ELEMENT).saturating_add(memory) > limit {
        return Err(format!(
            "the module starts with a table of {elements} elements, {ELEMENT} bytes each, and a memory \
             of {memory} bytes; the memory limit is {limit}"
        ));
    }
    Ok(())
}

fn link(engine: &Engine, code: &Mapped, description: &Description) -> wasmtime::Result<Linked> {
    // Data images are made now: doing so takes descriptors, which the walls forbid later.
    match description.kind {
        ModuleKind::Core | ModuleKind::CommandP1 => {
            let module = code.module(engine)?;
            module.initialize_copy_on_write_image()?;
            let linker = match description.wasi {
                true => imports::core_linker(engine)?,
                false => wasmtime::Linker::new(engine),
            };
            Ok(Linked::Core(core::Core::new(&linker, &module, description)?))
        }
        ModuleKind::Component | ModuleKind::CommandP2 => {
            let component = code.component(engine)?;
            component.initialize_copy_on_write_image()?;
            let linker = imports::component_linker(engine, description.wasi)?;
            Ok(Linked::Component(component::Linked::new(&linker, &component, description)?))
        }
    }
}

/// What may be copied out of the guest in one call. It is charged by the memory that values take
/// on this side (40 bytes for each dynamic one), so results that are legal as bytes need a
/// multiple of their size; a command reads into buffers as large as its memory.
fn hostcall_fuel(config: &GuestConfig) -> usize {
    let results = config.limits.output.saturating_mul(8).saturating_add(HOSTCALL_FUEL);
    let fuel = match is_command(config.description.kind) {
        true => config.limits.memory.max(HOSTCALL_FUEL),
        false => results,
    };
    usize::try_from(fuel).unwrap_or(usize::MAX)
}
