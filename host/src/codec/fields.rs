//! Puts named values that come in any order into the declared one.
//!
//! This module must not encode values; callers do that between [`Fields::enter`] and
//! [`Fields::leave`].

use super::mismatch::Mismatch;
use super::names::Named;
use super::types::Type;
use std::ops::Range;

/// The fields of one record, or the parameters of one call, while they are written.
///
/// As long as they come in declared order they stay where they were written, without allocation;
/// those that come after the first surprise are noted and moved at the end.
pub(super) struct Fields<'t> {
    fields: &'t [(String, Type)],
    /// How many fields were written in place, in order.
    ordered: usize,
    /// Where the bytes of the others begin.
    late_from: usize,
    /// Where the others are; empty as long as there is none.
    late: Vec<Option<Range<usize>>>,
}

impl<'t> Fields<'t> {
    pub(super) fn new(fields: &'t [(String, Type)]) -> Self {
        Self { fields, ordered: 0, late_from: 0, late: Vec::new() }
    }

    pub(super) fn declared(&self) -> &'t [(String, Type)] {
        self.fields
    }

    /// The field that comes next if the order is the declared one.
    pub(super) fn hint(&self) -> usize {
        self.ordered
    }

    /// Announces that the bytes of field `index` follow, and gives its type.
    pub(super) fn enter(&mut self, index: usize, out: &[u8]) -> Result<&'t Type, Mismatch> {
        let Some((name, ty)) = self.fields.get(index) else {
            return Err(Mismatch::because("no such field"));
        };
        if self.late.is_empty() && index == self.ordered {
            self.ordered += 1;
            return Ok(ty);
        }
        if self.late.is_empty() {
            self.late_from = out.len();
            self.late = vec![None; self.fields.len() - self.ordered];
        }
        match index.checked_sub(self.ordered).and_then(|late| self.late.get_mut(late)) {
            Some(place @ None) => *place = Some(out.len()..out.len()),
            _ => return Err(Mismatch::twice(name)),
        }
        Ok(ty)
    }

    /// Says that the bytes of field `index` have been written.
    pub(super) fn leave(&mut self, index: usize, out: &[u8]) {
        let late = index.checked_sub(self.ordered).and_then(|late| self.late.get_mut(late));
        if let Some(Some(place)) = late {
            place.end = out.len();
        }
    }

    /// Puts everything in order; an option that was not written is none, and anything else that
    /// was not written is a mismatch.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> Result<(), Mismatch> {
        let missing = self.fields.get(self.ordered..).unwrap_or_default();
        let late = match self.late.is_empty() {
            true => Vec::new(),
            false => out.split_off(self.late_from),
        };
        for (i, (name, ty)) in missing.iter().enumerate() {
            let place = self.late.get(i).cloned().flatten();
            let place = place.map(|at| at.start - self.late_from..at.end - self.late_from);
            match (place.and_then(|at| late.get(at)), ty) {
                (Some(bytes), _) => out.extend_from_slice(bytes),
                (None, Type::Option(_)) => out.push(0),
                (None, _) => return Err(Mismatch::expected(ty, "no such key").at_key(name.name())),
            }
        }
        Ok(())
    }
}
