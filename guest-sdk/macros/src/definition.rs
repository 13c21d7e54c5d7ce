//! Structs and enums: what a derive accepts, and how a definition travels between macros.
//!
//! This module must not know where a definition came from, nor what it is asked for.

use crate::names::{STANDARD, wit_name};
use crate::types::{Reader, Ty, encoded_reference, refuse};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{
    Data, DataEnum, DataStruct, DeriveInput, Error, Fields, LitInt, LitStr, Result, Variant,
};

/// A struct or an enum that can cross.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Where it was written: equal for equal types only.
    pub(crate) place: String,
    pub(crate) name: Ident,
    pub(crate) wit: String,
    pub(crate) shape: Shape,
    /// The definitions it refers to, in the order in which its fields mention them. The position
    /// is the `N` of `Nested<N>`, the number an index into the table it stands in.
    pub(crate) nested: Vec<usize>,
}

/// What is in it. [`Ty::Named`] is an index into the table that the definition stands in.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Record(Vec<Member<Ty>>),
    Cases(Vec<Member<Vec<Ty>>>),
}

/// A field with its type, or a case with its payload.
#[derive(Clone, Debug)]
pub(crate) struct Member<T> {
    pub(crate) name: Ident,
    pub(crate) wit: String,
    pub(crate) of: T,
}

impl<T> Member<T> {
    fn new(name: &Ident, of: T) -> Result<Self> {
        Ok(Self { name: name.clone(), wit: wit_name(name)?, of })
    }
}

impl Definition {
    /// Reads the item under a derive. Types are numbered by `reader`.
    pub(crate) fn read(place: &str, item: &DeriveInput, reader: &mut Reader) -> Result<Self> {
        let name = &item.ident;
        if STANDARD.iter().any(|standard| name == standard) {
            let advice = "tasks take this for the type of the standard library: use another name";
            return Err(refuse(name, advice));
        }
        let wit = wit_name(name)?;
        if !item.generics.params.is_empty() {
            return Err(Error::new_spanned(
                &item.generics,
                format!(
                    "`{name}` has parameters, and WIT has no generics and no borrowed data: give \
                     every combination that is needed a type of its own"
                ),
            ));
        }
        let shape = match &item.data {
            Data::Struct(data) => read_record(name, data, reader)?,
            Data::Enum(data) => read_cases(name, data, reader)?,
            Data::Union(data) => {
                return Err(refuse(&data.union_token, "only structs and enums can cross"));
            }
        };
        if let Some(path) = reader.references.iter().find(|path| path.is_ident(name)) {
            let advice = "a type that contains itself cannot be expressed in WIT: keep the parts \
                          in a `Vec` and refer to them by index";
            return Err(refuse(path, advice));
        }
        let nested = (0..reader.references.len()).collect();
        Ok(Self { place: place.to_owned(), name: name.clone(), wit, shape, nested })
    }

    /// The same definition in another table.
    pub(crate) fn renumber(mut self, new: &[usize]) -> Self {
        let types = match &mut self.shape {
            Shape::Record(fields) => {
                fields.iter_mut().map(|field| &mut field.of).collect::<Vec<_>>()
            }
            Shape::Cases(cases) => cases.iter_mut().flat_map(|case| &mut case.of).collect(),
        };
        for ty in types {
            *ty = ty.renumber(new);
        }
        for index in &mut self.nested {
            *index = new.get(*index).copied().unwrap_or(*index);
        }
        self
    }

    /// The definition as tokens, which [`Parse`] reads back.
    pub(crate) fn encode(&self) -> TokenStream {
        let Self { place, name, wit: _, shape, nested } = self;
        let ty = |ty: &Ty| {
            ty.rust(&|index| {
                let name = encoded_reference(index);
                quote!(#name)
            })
        };
        let body = match shape {
            Shape::Record(fields) => {
                let fields = fields.iter().map(|Member { name, of, .. }| {
                    let of = ty(of);
                    quote!(#name: #of)
                });
                quote!(struct #name { #(#fields),* })
            }
            Shape::Cases(cases) => {
                let cases = cases.iter().map(|Member { name, of, .. }| {
                    let payload = of.iter().map(ty);
                    quote!(#name(#(#payload),*))
                });
                quote!(enum #name { #(#cases),* })
            }
        };
        quote!(#place [#(#nested)*] #body)
    }
}

impl Parse for Definition {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let place = input.parse::<LitStr>()?.value();
        let list;
        syn::bracketed!(list in input);
        let mut nested = Vec::new();
        while !list.is_empty() {
            nested.push(list.parse::<LitInt>()?.base10_parse()?);
        }
        let item = input.parse::<DeriveInput>()?;
        let mut reader = Reader::default();
        let read = |field: &syn::Field, reader: &mut Reader| reader.read(&field.ty);
        let shape = match &item.data {
            Data::Struct(data) => {
                let fields =
                    data.fields.iter().filter_map(|field| Some((field.ident.clone()?, field)));
                let fields =
                    fields.map(|(name, field)| Member::new(&name, read(field, &mut reader)?));
                Shape::Record(fields.collect::<Result<_>>()?)
            }
            Data::Enum(data) => {
                let cases = data.variants.iter().map(|variant| {
                    let payload = variant.fields.iter().map(|field| read(field, &mut reader));
                    Member::new(&variant.ident, payload.collect::<Result<_>>()?)
                });
                Shape::Cases(cases.collect::<Result<_>>()?)
            }
            Data::Union(_) => return Err(input.error("not an encoded definition")),
        };
        // The reader numbered by first appearance; the names say the numbers that are meant.
        let meant = reader.references.iter().map(decoded_reference).collect::<Result<Vec<_>>>()?;
        let (wit, name) = (wit_name(&item.ident)?, item.ident);
        let definition = Self { place, name, wit, shape, nested: Vec::new() };
        Ok(Self { nested, ..definition.renumber(&meant) })
    }
}

fn decoded_reference(path: &syn::Path) -> Result<usize> {
    let name = path.require_ident()?.to_string();
    let digits = name.strip_prefix("__").and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| refuse(path, "not an encoded reference"))
}

fn read_record(name: &Ident, data: &DataStruct, reader: &mut Reader) -> Result<Shape> {
    let fields = match &data.fields {
        Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(
                fields,
                format!(
                    "the fields of `{name}` need names, since WIT records have named fields: \
                     write `struct {name} {{ … }}`"
                ),
            ));
        }
        Fields::Named(_) | Fields::Unit => {
            return Err(refuse(name, "a record needs at least one field"));
        }
    };
    let mut names = Names::default();
    let mut record = Vec::new();
    let mut errors = Errors::default();
    for field in fields {
        let Some(name) = &field.ident else { continue };
        errors.take(names.add(name, "field"));
        let member = reader.read(&field.ty).and_then(|ty| Member::new(name, ty));
        record.extend(errors.take(member));
    }
    errors.finish(Shape::Record(record))
}

fn read_cases(name: &Ident, data: &DataEnum, reader: &mut Reader) -> Result<Shape> {
    if data.variants.is_empty() {
        return Err(refuse(name, "an enum needs at least one variant"));
    }
    let mut names = Names::default();
    let mut cases = Vec::new();
    let mut errors = Errors::default();
    for variant in &data.variants {
        errors.take(names.add(&variant.ident, "variant"));
        let member =
            read_payload(variant, reader).and_then(|payload| Member::new(&variant.ident, payload));
        cases.extend(errors.take(member));
    }
    errors.finish(Shape::Cases(cases))
}

fn read_payload(variant: &Variant, reader: &mut Reader) -> Result<Vec<Ty>> {
    match &variant.fields {
        Fields::Unit => Ok(Vec::new()),
        Fields::Unnamed(fields) if !fields.unnamed.is_empty() => {
            fields.unnamed.iter().map(|field| reader.read(&field.ty)).collect()
        }
        Fields::Unnamed(fields) => {
            Err(Error::new_spanned(fields, "an empty payload is not accepted: leave out the `()`"))
        }
        Fields::Named(fields) => Err(Error::new_spanned(
            fields,
            format!(
                "a WIT case has one payload without field names: move these fields to a struct \
                 and write `{}(ThatStruct)`",
                variant.ident
            ),
        )),
    }
}

/// Refuses names that differ in Rust and not in WIT.
#[derive(Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Notes the name of a `what`, and gives its WIT name.
    pub(crate) fn add(&mut self, name: &Ident, what: &str) -> Result<String> {
        let wit = wit_name(name)?;
        if self.0.contains(&wit) {
            return Err(refuse(name, &format!("another {what} is called `{wit}` in WIT as well")));
        }
        self.0.push(wit.clone());
        Ok(wit)
    }
}

/// Collects errors, so that all of an item's are seen at once.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}
