//! Rust values of which only some shapes are wanted: names, and bytes.
//!
//! This module must not know what names stand for, nor where bytes go.

use crate::codec::mismatch::Mismatch;
use serde::ser::{Impossible, Serialize, Serializer};
use std::fmt::Display;

/// What is wanted of a value. What is not taken is a mismatch.
pub(super) trait Take: Sized {
    type Taken;
    const WANTED: &str;

    /// Takes a string, a `char`, or the name of a bare variant.
    fn text(self, text: &str) -> Result<Self::Taken, Mismatch> {
        misfit::<Self, _>(format_args!("string {text:?}"))
    }

    /// Takes an integer.
    fn integer<I: Copy + Display + TryInto<u8>>(self, value: I) -> Result<Self::Taken, Mismatch> {
        misfit::<Self, _>(value)
    }
}

/// A name, of which the function makes something.
pub(super) struct Name<F>(pub(super) F);

impl<T, F: FnOnce(&str) -> Result<T, Mismatch>> Take for Name<F> {
    type Taken = T;
    const WANTED: &str = "a name";

    fn text(self, text: &str) -> Result<T, Mismatch> {
        (self.0)(text)
    }
}

/// A `u8`.
pub(super) struct Byte;

impl Take for Byte {
    type Taken = u8;
    const WANTED: &str = "u8";

    fn integer<I: Copy + Display + TryInto<u8>>(self, value: I) -> Result<u8, Mismatch> {
        value.try_into().map_err(|_| Mismatch::expected(Self::WANTED, value))
    }
}

#[cold]
fn misfit<L: Take, T>(found: impl Display) -> Result<T, Mismatch> {
    Err(Mismatch::expected(L::WANTED, found))
}

macro_rules! refuse {
    ($($method:ident $ty:ty),*) => {
        $(fn $method(self, value: $ty) -> Result<L::Taken, Mismatch> {
            misfit::<L, _>(value)
        })*
    };
}

macro_rules! integers {
    ($($method:ident $ty:ty),*) => {
        $(fn $method(self, value: $ty) -> Result<L::Taken, Mismatch> {
            self.0.integer(value)
        })*
    };
}

/// Serializes into what is wanted.
pub(super) struct Leaf<L>(pub(super) L);

impl<L: Take> Serializer for Leaf<L> {
    type Ok = L::Taken;
    type Error = Mismatch;
    type SerializeSeq = Impossible<L::Taken, Mismatch>;
    type SerializeTuple = Impossible<L::Taken, Mismatch>;
    type SerializeTupleStruct = Impossible<L::Taken, Mismatch>;
    type SerializeTupleVariant = Impossible<L::Taken, Mismatch>;
    type SerializeMap = Impossible<L::Taken, Mismatch>;
    type SerializeStruct = Impossible<L::Taken, Mismatch>;
    type SerializeStructVariant = Impossible<L::Taken, Mismatch>;

    refuse!(serialize_bool bool, serialize_f32 f32, serialize_f64 f64);

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_i128 i128, serialize_u128 u128
    );

    fn serialize_str(self, name: &str) -> Result<L::Taken, Mismatch> {
        self.0.text(name)
    }

    fn serialize_char(self, name: char) -> Result<L::Taken, Mismatch> {
        self.0.text(name.encode_utf8(&mut [0; 4]))
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<L::Taken, Mismatch> {
        self.0.text(variant)
    }

    fn serialize_newtype_struct<V: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &V,
    ) -> Result<L::Taken, Mismatch> {
        value.serialize(self)
    }

    fn serialize_some<V: Serialize + ?Sized>(self, value: &V) -> Result<L::Taken, Mismatch> {
        value.serialize(self)
    }

    fn serialize_bytes(self, _value: &[u8]) -> Result<L::Taken, Mismatch> {
        misfit::<L, _>("bytes")
    }

    fn serialize_none(self) -> Result<L::Taken, Mismatch> {
        misfit::<L, _>("None")
    }

    fn serialize_unit(self) -> Result<L::Taken, Mismatch> {
        misfit::<L, _>("()")
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<L::Taken, Mismatch> {
        misfit::<L, _>("()")
    }

    fn serialize_newtype_variant<V: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _value: &V,
    ) -> Result<L::Taken, Mismatch> {
        misfit::<L, _>(format_args!("variant `{variant}` with a value"))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Self::SerializeSeq, Mismatch> {
        misfit::<L, _>("a sequence")
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self::SerializeTuple, Mismatch> {
        misfit::<L, _>("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleStruct, Mismatch> {
        misfit::<L, _>("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Mismatch> {
        misfit::<L, _>(format_args!("variant `{variant}` with values"))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, Mismatch> {
        misfit::<L, _>("a map")
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStruct, Mismatch> {
        misfit::<L, _>("a struct")
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, Mismatch> {
        misfit::<L, _>(format_args!("variant `{variant}` with fields"))
    }
}
