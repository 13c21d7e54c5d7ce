//! The type-guided codec: one compact binary form in the middle, and its adapters.
//!
//! ```text
//!   JSON text ── json ──┐                     ┌── engine values (the guest layer,
//!                       ├── binary, by `Type` ┤   over `Reader` and `Writer`)
//!   Rust values ─ serde ┘                     └── `validate`, `skip`
//! ```
//!
//! [`binary`] has the form itself. [`parse_params`] and [`print_value`] serve JSON, [`to_params`]
//! and [`from_value`] serve Rust values. Whatever does not fit ends in a [`Mismatch`], which says
//! where and why; on a mismatch the output is left as it was. `docs/json.md` publishes the JSON
//! mapping.
//!
//! This module must not name an engine, and must not panic whatever bytes it is given.

pub(crate) mod binary;
mod cases;
mod de;
mod fields;
pub(crate) mod json;
mod mismatch;
mod names;
mod numbers;
mod ser;
pub(crate) mod types;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use binary::validate;
pub(crate) use binary::{Reader, Writer};
pub(crate) use de::{from_large, from_result, from_value};
pub(crate) use json::parse_params;
pub(crate) use mismatch::Mismatch;
pub(crate) use ser::to_params;
