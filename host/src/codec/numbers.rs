//! Conversions between numbers of different widths: checked, and exact unless said otherwise.
//!
//! This module must not know JSON or serde.

use super::types::Type;
use std::fmt::Display;

/// An integer that can be tried for every integer type.
pub(super) trait Integer:
    Copy
    + Display
    + Into<i128>
    + TryInto<i8>
    + TryInto<u8>
    + TryInto<i16>
    + TryInto<u16>
    + TryInto<i32>
    + TryInto<u32>
    + TryInto<i64>
    + TryInto<u64>
{
}

impl Integer for i64 {}
impl Integer for u64 {}

/// Appends `value` as `ty`. False if `ty` is not an integer type or cannot hold the value.
#[inline]
pub(super) fn put_integer<I: Integer>(ty: &Type, value: I, out: &mut Vec<u8>) -> bool {
    fn put<I: TryInto<T>, T, const N: usize>(
        value: I,
        bytes: fn(T) -> [u8; N],
        out: &mut Vec<u8>,
    ) -> bool {
        value.try_into().map(|value| out.extend_from_slice(&bytes(value))).is_ok()
    }

    match ty {
        Type::S64 => put(value, i64::to_le_bytes, out),
        Type::U64 => put(value, u64::to_le_bytes, out),
        Type::S32 => put(value, i32::to_le_bytes, out),
        Type::U32 => put(value, u32::to_le_bytes, out),
        Type::S16 => put(value, i16::to_le_bytes, out),
        Type::U16 => put(value, u16::to_le_bytes, out),
        Type::S8 => put(value, i8::to_le_bytes, out),
        Type::U8 => put(value, u8::to_le_bytes, out),
        _ => false,
    }
}

/// The integer, of 64 bits at most, as `f64`, if that is exact.
pub(super) fn exact_f64(value: impl Into<i128>) -> Option<f64> {
    let value = value.into();
    let float = value as f64;
    (float as i128 == value).then_some(float)
}

/// The integer, of 64 bits at most, as `f32`, if that is exact.
pub(super) fn exact_f32(value: impl Into<i128>) -> Option<f32> {
    let value = value.into();
    let float = value as f32;
    (float as i128 == value).then_some(float)
}

/// The nearest `f32`; none if the value is finite and that is not.
pub(super) fn nearest_f32(value: f64) -> Option<f32> {
    let nearest = value as f32;
    (nearest.is_finite() || !value.is_finite()).then_some(nearest)
}
