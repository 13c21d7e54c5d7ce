//! Rust values, through serde, to the binary form.
//!
//! This module must not look at values twice: whether a value fits is found out by encoding it.

mod compound;
mod leaf;

use super::binary::Writer;
use super::cases::Case;
use super::mismatch::Mismatch;
use super::names::{Style, find};
use super::numbers::{Integer, exact_f32, exact_f64, nearest_f32, put_integer};
use super::types::{Signature, Type};
use compound::{Elements, Entries, Types, put_bytes};
use serde::ser::{Serialize, SerializeSeq as _, Serializer};
use std::fmt;

/// Appends the parameters of one call, taken from one Rust value.
///
/// One parameter: the value itself. Several: a tuple or sequence by position, or a struct or map
/// by name. None: the value is ignored. With `star` the value is always an argument list, even
/// for one parameter.
///
/// Names are equal modulo case style. A missing option is none, and a bare value is taken for
/// `Some`. Any Rust integer goes into any integer type that can hold it, and into a float type if
/// that is exact; an `f64` goes into `f32` rounded, unless it would become infinite. Strings go
/// into `list<u8>` as UTF-8, maps into records, flags and `list<tuple<K, V>>`, and Rust enums,
/// externally tagged as serde does by default, into variants, enums, results and (bare variants)
/// strings.
///
/// # Errors
/// A mismatch if the value does not fit, or its own `Serialize` fails; `out` is then as it was.
pub(crate) fn to_params<T: Serialize + ?Sized>(
    sig: &Signature,
    star: bool,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let target = match &*sig.params {
        [] => return Ok(()),
        [(_, ty)] if !star => Target::Value(ty),
        params => Target::Arguments(params),
    };
    let start = out.len();
    let encoded = value.serialize(Encoder { target, out });
    if encoded.is_err() {
        out.truncate(start);
    }
    encoded
}

/// What a value is encoded as.
#[derive(Clone, Copy, Debug)]
enum Target<'t> {
    /// A payload that does not exist: fits `()` only.
    Nothing,
    Value(&'t Type),
    Arguments(&'t [(String, Type)]),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("()"),
            Self::Value(ty) => ty.fmt(f),
            Self::Arguments(params) => write!(f, "{} arguments", params.len()),
        }
    }
}

impl<'t> From<Option<&'t Type>> for Target<'t> {
    fn from(payload: Option<&'t Type>) -> Self {
        payload.map_or(Self::Nothing, Self::Value)
    }
}

/// Encodes one value as one target.
struct Encoder<'t, 'o> {
    target: Target<'t>,
    out: &'o mut Vec<u8>,
}

impl<'t, 'o> Encoder<'t, 'o> {
    fn value(ty: &'t Type, out: &'o mut Vec<u8>) -> Self {
        Self { target: Target::Value(ty), out }
    }

    /// Enters options, since this value is a bare payload.
    fn open(mut self) -> Self {
        while let Target::Value(Type::Option(some)) = self.target {
            self.out.push(1);
            self.target = Target::Value(some);
        }
        self
    }

    #[cold]
    fn misfit<T>(&self, found: impl fmt::Display) -> Result<T, Mismatch> {
        Err(Mismatch::expected(self.target, found))
    }

    fn integer(self, value: impl Integer) -> Result<(), Mismatch> {
        let encoder = self.open();
        let fits = match encoder.target {
            Target::Value(Type::F64) => {
                exact_f64(value).map(|v| encoder.out.extend(v.to_le_bytes()))
            }
            Target::Value(Type::F32) => {
                exact_f32(value).map(|v| encoder.out.extend(v.to_le_bytes()))
            }
            Target::Value(ty) => put_integer(ty, value, encoder.out).then_some(()),
            _ => None,
        };
        fits.map_or_else(|| encoder.misfit(value), Ok)
    }

    /// Writes the case that a Rust variant stands for, and gives an encoder of its payload.
    fn enter_case(self, variant: &str) -> Result<(Case<'t>, Self), Mismatch> {
        let encoder = self.open();
        let Target::Value(ty @ (Type::Variant(_) | Type::Enum(_) | Type::Result { .. })) =
            encoder.target
        else {
            return encoder.misfit(format_args!("variant `{variant}`"));
        };
        let case = ty.find_case(Style::Rust, variant).ok_or_else(|| ty.unknown_case(variant))?;
        case.write(encoder.out);
        Ok((case, Self { target: case.payload.into(), out: encoder.out }))
    }

    fn bare_case(self, variant: &str) -> Result<(), Mismatch> {
        let (case, payload) = self.enter_case(variant)?;
        match case.payload {
            None => Ok(()),
            Some(_) => payload.misfit("no value").map_err(|it: Mismatch| it.at_key(case.name)),
        }
    }

    fn elements(self, length: Option<usize>) -> Result<Elements<'t, 'o>, Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Arguments(params) => Ok(Elements::fixed(Types::Arguments(params), encoder.out)),
            Target::Value(Type::Tuple(types)) => {
                Ok(Elements::fixed(Types::Tuple(types), encoder.out))
            }
            Target::Value(Type::List(element)) => Ok(Elements::list(element, length, encoder.out)),
            Target::Value(Type::Flags(names)) => Ok(Elements::flags(names, encoder.out)),
            _ => encoder.misfit("a sequence"),
        }
    }

    fn entries(self) -> Result<Entries<'t, 'o>, Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Value(Type::Record(fields)) => Ok(Entries::fields(fields, encoder.out)),
            Target::Arguments(params) if params.iter().all(|(name, _)| !name.is_empty()) => {
                Ok(Entries::fields(params, encoder.out))
            }
            Target::Value(Type::Flags(names)) => Ok(Entries::flags(names, encoder.out)),
            Target::Value(ty @ (Type::Variant(_) | Type::Result { .. })) => {
                Ok(Entries::case(ty, encoder.out))
            }
            Target::Value(Type::List(element)) => match &**element {
                Type::Tuple(pair) if pair.len() == 2 => Ok(Entries::pairs(pair, encoder.out)),
                _ => encoder.misfit("a map"),
            },
            _ => encoder.misfit("a struct or map"),
        }
    }
}

/// Numbers come in long lists, and mostly as what they are.
macro_rules! numbers {
    ($($method:ident $ty:ident $variant:ident $wide:ident),*) => {
        $(fn $method(self, value: $ty) -> Result<(), Mismatch> {
            match self.target {
                Target::Value(Type::$variant) => {
                    self.out.extend_from_slice(&value.to_le_bytes());
                    Ok(())
                }
                _ => self.integer($wide::from(value)),
            }
        })*
    };
}

impl<'t, 'o> Serializer for Encoder<'t, 'o> {
    type Ok = ();
    type Error = Mismatch;
    type SerializeSeq = Elements<'t, 'o>;
    type SerializeTuple = Elements<'t, 'o>;
    type SerializeTupleStruct = Elements<'t, 'o>;
    type SerializeTupleVariant = Elements<'t, 'o>;
    type SerializeMap = Entries<'t, 'o>;
    type SerializeStruct = Entries<'t, 'o>;
    type SerializeStructVariant = Entries<'t, 'o>;

    fn serialize_bool(self, value: bool) -> Result<(), Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Value(Type::Bool) => Writer(encoder.out).bool(value),
            _ => return encoder.misfit(value),
        }
        Ok(())
    }

    numbers!(
        serialize_i8 i8 S8 i64,
        serialize_i16 i16 S16 i64,
        serialize_i32 i32 S32 i64,
        serialize_i64 i64 S64 i64,
        serialize_u8 u8 U8 u64,
        serialize_u16 u16 U16 u64,
        serialize_u32 u32 U32 u64,
        serialize_u64 u64 U64 u64
    );

    fn serialize_i128(self, value: i128) -> Result<(), Mismatch> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.integer(value),
            (_, Ok(value)) => self.integer(value),
            _ => self.misfit(value),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<(), Mismatch> {
        match u64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.misfit(value),
        }
    }

    fn serialize_f32(self, value: f32) -> Result<(), Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Value(Type::F32) => encoder.out.extend(value.to_le_bytes()),
            Target::Value(Type::F64) => encoder.out.extend(f64::from(value).to_le_bytes()),
            _ => return encoder.misfit(format_args!("{value:?}")),
        }
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Mismatch> {
        let encoder = self.open();
        match (encoder.target, nearest_f32(value)) {
            (Target::Value(Type::F64), _) => encoder.out.extend(value.to_le_bytes()),
            (Target::Value(Type::F32), Some(value)) => encoder.out.extend(value.to_le_bytes()),
            _ => return encoder.misfit(format_args!("{value:?}")),
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Mismatch> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Mismatch> {
        let encoder = self.open();
        let misfit = |encoder: Self| encoder.misfit(format_args!("string {value:?}"));
        let Target::Value(ty) = encoder.target else { return misfit(encoder) };
        match ty {
            Type::String => Writer(encoder.out).bytes(value.as_bytes()),
            Type::List(_) if ty.is_bytes() => Writer(encoder.out).bytes(value.as_bytes()),
            Type::Char => {
                let mut scalars = value.chars();
                match (scalars.next(), scalars.next()) {
                    (Some(only), None) => Writer(encoder.out).char(only),
                    _ => return misfit(encoder),
                }
                Ok(())
            }
            Type::Enum(_) | Type::Variant(_) => encoder.bare_case(value),
            _ => misfit(encoder),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Value(ty) if ty.is_bytes() => Writer(encoder.out).bytes(value),
            _ => encoder.misfit("bytes"),
        }
    }

    fn serialize_none(self) -> Result<(), Mismatch> {
        match self.target {
            Target::Value(Type::Option(_)) => self.out.push(0),
            _ => return self.misfit("None"),
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Mismatch> {
        match self.target {
            Target::Value(Type::Option(some)) => {
                self.out.push(1);
                value.serialize(Encoder::value(some, self.out))
            }
            _ => value.serialize(self),
        }
    }

    fn serialize_unit(self) -> Result<(), Mismatch> {
        match self.target {
            Target::Nothing => Ok(()),
            // What a self-describing value (`serde_json::Value::Null`) says for none.
            Target::Value(Type::Option(_)) => self.serialize_none(),
            _ => self.misfit("()"),
        }
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Mismatch> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Mismatch> {
        let encoder = self.open();
        match encoder.target {
            Target::Value(Type::String) => encoder.serialize_str(variant),
            _ => encoder.bare_case(variant),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Mismatch> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Mismatch> {
        let (case, payload) = self.enter_case(variant)?;
        value.serialize(payload).map_err(|mismatch| mismatch.at_key(case.name))
    }

    fn collect_seq<I>(self, values: I) -> Result<(), Mismatch>
    where
        I: IntoIterator<Item: Serialize>,
    {
        let encoder = self.open();
        match encoder.target {
            Target::Value(ty) if ty.is_bytes() => put_bytes(values, encoder.out),
            _ => {
                let mut elements = encoder.elements(None)?;
                values.into_iter().try_for_each(|value| elements.serialize_element(&value))?;
                elements.end()
            }
        }
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Elements<'t, 'o>, Mismatch> {
        self.elements(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Elements<'t, 'o>, Mismatch> {
        self.elements(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        length: usize,
    ) -> Result<Elements<'t, 'o>, Mismatch> {
        self.elements(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Elements<'t, 'o>, Mismatch> {
        let (case, payload) = self.enter_case(variant)?;
        let elements = payload.elements(Some(length));
        elements.map(|it| it.inside(case.name)).map_err(|mismatch| mismatch.at_key(case.name))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Entries<'t, 'o>, Mismatch> {
        self.entries()
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Entries<'t, 'o>, Mismatch> {
        self.entries()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Entries<'t, 'o>, Mismatch> {
        let (case, payload) = self.enter_case(variant)?;
        let entries = payload.entries();
        entries.map(|it| it.inside(case.name)).map_err(|mismatch| mismatch.at_key(case.name))
    }
}
