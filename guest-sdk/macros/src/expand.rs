//! The expansions: of the attribute, of the derive, and of the last step of each.
//!
//! This module must not decide what is accepted.

use crate::convert::{self, Way};
use crate::definition::{Definition, Member, Shape};
use crate::names::generated_field;
use crate::signature::Signature;
use crate::step::{Asker, State};
use crate::table::Table;
use crate::types::{Reader, Ty};
use crate::wit;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{DeriveInput, Error, ItemFn, Path, Result};

/// `#[task]`: the function as it is, and a first question or the export.
pub(crate) fn task(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let Ok(item) = syn::parse2::<ItemFn>(function.clone()) else {
        let error = Error::new_spanned(&function, "`#[task]` stands before a free function");
        let error = error.into_compile_error();
        return quote!(#error #function);
    };
    if !arguments.is_empty() {
        let message = "`#[task]` takes no arguments: the export has the name of the function";
        let error = Error::new_spanned(&arguments, message).into_compile_error();
        return quote!(#error #item);
    }
    let name = &item.sig.ident;
    let mut reader = Reader::default();
    let expansion = Signature::read(&item.sig, &mut reader)
        .and_then(|_| advance(State::new(Asker::Task(Box::new(item.sig.clone())))));
    match expansion {
        Ok(expansion) => {
            let checks = reader.references.iter().map(check_derived);
            quote! {
                #item
                // Natively nothing calls a task that is private and has no test.
                #[cfg(not(target_family = "wasm"))]
                const _: () = { let _ = #name; };
                #(#checks)*
                #expansion
            }
        }
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#[allow(dead_code)] #item #error)
        }
    }
}

/// Makes the compiler say what is missing of a type without the derive.
///
/// That its macro cannot be found is reported first, in words that mean nothing to the user.
fn check_derived(path: &Path) -> TokenStream {
    let contains = contains_itself();
    quote_spanned!(path.span()=>
        const _: usize = <#path as ::sandpool_guest::TaskType>::#contains;
    )
}

/// `#[derive(TaskType)]`: the implementations, and a first question or the macro.
pub(crate) fn derive(place: &str, item: TokenStream) -> TokenStream {
    let expand = || {
        let mut item = syn::parse2::<DeriveInput>(item)?;
        strip_attributes(&mut item);
        let mut reader = Reader::default();
        let definition = Definition::read(place, &item, &mut reader)?;
        let implementations = implementations(&definition, &reader);
        let asker = Asker::Derive { place: place.to_owned(), item: Box::new(item) };
        let expansion = advance(State::new(asker))?;
        Ok(quote!(#implementations #expansion))
    };
    expand().unwrap_or_else(Error::into_compile_error)
}

/// The answer to a question, and what to ask or to do next.
pub(crate) fn step(state: TokenStream) -> TokenStream {
    syn::parse2(state).and_then(advance).unwrap_or_else(Error::into_compile_error)
}

fn advance(state: State) -> Result<TokenStream> {
    let mut reader = Reader::default();
    match &state.asker {
        Asker::Task(signature) => {
            let signature = Signature::read(signature, &mut reader)?;
            if let Some(question) = state.question(&reader) {
                return Ok(question);
            }
            let table = Table::merge(&reader.references, state.answers)?;
            Ok(export(&signature.renumber(&table.roots), &reader.references, &table))
        }
        Asker::Derive { place, item } => {
            let definition = Definition::read(place, item, &mut reader)?;
            if let Some(question) = state.question(&reader) {
                return Ok(question);
            }
            let table = Table::merge(&reader.references, state.answers)?;
            Ok(answering_macro(&table.with_first(definition)?))
        }
    }
}

/// The macro that answers with the definition of a type and of all that it contains.
fn answering_macro(table: &Table) -> TokenStream {
    let Some(first) = table.definitions.first() else { return TokenStream::new() };
    let name = &first.name;
    let hidden = format_ident!("__sandpool_type_{name}");
    let definitions = table.definitions.iter().map(Definition::encode);
    quote! {
        #[doc(hidden)]
        macro_rules! #hidden {
            ($($state:tt)*) => {
                ::sandpool_guest::__private::step! { { #(#definitions)* } $($state)* }
            };
        }
        // By path, so that it does not matter what stands first in the file.
        #[doc(hidden)]
        #[allow(unused_imports)]
        pub(crate) use #hidden as #name;
    }
}

/// What the conversions need of the user's type: it is written where the fields can be seen.
fn implementations(definition: &Definition, reader: &Reader) -> TokenStream {
    let name = &definition.name;
    let references = &reader.references;
    let positions = 0..references.len();
    let members = match &definition.shape {
        Shape::Record(fields) => record(name, fields, reader),
        Shape::Cases(cases) => self::cases(name, cases),
    };
    let taken = take_name(&definition.wit);
    let contains = contains_itself();
    // Spanned, so that a type without the derive is pointed at.
    let inner = references.iter().map(
        |path| quote_spanned!(path.span()=> + <#path as ::sandpool_guest::TaskType>::#contains),
    );
    quote! {
        #[automatically_derived]
        impl ::sandpool_guest::TaskType for #name {
            const #contains: usize = 1 #(#inner)*;
        }
        const _: usize = <#name as ::sandpool_guest::TaskType>::#contains;
        #(
            #[automatically_derived]
            impl ::sandpool_guest::__private::Nested<#positions> for #name {
                type Type = #references;
            }
        )*
        #members
        #taken
    }
}

/// A symbol that stands for the WIT name of a type, so that two types of one name do not link.
///
/// Without it they were tried in two tasks: the linker kept one definition, said nothing, and the
/// other task read its values by the wrong type.
fn take_name(wit: &str) -> TokenStream {
    let symbol = format!("only one type of a task module can be called `{wit}` in WIT");
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            #[unsafe(export_name = #symbol)]
            static TAKEN: u8 = 0;
        };
    }
}

/// The constant of `TaskType` that a type adds up over its parts.
///
/// Types that contain each other have macros that wait for each other, so no macro can see it. The
/// compiler does see that such a constant needs itself, and its message spells the name.
fn contains_itself() -> Ident {
    format_ident!("A_TYPE_THAT_CONTAINS_ITSELF_CANNOT_BE_EXPRESSED_IN_WIT")
}

fn record(name: &Ident, fields: &[Member<Ty>], reader: &Reader) -> TokenStream {
    let names = fields.iter().map(|field| &field.name).collect::<Vec<_>>();
    let named = |index: usize| {
        let path = reader.references.get(index);
        quote!(#path)
    };
    let types = fields.iter().map(|field| field.of.rust(&named));
    quote! {
        #[automatically_derived]
        impl ::sandpool_guest::__private::Record for #name {
            type Parts = (#(#types,)*);
            fn into_parts(self) -> Self::Parts {
                let Self { #(#names),* } = self;
                (#(#names,)*)
            }
            fn from_parts((#(#names,)*): Self::Parts) -> Self {
                Self { #(#names),* }
            }
        }
    }
}

fn cases(name: &Ident, cases: &[Member<Vec<Ty>>]) -> TokenStream {
    let arms = cases.iter().map(|Member { name, of, .. }| {
        let parts = (0..of.len()).map(|at| format_ident!("part{at}")).collect::<Vec<_>>();
        let case = match parts.as_slice() {
            [] => quote!(Self::#name),
            _ => quote!(Self::#name(#(#parts),*)),
        };
        quote!(#case => #case)
    });
    quote! {
        #[automatically_derived]
        impl ::sandpool_guest::__private::Cases for #name {
            fn rebuild(self) -> Self {
                match self { #(#arms),* }
            }
        }
    }
}

/// The export, on the targets that have exports. Types are numbered by the table.
fn export(signature: &Signature, references: &[Path], table: &Table) -> TokenStream {
    let Signature { name, wit, parameters, result } = signature;
    let (world, text) = (wit::world(wit), wit::package(signature, table));
    let conversions = convert::items(references, table);
    let method = generated_field(wit);
    let names = (0..parameters.len()).map(|at| format_ident!("parameter{at}")).collect::<Vec<_>>();
    let types = parameters.iter().map(|(_, ty)| convert::generated(table, ty));
    let values = parameters.iter().zip(&names);
    let values = values.map(|((_, ty), name)| convert::value(Way::In, ty, quote!(#name)));
    let call = quote!(#name(#(#values),*));
    let output = result.as_ref().map(|ty| convert::generated(table, ty));
    let output = output.map(|output| quote!(-> #output));
    let body = match result {
        None => call,
        Some(ty) => convert::value(Way::Out, ty, call),
    };
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            mod __wit {
                ::sandpool_guest::__private::wit_bindgen::generate!({
                    inline: #text,
                    world: #world,
                    // Else a folder `wit` of the guest would be read as well.
                    path: [],
                    runtime_path: "::sandpool_guest::__private::wit_bindgen::rt",
                });
            }
            #conversions
            struct __Export;
            impl __wit::Guest for __Export {
                fn #method(#(#names: #types),*) #output { #body }
            }
            __wit::export!(__Export with_types_in __wit);
        };
    }
}

/// Drops what only the compiler reads, such as doc comments, before the tokens travel.
fn strip_attributes(item: &mut DeriveInput) {
    item.attrs.clear();
    match &mut item.data {
        syn::Data::Struct(data) => data.fields.iter_mut().for_each(|field| field.attrs.clear()),
        syn::Data::Enum(data) => {
            for variant in &mut data.variants {
                variant.attrs.clear();
                variant.discriminant = None;
                variant.fields.iter_mut().for_each(|field| field.attrs.clear());
            }
        }
        syn::Data::Union(_) => {}
    }
}
