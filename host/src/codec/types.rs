//! The types of functions, as plain data, so that the host knows signatures without an engine.
//!
//! This module must not name wasmtime: the guest layer converts engine types into these.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A type that both JSON and Rust values can spell: the component model's value types without
/// handles, and the four numeric types of core modules (which become `S32`, `S64`, `F32`, `F64`).
///
/// Source: the WIT text format of the component model, section "Types".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`, and `i32` of core modules
    S32,
    /// `u32`
    U32,
    /// `s64`, and `i64` of core modules
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`: one Unicode scalar value
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(Box<Type>),
    /// `record`: field names as WIT writes them (kebab-case), in declared order
    Record(Vec<(String, Type)>),
    /// `tuple<...>`
    Tuple(Vec<Type>),
    /// `variant`: case names with their payload, in declared order
    Variant(Vec<(String, Option<Type>)>),
    /// `enum`: case names in declared order
    Enum(Vec<String>),
    /// `option<T>`
    Option(Box<Type>),
    /// `result<ok, err>`, each side optional
    Result {
        /// type of the ok payload, if there is one
        ok: Option<Box<Type>>,
        /// type of the err payload, if there is one
        err: Option<Box<Type>>,
    },
    /// `flags`: names in declared order
    Flags(Vec<String>),
}

/// What a function takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Parameters in order. The name is empty where there is none (core modules have none).
    pub params: Vec<(String, Type)>,
    /// The result, if there is one; several results of a core function are one tuple.
    pub result: Option<Type>,
}

impl Type {
    /// Tells whether this is `list<u8>`, which has a typed fast path.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::List(element) if **element == Self::U8)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::S8 => f.write_str("s8"),
            Self::U8 => f.write_str("u8"),
            Self::S16 => f.write_str("s16"),
            Self::U16 => f.write_str("u16"),
            Self::S32 => f.write_str("s32"),
            Self::U32 => f.write_str("u32"),
            Self::S64 => f.write_str("s64"),
            Self::U64 => f.write_str("u64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::Char => f.write_str("char"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Record(fields) => {
                f.write_str("record{")?;
                separated(f, fields, |f, (name, ty)| write!(f, "{name}: {ty}"))?;
                f.write_str("}")
            }
            Self::Tuple(types) => {
                f.write_str("tuple<")?;
                separated(f, types, |f, ty| write!(f, "{ty}"))?;
                f.write_str(">")
            }
            Self::Variant(cases) => {
                f.write_str("variant{")?;
                separated(f, cases, |f, (name, ty)| match ty {
                    Some(ty) => write!(f, "{name}({ty})"),
                    None => f.write_str(name),
                })?;
                f.write_str("}")
            }
            Self::Enum(cases) => {
                f.write_str("enum{")?;
                separated(f, cases, |f, name| f.write_str(name))?;
                f.write_str("}")
            }
            Self::Option(some) => write!(f, "option<{some}>"),
            Self::Result { ok: None, err: None } => f.write_str("result"),
            Self::Result { ok: Some(ok), err: None } => write!(f, "result<{ok}>"),
            Self::Result { ok: None, err: Some(err) } => write!(f, "result<_, {err}>"),
            Self::Result { ok: Some(ok), err: Some(err) } => write!(f, "result<{ok}, {err}>"),
            Self::Flags(names) => {
                f.write_str("flags{")?;
                separated(f, names, |f, name| f.write_str(name))?;
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        separated(f, &self.params, |f, (name, ty)| match name.as_str() {
            "" => write!(f, "{ty}"),
            name => write!(f, "{name}: {ty}"),
        })?;
        f.write_str(")")?;
        match &self.result {
            Some(result) => write!(f, " -> {result}"),
            None => Ok(()),
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    parts: &[T],
    mut each: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(f, part)?;
    }
    Ok(())
}
