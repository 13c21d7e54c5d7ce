//! The binary form to Rust values, through serde.
//!
//! This module must not know which Rust types are wanted: they ask.

mod access;
mod cases;
mod run;

pub(crate) use run::{from_large, from_result};

use super::binary::Reader;
use super::mismatch::Mismatch;
use super::names::{Style, find};
use super::numbers::{exact_f32, exact_f64, nearest_f32};
use super::types::Type;
use access::{Bytes, FlagEntries, FlagNames, List, Pairs, Record, Tuple};
use cases::CaseEntry;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads one value; without a type (a function without a result), `()`.
///
/// A WIT name is shown to the Rust type under the name that the type has for it, if they are equal
/// modulo case style, else as WIT writes it. Options become `Option`, nested ones too; variants,
/// enums and results become Rust enums, externally tagged as serde does by default; flags become a
/// sequence of names, or a struct or map of bools; `list<u8>` becomes a sequence, bytes, or (if it
/// is UTF-8) a string; `list<tuple<K, V>>` becomes a sequence or a map. An integer becomes a float
/// if that is exact, and an `f64` an `f32` rounded, unless it would become infinite.
///
/// A type that takes anything (`serde_json::Value`) sees records as maps with WIT's names, a case
/// as a string or a map of one entry, flags as names, `list<u8>` as numbers, and a present option
/// as its payload, which loses the difference between `None` and `Some(None)`.
///
/// # Errors
/// A mismatch if the bytes are not one value of the type, or the Rust type refuses it.
pub(crate) fn from_value<R: DeserializeOwned>(
    ty: Option<&Type>,
    bytes: &[u8],
) -> Result<R, Mismatch> {
    let mut reader = Reader::new(bytes);
    let value = R::deserialize(Decoder { ty, reader: &mut reader })?;
    reader.finish()?;
    Ok(value)
}

/// Decodes one value; without a type, the `()` of no payload.
struct Decoder<'t, 'r, 'b> {
    ty: Option<&'t Type>,
    reader: &'r mut Reader<'b>,
}

impl<'b> Decoder<'_, '_, 'b> {
    /// Enters options for a Rust type that does not expect one.
    fn open(mut self) -> Result<Option<Self>, Mismatch> {
        while let Some(Type::Option(some)) = self.ty {
            if !self.reader.is_some()? {
                return Ok(None);
            }
            self.ty = Some(some);
        }
        Ok(Some(self))
    }

    /// For a Rust type that does not expect an option: what is there, or `None` if it is not.
    fn present<V: Visitor<'b>>(
        self,
        visitor: V,
        show: impl FnOnce(Self, V) -> Result<V::Value, Mismatch>,
    ) -> Result<V::Value, Mismatch> {
        match self.open()? {
            Some(decoder) => show(decoder, visitor),
            None => visitor.visit_none(),
        }
    }

    fn integer(&mut self) -> Result<Option<i128>, Mismatch> {
        Ok(Some(match self.ty {
            Some(Type::S8) => self.reader.i8()?.into(),
            Some(Type::U8) => self.reader.u8()?.into(),
            Some(Type::S16) => self.reader.i16()?.into(),
            Some(Type::U16) => self.reader.u16()?.into(),
            Some(Type::S32) => self.reader.i32()?.into(),
            Some(Type::U32) => self.reader.u32()?.into(),
            Some(Type::S64) => self.reader.i64()?.into(),
            Some(Type::U64) => self.reader.u64()?.into(),
            _ => return Ok(None),
        }))
    }
}

/// Shows a sequence and makes sure that the visitor took all of it.
fn show_seq<'b, V: Visitor<'b>, A>(mut access: A, visitor: V) -> Result<V::Value, Mismatch>
where
    A: SeqAccess<'b, Error = Mismatch>,
{
    let value = visitor.visit_seq(&mut access)?;
    match access.size_hint() {
        Some(0) | None => Ok(value),
        Some(more) => Err(Mismatch::expected("the end", format_args!("{more} more elements"))),
    }
}

/// Shows a map and makes sure that the visitor took all of it.
fn show_map<'b, V: Visitor<'b>, A>(mut access: A, visitor: V) -> Result<V::Value, Mismatch>
where
    A: MapAccess<'b, Error = Mismatch>,
{
    let value = visitor.visit_map(&mut access)?;
    match access.size_hint() {
        Some(0) | None => Ok(value),
        Some(more) => Err(Mismatch::expected("the end", format_args!("{more} more entries"))),
    }
}

macro_rules! bare {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.present(visitor, Self::deserialize_any)
        })*
    };
}

/// Numbers come in long lists, and mostly as what they are.
macro_rules! numbers {
    ($($method:ident $variant:ident $read:ident $visit:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.ty {
                Some(Type::$variant) => visitor.$visit(self.reader.$read()?),
                _ => self.present(visitor, Self::deserialize_any),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Decoder<'_, '_, 'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let Self { ty, reader } = self;
        let Some(ty) = ty else { return visitor.visit_unit() };
        match ty {
            Type::Bool => visitor.visit_bool(reader.bool()?),
            Type::S8 => visitor.visit_i8(reader.i8()?),
            Type::U8 => visitor.visit_u8(reader.u8()?),
            Type::S16 => visitor.visit_i16(reader.i16()?),
            Type::U16 => visitor.visit_u16(reader.u16()?),
            Type::S32 => visitor.visit_i32(reader.i32()?),
            Type::U32 => visitor.visit_u32(reader.u32()?),
            Type::S64 => visitor.visit_i64(reader.i64()?),
            Type::U64 => visitor.visit_u64(reader.u64()?),
            Type::F32 => visitor.visit_f32(reader.f32()?),
            Type::F64 => visitor.visit_f64(reader.f64()?),
            Type::Char => visitor.visit_char(reader.char()?),
            Type::String => visitor.visit_borrowed_str(reader.string()?),
            Type::List(_) if ty.is_bytes() => show_seq(Bytes::new(reader)?, visitor),
            Type::List(element) => show_seq(List::new(element, reader)?, visitor),
            Type::Tuple(types) => show_seq(Tuple::new(types, reader), visitor),
            Type::Record(fields) => show_map(Record::new(fields, &[], reader), visitor),
            Type::Flags(names) => show_seq(FlagNames::new(names, reader)?, visitor),
            Type::Option(some) => match reader.is_some()? {
                true => visitor.visit_some(Self { ty: Some(some), reader }),
                false => visitor.visit_none(),
            },
            Type::Variant(_) | Type::Enum(_) | Type::Result { .. } => {
                let case = ty.read_case(reader)?;
                match (case.payload, ty) {
                    (None, Type::Variant(_) | Type::Enum(_)) => visitor.visit_str(case.name),
                    _ => show_map(CaseEntry::new(case, reader), visitor),
                }
            }
        }
    }

    bare!(
        deserialize_bool,
        deserialize_i128,
        deserialize_u128,
        deserialize_char,
        deserialize_unit,
        deserialize_seq,
        deserialize_identifier
    );

    numbers!(
        deserialize_i8 S8 i8 visit_i8,
        deserialize_i16 S16 i16 visit_i16,
        deserialize_i32 S32 i32 visit_i32,
        deserialize_i64 S64 i64 visit_i64,
        deserialize_u8 U8 u8 visit_u8,
        deserialize_u16 U16 u16 visit_u16,
        deserialize_u32 U32 u32 visit_u32,
        deserialize_u64 U64 u64 visit_u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.present(visitor, |mut decoder, visitor| match decoder.ty {
            Some(Type::F64) => {
                let value = decoder.reader.f64()?;
                let nearest = nearest_f32(value);
                visitor.visit_f32(nearest.ok_or_else(|| inexact("f32", value))?)
            }
            _ => match decoder.integer()? {
                Some(value) => {
                    visitor.visit_f32(exact_f32(value).ok_or_else(|| inexact("f32", value))?)
                }
                None => decoder.deserialize_any(visitor),
            },
        })
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.present(visitor, |mut decoder, visitor| match decoder.integer()? {
            Some(value) => {
                visitor.visit_f64(exact_f64(value).ok_or_else(|| inexact("f64", value))?)
            }
            None => decoder.deserialize_any(visitor),
        })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.present(visitor, |decoder, visitor| match decoder.ty {
            Some(ty) if ty.is_bytes() => visitor.visit_borrowed_str(decoder.reader.string()?),
            _ => decoder.deserialize_any(visitor),
        })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.present(visitor, |decoder, visitor| match decoder.ty {
            Some(ty) if ty.is_bytes() => visitor.visit_borrowed_bytes(decoder.reader.bytes()?),
            _ => decoder.deserialize_any(visitor),
        })
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.ty {
            Some(Type::Option(_)) => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        rust: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.present(visitor, |decoder, visitor| {
            let Self { ty, reader } = decoder;
            match ty {
                Some(Type::Record(fields)) => show_map(Record::new(fields, rust, reader), visitor),
                Some(Type::Flags(names)) => {
                    show_map(FlagEntries::new(names, rust, reader)?, visitor)
                }
                Some(Type::List(element)) if let Type::Tuple(pair) = &**element => match &**pair {
                    [key, value] => show_map(Pairs::new(element, key, value, reader)?, visitor),
                    _ => Self { ty, reader }.deserialize_any(visitor),
                },
                _ => Self { ty, reader }.deserialize_any(visitor),
            }
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        rust: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.present(visitor, |decoder, visitor| {
            let Self { ty, reader } = decoder;
            match ty {
                Some(ty @ (Type::Variant(_) | Type::Enum(_) | Type::Result { .. })) => {
                    let case = ty.read_case(reader)?;
                    visitor.visit_enum(cases::RustCase { case, rust, reader })
                }
                Some(Type::String) => visitor.visit_enum(StrDeserializer::new(reader.string()?)),
                ty => Self { ty, reader }.deserialize_any(visitor),
            }
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if let Some(ty) = self.ty {
            super::binary::skip(ty, self.reader)?;
        }
        visitor.visit_unit()
    }
}

#[cold]
fn inexact(wanted: &str, found: impl fmt::Display) -> Mismatch {
    Mismatch::custom(format_args!("expected an exact {wanted}, found {found}"))
}

/// The name under which a Rust type knows a WIT name: its own if it has an equal one.
fn rust_name<'n>(rust: &[&'static str], wit: &'n str, hint: usize) -> &'n str {
    let own = find(Style::Rust, rust, wit, hint).and_then(|index| rust.get(index));
    own.copied().unwrap_or(wit)
}
