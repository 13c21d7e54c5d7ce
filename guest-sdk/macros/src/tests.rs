//! The macros against each other: expansions are run as the compiler would run them, and the WIT
//! that comes out is read by wit-bindgen's parser.

use crate::{expand, names, types, wit};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use std::collections::HashMap;
use syn::{Item, LitStr, Macro};
use wit_parser::Resolve;

/// Plays the compiler: keeps the macros that derives leave behind, and expands calls to them.
#[derive(Default)]
struct Compiler {
    answers: HashMap<String, TokenStream>,
    wit: Vec<String>,
    errors: Vec<String>,
}

impl Compiler {
    /// Expands a file of derives and tasks, in the order in which they stand there.
    fn compile(source: &str) -> Self {
        let mut compiler = Self::default();
        let file = syn::parse_file(source).expect("the test is Rust");
        for (position, item) in file.items.into_iter().enumerate() {
            let expansion = match &item {
                Item::Fn(function) => expand::task(TokenStream::new(), quote!(#function)),
                item => expand::derive(&format!("file:{position}"), quote!(#item)),
            };
            compiler.expand(expansion);
        }
        compiler
    }

    fn expand(&mut self, tokens: TokenStream) {
        let file = syn::parse2::<syn::File>(tokens).expect("expansions are items");
        for item in file.items {
            match item {
                Item::Macro(item) => self.expand_macro(item.ident, item.mac),
                other => self.wit.extend(inline_wit(other.to_token_stream())),
            }
        }
    }

    fn expand_macro(&mut self, defines: Option<Ident>, call: Macro) {
        if let Some(name) = defines {
            let name = name.to_string().replace("__sandpool_type_", "");
            self.answers.insert(name, first_group(last_group(last_group(call.tokens))));
            return;
        }
        let path = types::spelled(&call.path);
        if path.ends_with("compile_error") {
            let message = syn::parse2::<LitStr>(call.tokens).expect("a message");
            self.errors.push(message.value());
            return;
        }
        let answer = self.answers.get(&path).expect("types stand before their uses in tests");
        let state = call.tokens;
        self.expand(expand::step(quote!({ #answer } #state)));
    }
}

fn groups(tokens: TokenStream) -> impl Iterator<Item = TokenStream> {
    tokens.into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    })
}

fn first_group(tokens: TokenStream) -> TokenStream {
    groups(tokens).next().expect("a group")
}

fn last_group(tokens: TokenStream) -> TokenStream {
    groups(tokens).last().expect("a group")
}

fn inline_wit(tokens: TokenStream) -> Vec<String> {
    let found = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => inline_wit(group.stream()),
        literal => {
            let text = syn::parse2::<LitStr>(literal.into()).map(|literal| literal.value());
            text.ok().into_iter().filter(|text| text.starts_with("package ")).collect()
        }
    });
    found.collect()
}

/// The WIT of the one task in `source`, after it has been parsed.
fn wit_of(source: &str) -> String {
    let compiler = Compiler::compile(source);
    assert_eq!(compiler.errors, [""; 0]);
    let [text] = compiler.wit.as_slice() else { panic!("one task, not {:?}", compiler.wit) };
    Resolve::default().push_str("task.wit", text).expect("valid WIT");
    text.clone()
}

fn errors_of(source: &str) -> Vec<String> {
    let compiler = Compiler::compile(source);
    assert_eq!(compiler.wit, [""; 0], "an export in spite of the errors");
    compiler.errors
}

#[test]
fn plain_types_have_their_wit_names() {
    let wit = wit_of(
        "fn all(a: bool, b: char, c: u8, d: u16, e: u32, f: u64, g: i8, h: i16, i: i32, j: i64,
                k: f32, l: f64, m: String, n: std::string::String) {}",
    );
    assert!(wit.contains(
        "export %all: func(%a: bool, %b: char, %c: u8, %d: u16, %e: u32, %f: u64, %g: s8, %h: s16, \
         %i: s32, %j: s64, %k: f32, %l: f64, %m: string, %n: string);"
    ));
}

#[test]
fn compound_types_nest() {
    let wit = wit_of(
        "fn all(a: Vec<Option<(u8, Vec<String>)>>, b: Result<(), ()>) -> Result<Result<u8, ()>, String> {}",
    );
    assert!(wit.contains(
        "func(%a: list<option<tuple<u8, list<string>>>>, %b: result) -> result<result<u8>, string>;"
    ));
    assert!(wit_of("fn f() -> Result<(), u8> {}").contains("func() -> result<_, u8>;"));
    assert!(wit_of("fn f() -> () {}").contains("func();"));
}

#[test]
fn the_byte_task_is_the_world_of_this_project() {
    let wit = wit_of("fn run(input: Vec<u8>) -> Result<Vec<u8>, String> {}");
    let declared = include_str!("../../wit/task.wit");
    let function = "run: func(input: list<u8>) -> result<list<u8>, string>;";
    assert!(declared.contains(function));
    assert!(wit.replace('%', "").contains(function), "{wit}");
}

#[test]
fn definitions_are_collected_through_each_other_and_once() {
    let wit = wit_of(
        "struct Point { x: f64, r#type: String }
         enum Color { Red, ExtraRed }
         enum Shape { Empty, Dot(Point), Circle(Point, f64), Many(Vec<Point>) }
         struct Scene { shapes: Vec<Shape>, background: Option<Color>, origin: Point }
         fn draw(scene: Scene, at: Point) -> Result<Color, Shape> {}",
    );
    for (definition, times) in [
        ("record %point { %x: f64, %type: string }", 1),
        ("enum %color { %red, %extra-red }", 1),
        (
            "variant %shape { %empty, %dot(%point), %circle(tuple<%point, f64>), %many(list<%point>) }",
            1,
        ),
        (
            "record %scene { %shapes: list<%shape>, %background: option<%color>, %origin: %point }",
            1,
        ),
        ("export %draw: func(%scene: %scene, %at: %point) -> result<%color, %shape>;", 1),
    ] {
        assert_eq!(wit.matches(definition).count(), times, "{definition}\n{wit}");
    }
}

#[test]
fn keywords_are_names_like_others() {
    let wit = wit_of(
        "struct List { r#enum: u8, export: u8 } fn r#async(record: List, r#use: u8) -> List {}",
    );
    assert!(wit.contains("export %async: func(%record: %list, %use: u8) -> %list;"), "{wit}");
}

#[test]
fn every_task_has_a_world_of_its_own() {
    let compiler = Compiler::compile(
        "struct Point { x: f64 } fn first(p: Point) {} fn second_one(p: Vec<Point>) {}",
    );
    let worlds = compiler.wit.iter().map(|text| text.contains("record %point")).collect::<Vec<_>>();
    assert_eq!(worlds, [true, true]);
    assert!(compiler.wit[1].contains(&format!("world {} {{", wit::world("second-one"))));
}

#[test]
fn types_of_one_name_clash_in_a_task_and_in_a_type() {
    let two = "struct Point { x: f64 } struct Line { from: Point } struct Point { x: f64 }";
    let errors = errors_of(&format!("{two} fn f(line: Line, point: Point) {{}}"));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("`Point`: two different types called `point` in WIT"),
        "{errors:?}"
    );
    let errors = errors_of("struct HttpServer { x: f64 } struct HTTPServer { inner: HttpServer }");
    assert!(errors[0].starts_with("`HTTPServer`: two different types"), "{errors:?}");
}

#[test]
fn all_errors_of_an_item_are_reported() {
    assert_eq!(errors_of("fn f(a: &str, b: usize, c: u8) -> Box<u8> {}").len(), 3);
    assert_eq!(errors_of("struct S { a: usize, b: u8, c: [u8; 2] }").len(), 2);
}

#[test]
fn types_are_spelled_as_one_writes_them() {
    for text in ["&str", "Vec<Option<u8>>", "&[u8]", "std::io::Error", "[u8; 4]", "(u8, char)"] {
        let ty = syn::parse_str::<syn::Type>(text).expect("a type");
        assert_eq!(types::spelled(&ty), text);
    }
}

#[test]
fn names_of_the_c_library_are_refused_and_longer_ones_are_not() {
    let check = |name: &str| names::check_export(&Ident::new("f", Span::call_site()), name);
    for name in ["write", "abort", "malloc", "memory", "main", "index"] {
        assert!(check(name).is_err(), "{name}");
    }
    for name in ["run", "render", "row", "write-row", "price", "area"] {
        assert!(check(name).is_ok(), "{name}");
    }
}

/// wit-bindgen derives the names of fields and functions by these rules; a difference would only
/// show in a guest that uses such a name.
#[test]
fn generated_names_are_those_of_wit_bindgen() {
    for (wit, rust) in
        [("type", "type_"), ("item-count", "item_count"), ("try", "try_"), ("y-1", "y_1")]
    {
        assert_eq!(names::generated_field(wit).to_string(), rust);
    }
    assert_eq!(names::generated_type("guest").to_string(), "Guest_");
    assert_eq!(names::generated_case("guest").to_string(), "Guest");
    assert_eq!(names::generated_type("http-server").to_string(), "HttpServer");
}
