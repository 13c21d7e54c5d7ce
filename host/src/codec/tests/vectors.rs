//! The published test vectors, `docs/json-vectors.jsonl`.

use super::{sig, wit};
use crate::codec::json::print_value;
use crate::codec::parse_params;
use crate::codec::types::{Signature, Type};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    r#type: Option<String>,
    params: Option<String>,
    #[serde(default)]
    star: bool,
    #[serde(default)]
    accept: Vec<String>,
    emit: Option<String>,
    #[serde(default)]
    refuse: Vec<String>,
}

/// What a line is about: a signature, and the type whose value its parameters are.
fn subject(vector: &Vector) -> (Signature, Type) {
    match (&vector.r#type, &vector.params) {
        (Some(ty), None) => {
            let ty = wit::parse_type(ty);
            (super::one(&ty), ty)
        }
        (None, Some(params)) => {
            let sig = sig(params);
            let tuple = Type::Tuple(sig.params.iter().map(|(_, ty)| ty.clone()).collect());
            (sig, tuple)
        }
        _ => panic!("a line has either `type` or `params`"),
    }
}

#[test]
fn every_published_vector_holds() {
    let lines = include_str!("../../../../docs/json-vectors.jsonl");
    let mut seen = 0;
    for line in lines.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let (sig, ty) = subject(&vector);
        let parse = |text: &str| {
            let mut out = Vec::new();
            parse_params(&sig, text.as_bytes(), vector.star, &mut out).map(|()| out)
        };
        assert_eq!(vector.accept.is_empty(), vector.emit.is_none(), "{line}");
        for text in vector.accept.iter().chain(vector.r#type.as_ref().and(vector.emit.as_ref())) {
            let bytes = parse(text).unwrap_or_else(|e| panic!("{line}: {text}: {e}"));
            let mut printed = Vec::new();
            print_value(Some(&ty), &bytes, &mut printed).unwrap();
            let printed = String::from_utf8(printed).unwrap();
            assert_eq!(Some(&printed), vector.emit.as_ref(), "{line}: {text}");
        }
        for text in &vector.refuse {
            assert!(parse(text).is_err(), "{line}: {text} is accepted");
        }
        seen += 1;
    }
    assert!(seen >= 60, "only {seen} vectors");
}
