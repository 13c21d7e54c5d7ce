//! Conversions between the user's types and those that wit-bindgen generates from the WIT.
//!
//! This module must not convert what is the same on both sides: a `Vec<u8>` is passed through.
//! wit-bindgen's `with` would spare the conversions, but it wants the fields public, and all names
//! spelled as it would spell them.

use crate::definition::{Definition, Member, Shape};
use crate::names::{generated_case, generated_field, generated_type};
use crate::table::Table;
use crate::types::Ty;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::Path;

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the host: generated to the user's.
    In,
    /// To the host: the user's to generated.
    Out,
}

/// The user's type of a definition.
pub(crate) fn user_type(index: usize) -> Ident {
    format_ident!("__User{index}")
}

fn function(way: Way, index: usize) -> Ident {
    match way {
        Way::In => format_ident!("__in_{index}"),
        Way::Out => format_ident!("__out_{index}"),
    }
}

/// The aliases and the functions that [`value`] uses.
pub(crate) fn items(references: &[Path], table: &Table) -> TokenStream {
    let mut items = aliases(references, table);
    for (index, definition) in table.definitions.iter().enumerate() {
        items.extend(functions(index, definition));
    }
    items
}

/// Names every user type in the scope of the task: those in its signature by the path written
/// there, the others through the types that contain them.
fn aliases(references: &[Path], table: &Table) -> TokenStream {
    let mut aliases = TokenStream::new();
    let mut named = vec![false; table.definitions.len()];
    let mut waiting = Vec::new();
    for (path, root) in references.iter().zip(&table.roots) {
        if let Some(named @ false) = named.get_mut(*root) {
            *named = true;
            let alias = user_type(*root);
            aliases.extend(quote!(type #alias = #path;));
            waiting.push(*root);
        }
    }
    while let Some(outer) = waiting.pop() {
        let Some(definition) = table.definitions.get(outer) else { continue };
        for (position, inner) in definition.nested.iter().enumerate() {
            if let Some(named @ false) = named.get_mut(*inner) {
                *named = true;
                let (outer, alias) = (user_type(outer), user_type(*inner));
                aliases.extend(quote! {
                    type #alias = <#outer as ::sandpool_guest::__private::Nested<#position>>::Type;
                });
                waiting.push(*inner);
            }
        }
    }
    aliases
}

fn functions(index: usize, definition: &Definition) -> TokenStream {
    let (user, generated) = (user_type(index), generated_type(&definition.wit));
    let (into, out) = (function(Way::In, index), function(Way::Out, index));
    let (body_in, body_out) = match &definition.shape {
        Shape::Record(fields) => record(&user, &generated, fields),
        Shape::Cases(cases) => (
            case_arms(Way::In, &user, &generated, cases),
            case_arms(Way::Out, &user, &generated, cases),
        ),
    };
    quote! {
        fn #into(value: __wit::#generated) -> #user { #body_in }
        fn #out(value: #user) -> __wit::#generated { #body_out }
    }
}

fn record(user: &Ident, generated: &Ident, fields: &[Member<Ty>]) -> (TokenStream, TokenStream) {
    let mut ins = Vec::new();
    let mut outs = Vec::new();
    let mut parts = Vec::new();
    for (position, Member { wit, of, .. }) in fields.iter().enumerate() {
        let field = generated_field(wit);
        let part = format_ident!("part{position}");
        ins.push(value(Way::In, of, quote!(value.#field)));
        let converted = value(Way::Out, of, quote!(#part));
        outs.push(quote!(#field: #converted));
        parts.push(part);
    }
    let record = quote!(::sandpool_guest::__private::Record);
    (
        quote!(<#user as #record>::from_parts((#(#ins,)*))),
        quote! {
            let (#(#parts,)*) = <#user as #record>::into_parts(value);
            __wit::#generated { #(#outs),* }
        },
    )
}

fn case_arms(way: Way, user: &Ident, generated: &Ident, cases: &[Member<Vec<Ty>>]) -> TokenStream {
    let mut arms = TokenStream::new();
    for Member { name, wit, of: payload } in cases {
        let generated_case = generated_case(wit);
        let (user, generated) = (quote!(#user::#name), quote!(__wit::#generated::#generated_case));
        let names = (0..payload.len()).map(|part| format_ident!("part{part}")).collect::<Vec<_>>();
        let values = payload.iter().zip(&names).map(|(ty, name)| value(way, ty, quote!(#name)));
        let values = values.collect::<Vec<_>>();
        arms.extend(match (payload.len(), way) {
            (0, Way::In) => quote!(#generated => #user,),
            (0, Way::Out) => quote!(#user => #generated,),
            (1, Way::In) => quote!(#generated(#(#names)*) => #user(#(#values)*),),
            (1, Way::Out) => quote!(#user(#(#names)*) => #generated(#(#values)*),),
            (_, Way::In) => quote!(#generated((#(#names),*)) => #user(#(#values),*),),
            (_, Way::Out) => quote!(#user(#(#names),*) => #generated((#(#values),*)),),
        });
    }
    quote!(match value { #arms })
}

/// An expression that converts the expression `from`.
pub(crate) fn value(way: Way, ty: &Ty, from: TokenStream) -> TokenStream {
    if !ty.has_named() {
        return from;
    }
    let closure = |ty: &Ty| {
        let body = value(way, ty, quote!(inner));
        quote!(|inner| #body)
    };
    match ty {
        Ty::Plain(_) => from,
        Ty::List(of) => {
            let each = closure(of);
            quote!(#from.into_iter().map(#each).collect::<::std::vec::Vec<_>>())
        }
        Ty::Option(of) => {
            let each = closure(of);
            quote!(#from.map(#each))
        }
        Ty::Result(ok, err) => {
            let side = |side: &Option<Box<Ty>>, method: Ident| {
                let side = side.as_deref().filter(|ty| ty.has_named())?;
                let each = closure(side);
                Some(quote!(.#method(#each)))
            };
            let (ok, err) = (side(ok, format_ident!("map")), side(err, format_ident!("map_err")));
            quote!(#from #ok #err)
        }
        Ty::Tuple(parts) => {
            let names =
                (0..parts.len()).map(|part| format_ident!("item{part}")).collect::<Vec<_>>();
            let values = parts.iter().zip(&names).map(|(ty, name)| value(way, ty, quote!(#name)));
            quote!({ let (#(#names,)*) = #from; (#(#values,)*) })
        }
        Ty::Named(index) => {
            let function = function(way, *index);
            quote!(#function(#from))
        }
    }
}

/// A type as wit-bindgen generates it.
pub(crate) fn generated(table: &Table, ty: &Ty) -> TokenStream {
    ty.rust(&|index| {
        let name = table.definitions.get(index).map(|named| generated_type(&named.wit));
        quote!(__wit::#name)
    })
}
