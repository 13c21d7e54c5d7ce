//! Sequences and maps of Rust values to the binary form.
//!
//! This module must not encode single values; it calls back for each.

use super::leaf::{Byte, Leaf, Name};
use super::{Encoder, Style, Target, find};
use crate::codec::binary::Writer;
use crate::codec::fields::Fields;
use crate::codec::mismatch::Mismatch;
use crate::codec::types::Type;
use serde::{Serialize, ser};

/// Most bytes to make room for on the word of a `Serialize`, which may be wrong.
const RESERVE_MAX: usize = 1 << 16;

/// Types by position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Types<'t> {
    Tuple(&'t [Type]),
    Arguments(&'t [(String, Type)]),
}

impl<'t> Types<'t> {
    fn get(self, index: usize) -> Option<&'t Type> {
        match self {
            Self::Tuple(types) => types.get(index),
            Self::Arguments(params) => params.get(index).map(|(_, ty)| ty),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Tuple(types) => types.len(),
            Self::Arguments(params) => params.len(),
        }
    }
}

/// Appends a `list<u8>` from numbers. They come one by one, and there are many, so they are
/// gathered where the compiler can keep them close.
pub(super) fn put_bytes<T: Serialize>(
    values: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let at = Writer(out).open_list();
    let start = out.len();
    let mut values = values.into_iter();
    let mut gathered = [0; 256];
    loop {
        let mut count = 0;
        for (byte, value) in gathered.iter_mut().zip(values.by_ref()) {
            let taken = value.serialize(Leaf(Byte));
            *byte = taken.map_err(|mismatch| mismatch.at_index(out.len() - start + count))?;
            count += 1;
        }
        out.extend_from_slice(gathered.get(..count).unwrap_or_default());
        if count < gathered.len() {
            let count = out.len() - start;
            return Writer(out).close_list(at, count);
        }
    }
}

/// A sequence or tuple that is being encoded.
pub(super) struct Elements<'t, 'o> {
    out: &'o mut Vec<u8>,
    count: usize,
    form: Sequence<'t>,
    /// The case whose payload this is, for the path of a mismatch.
    case: Option<&'t str>,
}

enum Sequence<'t> {
    List { element: &'t Type, at: usize },
    Fixed(Types<'t>),
    Flags { names: &'t [String], at: usize },
}

impl<'t, 'o> Elements<'t, 'o> {
    pub(super) fn list(element: &'t Type, length: Option<usize>, out: &'o mut Vec<u8>) -> Self {
        let at = Writer(out).open_list();
        out.reserve(length.unwrap_or(0).min(RESERVE_MAX));
        Self { out, count: 0, form: Sequence::List { element, at }, case: None }
    }

    pub(super) fn fixed(types: Types<'t>, out: &'o mut Vec<u8>) -> Self {
        Self { out, count: 0, form: Sequence::Fixed(types), case: None }
    }

    pub(super) fn flags(names: &'t [String], out: &'o mut Vec<u8>) -> Self {
        let at = Writer(out).flags(names.len());
        Self { out, count: 0, form: Sequence::Flags { names, at }, case: None }
    }

    pub(super) fn inside(self, case: &'t str) -> Self {
        Self { case: Some(case), ..self }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        let encoded = match self.form {
            Sequence::List { element, .. } => value.serialize(Encoder::value(element, self.out)),
            Sequence::Fixed(types) => match types.get(self.count) {
                Some(ty) => value.serialize(Encoder::value(ty, self.out)),
                None => return Err(self.within(wrong_length(types, "more"))),
            },
            Sequence::Flags { names, at } => {
                let flag = value.serialize(Leaf(Name(|name: &str| {
                    let flag = find(Style::Rust, names, name, 0);
                    flag.ok_or_else(|| Mismatch::unknown(names, name))
                })));
                flag.and_then(|flag| set_flag(names, flag, at, self.out))
            }
        };
        match encoded {
            Ok(()) => self.count += 1,
            Err(mismatch) => return Err(self.within(mismatch.at_index(self.count))),
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Mismatch> {
        let finished = match self.form {
            Sequence::List { at, .. } => Writer(self.out).close_list(at, self.count),
            Sequence::Fixed(types) if self.count < types.len() => {
                Err(wrong_length(types, &self.count.to_string()))
            }
            Sequence::Fixed(_) | Sequence::Flags { .. } => Ok(()),
        };
        finished.map_err(|mismatch| self.within(mismatch))
    }

    #[cold]
    fn within(&self, mismatch: Mismatch) -> Mismatch {
        in_case(mismatch, self.case)
    }
}

#[cold]
fn wrong_length(types: Types<'_>, found: &str) -> Mismatch {
    let what = if matches!(types, Types::Tuple(_)) { "values" } else { "arguments" };
    Mismatch::expected(format_args!("{} {what}", types.len()), found)
}

fn set_flag(names: &[String], flag: usize, at: usize, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    match Writer(out).set_flag(at, flag) {
        true => Ok(()),
        false => Err(Mismatch::twice(names.get(flag).map_or("", String::as_str))),
    }
}

fn in_case(mismatch: Mismatch, case: Option<&str>) -> Mismatch {
    match case {
        Some(name) => mismatch.at_key(name),
        None => mismatch,
    }
}

/// A struct or map that is being encoded.
pub(super) struct Entries<'t, 'o> {
    out: &'o mut Vec<u8>,
    form: Mapping<'t>,
    /// The field or flag whose value comes next.
    next: usize,
    /// The case whose payload this is, for the path of a mismatch.
    case: Option<&'t str>,
}

enum Mapping<'t> {
    Fields(Fields<'t>),
    Flags {
        names: &'t [String],
        at: usize,
        seen: Vec<bool>,
    },
    /// A variant or result as a map of one entry.
    Case {
        ty: &'t Type,
        payload: Option<(&'t str, Target<'t>)>,
    },
    Pairs {
        pair: &'t [Type],
        at: usize,
        count: usize,
    },
}

impl<'t, 'o> Entries<'t, 'o> {
    pub(super) fn fields(fields: &'t [(String, Type)], out: &'o mut Vec<u8>) -> Self {
        Self::new(Mapping::Fields(Fields::new(fields)), out)
    }

    pub(super) fn flags(names: &'t [String], out: &'o mut Vec<u8>) -> Self {
        let at = Writer(out).flags(names.len());
        Self::new(Mapping::Flags { names, at, seen: vec![false; names.len()] }, out)
    }

    pub(super) fn case(ty: &'t Type, out: &'o mut Vec<u8>) -> Self {
        Self::new(Mapping::Case { ty, payload: None }, out)
    }

    pub(super) fn pairs(pair: &'t [Type], out: &'o mut Vec<u8>) -> Self {
        let at = Writer(out).open_list();
        Self::new(Mapping::Pairs { pair, at, count: 0 }, out)
    }

    fn new(form: Mapping<'t>, out: &'o mut Vec<u8>) -> Self {
        Self { out, form, next: 0, case: None }
    }

    pub(super) fn inside(self, case: &'t str) -> Self {
        Self { case: Some(case), ..self }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Mismatch> {
        let entered = match &mut self.form {
            Mapping::Pairs { pair, count, .. } => match pair.first() {
                Some(ty) => key
                    .serialize(Encoder::value(ty, self.out))
                    .map_err(|mismatch| mismatch.at_index(0).at_index(*count)),
                None => Ok(()),
            },
            _ => key.serialize(Leaf(Name(|name: &str| self.name(name)))),
        };
        entered.map_err(|mismatch| in_case(mismatch, self.case))
    }

    /// Notes that the value of the entry called `name` comes next.
    fn name(&mut self, name: &str) -> Result<(), Mismatch> {
        match &mut self.form {
            Mapping::Fields(fields) => {
                let declared = fields.declared();
                let index = find(Style::Rust, declared, name, fields.hint())
                    .ok_or_else(|| Mismatch::unknown(declared, name).at_key(name))?;
                fields.enter(index, self.out).map_err(|mismatch| mismatch.at_key(name))?;
                self.next = index;
            }
            Mapping::Flags { names, seen, .. } => {
                let index = find(Style::Rust, names, name, self.next + 1)
                    .ok_or_else(|| Mismatch::unknown(names, name).at_key(name))?;
                let twice = seen.get_mut(index).is_none_or(|seen| std::mem::replace(seen, true));
                if twice {
                    return Err(Mismatch::twice(name).at_key(name));
                }
                self.next = index;
            }
            Mapping::Case { payload: Some(_), .. } => {
                let found = format_args!("`{name}`");
                return Err(Mismatch::expected("no further key", found).at_key(name));
            }
            Mapping::Case { ty, payload } => {
                let case = ty.find_case(Style::Rust, name);
                let case = case.ok_or_else(|| ty.unknown_case(name).at_key(name))?;
                case.write(self.out);
                *payload = Some((case.name, case.payload.into()));
            }
            Mapping::Pairs { .. } => {}
        }
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        let encoded = match &mut self.form {
            Mapping::Fields(fields) => match fields.declared().get(self.next) {
                Some((name, ty)) => {
                    let encoded = value.serialize(Encoder::value(ty, self.out));
                    fields.leave(self.next, self.out);
                    encoded.map_err(|mismatch| mismatch.at_key(name))
                }
                None => Ok(()),
            },
            Mapping::Flags { names, at, .. } => {
                let name = names.get(self.next).map_or("", String::as_str);
                let encoded = value.serialize(Encoder::value(&Type::Bool, self.out));
                if encoded.is_ok() && self.out.pop() == Some(1) {
                    Writer(self.out).set_flag(*at, self.next);
                }
                encoded.map_err(|mismatch| mismatch.at_key(name))
            }
            Mapping::Case { payload, .. } => match *payload {
                Some((name, target)) => value
                    .serialize(Encoder { target, out: self.out })
                    .map_err(|mismatch| mismatch.at_key(name)),
                None => Ok(()),
            },
            Mapping::Pairs { pair, count, .. } => match pair.get(1) {
                Some(ty) => {
                    *count += 1;
                    value
                        .serialize(Encoder::value(ty, self.out))
                        .map_err(|mismatch| mismatch.at_index(1).at_index(*count - 1))
                }
                None => Ok(()),
            },
        };
        encoded.map_err(|mismatch| in_case(mismatch, self.case))
    }

    fn finish(self) -> Result<(), Mismatch> {
        let finished = match self.form {
            Mapping::Fields(fields) => fields.finish(self.out),
            Mapping::Flags { .. } | Mapping::Case { payload: Some(_), .. } => Ok(()),
            Mapping::Case { ty, payload: None } => Err(Mismatch::expected(ty, "an empty map")),
            Mapping::Pairs { at, count, .. } => Writer(self.out).close_list(at, count),
        };
        finished.map_err(|mismatch| in_case(mismatch, self.case))
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Elements<'_, '_> {
            type Ok = ();
            type Error = Mismatch;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
                self.element(value)
            }

            fn end(self) -> Result<(), Mismatch> {
                self.finish()
            }
        })*
    };
}

sequences!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Entries<'_, '_> {
            type Ok = ();
            type Error = Mismatch;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Mismatch> {
                self.key(key)?;
                self.value(value)
            }

            fn end(self) -> Result<(), Mismatch> {
                self.finish()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Mismatch;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Mismatch> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Mismatch> {
        self.value(value)
    }

    fn end(self) -> Result<(), Mismatch> {
        self.finish()
    }
}
