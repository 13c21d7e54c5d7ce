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

/// Levels that a type may have: the codecs recurse along it, and so does JSON, in which descriptions
/// travel: three levels there for each of a record, and 128 at most.
pub(crate) const DEPTH: usize = 32;
/// Parts that the types of a signature may have: types are graphs where they come from, and trees here,
/// and a few bytes of the one make gigabytes of the other.
pub(crate) const PARTS: usize = 10_000;

impl Signature {
    /// Whether an honest compiler can have described this. The time that codecs take is bounded by
    /// the bytes of a value only where types are, and where each of them takes some bytes.
    pub(crate) fn is_possible(&self) -> bool {
        let mut left = PARTS;
        let types = self.params.iter().map(|(_, ty)| ty).chain(&self.result);
        types.into_iter().all(|ty| ty.is_possible(DEPTH, &mut left))
    }
}

impl Type {
    /// Whether this has no more levels, and uses up no more of the parts that are left; and whether
    /// nothing in it is empty, which no type of a component is.
    fn is_possible(&self, levels: usize, left: &mut usize) -> bool {
        let names = match self {
            Self::Enum(names) | Self::Flags(names) => Some(names.len()),
            _ => None,
        };
        let Some(levels) = levels.checked_sub(1) else { return false };
        let Some(rest) = left.checked_sub(1 + names.unwrap_or(0)) else { return false };
        *left = rest;
        let mut inside = |ty: &Self| ty.is_possible(levels, left);
        match self {
            Self::List(ty) | Self::Option(ty) => inside(ty),
            Self::Result { ok, err } => ok.iter().chain(err).all(|ty| inside(ty)),
            Self::Record(fields) => !fields.is_empty() && fields.iter().all(|(_, ty)| inside(ty)),
            Self::Tuple(types) => !types.is_empty() && types.iter().all(inside),
            Self::Variant(cases) => {
                !cases.is_empty() && cases.iter().filter_map(|(_, ty)| ty.as_ref()).all(inside)
            }
            _ => names != Some(0),
        }
    }

    /// Tells whether this is `list<u8>`, which has a typed fast path.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::List(element) if **element == Self::U8)
    }

    /// Whether this is a `string` or `list<u8>`: as the result of a function, its bytes alone.
    #[inline]
    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Self::String) || self.is_bytes()
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
