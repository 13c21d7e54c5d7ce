//! The binary form of values: untagged, compact, readable only with the [`Type`] at hand.
//!
//! | type | bytes |
//! |---|---|
//! | integers, floats | little-endian, as wide as the type |
//! | `bool` | one byte, 0 or 1 |
//! | `char` | its scalar value as `u32` |
//! | `string` | length in bytes as `u32`, then UTF-8 |
//! | `list<T>` | count as `u32`, then the elements; so `list<u8>` is its raw bytes after the count |
//! | `record`, `tuple` | the fields in declared order, nothing between |
//! | `enum`, `variant` | number of the case, then its payload if it has one |
//! | `option<T>` | 0, or 1 and the payload |
//! | `result<T, E>` | 0 and the ok payload if it has one, or 1 and the err payload if it has one |
//! | `flags` | one bit per flag, lowest first, in as few bytes as hold them, the rest zero |
//!
//! Case numbers are `u8` up to 256 cases, `u16` up to 65536, else `u32` (as in the component
//! model's canonical form). The parameters of a function are one after the other. A result is its
//! value, no result is no bytes; but one that is a `string` or `list<u8>` as a whole is its bytes
//! without the count, as whatever it travels in has a length.
//!
//! Readers treat every byte as hostile: counts are held against the bytes that are there before
//! anybody allocates, and elements without bytes (`list<tuple<>>`, which components cannot have)
//! are limited to [`EMPTIES_MAX`] in one value. This module must not know JSON, serde or an
//! engine.

use super::mismatch::Mismatch;
use super::types::Type;
use crate::buffers;

/// More than what a frame is filled up with.
const ALIGN: usize = 16;

/// How many elements without bytes one value may have, all lists together.
const EMPTIES_MAX: usize = 65536;

/// Takes values off the front of some bytes, checked.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
    empties: usize,
}

macro_rules! fixed_width {
    ($($name:ident),*) => {
        $(#[inline]
        pub(crate) fn $name(&mut self) -> Result<$name, Mismatch> {
            // Here and not in a function that returns the bytes: those were put together from
            // pieces, which cost as much as a whole call of a trivial function.
            let Some((head, rest)) = self.rest.split_first_chunk() else {
                return Err(self.short(size_of::<$name>()));
            };
            self.rest = rest;
            Ok($name::from_le_bytes(*head))
        })*
    };
}

impl<'b> Reader<'b> {
    #[inline]
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, empties: 0 }
    }

    fixed_width!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

    #[inline]
    pub(crate) fn bool(&mut self) -> Result<bool, Mismatch> {
        self.either("a bool")
    }

    pub(crate) fn char(&mut self) -> Result<char, Mismatch> {
        let scalar = self.u32()?;
        char::from_u32(scalar).ok_or_else(|| {
            Mismatch::expected("a Unicode scalar value", format_args!("{scalar:#x}"))
        })
    }

    pub(crate) fn string(&mut self) -> Result<&'b str, Mismatch> {
        let bytes = self.bytes()?;
        str::from_utf8(bytes).map_err(|error| Mismatch::expected("UTF-8", error))
    }

    /// The elements of a `list<u8>`.
    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Mismatch> {
        let length = self.count(&Type::U8)?;
        self.take(length)
    }

    /// The number of elements of a list, at most as many as the remaining bytes can hold, so that
    /// it is safe to allocate for them.
    pub(crate) fn count(&mut self, element: &Type) -> Result<usize, Mismatch> {
        let count = self.u32()? as usize;
        let size = element.min_size();
        let room = match size {
            0 => EMPTIES_MAX - self.empties,
            size => self.rest.len() / size,
        };
        if count > room {
            let elements = format_args!("at most {room} elements");
            return Err(Mismatch::expected(elements, format_args!("a count of {count}")));
        }
        if size == 0 {
            self.empties += count;
        }
        Ok(count)
    }

    /// The number of a case, less than `cases`.
    pub(crate) fn case(&mut self, cases: usize) -> Result<usize, Mismatch> {
        let case = match cases {
            0..=0x100 => usize::from(self.u8()?),
            0x101..=0x1_0000 => usize::from(self.u16()?),
            _ => self.u32()? as usize,
        };
        if case >= cases {
            let expected = format_args!("a case number below {cases}");
            return Err(Mismatch::expected(expected, case));
        }
        Ok(case)
    }

    /// Whether an option has a payload.
    pub(crate) fn is_some(&mut self) -> Result<bool, Mismatch> {
        self.either("an option")
    }

    /// Whether a result is an error.
    pub(crate) fn is_err(&mut self) -> Result<bool, Mismatch> {
        self.either("a result")
    }

    /// Which of `flags` flags are set.
    pub(crate) fn flags(&mut self, flags: usize) -> Result<Flags<'b>, Mismatch> {
        let bytes = self.take(flags.div_ceil(8))?;
        let set = Flags(bytes);
        if (flags..bytes.len() * 8).any(|beyond| set.has(beyond)) {
            return Err(Mismatch::because("expected zeros after the last flag"));
        }
        Ok(set)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// A mismatch if bytes remain.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), Mismatch> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.long()) }
    }

    #[inline]
    fn either(&mut self, what: &str) -> Result<bool, Mismatch> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(Mismatch::expected(format_args!("{what}, 0 or 1"), byte)),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'b [u8], Mismatch> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.short(length));
        };
        self.rest = rest;
        Ok(head)
    }

    #[cold]
    fn long(&self) -> Mismatch {
        Mismatch::expected("the end", format_args!("{} more bytes", self.rest.len()))
    }

    #[cold]
    fn short(&self, wanted: usize) -> Mismatch {
        Mismatch::expected(format_args!("{wanted} bytes"), format_args!("{}", self.rest.len()))
    }
}

/// The set flags of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags<'b>(&'b [u8]);

impl Flags<'_> {
    /// Tells whether flag `index` is set.
    pub(crate) fn has(self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }
}

/// Appends values. Numbers need nothing from it: append their `to_le_bytes`.
#[derive(Debug)]
pub(crate) struct Writer<'o>(pub(crate) &'o mut Vec<u8>);

impl Writer<'_> {
    #[inline]
    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    #[inline]
    pub(crate) fn char(&mut self, value: char) {
        self.0.extend_from_slice(&u32::from(value).to_le_bytes());
    }

    /// A string, or a `list<u8>` from its bytes.
    ///
    /// # Errors
    /// A mismatch if there are more than 2³² - 1 bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> Result<(), Mismatch> {
        // A long one is mostly the last of an item, whose frame is filled up behind it: without room
        // for that, all of it would be moved.
        buffers::reserve(self.0, value.len().saturating_add(size_of::<u32>() + ALIGN));
        self.count(value.len())?;
        self.0.extend_from_slice(value);
        Ok(())
    }

    /// Writes the count of a list whose elements follow.
    pub(crate) fn count(&mut self, elements: usize) -> Result<(), Mismatch> {
        self.0.extend_from_slice(&count(elements)?);
        Ok(())
    }

    /// Leaves room for the count of a list whose elements follow, and says where.
    pub(crate) fn open_list(&mut self) -> usize {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        at
    }

    /// Writes the count of a list into the room that [`Writer::open_list`] left at `at`.
    ///
    /// # Errors
    /// A mismatch if there are more than 2³² - 1 elements.
    pub(crate) fn close_list(&mut self, at: usize, elements: usize) -> Result<(), Mismatch> {
        let count = count(elements)?;
        if let Some(room) = self.0.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *room = count;
        }
        Ok(())
    }

    /// The number of a case, less than `cases`.
    pub(crate) fn case(&mut self, case: usize, cases: usize) {
        // A case number is an index into the cases, which the width covers.
        let bytes = (case as u32).to_le_bytes();
        let width = match cases {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        self.0.extend_from_slice(&bytes[..width]);
    }

    /// Writes `flags` flags, none of them set, and says where.
    pub(crate) fn flags(&mut self, flags: usize) -> usize {
        let at = self.0.len();
        self.0.resize(at + flags.div_ceil(8), 0);
        at
    }

    /// Sets flag `index` of those at `at`. False if it was set already.
    pub(crate) fn set_flag(&mut self, at: usize, index: usize) -> bool {
        let Some(byte) = self.0.get_mut(at + index / 8) else { return false };
        let bit = 1 << (index % 8);
        let fresh = *byte & bit == 0;
        *byte |= bit;
        fresh
    }
}

fn count(elements: usize) -> Result<[u8; 4], Mismatch> {
    let count = u32::try_from(elements);
    count
        .map(u32::to_le_bytes)
        .map_err(|_| Mismatch::expected("at most 4294967295 elements", elements))
}

/// Checks that `bytes` are one value of the type, and nothing more; without a type, nothing.
///
/// # Errors
/// A mismatch that says where the bytes are not such a value.
#[cfg(test)]
pub(crate) fn validate(ty: Option<&Type>, bytes: &[u8]) -> Result<(), Mismatch> {
    let mut reader = Reader::new(bytes);
    if let Some(ty) = ty {
        skip(ty, &mut reader)?;
    }
    reader.finish()
}

/// Reads over one value, checking it.
///
/// # Errors
/// A mismatch that says where the bytes are not such a value.
pub(crate) fn skip(ty: &Type, reader: &mut Reader<'_>) -> Result<(), Mismatch> {
    match ty {
        Type::Bool => reader.bool().map(drop),
        Type::Char => reader.char().map(drop),
        Type::S8 | Type::U8 => reader.u8().map(drop),
        Type::S16 | Type::U16 => reader.u16().map(drop),
        Type::S32 | Type::U32 | Type::F32 => reader.u32().map(drop),
        Type::S64 | Type::U64 | Type::F64 => reader.u64().map(drop),
        Type::String => reader.string().map(drop),
        Type::List(_) if ty.is_bytes() => reader.bytes().map(drop),
        Type::List(element) => {
            let count = reader.count(element)?;
            (0..count).try_for_each(|i| skip(element, reader).map_err(|error| error.at_index(i)))
        }
        Type::Record(fields) => fields
            .iter()
            .try_for_each(|(name, ty)| skip(ty, reader).map_err(|error| error.at_key(name))),
        Type::Tuple(types) => types
            .iter()
            .enumerate()
            .try_for_each(|(i, ty)| skip(ty, reader).map_err(|error| error.at_index(i))),
        Type::Enum(cases) => reader.case(cases.len()).map(drop),
        Type::Flags(names) => reader.flags(names.len()).map(drop),
        Type::Option(some) => match reader.is_some()? {
            true => skip(some, reader),
            false => Ok(()),
        },
        Type::Variant(_) | Type::Result { .. } => {
            let case = ty.read_case(reader)?;
            match case.payload {
                Some(ty) => skip(ty, reader).map_err(|error| error.at_key(case.name)),
                None => Ok(()),
            }
        }
    }
}

impl Type {
    /// The least number of bytes that a value can have, or something less, quick to tell; 0 only
    /// if all values have none.
    fn min_size(&self) -> usize {
        match self {
            Self::Bool | Self::S8 | Self::U8 | Self::Option(_) | Self::Result { .. } => 1,
            Self::S16 | Self::U16 => 2,
            Self::S32 | Self::U32 | Self::F32 | Self::Char | Self::String | Self::List(_) => 4,
            Self::S64 | Self::U64 | Self::F64 => 8,
            Self::Enum(_) | Self::Variant(_) => 1,
            Self::Flags(names) => names.len().div_ceil(8),
            Self::Record(fields) => usize::from(fields.iter().any(|(_, ty)| ty.min_size() > 0)),
            Self::Tuple(types) => usize::from(types.iter().any(|ty| ty.min_size() > 0)),
        }
    }
}
