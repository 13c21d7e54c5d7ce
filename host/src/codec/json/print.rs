//! The binary form to JSON text.
//!
//! This module must not add white space: a value is one line.

use crate::codec::binary::{Flags, Reader};
use crate::codec::mismatch::Mismatch;
use crate::codec::types::Type;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Appends the value as JSON, on one line; without a type (a function without a result), `null`.
/// Payloads of a `result` are printed alone by giving their own type.
///
/// # Errors
/// A mismatch if the bytes are not one value of the type; `out` is then as it was.
pub(crate) fn print_value(
    ty: Option<&Type>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let start = out.len();
    let mut reader = Reader::new(bytes);
    let printed = print_payload(ty, &mut reader, out).and_then(|()| reader.finish());
    if printed.is_err() {
        out.truncate(start);
    }
    printed
}

fn print_payload(
    ty: Option<&Type>,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    match ty {
        Some(ty) => print(ty, reader, out),
        None => plain(&(), out),
    }
}

fn print(ty: &Type, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    match ty {
        Type::Bool => plain(&reader.bool()?, out),
        Type::S8 => plain(&reader.i8()?, out),
        Type::U8 => plain(&reader.u8()?, out),
        Type::S16 => plain(&reader.i16()?, out),
        Type::U16 => plain(&reader.u16()?, out),
        Type::S32 => plain(&reader.i32()?, out),
        Type::U32 => plain(&reader.u32()?, out),
        Type::S64 => plain(&reader.i64()?, out),
        Type::U64 => plain(&reader.u64()?, out),
        Type::F32 => match reader.f32()? {
            float if float.is_finite() => plain(&float, out),
            float => plain(non_finite(float.into()), out),
        },
        Type::F64 => match reader.f64()? {
            float if float.is_finite() => plain(&float, out),
            float => plain(non_finite(float), out),
        },
        Type::Char => plain(&reader.char()?, out),
        Type::String => plain(reader.string()?, out),
        Type::List(_) if ty.is_bytes() => print_base64(reader.bytes()?, out),
        Type::List(element) => {
            let count = reader.count(element)?;
            sequence(out, b"[]", 0..count, |i, out| {
                print(element, reader, out).map_err(|error| error.at_index(i))
            })
        }
        Type::Tuple(types) => sequence(out, b"[]", types.iter().enumerate(), |(i, ty), out| {
            print(ty, reader, out).map_err(|error| error.at_index(i))
        }),
        Type::Record(fields) => sequence(out, b"{}", fields, |(name, ty), out| {
            plain(name, out)?;
            out.push(b':');
            print(ty, reader, out).map_err(|error| error.at_key(name))
        }),
        Type::Flags(names) => print_flags(names, reader.flags(names.len())?, out),
        Type::Option(some) => match reader.is_some()? {
            false => plain(&(), out),
            true if some.can_be_null() => single("some", Some(some), reader, out),
            true => print(some, reader, out),
        },
        Type::Variant(_) | Type::Enum(_) => {
            let case = ty.read_case(reader)?;
            match case.payload {
                None => plain(case.name, out),
                payload => single(case.name, payload, reader, out),
            }
        }
        Type::Result { .. } => {
            let case = ty.read_case(reader)?;
            single(case.name, case.payload, reader, out)
        }
    }
}

/// An object of one key.
fn single(
    key: &str,
    ty: Option<&Type>,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    out.push(b'{');
    plain(key, out)?;
    out.push(b':');
    print_payload(ty, reader, out).map_err(|error| error.at_key(key))?;
    out.push(b'}');
    Ok(())
}

fn print_flags(names: &[String], set: Flags<'_>, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let names = names.iter().enumerate().filter(|(i, _)| set.has(*i));
    sequence(out, b"[]", names, |(_, name), out| plain(name, out))
}

fn print_base64(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let too_long = || Mismatch::because("too many bytes for base64");
    let length = base64::encoded_len(bytes.len(), true).ok_or_else(too_long)?;
    out.push(b'"');
    let start = out.len();
    out.resize(start + length, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    STANDARD.encode_slice(bytes, room).map_err(|_| too_long())?;
    out.push(b'"');
    Ok(())
}

fn sequence<T>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    parts: impl IntoIterator<Item = T>,
    mut each: impl FnMut(T, &mut Vec<u8>) -> Result<(), Mismatch>,
) -> Result<(), Mismatch> {
    out.push(brackets[0]);
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(part, out)?;
    }
    out.push(brackets[1]);
    Ok(())
}

/// What JSON has a literal for, in the shortest text that reads back as the same value.
fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    serde_json::to_writer(out, value).map_err(Mismatch::because)
}

fn non_finite(float: f64) -> &'static str {
    match float {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}
