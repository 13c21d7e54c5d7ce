//! Lists, tuples, records and flags, shown to serde one part at a time.
//!
//! This module must not decode single values; it calls back for each. Every size hint is exact:
//! what it says at the end has not been taken.

use super::cases::Name;
use super::{Decoder, rust_name};
use crate::codec::binary::{Flags, Reader};
use crate::codec::mismatch::Mismatch;
use crate::codec::types::Type;
use serde::de::value::U8Deserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};
use std::slice;

/// The elements of a `list<u8>`.
pub(super) struct Bytes<'b>(slice::Iter<'b, u8>);

impl<'b> Bytes<'b> {
    pub(super) fn new(reader: &mut Reader<'b>) -> Result<Self, Mismatch> {
        Ok(Self::of(reader.bytes()?))
    }

    pub(super) fn of(bytes: &'b [u8]) -> Self {
        Self(bytes.iter())
    }
}

impl<'de> SeqAccess<'de> for Bytes<'_> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let Some(byte) = self.0.next() else { return Ok(None) };
        let byte: U8Deserializer<Mismatch> = byte.into_deserializer();
        seed.deserialize(byte).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The elements of any other list.
pub(super) struct List<'t, 'r, 'b> {
    element: &'t Type,
    next: usize,
    count: usize,
    reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> List<'t, 'r, 'b> {
    pub(super) fn new(element: &'t Type, reader: &'r mut Reader<'b>) -> Result<Self, Mismatch> {
        Ok(Self { element, next: 0, count: reader.count(element)?, reader })
    }
}

impl<'de> SeqAccess<'de> for List<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        if self.next == self.count {
            return Ok(None);
        }
        let element = seed.deserialize(Decoder { ty: Some(self.element), reader: self.reader });
        let element = element.map_err(|mismatch| mismatch.at_index(self.next))?;
        self.next += 1;
        Ok(Some(element))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

/// The values of a tuple.
pub(super) struct Tuple<'t, 'r, 'b> {
    types: std::iter::Enumerate<slice::Iter<'t, Type>>,
    reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> Tuple<'t, 'r, 'b> {
    pub(super) fn new(types: &'t [Type], reader: &'r mut Reader<'b>) -> Self {
        Self { types: types.iter().enumerate(), reader }
    }
}

impl<'de> SeqAccess<'de> for Tuple<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let Some((i, ty)) = self.types.next() else { return Ok(None) };
        let value = seed.deserialize(Decoder { ty: Some(ty), reader: self.reader });
        value.map(Some).map_err(|mismatch| mismatch.at_index(i))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.types.len())
    }
}

/// The fields of a record, under the names that the Rust type has for them.
pub(super) struct Record<'t, 'r, 'b> {
    fields: &'t [(String, Type)],
    next: usize,
    rust: &'static [&'static str],
    reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> Record<'t, 'r, 'b> {
    pub(super) fn new(
        fields: &'t [(String, Type)],
        rust: &'static [&'static str],
        reader: &'r mut Reader<'b>,
    ) -> Self {
        Self { fields, next: 0, rust, reader }
    }
}

impl<'de> MapAccess<'de> for Record<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let Some((name, _)) = self.fields.get(self.next) else { return Ok(None) };
        let key = seed.deserialize(Name(rust_name(self.rust, name, self.next)));
        key.map(Some).map_err(|mismatch| mismatch.at_key(name))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let Some((name, ty)) = self.fields.get(self.next) else {
            return Err(Mismatch::because("a value was asked for after the last field"));
        };
        self.next += 1;
        let value = seed.deserialize(Decoder { ty: Some(ty), reader: self.reader });
        value.map_err(|mismatch| mismatch.at_key(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len() - self.next)
    }
}

/// The entries of a `list<tuple<K, V>>`.
pub(super) struct Pairs<'t, 'r, 'b> {
    key: &'t Type,
    value: &'t Type,
    next: usize,
    count: usize,
    reader: &'r mut Reader<'b>,
}

impl<'t, 'r, 'b> Pairs<'t, 'r, 'b> {
    pub(super) fn new(
        pair: &Type,
        key: &'t Type,
        value: &'t Type,
        reader: &'r mut Reader<'b>,
    ) -> Result<Self, Mismatch> {
        Ok(Self { key, value, next: 0, count: reader.count(pair)?, reader })
    }
}

impl<'de> MapAccess<'de> for Pairs<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        if self.next == self.count {
            return Ok(None);
        }
        let key = seed.deserialize(Decoder { ty: Some(self.key), reader: self.reader });
        key.map(Some).map_err(|mismatch| mismatch.at_index(0).at_index(self.next))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let value = seed.deserialize(Decoder { ty: Some(self.value), reader: self.reader });
        let value = value.map_err(|mismatch| mismatch.at_index(1).at_index(self.next))?;
        self.next = self.count.min(self.next + 1);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

/// The names of the flags that are set.
pub(super) struct FlagNames<'t, 'b> {
    names: &'t [String],
    next: usize,
    set: Flags<'b>,
}

impl<'t, 'b> FlagNames<'t, 'b> {
    pub(super) fn new(names: &'t [String], reader: &mut Reader<'b>) -> Result<Self, Mismatch> {
        Ok(Self { names, next: 0, set: reader.flags(names.len())? })
    }
}

impl<'de> SeqAccess<'de> for FlagNames<'_, '_> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        while let Some(name) = self.names.get(self.next) {
            self.next += 1;
            if self.set.has(self.next - 1) {
                return seed.deserialize(Name(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.next..self.names.len()).filter(|&i| self.set.has(i)).count())
    }
}

/// All flags, each as a bool, under the names that the Rust type has for them.
pub(super) struct FlagEntries<'t, 'b> {
    names: &'t [String],
    next: usize,
    rust: &'static [&'static str],
    set: Flags<'b>,
}

impl<'t, 'b> FlagEntries<'t, 'b> {
    pub(super) fn new(
        names: &'t [String],
        rust: &'static [&'static str],
        reader: &mut Reader<'b>,
    ) -> Result<Self, Mismatch> {
        Ok(Self { names, next: 0, rust, set: reader.flags(names.len())? })
    }
}

impl<'de> MapAccess<'de> for FlagEntries<'_, '_> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let Some(name) = self.names.get(self.next) else { return Ok(None) };
        let key = seed.deserialize(Name(rust_name(self.rust, name, self.next)));
        key.map(Some).map_err(|mismatch| mismatch.at_key(name))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let set = self.set.has(self.next);
        self.next = self.names.len().min(self.next + 1);
        seed.deserialize(set.into_deserializer())
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.names.len() - self.next)
    }
}
