//! The binary form at its edges.

use super::any::Any;
use super::{decode, encode, parse, print, ty};
use crate::codec::types::Type;
use crate::codec::validate;

fn refused(spelled: &str, bytes: &[u8]) {
    let ty = ty(spelled);
    assert!(validate(Some(&ty), bytes).is_err(), "{ty} {bytes:?}");
    assert!(print(&ty, bytes).is_err(), "{ty} {bytes:?}");
    assert!(decode::<Any>(&ty, bytes).is_err(), "{ty} {bytes:?}");
}

#[test]
fn the_form_is_the_published_one() {
    let bytes = |spelled: &str, text: &str| parse(&ty(spelled), text).unwrap();
    assert_eq!(bytes("s16", "-2"), [0xfe, 0xff]);
    assert_eq!(bytes("f32", "1.5"), 1.5f32.to_le_bytes());
    assert_eq!(bytes("char", "\"é\""), [0xe9, 0, 0, 0]);
    assert_eq!(bytes("string", "\"é\""), [2, 0, 0, 0, 0xc3, 0xa9]);
    assert_eq!(bytes("list<u16>", "[1,2]"), [2, 0, 0, 0, 1, 0, 2, 0]);
    assert_eq!(bytes("list<u8>", "\"AQI=\""), [2, 0, 0, 0, 1, 2]);
    assert_eq!(bytes("record{b: u8, a: bool}", "{\"a\":true,\"b\":9}"), [9, 1]);
    assert_eq!(bytes("variant{a, b(u16)}", "{\"b\":3}"), [1, 3, 0]);
    assert_eq!(bytes("option<u8>", "null"), [0]);
    assert_eq!(bytes("option<option<u8>>", "{\"some\":5}"), [1, 1, 5]);
    assert_eq!(bytes("result<_, u8>", "{\"err\":5}"), [1, 5]);
    assert_eq!(bytes("result<_, u8>", "{\"ok\":null}"), [0]);
    assert_eq!(
        bytes("flags{a, b, c, d, e, f, g, h, i}", "[\"i\",\"a\"]"),
        [0b0000_0001, 0b0000_0001]
    );
}

#[test]
fn case_numbers_grow_with_the_cases() {
    for (cases, width) in [(256, 1), (257, 2), (65536, 2), (65537, 4)] {
        let ty = Type::Enum((0..cases).map(|i| format!("c{i}")).collect());
        let last = format!("c{}", cases - 1);
        let bytes = encode(&ty, &last).unwrap();
        assert_eq!(bytes.len(), width, "{cases} cases");
        assert_eq!(decode::<String>(&ty, &bytes).unwrap(), last);
        assert_eq!(print(&ty, &bytes).unwrap(), format!("\"{last}\""));
        if cases == 257 || cases == 65537 {
            let beyond = u32::try_from(cases).unwrap().to_le_bytes();
            assert!(validate(Some(&ty), &beyond[..width]).is_err(), "{cases} cases");
        }
    }
}

#[test]
fn values_that_no_type_has_are_refused() {
    refused("bool", &[2]);
    refused("char", &0xd800u32.to_le_bytes());
    refused("char", &0x11_0000u32.to_le_bytes());
    refused("string", &[1, 0, 0, 0, 0xff]);
    refused("enum{a, b}", &[2]);
    refused("variant{a(u8)}", &[1, 0]);
    refused("option<u8>", &[2, 0]);
    refused("result", &[2]);
    refused("flags{a, b}", &[0b100]);
    refused("tuple<u8, u16>", &[1, 2]);
    refused("u64", &[0; 9]);
    assert!(validate(None, &[]).is_ok());
    assert!(validate(None, &[0]).is_err());
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_anything_is_allocated() {
    let most = u32::MAX.to_le_bytes();
    for element in ["u8", "u64", "string", "bool", "list<u8>", "tuple<>", "flags{}", "record{}"] {
        refused(&format!("list<{element}>"), &most);
    }
    refused("string", &most);
    // Nine bytes hold two elements of four, and no more.
    refused("list<u32>", &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn elements_without_bytes_are_limited_in_all_lists_together() {
    let ty = ty("list<list<tuple<>>>");
    let lists = |count: u32, each: u32| {
        let mut bytes = count.to_le_bytes().to_vec();
        (0..count).for_each(|_| bytes.extend(each.to_le_bytes()));
        bytes
    };
    assert!(validate(Some(&ty), &lists(2, 32768)).is_ok());
    assert!(validate(Some(&ty), &lists(3, 32768)).is_err());
    assert!(print(&ty, &lists(1000, 1000)).is_err());
}

#[test]
fn mismatches_in_bytes_have_a_path() {
    let ty = ty("record{a: list<tuple<bool, variant{x(bool)}>>}");
    let error = validate(Some(&ty), &[2, 0, 0, 0, 0, 0, 1, 1, 0, 9]).unwrap_err();
    assert_eq!(error.to_string(), "at $.a[1][1].x: expected a bool, 0 or 1, found 9");
    let error = print(&ty, &[2, 0, 0, 0, 0, 0, 1, 1, 0, 9]).unwrap_err();
    assert_eq!(error.path(), "$.a[1][1].x");
    let error = decode::<Any>(&ty, &[2, 0, 0, 0, 0, 0, 1, 1, 0, 9]).unwrap_err();
    assert_eq!(error.path(), "$.a[1][1].x");
}
