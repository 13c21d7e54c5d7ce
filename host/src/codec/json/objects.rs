//! JSON objects, and names in strings, to the binary form.
//!
//! This module must not repeat what `parse` knows of values; it calls back for each.

use super::parse::{Node, Sink};
use super::scalars::{found, put_decimal, string_of};
use crate::codec::binary::Writer;
use crate::codec::cases::Case;
use crate::codec::fields;
use crate::codec::mismatch::Mismatch;
use crate::codec::names::{Style, find};
use crate::codec::types::Type;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::LazyLock;

/// How serde_json shows a number when another crate of the build has switched its feature
/// `arbitrary_precision` on: as an object with this one key.
const NUMBER: &str = "$serde_json::private::Number";

/// Whether that is so in this build; else such an object is an object like any other.
static NUMBERS_ARE_OBJECTS: LazyLock<bool> = LazyLock::new(|| {
    let number = serde_json::from_str::<serde_json::Number>("1.10");
    number.is_ok_and(|number| number.to_string() == "1.10")
});

/// A key, turned into whatever the function makes of it, without a `String` in between.
struct Key<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Key<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<T, D::Error> {
        key.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Key<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<T, E> {
        Ok((self.0)(key))
    }
}

/// The fields of a record, or arguments by name.
pub(super) struct Fields<'s, 'o, 't> {
    pub(super) fields: &'t [(String, Type)],
    pub(super) sink: &'s mut Sink<'o>,
}

impl<'de> Visitor<'de> for Fields<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { fields: declared, sink } = self;
        let mut fields = fields::Fields::new(declared);
        loop {
            let hint = fields.hint();
            let Some(index) = entries.next_key_seed(Key(|key: &str| {
                find(Style::Json, declared, key, hint)
                    .ok_or_else(|| Mismatch::unknown(declared, key).at_key(key))
            }))?
            else {
                break;
            };
            let index = sink.check(index)?;
            let name = declared.get(index).map_or("", |(name, _)| name);
            let at_key = |mismatch: Mismatch| mismatch.at_key(name);
            let entered = fields.enter(index, sink.out).map_err(at_key);
            let ty = Some(sink.check(entered)?);
            let value = entries.next_value_seed(Node { ty, sink });
            sink.step(value, at_key)?;
            fields.leave(index, sink.out);
        }
        let finished = fields.finish(sink.out);
        sink.check(finished)
    }
}

/// `{"a": true, "b": false}` for flags.
pub(super) fn flags<'de, A: MapAccess<'de>>(
    names: &[String],
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    let at = Writer(sink.out).flags(names.len());
    let mut seen = vec![false; names.len()];
    while let Some(index) = entries.next_key_seed(Key(|key: &str| {
        let index = find(Style::Json, names, key, 0);
        index.ok_or_else(|| Mismatch::unknown(names, key).at_key(key))
    }))? {
        let index = sink.check(index)?;
        let name = names.get(index).map_or("", String::as_str);
        let twice = seen.get_mut(index).is_none_or(|seen| std::mem::replace(seen, true));
        if twice {
            return sink.fail(Mismatch::twice(name).at_key(name));
        }
        match entries.next_value::<&RawValue>()?.get() {
            "true" => drop(Writer(sink.out).set_flag(at, index)),
            "false" => {}
            other => return sink.fail(Mismatch::expected("bool", found(other)).at_key(name)),
        }
    }
    Ok(())
}

/// Sets the flag that the text of a JSON value names.
pub(super) fn set_flag(
    names: &[String],
    at: usize,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let name = string_of(text);
    let name = name.ok_or_else(|| Mismatch::expected("the name of a flag", found(text)))?;
    let index = find(Style::Json, names, &name, 0);
    let index = index.ok_or_else(|| Mismatch::unknown(names, &name))?;
    match Writer(out).set_flag(at, index) {
        true => Ok(()),
        false => Err(Mismatch::twice(&name)),
    }
}

/// `"case"` for a case without payload.
pub(super) fn put_bare_case(ty: &Type, name: &str, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let case = ty.find_case(Style::Json, name).ok_or_else(|| ty.unknown_case(name))?;
    if let Some(payload) = case.payload {
        let expected = format_args!("{{\"{}\": {payload}}}", case.name);
        return Err(Mismatch::expected(expected, format_args!("string {name:?}")));
    }
    case.write(out);
    Ok(())
}

/// `{"ok": ...}` or `{"err": ...}`.
pub(super) fn result<'de, A: MapAccess<'de>>(
    ty: &Type,
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    match entries.next_key_seed(Key(|key: &str| case_at_key(ty, key)))? {
        Some(case) => {
            let case = sink.check(case)?;
            only_case(case, entries, sink)
        }
        None => sink.fail(Mismatch::expected(ty, "an empty object")),
    }
}

/// `{"some": ...}` around a payload that can be null itself.
pub(super) fn some<'de, A: MapAccess<'de>>(
    ty: &Type,
    some: &Type,
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    let wanted = |key: &str| match key {
        "some" => Ok(()),
        _ => Err(Mismatch::unknown(&["some"], key).at_key(key)),
    };
    match entries.next_key_seed(Key(wanted))? {
        Some(key) => {
            sink.check(key)?;
            sink.out.push(1);
            payload("some", Some(some), &mut entries, sink)?;
            end(entries, sink)
        }
        None => sink.fail(Mismatch::expected(ty, "an empty object")),
    }
}

/// An integer that serde_json shows as an object (see [`NUMBER`]); any other object is none.
pub(super) fn number<'de, A: MapAccess<'de>>(
    ty: &Type,
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    let key = entries.next_key_seed(Key(|key: &str| key == NUMBER))?;
    if key != Some(true) || !*NUMBERS_ARE_OBJECTS {
        return sink.fail(Mismatch::expected(ty, "an object"));
    }
    let text = entries.next_value::<String>()?;
    match put_decimal(ty, &text, sink.out) {
        true => Ok(()),
        false => sink.fail(Mismatch::expected(ty, text)),
    }
}

/// The first key of an object for a variant.
enum Opening<'t> {
    Case(Case<'t>),
    Tag,
    /// `val` before `tag`, or the only key if a case is called so.
    Val(Option<Case<'t>>),
}

/// `{"case": payload}`; or, if no case is called `tag`, `{"tag": "case", "val": payload}` with
/// the keys in any order.
pub(super) fn variant<'de, A: MapAccess<'de>>(
    ty: &Type,
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    let tagged = ty.find_case(Style::Json, "tag").is_none();
    let opening = entries.next_key_seed(Key(|key: &str| match key {
        "tag" if tagged => Ok(Opening::Tag),
        "val" if tagged => Ok(Opening::Val(ty.find_case(Style::Json, key))),
        key => case_at_key(ty, key).map(Opening::Case),
    }))?;
    let Some(opening) = opening else {
        return sink.fail(Mismatch::expected(ty, "an empty object"));
    };
    match sink.check(opening)? {
        Opening::Case(case) => only_case(case, entries, sink),
        Opening::Tag => {
            let case = tag(ty, &mut entries, sink)?;
            case.write(sink.out);
            let val = entries.next_key_seed(Key(|key: &str| key_is("val", key)))?;
            match (val, case.payload) {
                (Some(key), ty) => {
                    sink.check(key)?;
                    payload("val", ty, &mut entries, sink)?;
                    end(entries, sink)
                }
                (None, None) => Ok(()),
                (None, Some(ty)) => sink.fail(Mismatch::expected(ty, "no such key").at_key("val")),
            }
        }
        Opening::Val(case) => {
            let val = entries.next_value::<&RawValue>()?;
            let case = match entries.next_key_seed(Key(|key: &str| key_is("tag", key)))? {
                Some(key) => {
                    sink.check(key)?;
                    Some(tag(ty, &mut entries, sink)?)
                }
                None => case,
            };
            let Some(case) = case else {
                return sink.fail(Mismatch::expected(ty, "no key `tag`"));
            };
            case.write(sink.out);
            let node = Node { ty: case.payload, sink };
            let mut text = serde_json::Deserializer::from_str(val.get());
            let read = node.deserialize(&mut text).map_err(A::Error::custom);
            sink.step(read, |mismatch| mismatch.at_key("val"))?;
            end(entries, sink)
        }
    }
}

/// The value of the key `tag`: which case it names.
fn tag<'de, 't, A: MapAccess<'de>>(
    ty: &'t Type,
    entries: &mut A,
    sink: &mut Sink<'_>,
) -> Result<Case<'t>, A::Error> {
    let text = entries.next_value::<&RawValue>()?.get();
    let case = match string_of(text) {
        Some(name) => ty.find_case(Style::Json, &name).ok_or_else(|| ty.unknown_case(&name)),
        None => Err(Mismatch::expected("the name of a case", found(text))),
    };
    sink.check(case.map_err(|mismatch| mismatch.at_key("tag")))
}

fn case_at_key<'t>(ty: &'t Type, key: &str) -> Result<Case<'t>, Mismatch> {
    ty.find_case(Style::Json, key).ok_or_else(|| ty.unknown_case(key).at_key(key))
}

fn key_is(wanted: &str, key: &str) -> Result<(), Mismatch> {
    match key == wanted {
        true => Ok(()),
        false => Err(Mismatch::unknown(&[wanted], key).at_key(key)),
    }
}

/// The payload of the case whose name was the first key, and nothing after it.
fn only_case<'de, A: MapAccess<'de>>(
    case: Case<'_>,
    mut entries: A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    case.write(sink.out);
    payload(case.name, case.payload, &mut entries, sink)?;
    end(entries, sink)
}

fn payload<'de, A: MapAccess<'de>>(
    key: &str,
    ty: Option<&Type>,
    entries: &mut A,
    sink: &mut Sink<'_>,
) -> Result<(), A::Error> {
    let value = entries.next_value_seed(Node { ty, sink });
    sink.step(value, |mismatch| mismatch.at_key(key))
}

/// Refuses another key.
fn end<'de, A: MapAccess<'de>>(mut entries: A, sink: &mut Sink<'_>) -> Result<(), A::Error> {
    let another =
        |key: &str| Mismatch::expected("no further key", format_args!("`{key}`")).at_key(key);
    match entries.next_key_seed(Key(another))? {
        None => Ok(()),
        Some(mismatch) => sink.fail(mismatch),
    }
}
