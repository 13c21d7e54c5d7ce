//! Single JSON literals to the binary form.
//!
//! This module must not know arrays and objects, beyond naming them in a mismatch.

use crate::codec::mismatch::Mismatch;
use crate::codec::numbers::put_integer;
use crate::codec::types::Type;
use std::borrow::Cow;

/// Appends a float from the text of a JSON value. The text is read at the precision of the type:
/// by way of `f64` an `f32` would be rounded twice.
pub(super) fn put_float(ty: &Type, text: &str, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let literal = match string_of(text).as_deref() {
        Some("NaN") => "NaN",
        Some("Infinity") => "inf",
        Some("-Infinity") => "-inf",
        Some(_) => "",
        None => text,
    };
    let finite = literal == text;
    let put = match ty {
        Type::F32 => {
            literal.parse::<f32>().ok().filter(|f| f.is_finite() || !finite).map(|float| {
                out.extend_from_slice(&float.to_le_bytes());
            })
        }
        _ => literal.parse::<f64>().ok().filter(|f| f.is_finite() || !finite).map(|float| {
            out.extend_from_slice(&float.to_le_bytes());
        }),
    };
    put.ok_or_else(|| Mismatch::expected(ty, found(text)))
}

/// Appends an integer from text like `-12`; false if it is none (`-0` is a float), or out of
/// range.
pub(super) fn put_decimal(ty: &Type, text: &str, out: &mut Vec<u8>) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || !digits.starts_with(['0', '+', '-']);
    match (plain, text.parse::<i64>(), text.parse::<u64>()) {
        (true, Ok(value), _) => put_integer(ty, value, out),
        (true, _, Ok(value)) => put_integer(ty, value, out),
        _ => false,
    }
}

/// The number that an item is, if it is nothing but a few digits: the most common item of all, for
/// which setting up a parser would cost more than reading it.
pub(super) fn plain_integer(item: &[u8]) -> Option<i64> {
    let digits = item.strip_prefix(b"-").unwrap_or(item);
    if !matches!(digits, [b'0'..=b'9'] | [b'1'..=b'9', ..]) || digits.len() > 18 || item == b"-0" {
        return None;
    }
    let value = digits.iter().try_fold(0i64, |value, &digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })?;
    Some(if digits.len() == item.len() { value } else { -value })
}

/// The string that the text of a JSON value is, if it is one.
pub(super) fn string_of(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(text).ok().map(Cow::Owned),
    }
}

/// What to call the text of a JSON value in a mismatch.
pub(super) fn found(text: &str) -> Cow<'_, str> {
    match text.bytes().next() {
        Some(b'"') => Cow::Owned(format!("string {text}")),
        Some(b'[') => Cow::Borrowed("an array"),
        Some(b'{') => Cow::Borrowed("an object"),
        _ => Cow::Borrowed(text),
    }
}
