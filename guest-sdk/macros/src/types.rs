//! Rust types as they are written, and what they are in WIT.
//!
//! This module must not look up what a name means: a name it does not know is a reference, to be
//! answered by the macro of that name.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, Path, PathArguments, Result, Type, TypePath};

/// What a message adds when nothing better can be said.
pub(crate) const ACCEPTED: &str = "accepted are `bool`, `char`, `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `String`, `Vec<T>`, \
     `Option<T>`, `Result<T, E>`, tuples, and structs and enums with `#[derive(TaskType)]`";

/// A type that can cross. `N` says which definition a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    /// A primitive or `String`: the Rust name.
    Plain(&'static str),
    List(Box<Ty>),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Tuple(Vec<Ty>),
    /// A struct or an enum: an index, into the references of a reader or into a table.
    Named(usize),
}

/// The Rust names of the types without parts, with their WIT names.
pub(crate) const PLAIN: [(&str, &str); 13] = [
    ("bool", "bool"),
    ("char", "char"),
    ("u8", "u8"),
    ("u16", "u16"),
    ("u32", "u32"),
    ("u64", "u64"),
    ("i8", "s8"),
    ("i16", "s16"),
    ("i32", "s32"),
    ("i64", "s64"),
    ("f32", "f32"),
    ("f64", "f64"),
    ("String", "string"),
];

impl Ty {
    /// The same type with every reference replaced.
    pub(crate) fn renumber(&self, new: &[usize]) -> Self {
        let boxed = |ty: &Self| Box::new(ty.renumber(new));
        match self {
            Self::Plain(name) => Self::Plain(name),
            Self::List(of) => Self::List(boxed(of)),
            Self::Option(of) => Self::Option(boxed(of)),
            Self::Result(ok, err) => {
                Self::Result(ok.as_deref().map(boxed), err.as_deref().map(boxed))
            }
            Self::Tuple(parts) => {
                Self::Tuple(parts.iter().map(|part| part.renumber(new)).collect())
            }
            Self::Named(old) => Self::Named(new.get(*old).copied().unwrap_or(*old)),
        }
    }

    /// Whether a struct or an enum is in it, so that its value has to be converted.
    pub(crate) fn has_named(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::List(of) | Self::Option(of) => of.has_named(),
            Self::Result(ok, err) => [ok, err].into_iter().flatten().any(|of| of.has_named()),
            Self::Tuple(parts) => parts.iter().any(Self::has_named),
            Self::Named(_) => true,
        }
    }

    /// The type in Rust, with `named` in the place of references.
    pub(crate) fn rust(&self, named: &dyn Fn(usize) -> TokenStream) -> TokenStream {
        let part = |part: &Option<Box<Self>>| match part {
            Some(ty) => ty.rust(named),
            None => quote!(()),
        };
        match self {
            Self::Plain("String") => quote!(::std::string::String),
            Self::Plain(name) => format_ident!("{name}").into_token_stream(),
            Self::List(of) => {
                let of = of.rust(named);
                quote!(::std::vec::Vec<#of>)
            }
            Self::Option(of) => {
                let of = of.rust(named);
                quote!(::core::option::Option<#of>)
            }
            Self::Result(ok, err) => {
                let (ok, err) = (part(ok), part(err));
                quote!(::core::result::Result<#ok, #err>)
            }
            Self::Tuple(parts) => {
                let parts = parts.iter().map(|part| part.rust(named));
                quote!((#(#parts,)*))
            }
            Self::Named(index) => named(*index),
        }
    }
}

/// Reads types and collects the names that it cannot know.
#[derive(Default)]
pub(crate) struct Reader {
    /// The names, in the order of their first appearance; [`Ty::Named`] is an index into them.
    pub(crate) references: Vec<Path>,
}

impl Reader {
    /// Reads the type of a parameter, a field or a part.
    pub(crate) fn read(&mut self, ty: &Type) -> Result<Ty> {
        match ty {
            Type::Paren(inner) => self.read(&inner.elem),
            Type::Group(inner) => self.read(&inner.elem),
            Type::Path(path) => self.read_path(path),
            Type::Tuple(tuple) if tuple.elems.is_empty() => Err(refuse(
                ty,
                "`()` is accepted only as a function's result and in a `Result`: leave it out here",
            )),
            Type::Tuple(tuple) => {
                tuple.elems.iter().map(|part| self.read(part)).collect::<Result<_>>().map(Ty::Tuple)
            }
            _ => Err(refuse(ty, &advice_for_shape(ty))),
        }
    }

    /// Reads one side of a `Result`, or a function's result, where `()` means nothing.
    pub(crate) fn read_or_nothing(&mut self, ty: &Type) -> Result<Option<Ty>> {
        match ty {
            Type::Paren(inner) => self.read_or_nothing(&inner.elem),
            Type::Group(inner) => self.read_or_nothing(&inner.elem),
            Type::Tuple(tuple) if tuple.elems.is_empty() => Ok(None),
            _ => self.read(ty).map(Some),
        }
    }

    fn read_path(&mut self, ty: &TypePath) -> Result<Ty> {
        let Some(last) = ty.path.segments.last().filter(|_| ty.qself.is_none()) else {
            return Err(refuse(ty, "an associated type is not accepted: spell the type itself"));
        };
        let name = last.ident.to_string();
        let arguments = type_arguments(&last.arguments);
        if let (true, Ok(arguments)) = (from_std(&ty.path), &arguments) {
            match (name.as_str(), arguments.as_slice()) {
                ("Vec", [of]) => return Ok(Ty::List(Box::new(self.read(of)?))),
                ("Option", [of]) => return Ok(Ty::Option(Box::new(self.read(of)?))),
                ("Result", [ok, err]) => {
                    let ok = self.read_or_nothing(ok)?.map(Box::new);
                    return Ok(Ty::Result(ok, self.read_or_nothing(err)?.map(Box::new)));
                }
                (plain, []) => {
                    if let Some((plain, _)) = PLAIN.iter().find(|(rust, _)| *rust == plain) {
                        return Ok(Ty::Plain(plain));
                    }
                }
                _ => {}
            }
        }
        if let Some(advice) = advice_for_name(&name, &ty.path) {
            return Err(refuse(ty, &advice));
        }
        if !arguments?.is_empty() {
            return Err(refuse(
                ty,
                "types with parameters are not accepted: WIT has no generics, so give every \
                 combination that is needed a struct of its own",
            ));
        }
        Ok(Ty::Named(self.reference(&ty.path)))
    }

    fn reference(&mut self, path: &Path) -> usize {
        let known = self.references.iter().position(|known| known == path);
        known.unwrap_or_else(|| {
            self.references.push(path.clone());
            self.references.len() - 1
        })
    }
}

/// The type arguments of a path segment.
fn type_arguments(arguments: &PathArguments) -> Result<Vec<Type>> {
    let arguments = match arguments {
        PathArguments::None => return Ok(Vec::new()),
        PathArguments::AngleBracketed(angle) => &angle.args,
        other => {
            return Err(refuse(other, "functions are not accepted: WIT values are plain data"));
        }
    };
    let types = arguments.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Ok(ty.clone()),
        GenericArgument::Lifetime(lifetime) => {
            Err(refuse(lifetime, "borrowed data does not cross"))
        }
        other => Err(refuse(other, "only plain types are accepted here")),
    });
    types.collect()
}

/// A single name, or a path that starts in the standard library.
fn from_std(path: &Path) -> bool {
    path.segments.len() == 1 || starts_in(path, &["std", "core", "alloc"])
}

fn starts_in(path: &Path, crates: &[&str]) -> bool {
    path.segments.len() > 1
        && path.segments.first().is_some_and(|first| crates.iter().any(|name| first.ident == name))
}

fn advice_for_shape(ty: &Type) -> String {
    let advice = match ty {
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => {
                "borrowed data does not cross: use `String`"
            }
            Type::Slice(_) => "borrowed data does not cross: use `Vec<T>`",
            _ => "borrowed data does not cross: use the type itself",
        },
        Type::Array(_) => "arrays are not accepted: use `Vec<T>`, or a tuple if there are few",
        Type::Slice(_) => "use `Vec<T>`",
        Type::Ptr(_) => "pointers are not accepted: WIT values are plain data",
        Type::FnPtr(_) => "functions are not accepted: WIT values are plain data",
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            "traits are not accepted: name one type, such as `Vec<T>` for an iterator"
        }
        Type::Never(_) => "a task returns: leave the result out, or use `Result<(), String>`",
        Type::Infer(_) => "the type has to be written out",
        _ => return format!("not a type that can cross; {ACCEPTED}"),
    };
    advice.to_owned()
}

/// What to use instead of a type that is known, and known not to fit.
fn advice_for_name(name: &str, path: &Path) -> Option<String> {
    let single_or_std = from_std(path);
    let advice = match name {
        "usize" => "its width differs between machines: use `u64`, or `u32`",
        "isize" => "its width differs between machines: use `i64`, or `i32`",
        "u128" | "i128" => "WIT has no 128-bit integers: use two `u64`, or a `String`",
        "f16" | "f128" => "WIT has `f32` and `f64` only",
        "str" => "use `String`",
        "Self" => "spell the type's name; a type that contains itself cannot be expressed in WIT",
        "Result" => "spell out both sides, as in `Result<T, String>`",
        "Vec" | "Option" if single_or_std => "give it one type parameter",
        "HashMap" | "BTreeMap" | "IndexMap" => {
            "use `Vec<(K, V)>`, which `.into_iter().collect()` turns into a map and back"
        }
        "HashSet" | "BTreeSet" | "IndexSet" | "VecDeque" | "LinkedList" | "BinaryHeap" => {
            "use `Vec<T>`, which `.into_iter().collect()` turns into the collection and back"
        }
        "Box" | "Rc" | "Arc" | "Cell" | "RefCell" | "Mutex" | "RwLock" => {
            "use the type inside it, or a `String` for an error; a type that contains itself \
             cannot be expressed in WIT"
        }
        "Cow" => "borrowed data does not cross: use `String` or `Vec<T>`",
        "Path" | "PathBuf" | "OsStr" | "OsString" | "CStr" | "CString" => "use `String`",
        "Duration" | "Instant" | "SystemTime" => {
            "use a number, such as `u64` milliseconds or `f64` seconds"
        }
        _ if starts_in(path, &["anyhow"]) => {
            "use `String` (`error.to_string()`, or `format!(\"{error:#}\")` with its causes)"
        }
        _ if starts_in(path, &["std", "core", "alloc"]) => {
            return Some(format!("types of the standard library do not cross; {ACCEPTED}"));
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// An error at a type, which names it as it was written.
pub(crate) fn refuse(at: &(impl ToTokens + Spanned), advice: &str) -> Error {
    Error::new_spanned(at, format!("`{}`: {advice}", spelled(at)))
}

/// Tokens as one would write them: without the spaces that printing tokens puts between them.
pub(crate) fn spelled(tokens: &impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let mut text = String::with_capacity(spaced.len());
    let mut rest = spaced.chars().peekable();
    while let Some(character) = rest.next() {
        let tight_after = text.ends_with(['<', '(', '[', '&', ':', '*']) || text.ends_with("::");
        let tight_before = matches!(rest.peek(), Some('<' | '>' | ',' | ';' | ')' | ']' | ':'));
        if character == ' ' && (tight_after || tight_before) && !text.ends_with("->") {
            continue;
        }
        text.push(character);
    }
    text
}

/// The name that a reference has in an encoded definition.
pub(crate) fn encoded_reference(index: usize) -> Ident {
    Ident::new(&format!("__{index}"), Span::call_site())
}
