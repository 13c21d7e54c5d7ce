//! Instantiates components and calls their functions: by `typed` where it can, else by `Val`.
//!
//! This module must not interpret errors; `failure` does.

use super::call::{Input, Output, Stop, Waiter};
use super::describe;
use super::state::State;
use super::typed::{Typed, typed};
use super::values;
use crate::codec::types::{Signature, Type};
use crate::description::{Description, ModuleKind};
use wasmtime::component::{
    Component, ComponentExportIndex, Func, Instance, InstancePre, Linker, Val, types::ComponentItem,
};
use wasmtime::{Store, format_err};

/// A component, linked.
pub(super) struct Linked {
    pre: InstancePre<State>,
    functions: Vec<Function>,
}

struct Function {
    export: ComponentExportIndex,
    signature: Signature,
    typed: Option<Typed>,
}

type End = Result<(), Stop>;

impl Linked {
    pub(super) fn new(
        linker: &Linker<State>,
        component: &Component,
        description: &Description,
    ) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(component)?;
        let command = description.kind == ModuleKind::CommandP2;
        let mut functions = Vec::new();
        for info in &description.functions {
            let export = match command {
                true => run_export(component),
                false => export(component, &info.name),
            };
            let export = export
                .ok_or_else(|| format_err!("the artifact has no function `{}`", info.name))?;
            let signature = if command {
                let result = Type::Result { ok: None, err: None };
                Signature { params: Vec::new(), result: Some(result) }
            } else {
                info.signature.clone()
            };
            let typed = typed(&signature);
            functions.push(Function { export, signature, typed });
        }
        Ok(Self { pre, functions })
    }

    pub(super) fn instantiate(
        &self,
        store: &mut Store<State>,
        waiter: Option<&Waiter>,
    ) -> wasmtime::Result<Instance> {
        match waiter {
            None => self.pre.instantiate(store),
            Some(waiter) => waiter.wait(self.pre.instantiate_async(store)),
        }
    }

    /// Looks a function of the instance up.
    pub(super) fn bind(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        index: usize,
    ) -> Result<Func, Stop> {
        let func = instance.get_func(store, self.function(index)?.export);
        Ok(func.ok_or_else(|| format_err!("an export of the artifact is no function"))?)
    }

    pub(super) fn call(
        &self,
        store: &mut Store<State>,
        func: Func,
        waiter: Option<&Waiter>,
        index: usize,
        input: Input<'_>,
        output: &mut Output<'_>,
    ) -> End {
        let function = self.function(index)?;
        match function.typed {
            Some(typed) => typed(func, store, waiter, input, output),
            None => dynamic(func, store, waiter, &function.signature, input, output),
        }
    }

    fn function(&self, index: usize) -> Result<&Function, Stop> {
        self.functions
            .get(index)
            .ok_or_else(|| Stop::Input(format!("there is no function {index}")))
    }
}

/// Finds `name` or `instance#name`.
fn export(component: &Component, name: &str) -> Option<ComponentExportIndex> {
    match name.split_once('#') {
        None => component.get_export_index(None, name),
        Some((instance, name)) => {
            let instance = component.get_export_index(None, instance)?;
            component.get_export_index(Some(&instance), name)
        }
    }
}

/// Finds the entry of a command, whatever version of WASI 0.2 it names.
fn run_export(component: &Component) -> Option<ComponentExportIndex> {
    let engine = component.engine();
    let ty = component.component_type();
    let (name, _) = ty.exports(engine).find(|(name, item)| {
        describe::is_run(&format!("{name}#run"))
            && matches!(item.ty, ComponentItem::ComponentInstance(_))
    })?;
    export(component, &format!("{name}#run"))
}

fn dynamic(
    func: Func,
    store: &mut Store<State>,
    waiter: Option<&Waiter>,
    signature: &Signature,
    input: Input<'_>,
    output: &mut Output<'_>,
) -> End {
    let params = values::params(&signature.params, input)?;
    let mut results = [Val::Bool(false)];
    let results = match signature.result {
        Some(_) => &mut results[..],
        None => &mut [],
    };
    match waiter {
        None => func.call(store, &params, results)?,
        Some(waiter) => waiter.wait(func.call_async(store, &params, results))?,
    }
    match (&signature.result, results) {
        (Some(ty), [result]) => values::result(ty, result, output),
        _ => Ok(()),
    }
}
