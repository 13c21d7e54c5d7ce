//! Turns the engine's types into plain descriptions, and says why an export cannot be called.
//!
//! This module must not run a guest; it only reads types.

use crate::codec::types::{DEPTH, PARTS, Signature, Type};
use crate::description::{FunctionInfo, ModuleKind};
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type as Wit};
use wasmtime::component::{Component, types};
use wasmtime::{Engine, ExternType, FuncType, Module, ValType};

/// The functions of a module, as far as they can be called.
#[derive(Debug)]
pub(super) struct Functions {
    pub(super) kind: ModuleKind,
    pub(super) callable: Vec<FunctionInfo>,
    pub(super) uncallable: Vec<(String, String)>,
}

/// The name of a component's command in descriptions, and how its export begins.
pub(super) const RUN: &str = "wasi:cli/run";
/// The export that initialises a core module before its first call.
pub(super) const INITIALIZE: &str = "_initialize";
const START: &str = "_start";

fn command(kind: ModuleKind, name: &str) -> Functions {
    let bytes = || Type::List(Box::new(Type::U8));
    let signature = Signature { params: vec![("stdin".into(), bytes())], result: Some(bytes()) };
    let callable = vec![FunctionInfo { name: name.to_string(), signature }];
    Functions { kind, callable, uncallable: Vec::new() }
}

/// The functions of a core module.
pub(super) fn module(module: &Module) -> Functions {
    if matches!(module.get_export(START), Some(ExternType::Func(_))) {
        return command(ModuleKind::CommandP1, START);
    }
    let mut functions =
        Functions { kind: ModuleKind::Core, callable: Vec::new(), uncallable: Vec::new() };
    for export in module.exports() {
        let ExternType::Func(ty) = export.ty() else { continue };
        let name = export.name().to_string();
        if name == INITIALIZE {
            continue;
        }
        match core_signature(&ty) {
            Ok(signature) => functions.callable.push(FunctionInfo { name, signature }),
            Err(reason) => functions.uncallable.push((name, reason)),
        }
    }
    functions
}

fn core_signature(ty: &FuncType) -> Result<Signature, String> {
    let number = |(i, ty): (usize, ValType), what: &str| match ty {
        ValType::I32 => Ok(Type::S32),
        ValType::I64 => Ok(Type::S64),
        ValType::F32 => Ok(Type::F32),
        ValType::F64 => Ok(Type::F64),
        other => Err(format!("{what} {i} is `{other}`; only i32, i64, f32 and f64 can be spelled")),
    };
    let params = ty
        .params()
        .enumerate()
        .map(|param| number(param, "parameter").map(|ty| (String::new(), ty)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut results = ty
        .results()
        .enumerate()
        .map(|result| number(result, "result"))
        .collect::<Result<Vec<_>, _>>()?;
    let result = match results.len() {
        0 | 1 => results.pop(),
        _ => Some(Type::Tuple(results)),
    };
    Ok(Signature { params, result })
}

/// The functions of a component: at its root and inside its exported instances.
pub(super) fn component(engine: &Engine, component: &Component) -> Functions {
    let mut functions =
        Functions { kind: ModuleKind::Component, callable: Vec::new(), uncallable: Vec::new() };
    let ty = component.component_type();
    for (name, item) in ty.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                functions.add(name.to_string(), &function);
            }
            ComponentItem::ComponentInstance(instance) => {
                for (field, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(function) = item.ty {
                        functions.add(format!("{name}#{field}"), &function);
                    }
                }
            }
            _ => {}
        }
    }
    match functions.callable.as_slice() {
        [only] if is_run(&only.name) => {
            let uncallable = std::mem::take(&mut functions.uncallable);
            Functions { uncallable, ..command(ModuleKind::CommandP2, RUN) }
        }
        _ => functions,
    }
}

/// Tells whether this is the full name of a WASI command's entry.
pub(super) fn is_run(name: &str) -> bool {
    name.strip_prefix(RUN).is_some_and(|rest| rest.starts_with('@') && rest.ends_with("#run"))
}

impl Functions {
    fn add(&mut self, name: String, function: &ComponentFunc) {
        match component_signature(function) {
            Ok(signature) => self.callable.push(FunctionInfo { name, signature }),
            Err(reason) => self.uncallable.push((name, reason)),
        }
    }
}

fn component_signature(function: &ComponentFunc) -> Result<Signature, String> {
    if function.async_() {
        return Err("it is an async function; only synchronous ones can be called".into());
    }
    let mut walk = Walk { parts: 0, path: Vec::new() };
    let mut params = Vec::new();
    for (name, ty) in function.params() {
        params.push((name.to_string(), walk.inside(name, &ty)?));
    }
    let result = function.results().next().map(|ty| walk.inside("result", &ty)).transpose()?;
    Ok(Signature { params, result })
}

/// A walk through a type: where it is, and how much it has seen.
struct Walk {
    parts: usize,
    path: Vec<String>,
}

impl Walk {
    fn inside(&mut self, step: &str, ty: &Wit) -> Result<Type, String> {
        self.parts += 1;
        if self.path.len() >= DEPTH || self.parts > PARTS {
            return Err(format!(
                "its types are too large: more than {DEPTH} levels or {PARTS} parts"
            ));
        }
        self.path.push(step.to_string());
        let ty = self.convert(ty)?;
        self.path.pop();
        Ok(ty)
    }

    fn boxed(&mut self, step: &str, ty: &Wit) -> Result<Box<Type>, String> {
        self.inside(step, ty).map(Box::new)
    }

    fn convert(&mut self, ty: &Wit) -> Result<Type, String> {
        Ok(match ty {
            Wit::Bool => Type::Bool,
            Wit::S8 => Type::S8,
            Wit::U8 => Type::U8,
            Wit::S16 => Type::S16,
            Wit::U16 => Type::U16,
            Wit::S32 => Type::S32,
            Wit::U32 => Type::U32,
            Wit::S64 => Type::S64,
            Wit::U64 => Type::U64,
            Wit::Float32 => Type::F32,
            Wit::Float64 => Type::F64,
            Wit::Char => Type::Char,
            Wit::String => Type::String,
            Wit::List(list) => Type::List(self.boxed("[]", &list.ty())?),
            Wit::Option(option) => Type::Option(self.boxed("some", &option.ty())?),
            Wit::Result(result) => Type::Result {
                ok: result.ok().map(|ty| self.boxed("ok", &ty)).transpose()?,
                err: result.err().map(|ty| self.boxed("err", &ty)).transpose()?,
            },
            Wit::Record(record) => self.record(record)?,
            Wit::Tuple(tuple) => Type::Tuple(
                tuple
                    .types()
                    .enumerate()
                    .map(|(i, ty)| self.inside(&i.to_string(), &ty))
                    .collect::<Result<_, _>>()?,
            ),
            Wit::Variant(variant) => Type::Variant(
                variant
                    .cases()
                    .map(|case| {
                        let payload =
                            case.ty.as_ref().map(|ty| self.inside(case.name, ty)).transpose()?;
                        Ok((case.name.to_string(), payload))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            Wit::Enum(names) => Type::Enum(self.names(names.names())?),
            Wit::Flags(names) => Type::Flags(self.names(names.names())?),
            other => return Err(self.cannot(other)),
        })
    }

    fn record(&mut self, record: &types::Record) -> Result<Type, String> {
        let fields = record.fields().map(|field| {
            Ok::<_, String>((field.name.to_string(), self.inside(field.name, &field.ty)?))
        });
        Ok(Type::Record(fields.collect::<Result<_, _>>()?))
    }

    fn names<'a>(
        &mut self,
        names: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Vec<String>, String> {
        self.parts += names.len();
        if self.parts > PARTS {
            return Err(format!("its types are too large: more than {PARTS} parts"));
        }
        Ok(names.map(str::to_string).collect())
    }

    fn cannot(&self, ty: &Wit) -> String {
        let what = match ty {
            Wit::Own(_) | Wit::Borrow(_) => "a resource handle",
            Wit::Future(_) => "a future",
            Wit::Stream(_) => "a stream",
            Wit::ErrorContext => "an error context",
            Wit::Map(_) => "a map",
            Wit::FixedLengthList(_) => "a list of fixed length",
            _ => "a type",
        };
        format!("`{}` is {what}, which cannot be spelled in JSON", self.path.join("."))
    }
}
