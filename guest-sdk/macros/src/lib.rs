//! `#[task]` and `#[derive(TaskType)]` of `sandpool-guest`, which documents and re-exports them.
//!
//! This crate must not know the host, nor the canonical ABI: it writes WIT text and conversions,
//! and leaves lifting and lowering to wit-bindgen.
//!
//! A macro sees tokens and no types, so `fn f(p: Point)` does not say what a `Point` is. The derive
//! therefore leaves a second thing under the type's name, a `macro_rules!` that carries the
//! definition, and which an ordinary `use shapes::Point` imports together with the type. `#[task]`
//! asks the macro of every type in its signature, one after the other (`step`), and expands when
//! it has them all. A derive asks the types of its fields in the same way, so each name is resolved
//! where it was written.

mod convert;
mod definition;
mod expand;
mod names;
mod signature;
mod step;
mod table;
mod types;
mod wit;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a function a task: a typed export of the component. See the crate `sandpool-guest`.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::task(arguments.into(), function.into()).into()
}

/// Makes a struct or an enum usable in tasks. See the crate `sandpool-guest`.
#[proc_macro_derive(TaskType)]
pub fn task_type(item: TokenStream) -> TokenStream {
    let place = proc_macro::Span::call_site();
    // Two types of one name are told apart by where they were written.
    let place = format!("{}:{}:{}", place.file(), place.line(), place.column());
    expand::derive(&place, item.into()).into()
}

/// Takes one more definition, then asks for the next or finishes. Not public API: it is called by
/// the macros that [`macro@TaskType`] leaves behind.
#[doc(hidden)]
#[proc_macro]
pub fn step(state: TokenStream) -> TokenStream {
    expand::step(state.into()).into()
}
