//! Calls the functions of core modules: typed where a signature is common, by `Val` where not.
//!
//! This module must not interpret errors; `failure` does.

use super::call::{Input, Output, Stop, Waiter};
use super::describe::INITIALIZE;
use super::state::State;
use crate::codec::Reader;
use crate::codec::types::{Signature, Type};
use crate::description::{Description, ModuleKind};
use wasmtime::{
    Extern, ExternType, Func, Instance, InstancePre, Linker, Module, ModuleExport, Store,
    TypedFunc, Val, WasmParams, WasmResults, format_err,
};

/// A core module, linked.
pub(super) struct Core {
    pre: InstancePre<State>,
    functions: Vec<Function>,
    initialize: Option<ModuleExport>,
}

struct Function {
    export: ModuleExport,
    signature: Signature,
    compiled: Option<Compiled>,
}

/// A function of one instance, looked up and checked: doing so costs more than a call.
pub(super) enum Handle {
    Typed(Box<dyn Call>),
    Dynamic(Func),
}

type Bind = fn(Func, &Store<State>) -> wasmtime::Result<Box<dyn Call>>;
type Once = fn(Func, &mut Store<State>, Option<&Waiter>, Input<'_>, &mut Output<'_>) -> End;
type End = Result<(), Stop>;

/// What is compiled in for a signature.
#[derive(Clone, Copy)]
struct Compiled {
    bind: Bind,
    once: Once,
}

impl Core {
    pub(super) fn new(
        linker: &Linker<State>,
        module: &Module,
        description: &Description,
    ) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(module)?;
        let mut functions = Vec::new();
        for info in &description.functions {
            let export = module
                .get_export_index(&info.name)
                .ok_or_else(|| format_err!("the artifact has no function `{}`", info.name))?;
            let signature = match description.kind {
                ModuleKind::CommandP1 => Signature::default(),
                _ => info.signature.clone(),
            };
            let compiled = typed(&signature);
            functions.push(Function { export, signature, compiled });
        }
        let initialize = match module.get_export(INITIALIZE) {
            Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => {
                module.get_export_index(INITIALIZE)
            }
            _ => None,
        };
        Ok(Self { pre, functions, initialize })
    }

    /// A new instance, its start function and `_initialize` run.
    pub(super) fn instantiate(
        &self,
        store: &mut Store<State>,
        waiter: Option<&Waiter>,
    ) -> wasmtime::Result<Instance> {
        let instance = match waiter {
            None => self.pre.instantiate(&mut *store)?,
            Some(waiter) => waiter.wait(self.pre.instantiate_async(&mut *store))?,
        };
        if let Some(export) = &self.initialize {
            let initialize = lookup(store, instance, export)?.typed::<(), ()>(&mut *store)?;
            match waiter {
                None => initialize.call(&mut *store, ())?,
                Some(waiter) => waiter.wait(initialize.call_async(&mut *store, ()))?,
            }
        }
        Ok(instance)
    }

    /// Looks a function of the instance up.
    pub(super) fn bind(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        index: usize,
    ) -> Result<Handle, Stop> {
        let function = self.function(index)?;
        let func = lookup(store, instance, &function.export)?;
        Ok(match function.compiled {
            Some(compiled) => Handle::Typed((compiled.bind)(func, store)?),
            None => Handle::Dynamic(func),
        })
    }

    /// Calls a function of an instance that is not called again.
    #[inline]
    pub(super) fn call_once(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        waiter: Option<&Waiter>,
        index: usize,
        input: Input<'_>,
        output: &mut Output<'_>,
    ) -> End {
        let function = self.function(index)?;
        let func = lookup(store, instance, &function.export)?;
        match function.compiled {
            Some(compiled) => (compiled.once)(func, store, waiter, input, output),
            None => dynamic(func, store, waiter, &function.signature, input, output),
        }
    }

    #[inline]
    pub(super) fn call(
        &self,
        store: &mut Store<State>,
        handle: &Handle,
        waiter: Option<&Waiter>,
        index: usize,
        input: Input<'_>,
        output: &mut Output<'_>,
    ) -> End {
        match handle {
            Handle::Typed(typed) => typed.call(store, waiter, input, output),
            Handle::Dynamic(func) => {
                let signature = &self.function(index)?.signature;
                dynamic(*func, store, waiter, signature, input, output)
            }
        }
    }

    fn function(&self, index: usize) -> Result<&Function, Stop> {
        self.functions
            .get(index)
            .ok_or_else(|| Stop::Input(format!("there is no function {index}")))
    }
}

fn lookup(
    store: &mut Store<State>,
    instance: Instance,
    export: &ModuleExport,
) -> wasmtime::Result<Func> {
    instance
        .get_module_export(store, export)
        .and_then(Extern::into_func)
        .ok_or_else(|| format_err!("an export of the artifact is no function"))
}

fn dynamic(
    func: Func,
    store: &mut Store<State>,
    waiter: Option<&Waiter>,
    signature: &Signature,
    mut input: Input<'_>,
    output: &mut Output<'_>,
) -> End {
    let reader = input.binary()?;
    let mut params = Vec::with_capacity(signature.params.len());
    for (_, ty) in &signature.params {
        params.push(match ty {
            Type::S32 => Val::I32(reader.i32()?),
            Type::S64 => Val::I64(reader.i64()?),
            Type::F32 => Val::F32(reader.u32()?),
            Type::F64 => Val::F64(reader.u64()?),
            other => return Err(Stop::Input(format!("a core function has no `{other}`"))),
        });
    }
    input.end()?;
    let results = match &signature.result {
        None => 0,
        Some(Type::Tuple(types)) => types.len(),
        Some(_) => 1,
    };
    let mut results = vec![Val::I32(0); results];
    match waiter {
        None => func.call(store, &params, &mut results)?,
        Some(waiter) => waiter.wait(func.call_async(store, &params, &mut results))?,
    }
    for result in results {
        match result {
            Val::I32(value) => output.put(&value.to_le_bytes()),
            Val::I64(value) => output.put(&value.to_le_bytes()),
            Val::F32(bits) => output.put(&bits.to_le_bytes()),
            Val::F64(bits) => output.put(&bits.to_le_bytes()),
            _ => return Err(Stop::Output("a result of the function is no number".into())),
        }
    }
    output.end()
}

/// A number that core functions take and give.
trait Number: Copy + Sync + 'static {
    const TYPE: Type;
    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop>;
    fn put(self, output: &mut Output<'_>);
}

macro_rules! numbers {
    ($($number:ident: $ty:ident),+) => {$(
        impl Number for $number {
            const TYPE: Type = Type::$ty;
            fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
                Ok(reader.$number()?)
            }
            fn put(self, output: &mut Output<'_>) {
                output.put(&self.to_le_bytes());
            }
        }
    )+};
}

numbers!(i32: S32, i64: S64, f32: F32, f64: F64);

/// The parameters of a function whose call is compiled in.
trait Params: WasmParams + Sized + Sync {
    fn matches(params: &[(String, Type)]) -> bool;
    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop>;
}

macro_rules! params {
    ($($name:ident)*) => {
        impl<$($name: Number),*> Params for ($($name,)*)
        where
            ($($name,)*): WasmParams,
        {
            fn matches(params: &[(String, Type)]) -> bool {
                let expected: &[Type] = &[$($name::TYPE),*];
                params.len() == expected.len()
                    && params.iter().zip(expected).all(|((_, ty), expected)| ty == expected)
            }
            #[allow(unused_variables, reason = "there may be no parameter")]
            fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
                Ok(($($name::take(reader)?,)*))
            }
        }
    };
}

params!();
params!(A);
params!(A B);
params!(A B C);

/// The result of a function whose call is compiled in.
trait Outcome: WasmResults + Sync {
    fn matches(result: Option<&Type>) -> bool;
    fn put(self, output: &mut Output<'_>);
}

impl Outcome for () {
    fn matches(result: Option<&Type>) -> bool {
        result.is_none()
    }
    fn put(self, _output: &mut Output<'_>) {}
}

impl<N: Number + WasmResults> Outcome for N {
    fn matches(result: Option<&Type>) -> bool {
        result == Some(&N::TYPE)
    }
    fn put(self, output: &mut Output<'_>) {
        Number::put(self, output);
    }
}

/// A call that is compiled in.
pub(super) trait Call {
    fn call(
        &self,
        store: &mut Store<State>,
        waiter: Option<&Waiter>,
        input: Input<'_>,
        output: &mut Output<'_>,
    ) -> End;
}

impl<P: Params + 'static, R: Outcome + 'static> Call for TypedFunc<P, R> {
    fn call(
        &self,
        store: &mut Store<State>,
        waiter: Option<&Waiter>,
        mut input: Input<'_>,
        output: &mut Output<'_>,
    ) -> End {
        let params = P::take(input.binary()?)?;
        input.end()?;
        let result = match waiter {
            None => TypedFunc::call(self, store, params)?,
            Some(waiter) => waiter.wait(self.call_async(store, params))?,
        };
        result.put(output);
        output.end()
    }
}

fn bind<P: Params + 'static, R: Outcome + 'static>(
    func: Func,
    store: &Store<State>,
) -> wasmtime::Result<Box<dyn Call>> {
    Ok(Box::new(func.typed::<P, R>(store)?))
}

fn once<P: Params + 'static, R: Outcome + 'static>(
    func: Func,
    store: &mut Store<State>,
    waiter: Option<&Waiter>,
    input: Input<'_>,
    output: &mut Output<'_>,
) -> End {
    let typed = func.typed::<P, R>(&*store)?;
    Call::call(&typed, store, waiter, input, output)
}

/// The compiled-in call for a signature, if there is one: 15 ns against 75 by `Val`.
fn typed(signature: &Signature) -> Option<Compiled> {
    macro_rules! candidates {
        ($($params:ty),+ $(,)?) => {
            $(candidates!(@ $params; (), i32, i64, f32, f64);)+
        };
        (@ $params:ty; $($result:ty),+) => {$(
            if <$params as Params>::matches(&signature.params)
                && <$result as Outcome>::matches(signature.result.as_ref())
            {
                return Some(Compiled { bind: bind::<$params, $result>, once: once::<$params, $result> });
            }
        )+};
    }
    candidates!(
        (),
        (i32,),
        (i64,),
        (f32,),
        (f64,),
        (i32, i32),
        (i64, i64),
        (f32, f32),
        (f64, f64),
        (i32, i32, i32),
        (i64, i64, i64),
        (f64, f64, f64),
    );
    None
}
