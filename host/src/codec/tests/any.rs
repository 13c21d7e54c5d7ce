//! A Rust type that takes any value and gives it back, for round trips without typed samples.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Any {
    Nothing,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    /// Apart from `F64`, since the bits of a NaN may change on the way from one to the other.
    F32(f32),
    F64(f64),
    Char(char),
    Str(String),
    None,
    Some(Box<Any>),
    Seq(Vec<Any>),
    Map(Vec<(String, Any)>),
}

impl Any {
    /// The same value with the entries of all maps in the other order.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Map(entries) => {
                let entries = entries.into_iter().rev();
                Self::Map(entries.map(|(key, value)| (key, value.reversed())).collect())
            }
            Self::Seq(elements) => Self::Seq(elements.into_iter().map(Self::reversed).collect()),
            Self::Some(some) => Self::Some(Box::new(some.reversed())),
            other => other,
        }
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::None => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::Seq(elements) => {
                let mut seq = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| seq.serialize_element(element))?;
                seq.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<Any, E> {
        Ok(Any::Nothing)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Unsigned(value))
    }

    fn visit_f32<E: Error>(self, value: f32) -> Result<Any, E> {
        Ok(Any::F32(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Any, E> {
        Ok(Any::F64(value))
    }

    fn visit_char<E: Error>(self, value: char) -> Result<Any, E> {
        Ok(Any::Char(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Str(value.to_owned()))
    }

    fn visit_none<E: Error>(self) -> Result<Any, E> {
        Ok(Any::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<Any, D::Error> {
        Any::deserialize(some).map(|some| Any::Some(Box::new(some)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Any::Seq(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Any::Map(entries))
    }
}
