//! JSON text to the binary form and back, streamed: no tree of values in between.
//!
//! The mapping is published in `docs/json.md`, with test vectors. This module must not know
//! functions beyond their signatures, nor split text into items.

mod objects;
mod parse;
mod print;
mod scalars;

pub(crate) use parse::parse_params;
pub(crate) use print::print_value;

use super::types::Type;

impl Type {
    /// Whether a value of this type can be `null` in JSON, so that an option of it must be
    /// wrapped: exactly the options.
    fn can_be_null(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}
