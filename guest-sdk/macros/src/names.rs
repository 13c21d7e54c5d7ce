//! Names: from Rust to WIT, and to the names that wit-bindgen derives from those of WIT.
//!
//! This module must not quote identifiers: a caller of [`wit_name`] that writes WIT text puts `%`
//! before each, which makes keywords ordinary.

use crate::types::refuse;
use heck::{ToKebabCase, ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};
use syn::Result;
use syn::ext::IdentExt;

/// The functions of the C library whose names a task can have: one word, no capitals. Taken from
/// the `libc.a` of the targets wasm32-wasip1 and wasm32-wasip2, with `main` and `memory` added.
const C_LIBRARY: &str = include_str!("c_library.txt");

/// Type names that cannot be derived for, since a reader takes them for the standard types.
pub(crate) const STANDARD: [&str; 4] = ["Option", "Result", "String", "Vec"];

/// The kebab-case name of a Rust identifier.
pub(crate) fn wit_name(name: &Ident) -> Result<String> {
    let kebab = name.unraw().to_string().to_kebab_case();
    if matches!(kebab.as_str(), "gen" | "self") {
        return Err(refuse(name, "a keyword in the Rust that is generated: use another name"));
    }
    let valid = kebab.starts_with(|first: char| first.is_ascii_lowercase())
        && kebab.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid {
        return Ok(kebab);
    }
    Err(refuse(name, "not a name in WIT: use ASCII letters and digits, and begin with a letter"))
}

/// Refuses names that a core module cannot export without harm.
///
/// A task named `write` was tried: the linker lets the export take the place of the C library's
/// `write`, and everything that prints then traps.
pub(crate) fn check_export(name: &Ident, wit: &str) -> Result<()> {
    if C_LIBRARY.split_whitespace().any(|taken| taken == wit) {
        let advice = format!(
            "the C library in every WASI module has a function of this name, which the export \
             would replace: use another name, such as `{wit}_item`"
        );
        return Err(refuse(name, &advice));
    }
    Ok(())
}

/// The name of a type in what wit-bindgen generates.
pub(crate) fn generated_type(wit: &str) -> Ident {
    match wit {
        "guest" => Ident::new("Guest_", Span::call_site()),
        _ => generated_case(wit),
    }
}

/// The name of a case in what wit-bindgen generates.
pub(crate) fn generated_case(wit: &str) -> Ident {
    Ident::new(&wit.to_upper_camel_case(), Span::call_site())
}

/// The name of a field or of a function in what wit-bindgen generates.
pub(crate) fn generated_field(wit: &str) -> Ident {
    let name = wit.to_snake_case();
    let keyword = syn::parse_str::<Ident>(&name).is_err();
    Ident::new(&if keyword { name + "_" } else { name }, Span::call_site())
}
