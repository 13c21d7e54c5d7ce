//! Cases and names, shown to serde.
//!
//! This module must not decode payloads; it calls back for each.

use super::{Decoder, rust_name};
use crate::codec::binary::Reader;
use crate::codec::cases::Case;
use crate::codec::mismatch::Mismatch;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

/// A name of WIT, for a string, an identifier, or a Rust enum that has a variant of that name.
pub(super) struct Name<'n>(pub(super) &'n str);

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        rust: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(StrDeserializer::new(rust_name(rust, self.0, 0)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A case as a map of one entry, for types that take anything.
pub(super) struct CaseEntry<'t, 'r, 'b> {
    case: Case<'t>,
    left: usize,
    reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> CaseEntry<'t, 'r, 'b> {
    pub(super) fn new(case: Case<'t>, reader: &'r mut Reader<'b>) -> Self {
        Self { case, left: 1, reader }
    }
}

impl<'de> MapAccess<'de> for CaseEntry<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        match self.left {
            0 => Ok(None),
            _ => seed.deserialize(Name(self.case.name)).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        self.left = 0;
        let value = seed.deserialize(Decoder { ty: self.case.payload, reader: self.reader });
        value.map_err(|mismatch| mismatch.at_key(self.case.name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A case as a variant of a Rust enum, under the name that the enum has for it.
pub(super) struct RustCase<'t, 'r, 'b> {
    pub(super) case: Case<'t>,
    pub(super) rust: &'static [&'static str],
    pub(super) reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> RustCase<'t, 'r, 'b> {
    fn payload<T>(
        self,
        decode: impl FnOnce(Decoder<'t, 'r, 'b>) -> Result<T, Mismatch>,
    ) -> Result<T, Mismatch> {
        let decoded = decode(Decoder { ty: self.case.payload, reader: self.reader });
        decoded.map_err(|mismatch| mismatch.at_key(self.case.name))
    }
}

impl<'de> EnumAccess<'de> for RustCase<'_, '_, 'de> {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Mismatch> {
        Ok((seed.deserialize(Name(rust_name(self.rust, self.case.name, 0)))?, self))
    }
}

impl<'de> VariantAccess<'de> for RustCase<'_, '_, 'de> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        match self.case.payload {
            None => Ok(()),
            Some(ty) => Err(Mismatch::expected("no payload", ty).at_key(self.case.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mismatch> {
        self.payload(|decoder| seed.deserialize(decoder))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.payload(|decoder| decoder.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.payload(|decoder| decoder.deserialize_struct("", fields, visitor))
    }
}
