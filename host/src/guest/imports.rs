//! Says what a guest may import, and links it: WASI, and sandpool's own interfaces.
//!
//! This module must not provide anything else: a module with an unknown import is refused when it
//! is compiled.

use super::state::State;
use crate::description::ImportInfo;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker as ComponentLinker, Val};
use wasmtime::{Engine, Linker, Module, Store, StoreContextMut, format_err};

const PREVIEW1: &str = "wasi_snapshot_preview1";
const LOG: &str = "sandpool:task/log@0.1.0";
const CONTEXT: &str = "sandpool:task/context@0.1.0";

/// The packages of WASI preview 2 that are linked. Sockets are, too, and refuse everything.
const PREVIEW2: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Links what a core module may import.
pub(super) fn core_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, State::wasi)?;
    Ok(linker)
}

/// Links what a component may import; without `wasi` (linking it takes a while), only ours.
pub(super) fn component_linker(
    engine: &Engine,
    wasi: bool,
) -> wasmtime::Result<ComponentLinker<State>> {
    let mut linker = ComponentLinker::new(engine);
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    linker.instance(LOG)?.func_new("log", |store: StoreContextMut<'_, State>, _, params, _| {
        // Without type checks here: `func_new` takes what the component declares.
        let [Val::Enum(level), Val::String(message)] = params else {
            return Err(format_err!("`{LOG}` wants a level and a message"));
        };
        store.data().log(level, message);
        Ok(())
    })?;
    let mut context = linker.instance(CONTEXT)?;
    context.func_wrap("index", |store: StoreContextMut<'_, State>, (): ()| {
        Ok((store.data().index(),))
    })?;
    context.func_wrap("attempt", |store: StoreContextMut<'_, State>, (): ()| {
        Ok((store.data().attempt(),))
    })?;
    Ok(linker)
}

/// What a core module imports, and whether that includes WASI.
///
/// # Errors
/// Names the first import that is not provided, or has another type.
pub(super) fn of_module(module: &Module) -> Result<(Vec<ImportInfo>, bool), String> {
    let engine = module.engine();
    let failed = |error: wasmtime::Error| super::compile::one_line(&error);
    let linker = core_linker(engine).map_err(failed)?;
    let mut store = Store::new(engine, State::idle());
    let mut imports = Vec::new();
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        if linker.get_by_import(&mut store, &import).is_none() {
            return Err(format!(
                "it imports `{name}`, which sandpool does not provide; a core module may import \
                 functions of `{PREVIEW1}` and nothing else"
            ));
        }
        let grant = core_grant(import.name()).map(str::to_string);
        imports.push(ImportInfo { name, provided: true, grant });
    }
    linker.instantiate_pre(module).map_err(failed)?;
    let wasi = !imports.is_empty();
    Ok((imports, wasi))
}

/// What a component imports, and whether that includes WASI.
///
/// # Errors
/// Names the first import that is not provided, or has another type.
pub(super) fn of_component(component: &Component) -> Result<(Vec<ImportInfo>, bool), String> {
    let engine = component.engine();
    let ty = component.component_type();
    let mut imports = Vec::new();
    let mut wasi = false;
    for (name, item) in ty.imports(engine) {
        let is_wasi = PREVIEW2.iter().any(|package| name.starts_with(package));
        let known = is_wasi || is_ours(name) || matches!(item.ty, ComponentItem::Type(_));
        let types_only = matches!(&item.ty, ComponentItem::ComponentInstance(instance)
            if only_types(engine, instance));
        if !known && !types_only {
            return Err(format!(
                "it imports `{name}`, which sandpool does not provide; a component may import \
                 WASI 0.2, `sandpool:task/log` and `sandpool:task/context`"
            ));
        }
        wasi |= is_wasi;
        let grant = component_grant(name).map(str::to_string);
        imports.push(ImportInfo { name: name.to_string(), provided: true, grant });
    }
    // What is left to find is a version or a type that differs.
    component_linker(engine, wasi)
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(|error| super::compile::one_line(&error))?;
    Ok((imports, wasi))
}

fn is_ours(name: &str) -> bool {
    let base = |full: &'static str| full.split('@').next().unwrap_or(full);
    name.split('@').next().is_some_and(|name| name == base(LOG) || name == base(CONTEXT))
}

/// Interfaces that only name types need no implementation.
fn only_types(engine: &Engine, instance: &ComponentInstance) -> bool {
    instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)))
}

fn core_grant(function: &str) -> Option<&'static str> {
    if function.starts_with("path_") || function.starts_with("fd_prestat") {
        Some("--dir")
    } else if function.starts_with("environ_") {
        Some("--env")
    } else if function.starts_with("args_") {
        Some("--arg")
    } else {
        None
    }
}

fn component_grant(interface: &str) -> Option<&'static str> {
    if interface.starts_with("wasi:filesystem/") {
        Some("--dir")
    } else if interface.starts_with("wasi:cli/environment@") {
        Some("--env, --arg")
    } else {
        None
    }
}
