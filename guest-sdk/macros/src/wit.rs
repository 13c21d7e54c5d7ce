//! The WIT text of one task.
//!
//! This module must not produce Rust.

use crate::definition::{Definition, Shape};
use crate::signature::Signature;
use crate::table::Table;
use crate::types::{PLAIN, Ty};

/// The name of the world of a task. Each task has its own; the linker merges them.
pub(crate) fn world(task: &str) -> String {
    format!("task-{task}")
}

/// A package with one world: the types, and the export.
///
/// The types stand in the world itself: an interface of their own would show up as an import.
pub(crate) fn package(signature: &Signature, table: &Table) -> String {
    let types = Types(&table.definitions);
    let mut text = format!("package sandpool:guest;\nworld {} {{\n", world(&signature.wit));
    for definition in &table.definitions {
        text.push_str(&types.definition(definition));
    }
    let parameters = signature.parameters.iter();
    let parameters = parameters.map(|(name, ty)| format!("%{name}: {}", types.ty(ty)));
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    let result = signature.result.as_ref().map(|ty| format!(" -> {}", types.ty(ty)));
    let result = result.unwrap_or_default();
    text + &format!("  export %{}: func({parameters}){result};\n}}\n", signature.wit)
}

/// Writes types; a reference is an index into the definitions.
struct Types<'a>(&'a [Definition]);

impl Types<'_> {
    fn definition(&self, definition: &Definition) -> String {
        let (keyword, members) = match &definition.shape {
            Shape::Record(fields) => {
                let fields =
                    fields.iter().map(|field| format!("%{}: {}", field.wit, self.ty(&field.of)));
                ("record", fields.collect::<Vec<_>>())
            }
            Shape::Cases(cases) => {
                let plain = cases.iter().all(|case| case.of.is_empty());
                let cases =
                    cases.iter().map(|case| format!("%{}{}", case.wit, self.payload(&case.of)));
                (if plain { "enum" } else { "variant" }, cases.collect())
            }
        };
        format!("  {keyword} %{} {{ {} }}\n", definition.wit, members.join(", "))
    }

    fn payload(&self, payload: &[Ty]) -> String {
        match payload {
            [] => String::new(),
            [one] => format!("({})", self.ty(one)),
            several => format!("(tuple<{}>)", self.list(several)),
        }
    }

    fn list(&self, types: &[Ty]) -> String {
        types.iter().map(|ty| self.ty(ty)).collect::<Vec<_>>().join(", ")
    }

    fn ty(&self, ty: &Ty) -> String {
        match ty {
            Ty::Plain(rust) => {
                let plain = PLAIN.iter().find(|(name, _)| name == rust);
                plain.map_or_else(|| (*rust).to_owned(), |(_, wit)| (*wit).to_owned())
            }
            Ty::List(of) => format!("list<{}>", self.ty(of)),
            Ty::Option(of) => format!("option<{}>", self.ty(of)),
            Ty::Result(None, None) => "result".to_owned(),
            Ty::Result(Some(ok), None) => format!("result<{}>", self.ty(ok)),
            Ty::Result(ok, Some(err)) => {
                let ok = ok.as_ref().map_or_else(|| "_".to_owned(), |ok| self.ty(ok));
                format!("result<{ok}, {}>", self.ty(err))
            }
            Ty::Tuple(parts) => format!("tuple<{}>", self.list(parts)),
            Ty::Named(index) => {
                self.0.get(*index).map(|named| format!("%{}", named.wit)).unwrap_or_default()
            }
        }
    }
}
