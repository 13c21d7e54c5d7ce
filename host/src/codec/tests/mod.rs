//! Tests of the codec as a whole; the tests of one file's own rules are in that file.

mod any;
mod hostile;
mod misfits;
mod properties;
mod random;
mod typed;
mod vectors;
mod wit;

use super::json::print_value;
use super::types::{Signature, Type};
use super::{Mismatch, from_large, from_result, from_value, parse_params, to_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The type that this text spells.
fn ty(text: &str) -> Type {
    wit::parse_type(text)
}

/// The signature with these parameters, like `(a: s32, b: string)`.
fn sig(text: &str) -> Signature {
    Signature { params: wit::parse_params(text), result: None }
}

fn one(ty: &Type) -> Signature {
    Signature { params: vec![("only".to_owned(), ty.clone())], result: None }
}

fn parse(ty: &Type, text: &str) -> Result<Vec<u8>, Mismatch> {
    let mut out = Vec::new();
    parse_params(&one(ty), text.as_bytes(), false, &mut out).map(|()| out)
}

fn print(ty: &Type, bytes: &[u8]) -> Result<String, Mismatch> {
    let mut out = Vec::new();
    print_value(Some(ty), bytes, &mut out)?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

fn encode<T: Serialize + ?Sized>(ty: &Type, value: &T) -> Result<Vec<u8>, Mismatch> {
    let mut out = Vec::new();
    to_params(&one(ty), false, value, &mut out).map(|()| out)
}

fn decode<R: DeserializeOwned>(ty: &Type, bytes: &[u8]) -> Result<R, Mismatch> {
    let value = from_value(Some(ty), bytes);
    if let (true, Some((count, run))) = (ty.is_run(), bytes.split_first_chunk::<4>())
        && u32::from_le_bytes(*count) as usize == run.len()
    {
        // As the result of a function, it is taken or refused alike.
        let said = value.as_ref().map(|_: &R| ()).map_err(ToString::to_string);
        for alone in [from_result::<R>(Some(ty), run), from_large(Some(ty), run.to_vec())] {
            assert_eq!(alone.map(|_| ()).map_err(|error| error.to_string()), said);
        }
    }
    value
}
