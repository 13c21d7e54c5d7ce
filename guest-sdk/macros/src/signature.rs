//! The signature of a task: what is accepted, and its types.
//!
//! This module must not look at the body of the function.

use crate::definition::{Errors, Names};
use crate::names::{check_export, wit_name};
use crate::types::{Reader, Ty};
use proc_macro2::Ident;
use syn::{Error, FnArg, Pat, Result, ReturnType};

/// What the export looks like.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: Ident,
    /// The name of the export.
    pub(crate) wit: String,
    /// WIT names and types.
    pub(crate) parameters: Vec<(String, Ty)>,
    pub(crate) result: Option<Ty>,
}

impl Signature {
    /// Reads a signature. Types are numbered by `reader`.
    pub(crate) fn read(signature: &syn::Signature, reader: &mut Reader) -> Result<Self> {
        let mut errors = Errors::default();
        check_form(signature, &mut errors);
        let name = &signature.ident;
        let wit = errors.take(wit_name(name).and_then(|wit| {
            check_export(name, &wit)?;
            Ok(wit)
        }));
        let mut names = Names::default();
        let mut parameters = Vec::new();
        for input in &signature.inputs {
            let FnArg::Typed(parameter) = input else {
                errors.add(Error::new_spanned(input, "a task is a free function, without `self`"));
                continue;
            };
            let name = errors.take(parameter_name(&parameter.pat, &mut names));
            if let (Some(ty), Some(name)) = (errors.take(reader.read(&parameter.ty)), name) {
                parameters.push((name, ty));
            }
        }
        let result = match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => errors.take(reader.read_or_nothing(ty)).flatten(),
        };
        errors.finish(())?;
        Ok(Self { name: name.clone(), wit: wit.unwrap_or_default(), parameters, result })
    }

    /// The same signature with references numbered anew.
    pub(crate) fn renumber(self, new: &[usize]) -> Self {
        let parameters = self.parameters.into_iter().map(|(name, ty)| (name, ty.renumber(new)));
        let parameters = parameters.collect();
        let result = self.result.map(|ty| ty.renumber(new));
        Self { parameters, result, ..self }
    }
}

fn check_form(signature: &syn::Signature, errors: &mut Errors) {
    if let Some(token) = &signature.asyncness {
        let message = "a task cannot be `async`: its instance runs one item at a time, so remove \
                       `async` and wait where the value is needed";
        errors.add(Error::new_spanned(token, message));
    }
    if !signature.generics.params.is_empty() {
        let message = "a task cannot be generic: an export has one type, so write one function \
                       for every type that is needed";
        errors.add(Error::new_spanned(&signature.generics, message));
    }
    if let Some(abi) = &signature.abi {
        let message = "a task has Rust's own calling convention: remove this";
        errors.add(Error::new_spanned(abi, message));
    }
    if let syn::Safety::Unsafe(token) = &signature.safety {
        errors
            .add(Error::new_spanned(token, "a task is called by the host: it cannot be `unsafe`"));
    }
    if let Some(variadic) = &signature.variadic {
        errors.add(Error::new_spanned(variadic, "a task has a fixed number of parameters"));
    }
}

fn parameter_name(pattern: &Pat, names: &mut Names) -> Result<String> {
    match pattern {
        Pat::Ident(named) if named.subpat.is_none() && named.by_ref.is_none() => {
            names.add(&named.ident, "parameter")
        }
        other => Err(Error::new_spanned(
            other,
            "a parameter needs a name, which becomes its name in WIT: take the value apart in the \
             body",
        )),
    }
}
