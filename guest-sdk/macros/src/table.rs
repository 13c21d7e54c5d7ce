//! The definitions that a task or a type refers to, each once, directly or through others.
//!
//! This module must not read Rust source: it is given definitions that macros have answered.

use crate::definition::Definition;
use crate::types::refuse;
use syn::{Path, Result};

/// Definitions without duplicates; [`crate::types::Ty::Named`] inside them is an index into it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) definitions: Vec<Definition>,
    /// For every reference of the one who asked, its definition.
    pub(crate) roots: Vec<usize>,
}

impl Table {
    /// Puts the answers to `references` together. An answer is a table by itself, whose first
    /// definition is the one asked for.
    pub(crate) fn merge(references: &[Path], answers: Vec<Vec<Definition>>) -> Result<Self> {
        let mut table = Self::default();
        for (reference, answer) in references.iter().zip(answers) {
            let mut numbers = Vec::new();
            let mut new = Vec::new();
            for definition in answer {
                let number = table.number(reference, &definition)?;
                numbers.push(number);
                if number == table.definitions.len() {
                    new.push(number);
                    table.definitions.push(definition);
                }
            }
            for number in new {
                if let Some(definition) = table.definitions.get_mut(number) {
                    *definition = definition.clone().renumber(&numbers);
                }
            }
            table.roots.extend(numbers.first());
        }
        Ok(table)
    }

    /// Puts the definition of the one who asked before all others.
    pub(crate) fn with_first(self, first: Definition) -> Result<Self> {
        let shifted = (1..=self.definitions.len()).collect::<Vec<_>>();
        let roots = self.roots.iter().map(|root| root + 1).collect::<Vec<_>>();
        if self.definitions.iter().any(|other| other.wit == first.wit) {
            return Err(refuse(&first.name, &clash(&first.wit)));
        }
        let rest = self.definitions.into_iter().map(|definition| definition.renumber(&shifted));
        let definitions = std::iter::once(first.renumber(&roots)).chain(rest).collect();
        Ok(Self { definitions, roots })
    }

    /// The index that a definition has, or would have if it were added.
    fn number(&self, reference: &Path, definition: &Definition) -> Result<usize> {
        for (index, known) in self.definitions.iter().enumerate() {
            if known.place == definition.place && known.name == definition.name {
                return Ok(index);
            }
            if known.wit == definition.wit {
                return Err(refuse(reference, &clash(&known.wit)));
            }
        }
        Ok(self.definitions.len())
    }
}

fn clash(name: &str) -> String {
    format!(
        "two different types called `{name}` in WIT meet here, and a component has one namespace: \
         rename one"
    )
}
