//! The task modules that are measured, and items of bytes.

/// `i64 -> i64`, as little as a function can do.
pub(crate) const SQUARE: &str = r#"(module (func (export "square") (param i64) (result i64)
    (i64.mul (local.get 0) (local.get 0))))"#;

/// The same as a component with a type.
pub(crate) const TYPED: &str = r#"(component
    (core module $m (func (export "square") (param i64) (result i64)
        (i64.mul (local.get 0) (local.get 0))))
    (core instance $i (instantiate $m))
    (func (export "square") (param "x" s64) (result s64) (canon lift (core func $i "square"))))"#;

/// So many turns of a loop that takes about as long each time.
pub(crate) const SPIN: &str = r#"(module (func (export "spin") (param i64) (result i64) (local i64)
    (local.set 1 (i64.const 1))
    (loop $again
        (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 31)) (local.get 0)))
        (br_if $again (i64.gt_s
            (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const 0))))
    (local.get 1)))"#;

/// A component: `list<u8> -> list<u8>`, gives what it gets.
pub(crate) const ECHO: &str = include_str!("../echo.wat");

/// A `list<u8>` in one piece.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl serde::Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl serde::de::Visitor<'_> for Visit {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        from.deserialize_byte_buf(Visit)
    }
}
