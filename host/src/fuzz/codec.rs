//! The two spellings of values, for types that the first bytes choose.

use super::Script;
use crate::codec::json::{parse_params, print_value};
use crate::codec::types::{Signature, Type};

const NAMES: [&str; 8] = ["a", "b", "foo-bar", "tag", "val", "some", "ok", "err"];

/// A type that few bytes tell. `depth` bounds its nesting.
fn ty(script: &mut Script<'_>, depth: u32) -> Type {
    let code = script.u8();
    let kinds = if depth == 0 { 14 } else { 22 };
    let few = |least: u8| {
        let n = least + (code / kinds) % 4;
        NAMES.iter().take(usize::from(n)).map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    match code % kinds {
        0 => Type::Bool,
        1 => Type::S8,
        2 => Type::U8,
        3 => Type::S16,
        4 => Type::U16,
        5 => Type::S32,
        6 => Type::U32,
        7 => Type::S64,
        8 => Type::U64,
        9 => Type::F32,
        10 => Type::F64,
        11 => Type::Char,
        12 => Type::String,
        13 => Type::Flags(few(0)),
        14 => Type::Enum(few(1)),
        15 => Type::List(Box::new(ty(script, depth - 1))),
        16 => Type::Option(Box::new(ty(script, depth - 1))),
        17 => {
            let names = few(0);
            Type::Record(names.into_iter().map(|name| (name, ty(script, depth - 1))).collect())
        }
        18 => Type::Tuple(few(0).into_iter().map(|_| ty(script, depth - 1)).collect()),
        19 => {
            let names = few(1);
            let mut case = |name| (name, (script.u8() < 128).then(|| ty(script, depth - 1)));
            Type::Variant(names.into_iter().map(&mut case).collect())
        }
        20 => Type::List(Box::new(Type::U8)),
        _ => {
            let mut side = || (script.u8() < 128).then(|| Box::new(ty(script, depth - 1)));
            Type::Result { ok: side(), err: side() }
        }
    }
}

fn one(ty: &Type) -> Signature {
    Signature { params: vec![(String::new(), ty.clone())], result: None }
}

/// Binary bytes are one value of the type or are refused; what is printed means the same.
pub fn binary(data: &[u8]) {
    let mut script = Script(data);
    let ty = ty(&mut script, 3);
    let mut text = Vec::new();
    if print_value(Some(&ty), script.0, &mut text).is_err() {
        assert!(text.is_empty());
        return;
    }
    assert!(!text.contains(&b'\n'), "a value is one line");
    let mut bytes = Vec::new();
    parse_params(&one(&ty), &text, false, &mut bytes).expect("what was printed can be read");
    let mut again = Vec::new();
    print_value(Some(&ty), &bytes, &mut again).expect("and printed");
    // Not-a-number has many spellings in bytes and one as text.
    assert!(again == text);
}

/// JSON text is one value of the type or is refused.
pub fn json(data: &[u8]) {
    let mut script = Script(data);
    let star = script.u8() % 2 == 1;
    let params = (0..1 + script.u8() % 3).map(|n| {
        let name = if star { String::new() } else { NAMES[usize::from(n)].to_owned() };
        (name, ty(&mut script, 3))
    });
    let signature = Signature { params: params.collect(), result: None };
    let mut bytes = vec![7];
    if parse_params(&signature, script.0, star, &mut bytes).is_err() {
        assert!(bytes == [7], "what was refused leaves nothing behind");
        return;
    }
    if let [(_, ty)] = &signature.params[..] {
        let mut text = Vec::new();
        print_value(Some(ty), &bytes[1..], &mut text).expect("what was read can be printed");
    }
}
