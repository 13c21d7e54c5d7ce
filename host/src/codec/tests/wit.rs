//! A parser of the notation in which `Type` displays, so that tests can spell types.

use crate::codec::types::Type;

/// Reads a type such as `record{a: list<u8>, b: result<_, string>}`.
pub(super) fn parse_type(text: &str) -> Type {
    let mut parser = Parser(text);
    let ty = parser.ty();
    assert!(parser.0.is_empty(), "`{}` follows a type in `{text}`", parser.0);
    ty
}

/// Reads parameters such as `(a: s32, b: string)`, or `(s32, f64)` without names.
pub(super) fn parse_params(text: &str) -> Vec<(String, Type)> {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let mut parser = Parser(inner.unwrap_or_else(|| panic!("no parentheses in `{text}`")));
    let mut params = Vec::new();
    while !parser.0.is_empty() {
        let colon =
            parser.0.find(|c: char| !is_name(c)).is_some_and(|i| parser.0[i..].starts_with(": "));
        let name = if colon { parser.named() } else { String::new() };
        params.push((name, parser.ty()));
        parser.eat(", ");
    }
    params
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.eat(token), "`{token}` expected before `{}`", self.0);
    }

    fn name(&mut self) -> String {
        let end = self.0.find(|c| !is_name(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name.to_owned()
    }

    fn named(&mut self) -> String {
        let name = self.name();
        self.expect(": ");
        name
    }

    fn separated<T>(&mut self, close: &str, mut part: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut parts = Vec::new();
        while !self.eat(close) {
            if !parts.is_empty() {
                self.expect(", ");
            }
            parts.push(part(self));
        }
        parts
    }

    fn payload(&mut self, open: &str, close: &str) -> Option<Type> {
        self.eat(open).then(|| {
            let ty = self.ty();
            self.expect(close);
            ty
        })
    }

    fn ty(&mut self) -> Type {
        match self.name().as_str() {
            "bool" => Type::Bool,
            "s8" => Type::S8,
            "u8" => Type::U8,
            "s16" => Type::S16,
            "u16" => Type::U16,
            "s32" => Type::S32,
            "u32" => Type::U32,
            "s64" => Type::S64,
            "u64" => Type::U64,
            "f32" => Type::F32,
            "f64" => Type::F64,
            "char" => Type::Char,
            "string" => Type::String,
            "list" => Type::List(Box::new(self.payload("<", ">").expect("an element type"))),
            "option" => Type::Option(Box::new(self.payload("<", ">").expect("a payload type"))),
            "tuple" => {
                self.expect("<");
                Type::Tuple(self.separated(">", Self::ty))
            }
            "record" => {
                self.expect("{");
                Type::Record(self.separated("}", |it| (it.named(), it.ty())))
            }
            "variant" => {
                self.expect("{");
                Type::Variant(self.separated("}", |it| (it.name(), it.payload("(", ")"))))
            }
            "enum" => {
                self.expect("{");
                Type::Enum(self.separated("}", Self::name))
            }
            "flags" => {
                self.expect("{");
                Type::Flags(self.separated("}", Self::name))
            }
            "result" => self.result(),
            other => panic!("`{other}` before `{}` is no type", self.0),
        }
    }

    fn result(&mut self) -> Type {
        if !self.eat("<") {
            return Type::Result { ok: None, err: None };
        }
        let ok = (!self.eat("_")).then(|| Box::new(self.ty()));
        let err = self.eat(", ").then(|| Box::new(self.ty()));
        self.expect(">");
        Type::Result { ok, err }
    }
}
