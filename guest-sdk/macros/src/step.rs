//! Collecting definitions: one macro call asks for one definition and passes on what is known.
//!
//! This module must not expand anything itself; it says what to ask next, or that all is there.

use crate::definition::Definition;
use crate::types::Reader;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{DeriveInput, Ident, LitStr, Path, Result};

/// Who asks.
pub(crate) enum Asker {
    Task(Box<syn::Signature>),
    Derive { place: String, item: Box<DeriveInput> },
}

/// An asker with the answers to its first references.
///
/// The references are read from the asker's tokens again at every step, which keeps the state
/// small and the spans those of the user.
pub(crate) struct State {
    pub(crate) asker: Asker,
    pub(crate) answers: Vec<Vec<Definition>>,
}

impl State {
    pub(crate) fn new(asker: Asker) -> Self {
        Self { asker, answers: Vec::new() }
    }

    /// The question for the next reference that has no answer, if there is one.
    pub(crate) fn question(&self, reader: &Reader) -> Option<TokenStream> {
        let reference = reader.references.get(self.answers.len())?;
        let asker = match &self.asker {
            Asker::Task(signature) => quote!(task { #signature }),
            Asker::Derive { place, item } => quote!(derive #place { #item }),
        };
        let answers = self.answers.iter().map(|answer| {
            let definitions = answer.iter().map(Definition::encode);
            quote!({ #(#definitions)* })
        });
        Some(ask(reference, &quote!(#asker { #(#answers)* })))
    }
}

/// Calls the macro that a derive left under the name of its type.
fn ask(reference: &Path, state: &TokenStream) -> TokenStream {
    quote!(#reference! { #state })
}

impl Parse for State {
    /// Reads what arrives after a question: the new answer, then the state that was sent.
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let answer = parse_answer(input)?;
        let kind = input.parse::<Ident>()?;
        let content;
        let asker = if kind == "task" {
            syn::braced!(content in input);
            Asker::Task(Box::new(content.parse()?))
        } else {
            let place = input.parse::<LitStr>()?.value();
            syn::braced!(content in input);
            Asker::Derive { place, item: Box::new(content.parse()?) }
        };
        let list;
        syn::braced!(list in input);
        let mut answers = Vec::new();
        while !list.is_empty() {
            answers.push(parse_answer(&list)?);
        }
        answers.push(answer);
        Ok(Self { asker, answers })
    }
}

fn parse_answer(input: ParseStream<'_>) -> Result<Vec<Definition>> {
    let list;
    syn::braced!(list in input);
    let mut definitions = Vec::new();
    while !list.is_empty() {
        definitions.push(list.parse()?);
    }
    Ok(definitions)
}
