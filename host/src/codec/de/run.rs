//! A result that is one `string` or `list<u8>` to a Rust value: its bytes are handed over, not
//! copied, to a type that takes them as they are.
//!
//! This module must not differ from the decoder of all other values in what it accepts.

use super::access::Bytes;
use super::{from_value, show_seq};
use crate::codec::mismatch::Mismatch;
use crate::codec::types::Type;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;

/// Reads the result of a function, as [`from_value`] does any value.
///
/// # Errors
/// As [`from_value`].
#[inline]
pub(crate) fn from_result<R: DeserializeOwned>(
    ty: Option<&Type>,
    bytes: &[u8],
) -> Result<R, Mismatch> {
    match ty {
        Some(ty) if ty.is_run() => Run::read(ty, Cow::Borrowed(bytes)),
        ty => from_value(ty, bytes),
    }
}

/// As [`from_result`]; a `String`, or what asks for bytes, gets the memory that these lie in.
///
/// # Errors
/// As [`from_value`].
pub(crate) fn from_large<R: DeserializeOwned>(
    ty: Option<&Type>,
    bytes: Vec<u8>,
) -> Result<R, Mismatch> {
    match ty {
        Some(ty) if ty.is_run() => Run::read(ty, Cow::Owned(bytes)),
        ty => from_value(ty, &bytes),
    }
}

struct Run<'b> {
    /// It is a `string`, else a `list<u8>`.
    is_text: bool,
    bytes: Cow<'b, [u8]>,
}

fn utf8(bytes: &[u8]) -> Result<&str, Mismatch> {
    str::from_utf8(bytes).map_err(|error| Mismatch::expected("UTF-8", error))
}

impl<'de> Run<'de> {
    #[inline(never)]
    fn read<R: DeserializeOwned>(ty: &Type, bytes: Cow<'de, [u8]>) -> Result<R, Mismatch> {
        R::deserialize(Self { is_text: *ty == Type::String, bytes })
    }

    fn show_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.bytes {
            Cow::Borrowed(bytes) => visitor.visit_borrowed_str(utf8(bytes)?),
            Cow::Owned(bytes) => {
                let text = String::from_utf8(bytes);
                let text = text.map_err(|error| Mismatch::expected("UTF-8", error.utf8_error()))?;
                visitor.visit_string(text)
            }
        }
    }
}

impl<'de> Deserializer<'de> for Run<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.is_text {
            true => self.show_text(visitor),
            false => show_seq(Bytes::of(&self.bytes), visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.show_text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.show_text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match (self.is_text, self.bytes) {
            (true, bytes) => Self { is_text: true, bytes }.show_text(visitor),
            (false, Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            (false, Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_bytes(visitor)
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
        _rust: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.is_text {
            true => visitor.visit_enum(StrDeserializer::new(utf8(&self.bytes)?)),
            false => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.is_text {
            utf8(&self.bytes)?;
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl<'de> serde::Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl Visitor<'_> for Visit {
                type Value = Bytes;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                    Ok(Bytes(bytes))
                }
            }
            from.deserialize_byte_buf(Visit)
        }
    }

    #[test]
    fn memory_is_handed_over() {
        let list = Type::List(Box::new(Type::U8));
        let given = vec![b'x'; 100_000];
        let address = given.as_ptr();
        let Bytes(bytes) = from_large(Some(&list), given).expect("bytes are bytes");
        assert_eq!(bytes.as_ptr(), address);
        let text: Option<String> = from_large(Some(&Type::String), bytes).expect("it is a text");
        let text = text.expect("it is there");
        assert_eq!((text.len(), text.as_ptr()), (100_000, address));
    }
}
