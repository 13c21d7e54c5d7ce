//! Records of outcomes: one JSON object each.
//!
//! This module must not know where records go.

use super::forms::quote_str;
use crate::outcome::TaskError;
use std::io::Write as _;

/// Starts a record of a value, which follows, and then [`end_value`].
pub(super) fn begin_value(index: u64, out: &mut Vec<u8>) {
    push(out, format_args!("{{\"index\":{index},\"ok\":"));
}

/// Ends a record of a value.
pub(super) fn end_value(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Appends the record of an item without a value.
pub(super) fn error(index: u64, error: &TaskError, out: &mut Vec<u8>) {
    push(out, format_args!("{{\"index\":{index},\"error\":{{\"kind\":"));
    quote_str(error.kind().name(), out);
    out.extend_from_slice(b",\"message\":");
    quote_str(error.message(), out);
    if let Some(code) = error.code() {
        push(out, format_args!(",\"code\":{code}"));
    }
    if let Some((used, limit)) = error.used_of_limit() {
        push(out, format_args!(",\"used\":{used},\"limit\":{limit}"));
    }
    if error.attempts() > 1 {
        push(out, format_args!(",\"attempts\":{}", error.attempts()));
    }
    if let Some(backtrace) = error.backtrace() {
        out.extend_from_slice(b",\"backtrace\":");
        quote_str(backtrace, out);
    }
    out.extend_from_slice(b"}}");
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = out.write_fmt(text);
}
