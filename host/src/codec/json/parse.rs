//! JSON text to the binary form.
//!
//! This module must not decide how deep a value may nest: the type does, and serde_json's limit.

use super::objects;
use super::scalars::{found, plain_integer, put_decimal, put_float};
use crate::codec::binary::Writer;
use crate::codec::mismatch::Mismatch;
use crate::codec::numbers::put_integer;
use crate::codec::types::{Signature, Type};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Appends the parameters of one call, read from one item.
///
/// One parameter: the item is its value. Several: an array by position, or an object by name.
/// None: the item is ignored, whatever it is. With `star` the item is always an argument list
/// (array or object), even for one parameter.
///
/// # Errors
/// A mismatch if the item is not valid JSON or does not fit; `out` is then as it was.
pub(crate) fn parse_params(
    sig: &Signature,
    item: &[u8],
    star: bool,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let start = out.len();
    let parsed = match &*sig.params {
        [] => Ok(()),
        [(_, ty)] if !star && plain_integer(item).is_some_and(|it| put_integer(ty, it, out)) => {
            Ok(())
        }
        [(_, ty)] if !star => {
            parse(item, out, |text, sink| Node { ty: Some(ty), sink }.deserialize(text))
        }
        params => parse_arguments(params, item, out),
    };
    if parsed.is_err() {
        out.truncate(start);
    }
    parsed
}

fn parse_arguments(
    params: &[(String, Type)],
    item: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let named = params.iter().all(|(name, _)| !name.is_empty());
    match item.trim_ascii_start().first() {
        Some(b'{') if named => parse(item, out, |text, sink| {
            text.deserialize_map(objects::Fields { fields: params, sink })
        }),
        Some(b'[') => {
            let types = params.iter().map(|(_, ty)| ty);
            parse(item, out, |text, sink| text.deserialize_seq(Positions { types, sink }))
        }
        _ => parse(item, out, |text, sink| {
            let other = <&RawValue>::deserialize(text)?;
            let form = if named { "an array or object" } else { "an array" };
            let arguments = format_args!("{form} of {} arguments", params.len());
            sink.fail(Mismatch::expected(arguments, found(other.get())))
        }),
    }
}

type Text<'t, 'i> = &'t mut serde_json::Deserializer<serde_json::de::SliceRead<'i>>;

fn parse<'i>(
    item: &'i [u8],
    out: &mut Vec<u8>,
    read: impl FnOnce(Text<'_, 'i>, &mut Sink<'_>) -> serde_json::Result<()>,
) -> Result<(), Mismatch> {
    let mut text = serde_json::Deserializer::from_slice(item);
    let mut sink = Sink { out, mismatch: None };
    let read = read(&mut text, &mut sink).and_then(|()| text.end());
    read.map_err(|error| match sink.mismatch {
        Some(mismatch) => mismatch,
        None => Mismatch::because(format_args!("not valid JSON: {error}")),
    })
}

/// Where the bytes go, and the mismatch if there is one: errors of serde_json cannot carry it.
pub(super) struct Sink<'o> {
    pub(super) out: &'o mut Vec<u8>,
    mismatch: Option<Mismatch>,
}

impl Sink<'_> {
    /// Ends the parse with this mismatch.
    #[cold]
    pub(super) fn fail<T, E: Error>(&mut self, mismatch: Mismatch) -> Result<T, E> {
        self.mismatch = Some(mismatch);
        Err(E::custom("mismatch"))
    }

    /// Ends the parse if this is a mismatch.
    pub(super) fn check<T, E: Error>(&mut self, checked: Result<T, Mismatch>) -> Result<T, E> {
        checked.or_else(|mismatch| self.fail(mismatch))
    }

    /// Adds a step to the path of the mismatch, if `read` ended in one.
    pub(super) fn step<T, E>(
        &mut self,
        read: Result<T, E>,
        step: impl FnOnce(Mismatch) -> Mismatch,
    ) -> Result<T, E> {
        if read.is_err() {
            self.mismatch = self.mismatch.take().map(step);
        }
        read
    }
}

/// One value of a type that is about to be read; without a type, the `null` of no payload.
pub(super) struct Node<'s, 'o, 't> {
    pub(super) ty: Option<&'t Type>,
    pub(super) sink: &'s mut Sink<'o>,
}

impl Node<'_, '_, '_> {
    /// Enters an option whose payload is written as it is.
    fn open(mut self) -> Self {
        if let Some(Type::Option(some)) = self.ty
            && !some.can_be_null()
        {
            self.sink.out.push(1);
            self.ty = Some(some);
        }
        self
    }

    #[cold]
    fn misfit<E: Error>(self, found: impl fmt::Display) -> Result<(), E> {
        let mismatch = match self.ty {
            None => Mismatch::expected("null", found),
            Some(ty @ Type::Option(_)) => {
                Mismatch::expected(format_args!("null or {{\"some\": ...}} for {ty}"), found)
            }
            Some(ty) if ty.is_bytes() => {
                Mismatch::expected("list<u8> as base64 or an array of numbers", found)
            }
            Some(ty) => Mismatch::expected(ty, found),
        };
        self.sink.fail(mismatch)
    }

    /// Reads floats from their text, since serde_json's own reading is not exact.
    fn float<'de, D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        let text = <&RawValue>::deserialize(text)?.get();
        match self.ty {
            Some(Type::Option(_)) if text == "null" => self.visit_unit(),
            _ => {
                let Self { ty, sink } = self.open();
                let put = ty.map_or(Ok(()), |ty| put_float(ty, text, sink.out));
                sink.check(put)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        let inner = match self.ty {
            Some(Type::Option(some)) => Some(&**some),
            ty => ty,
        };
        match inner {
            Some(Type::F32 | Type::F64) => self.float(text),
            _ => text.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ty {
            Some(ty) => write!(f, "{ty}"),
            None => f.write_str("null"),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let node = self.open();
        match node.ty {
            Some(Type::Bool) => Writer(node.sink.out).bool(value),
            _ => return node.misfit(value),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let node = self.open();
        match node.ty.is_some_and(|ty| put_integer(ty, value, node.sink.out)) {
            true => Ok(()),
            false => node.misfit(value),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let node = self.open();
        match node.ty.is_some_and(|ty| put_integer(ty, value, node.sink.out)) {
            true => Ok(()),
            false => node.misfit(value),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.open().misfit(format_args!("the float {value:?}"))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.ty {
            None => {}
            Some(Type::Option(_)) => self.sink.out.push(0),
            Some(_) => return self.misfit("null"),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let node = self.open();
        let Some(ty) = node.ty else { return node.misfit(format_args!("string {text:?}")) };
        let out = &mut *node.sink.out;
        let put = match ty {
            Type::String => Writer(out).bytes(text.as_bytes()).map(|()| true),
            Type::Char => {
                let mut scalars = text.chars();
                let only = scalars.next().filter(|_| scalars.next().is_none());
                Ok(only.map(|scalar| Writer(out).char(scalar)).is_some())
            }
            Type::S64 | Type::U64 => Ok(put_decimal(ty, text, out)),
            Type::List(_) if ty.is_bytes() => put_base64(text, out),
            Type::Variant(_) | Type::Enum(_) => {
                objects::put_bare_case(ty, text, out).map(|()| true)
            }
            _ => Ok(false),
        };
        match node.sink.check(put)? {
            true => Ok(()),
            false => node.misfit(format_args!("string {text:?}")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { ty, sink } = self.open();
        match ty {
            Some(Type::List(element)) => {
                let at = Writer(sink.out).open_list();
                let mut count = 0;
                while let Some(()) = {
                    let next = elements.next_element_seed(Node { ty: Some(element), sink });
                    sink.step(next, |mismatch| mismatch.at_index(count))?
                } {
                    count += 1;
                }
                let closed = Writer(sink.out).close_list(at, count);
                sink.check(closed)
            }
            Some(Type::Tuple(types)) => Positions { types: types.iter(), sink }.visit_seq(elements),
            Some(Type::Flags(names)) => {
                let at = Writer(sink.out).flags(names.len());
                let mut count = 0;
                while let Some(name) = elements.next_element::<&RawValue>()? {
                    let set = objects::set_flag(names, at, name.get(), sink.out);
                    let set = sink.check(set);
                    sink.step(set, |mismatch| mismatch.at_index(count))?;
                    count += 1;
                }
                Ok(())
            }
            ty => Node { ty, sink }.misfit("an array"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let Self { ty, sink } = self.open();
        match ty {
            Some(Type::Record(fields)) => objects::Fields { fields, sink }.visit_map(entries),
            Some(Type::Flags(names)) => objects::flags(names, entries, sink),
            Some(ty @ Type::Variant(_)) => objects::variant(ty, entries, sink),
            Some(ty @ Type::Result { .. }) => objects::result(ty, entries, sink),
            Some(ty @ Type::Option(some)) => objects::some(ty, some, entries, sink),
            Some(ty) => objects::number(ty, entries, sink),
            ty => Node { ty, sink }.misfit("an object"),
        }
    }
}

fn put_base64(text: &str, out: &mut Vec<u8>) -> Result<bool, Mismatch> {
    let mut writer = Writer(out);
    let at = writer.open_list();
    let start = writer.0.len();
    let decoded = STANDARD.decode_vec(text, writer.0).is_ok();
    let count = writer.0.len() - start;
    writer.close_list(at, count).map(|()| decoded)
}

/// A fixed number of values by position: a tuple, or arguments.
struct Positions<'s, 'o, I> {
    types: I,
    sink: &'s mut Sink<'o>,
}

impl<'de, 't, I> Visitor<'de> for Positions<'_, '_, I>
where
    I: ExactSizeIterator<Item = &'t Type>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} values", self.types.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { types, sink } = self;
        let wanted = types.len();
        let expected = format_args!("{wanted} values");
        for (i, ty) in types.enumerate() {
            let next = elements.next_element_seed(Node { ty: Some(ty), sink });
            if sink.step(next, |mismatch| mismatch.at_index(i))?.is_none() {
                return sink.fail(Mismatch::expected(expected, i));
            }
        }
        match elements.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => sink.fail(Mismatch::expected(expected, "more")),
        }
    }
}
