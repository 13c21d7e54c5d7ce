//! The cases of variants, enums and results, which differ only in how they are declared.
//!
//! This module must not read or write payloads.

use super::binary::{Reader, Writer};
use super::mismatch::Mismatch;
use super::names::{Named, Style, find};
use super::types::Type;

/// The names of the two cases of a `result`.
const RESULT: [&str; 2] = ["ok", "err"];

/// One case of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'t> {
    pub(super) name: &'t str,
    pub(super) payload: Option<&'t Type>,
    index: usize,
    /// How many cases the type has.
    of: usize,
}

impl Case<'_> {
    /// Appends the number of the case; its payload must follow.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        Writer(out).case(self.index, self.of);
    }
}

impl Type {
    /// Reads which case follows; its payload is next.
    pub(super) fn read_case(&self, reader: &mut Reader<'_>) -> Result<Case<'_>, Mismatch> {
        let index = match self {
            Self::Variant(cases) => reader.case(cases.len())?,
            Self::Enum(cases) => reader.case(cases.len())?,
            _ => usize::from(reader.is_err()?),
        };
        self.case(index).ok_or_else(|| Mismatch::because(format_args!("no case {index} in {self}")))
    }

    /// Finds the case that `name` stands for, if there is one.
    pub(super) fn find_case(&self, style: Style, name: &str) -> Option<Case<'_>> {
        let index = match self {
            Self::Variant(cases) => find(style, cases, name, 0),
            Self::Enum(cases) => find(style, cases, name, 0),
            _ => find(style, &RESULT, name, 0),
        };
        self.case(index?)
    }

    /// The mismatch for a name that stands for no case.
    pub(super) fn unknown_case(&self, name: &str) -> Mismatch {
        match self {
            Self::Variant(cases) => Mismatch::unknown(cases, name),
            Self::Enum(cases) => Mismatch::unknown(cases, name),
            _ => Mismatch::unknown(&RESULT, name),
        }
    }

    fn case(&self, index: usize) -> Option<Case<'_>> {
        let (name, payload, of) = match self {
            Self::Variant(cases) => {
                let (name, payload) = cases.get(index)?;
                (name.name(), payload.as_ref(), cases.len())
            }
            Self::Enum(cases) => (cases.get(index)?.name(), None, cases.len()),
            Self::Result { ok, err } => {
                let payload = if index == 0 { ok } else { err };
                (*RESULT.get(index)?, payload.as_deref(), RESULT.len())
            }
            _ => return None,
        };
        Some(Case { name, payload, index, of })
    }
}
