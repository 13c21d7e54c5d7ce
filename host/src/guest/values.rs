//! Converts between the binary form and the component model's dynamic values.
//!
//! This module must not be on the path of long scalar lists at the top of a signature: a `Val`
//! takes 40 bytes and tens of nanoseconds for every element. `component` has typed calls for them.

use super::call::{Input, Output, Spelling, Stop};
use crate::codec::types::Type;
use crate::codec::{Mismatch, Reader, Writer};
use wasmtime::component::Val;

/// Reads all parameters.
pub(super) fn params(types: &[(String, Type)], mut input: Input<'_>) -> Result<Vec<Val>, Stop> {
    let params = match (&input, types) {
        (Input::Raw(_), [(_, Type::String)]) => vec![Val::String(input.text()?.to_string())],
        (Input::Raw(_), [(_, ty)]) if ty.is_bytes() => vec![bytes(input.bytes()?)],
        _ => {
            let reader = input.binary()?;
            let param =
                |(name, ty): &(String, Type)| read(ty, reader).map_err(|error| error.at_key(name));
            types.iter().map(param).collect::<Result<_, _>>()?
        }
    };
    input.end()?;
    Ok(params)
}

/// Writes the result of a function; the error side of a `result` becomes [`Stop::Failed`].
pub(super) fn result(ty: &Type, value: &Val, output: &mut Output<'_>) -> Result<(), Stop> {
    let (ty, value) = match (ty, value) {
        (Type::Result { ok, .. }, Val::Result(Ok(value))) => match (ok, value) {
            (Some(ty), Some(value)) => (&**ty, &**value),
            (None, None) => return Ok(()),
            _ => return Err(unexpected(ty, value.as_deref())),
        },
        (Type::Result { err, .. }, Val::Result(Err(value))) => {
            let mut payload = Vec::new();
            optional(err.as_deref(), value.as_deref(), &mut payload)?;
            return Err(Stop::Failed(payload));
        }
        other => other,
    };
    match (output.spelling(), value) {
        (Spelling::Raw, Val::String(text)) => return output.run(text.as_bytes()),
        (Spelling::Raw, Val::List(list)) if ty.is_bytes() => {
            let bytes: Option<Vec<u8>> = list.iter().map(as_byte).collect();
            let bytes = bytes.ok_or_else(|| unexpected(ty, Some(value)))?;
            return output.run(&bytes);
        }
        _ => write(ty, value, output.binary()?)?,
    }
    output.end()
}

fn bytes(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().copied().map(Val::U8).collect())
}

fn as_byte(value: &Val) -> Option<u8> {
    match value {
        Val::U8(byte) => Some(*byte),
        _ => None,
    }
}

fn read(ty: &Type, reader: &mut Reader<'_>) -> Result<Val, Mismatch> {
    Ok(match ty {
        Type::Bool => Val::Bool(reader.bool()?),
        Type::S8 => Val::S8(reader.i8()?),
        Type::U8 => Val::U8(reader.u8()?),
        Type::S16 => Val::S16(reader.i16()?),
        Type::U16 => Val::U16(reader.u16()?),
        Type::S32 => Val::S32(reader.i32()?),
        Type::U32 => Val::U32(reader.u32()?),
        Type::S64 => Val::S64(reader.i64()?),
        Type::U64 => Val::U64(reader.u64()?),
        Type::F32 => Val::Float32(reader.f32()?),
        Type::F64 => Val::Float64(reader.f64()?),
        Type::Char => Val::Char(reader.char()?),
        Type::String => Val::String(reader.string()?.to_string()),
        Type::List(_) if ty.is_bytes() => bytes(reader.bytes()?),
        Type::List(element) => {
            let count = reader.count(element)?;
            let mut list = Vec::with_capacity(count);
            for i in 0..count {
                list.push(read(element, reader).map_err(|error| error.at_index(i))?);
            }
            Val::List(list)
        }
        Type::Record(fields) => {
            let field = |(name, ty): &(String, Type)| {
                let value = read(ty, reader).map_err(|error| error.at_key(name))?;
                Ok((name.clone(), value))
            };
            Val::Record(fields.iter().map(field).collect::<Result<_, _>>()?)
        }
        Type::Tuple(types) => {
            Val::Tuple(types.iter().map(|ty| read(ty, reader)).collect::<Result<_, _>>()?)
        }
        Type::Variant(cases) => {
            let (name, ty) = cases.get(reader.case(cases.len())?).ok_or_else(no_case)?;
            Val::Variant(name.clone(), read_optional(ty.as_ref(), reader)?)
        }
        Type::Enum(names) => {
            Val::Enum(names.get(reader.case(names.len())?).ok_or_else(no_case)?.clone())
        }
        Type::Option(some) => {
            let ty = reader.is_some()?.then_some(&**some);
            Val::Option(read_optional(ty, reader)?)
        }
        Type::Result { ok, err } => Val::Result(match reader.is_err()? {
            false => Ok(read_optional(ok.as_deref(), reader)?),
            true => Err(read_optional(err.as_deref(), reader)?),
        }),
        Type::Flags(names) => {
            let set = reader.flags(names.len())?;
            let names = names.iter().enumerate().filter(|(i, _)| set.has(*i));
            Val::Flags(names.map(|(_, name)| name.clone()).collect())
        }
    })
}

fn read_optional(ty: Option<&Type>, reader: &mut Reader<'_>) -> Result<Option<Box<Val>>, Mismatch> {
    ty.map(|ty| read(ty, reader).map(Box::new)).transpose()
}

fn no_case() -> Mismatch {
    Mismatch::because("no such case")
}

fn write(ty: &Type, value: &Val, out: &mut Vec<u8>) -> Result<(), Stop> {
    match (ty, value) {
        (Type::Bool, Val::Bool(value)) => out.push(u8::from(*value)),
        (Type::S8, Val::S8(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U8, Val::U8(value)) => out.push(*value),
        (Type::S16, Val::S16(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U16, Val::U16(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::S32, Val::S32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U32, Val::U32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::S64, Val::S64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U64, Val::U64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::F32, Val::Float32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::F64, Val::Float64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::Char, Val::Char(value)) => {
            Writer(out).char(*value);
        }
        (Type::String, Val::String(text)) => run(text.as_bytes(), out)?,
        _ => write_compound(ty, value, out)?,
    }
    Ok(())
}

fn write_compound(ty: &Type, value: &Val, out: &mut Vec<u8>) -> Result<(), Stop> {
    match (ty, value) {
        (Type::List(element), Val::List(list)) => {
            let mut writer = Writer(out);
            let at = writer.open_list();
            let count = list.len();
            writer.close_list(at, count).map_err(|_| Stop::TooLarge(u64::MAX))?;
            for value in list {
                write(element, value, out)?;
            }
        }
        (Type::Record(fields), Val::Record(values)) if fields.len() == values.len() => {
            for ((_, ty), (_, value)) in fields.iter().zip(values) {
                write(ty, value, out)?;
            }
        }
        (Type::Tuple(types), Val::Tuple(values)) if types.len() == values.len() => {
            for (ty, value) in types.iter().zip(values) {
                write(ty, value, out)?;
            }
        }
        (Type::Option(some), Val::Option(value)) => {
            out.push(u8::from(value.is_some()));
            if let Some(value) = value {
                write(some, value, out)?;
            }
        }
        (Type::Result { ok, err }, Val::Result(value)) => {
            out.push(u8::from(value.is_err()));
            match value {
                Ok(value) => optional(ok.as_deref(), value.as_deref(), out)?,
                Err(value) => optional(err.as_deref(), value.as_deref(), out)?,
            }
        }
        (Type::Variant(cases), Val::Variant(name, payload)) => {
            let index = cases.iter().position(|(case, _)| case == name);
            let (index, (_, ty)) = index
                .and_then(|index| Some((index, cases.get(index)?)))
                .ok_or_else(|| unexpected(ty, Some(value)))?;
            Writer(out).case(index, cases.len());
            optional(ty.as_ref(), payload.as_deref(), out)?;
        }
        (Type::Enum(names), Val::Enum(name)) => {
            let index = names.iter().position(|case| case == name);
            let index = index.ok_or_else(|| unexpected(ty, Some(value)))?;
            Writer(out).case(index, names.len());
        }
        (Type::Flags(names), Val::Flags(set)) => flags(names, set, out),
        _ => return Err(unexpected(ty, Some(value))),
    }
    Ok(())
}

fn optional(ty: Option<&Type>, value: Option<&Val>, out: &mut Vec<u8>) -> Result<(), Stop> {
    match (ty, value) {
        (Some(ty), Some(value)) => write(ty, value, out),
        (None, None) => Ok(()),
        (Some(ty), None) => Err(unexpected(ty, None)),
        (None, Some(_)) => Err(Stop::Output("a case without payload has one".into())),
    }
}

fn run(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    Writer(out).bytes(bytes).map_err(|_| Stop::TooLarge(u64::MAX))
}

fn flags(names: &[String], set: &[String], out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    let at = writer.flags(names.len());
    // Both are in declared order, so one pass over the names is enough.
    let mut set = set.iter().peekable();
    for (i, name) in names.iter().enumerate() {
        if set.next_if(|next| *next == name).is_some() {
            writer.set_flag(at, i);
        }
    }
}

fn unexpected(ty: &Type, value: Option<&Val>) -> Stop {
    let found = match value {
        None => "nothing",
        Some(Val::Bool(_)) => "a bool",
        Some(Val::String(_)) => "a string",
        Some(Val::List(_)) => "a list",
        Some(Val::Record(_)) => "a record",
        Some(Val::Variant(..) | Val::Enum(_)) => "a case",
        Some(_) => "another value",
    };
    Stop::Output(format!("expected `{ty}`, found {found}"))
}
