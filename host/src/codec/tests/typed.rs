//! Rust types of every shape, to the binary form and back.

use super::{decode, encode, print, sig, ty};
use crate::codec::types::Signature;
use crate::codec::{from_value, to_params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

/// Encodes, shows as JSON, decodes, and expects the same value again.
#[track_caller]
fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(spelled: &str, value: T, text: &str) {
    let ty = ty(spelled);
    let bytes = encode(&ty, &value).unwrap();
    assert_eq!(print(&ty, &bytes).unwrap(), text);
    assert_eq!(decode::<T>(&ty, &bytes).unwrap(), value);
}

#[track_caller]
fn refuse<T: Serialize>(spelled: &str, value: T) {
    let bytes = encode(&ty(spelled), &value);
    assert!(bytes.is_err(), "{bytes:?}");
}

#[test]
fn integers_of_any_width_go_where_they_fit() {
    round("u64", u64::MAX, "18446744073709551615");
    round("s64", i64::MIN, "-9223372036854775808");
    round("u8", 7i64, "7");
    round("s8", -128i128, "-128");
    round("u64", u128::from(u64::MAX), "18446744073709551615");
    round("s16", 300usize, "300");
    refuse("u8", 256);
    refuse("u8", -1);
    refuse("s64", u64::MAX);
    refuse("u64", u128::MAX);
    refuse("s32", 1.0);
    refuse("bool", 1);
    assert!(decode::<i8>(&ty("u8"), &[200]).is_err());
    assert_eq!(decode::<u64>(&ty("s8"), &[100]).unwrap(), 100);
}

#[test]
fn floats_are_exact_or_rounded_on_purpose() {
    round("f64", 0.1f64, "0.1");
    round("f32", 0.1f32, "0.1");
    round("f64", f64::from(0.1f32), "0.10000000149011612");
    round("f32", -0.0f32, "-0.0");
    round("f64", f64::INFINITY, "\"Infinity\"");
    assert_eq!(encode(&ty("f64"), &5u8).unwrap(), 5f64.to_le_bytes());
    let nan = encode(&ty("f64"), &f64::NAN).unwrap();
    assert!(decode::<f64>(&ty("f64"), &nan).unwrap().is_nan());
    assert!(decode::<f32>(&ty("f64"), &nan).unwrap().is_nan());
    // An `f64` literal for an `f32` parameter is what one writes; it must not turn infinite.
    assert_eq!(encode(&ty("f32"), &0.1f64).unwrap(), 0.1f32.to_le_bytes());
    assert!(decode::<f32>(&ty("f64"), &1e300f64.to_le_bytes()).is_err());
    refuse("f32", 1e300f64);
    // 2^53 + 1 and 2^24 + 1 are no floats of their width.
    refuse("f64", (1u64 << 53) + 1);
    refuse("f32", (1u32 << 24) + 1);
    refuse("f64", u64::MAX);
    assert!(decode::<f64>(&ty("u64"), &u64::MAX.to_le_bytes()).is_err());
    assert_eq!(decode::<f64>(&ty("u8"), &[3]).unwrap(), 3.0);
}

#[test]
fn text_is_a_string_a_char_or_bytes() {
    round("char", '😀', "\"😀\"");
    round("string", "a\"\n".to_owned(), "\"a\\\"\\n\"");
    round("string", 'x', "\"x\"");
    round("char", "x".to_owned(), "\"x\"");
    refuse("char", "xy");
    refuse("char", "");
    // The item of a command is bytes, and people hand over strings.
    round("list<u8>", "hé".to_owned(), "\"aMOp\"");
    assert!(decode::<String>(&ty("list<u8>"), &[1, 0, 0, 0, 0xff]).is_err());
}

#[test]
fn bytes_in_every_shape() {
    #[derive(Debug, PartialEq)]
    struct Raw(Vec<u8>);

    impl Serialize for Raw {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Raw {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;

            impl serde::de::Visitor<'_> for Visitor {
                type Value = Raw;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }

                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                    Ok(Raw(bytes.to_vec()))
                }
            }

            deserializer.deserialize_byte_buf(Visitor)
        }
    }

    round("list<u8>", vec![0u8, 255], "\"AP8=\"");
    round("list<u8>", [1u8, 2, 3], "\"AQID\"");
    round("list<u8>", Raw(vec![9; 3]), "\"CQkJ\"");
    round("list<u8>", vec![7i64], "\"Bw==\"");
    round("list<u8>", vec![200u128], "\"yA==\"");
    let error = encode(&ty("list<list<u8>>"), &vec![vec![1], vec![2, 256]]).unwrap_err();
    assert_eq!(error.to_string(), "at $[1][1]: expected u8, found 256");
    refuse("list<u8>", vec!["x"]);
    refuse("list<u8>", vec![1.0]);
    refuse("list<u16>", Raw(vec![1]));
    assert!(decode::<[u8; 2]>(&ty("list<u8>"), &[3, 0, 0, 0, 1, 2, 3]).is_err());
    for length in [255, 256, 257, 512, 300_000] {
        let long: Vec<u8> = (0..=255).cycle().take(length).collect();
        let bytes = encode(&ty("list<u8>"), &long).unwrap();
        assert_eq!(bytes, encode(&ty("list<u8>"), &Raw(long.clone())).unwrap());
        assert_eq!(decode::<Vec<u8>>(&ty("list<u8>"), &bytes).unwrap(), long);
    }
}

#[test]
fn nested_options_are_lossless() {
    let spelled = "option<option<option<u8>>>";
    type Nested = Option<Option<Option<u8>>>;
    round::<Nested>(spelled, None, "null");
    round::<Nested>(spelled, Some(None), r#"{"some":null}"#);
    round::<Nested>(spelled, Some(Some(None)), r#"{"some":{"some":null}}"#);
    round::<Nested>(spelled, Some(Some(Some(5))), r#"{"some":{"some":5}}"#);
    // A bare value is `Some`, an `Option` may be given where there is none, `None` may not.
    round("option<option<u8>>", 5u8, r#"{"some":5}"#);
    round("u8", Some(5), "5");
    refuse("u8", None::<u8>);
    assert!(decode::<u8>(&ty("option<u8>"), &[0]).is_err());
    round("list<option<bool>>", vec![None, Some(true)], "[null,true]");
}

#[test]
fn results_and_units() {
    round("result<u8, string>", Ok::<u8, String>(1), r#"{"ok":1}"#);
    round("result<u8, string>", Err::<u8, _>("no".to_owned()), r#"{"err":"no"}"#);
    round("result", Ok::<(), ()>(()), r#"{"ok":null}"#);
    round("result<_, u8>", Ok::<(), u8>(()), r#"{"ok":null}"#);
    round("result<option<u8>>", Ok::<Option<u8>, ()>(None), r#"{"ok":null}"#);
    refuse("result<u8>", Ok::<(), ()>(()));
    refuse("result<u8>", Err::<(), u8>(1));
    from_value::<()>(None, &[]).unwrap();
    from_value::<Option<()>>(None, &[]).unwrap();
    assert!(from_value::<u8>(None, &[]).is_err());
    assert!(from_value::<()>(Some(&ty("u8")), &[1]).is_err());
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    FullCircle(f64),
    RightAngle(u8, u8),
    #[serde(rename = "BOX")]
    Cuboid {
        side_length: u32,
        label: Option<String>,
    },
}

const SHAPE: &str = "variant{empty, full-circle(f64), right-angle(tuple<u8, u8>), \
                     box(record{side-length: u32, label: option<string>})}";

#[test]
fn enums_of_all_shapes() {
    round(SHAPE, Shape::Empty, "\"empty\"");
    round(SHAPE, Shape::FullCircle(1.5), r#"{"full-circle":1.5}"#);
    round(SHAPE, Shape::RightAngle(3, 4), r#"{"right-angle":[3,4]}"#);
    round(
        SHAPE,
        Shape::Cuboid { side_length: 2, label: None },
        r#"{"box":{"side-length":2,"label":null}}"#,
    );
    round(
        &format!("list<{SHAPE}>"),
        vec![Shape::Empty, Shape::FullCircle(0.0)],
        r#"["empty",{"full-circle":0.0}]"#,
    );
    refuse("variant{empty(u8)}", Shape::Empty);
    refuse("variant{empty(option<u8>)}", Shape::Empty);
    refuse("variant{full-circle}", Shape::FullCircle(1.0));
    refuse("variant{right-angle(tuple<u8>)}", Shape::RightAngle(1, 2));
    refuse("variant{right-angle(tuple<u8, u8, u8>)}", Shape::RightAngle(1, 2));
    let error = encode(&ty("variant{right-angle(tuple<u8, bool>)}"), &Shape::RightAngle(1, 2));
    assert_eq!(error.unwrap_err().path(), "$.right-angle[1]");
    let error = decode::<Shape>(&ty("variant{empty, cone}"), &[1]).unwrap_err();
    assert!(error.to_string().contains("cone"), "{error}");
    assert!(decode::<Shape>(&ty("variant{full-circle}"), &[0]).is_err());
    assert!(decode::<Shape>(&ty("variant{empty(u8)}"), &[0, 1]).is_err());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Access {
    ReadOnly,
    Write,
}

#[test]
fn enums_are_names_wherever_names_are_wanted() {
    round("enum{write, read-only}", Access::ReadOnly, "\"read-only\"");
    round("enum{write, read-only}", "write".to_owned(), "\"write\"");
    round("string", Access::ReadOnly, "\"ReadOnly\"");
    refuse("enum{write}", Access::ReadOnly);
    refuse("enum{write}", 0);
}

#[test]
fn flags_in_every_shape() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Bits {
        write: bool,
        read_only: bool,
    }

    let spelled = "flags{read-only, write}";
    round(spelled, vec![Access::ReadOnly, Access::Write], r#"["read-only","write"]"#);
    round(spelled, vec!["write".to_owned()], r#"["write"]"#);
    round(spelled, Vec::<String>::new(), "[]");
    round(spelled, Bits { write: true, read_only: false }, r#"["write"]"#);
    let map = BTreeMap::from([(Access::ReadOnly, true), (Access::Write, false)]);
    round(spelled, map, r#"["read-only"]"#);
    assert_eq!(encode(&ty(spelled), &json!({"write": true})).unwrap(), [0b10]);
    refuse(spelled, vec!["write", "write"]);
    refuse(spelled, vec!["execute"]);
    refuse(spelled, vec![1]);
    refuse(spelled, json!({"write": 1}));
    refuse(spelled, json!({"execute": true}));
    refuse(spelled, json!({"read-only": true, "ReadOnly": false}));
    let many: Vec<String> = (0..40).map(|i| format!("f{i}")).collect();
    round(
        &format!("flags{{{}}}", many.join(", ")),
        vec!["f0".to_owned(), "f39".to_owned()],
        r#"["f0","f39"]"#,
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    last_seen: Option<u64>,
    #[serde(rename = "nick-name")]
    nick: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    home_town: Option<(f32, f32)>,
    r#type: Access,
}

#[test]
fn structs_match_records_by_name_in_any_order_and_style() {
    let spelled = "record{type: enum{write, read-only}, home-town: option<tuple<f32, f32>>, \
                   nick-name: string, last-seen: option<u64>}";
    round(
        spelled,
        Person { last_seen: Some(1), nick: "j".into(), home_town: None, r#type: Access::Write },
        r#"{"type":"write","home-town":null,"nick-name":"j","last-seen":1}"#,
    );
    round(
        spelled,
        Person {
            last_seen: None,
            nick: String::new(),
            home_town: Some((1.0, 2.0)),
            r#type: Access::ReadOnly,
        },
        r#"{"type":"read-only","home-town":[1.0,2.0],"nick-name":"","last-seen":null}"#,
    );
    refuse("record{nick-name: string}", json!({"nick-name": "a", "nickName": "b"}));
    refuse("record{nick-name: string}", json!({"nick-name": "a", "other": null}));
    refuse("record{nick-name: string}", json!({}));
    refuse("record{nick-name: string}", json!(["a"]));
    // Fields that the Rust type does not have are passed over, as serde does.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Only {
        nick_name: String,
    }
    let bytes = encode(
        &ty("record{a: list<u16>, nick-name: string, z: char}"),
        &json!({"a": [1, 2], "nick_name": "j", "z": "z"}),
    );
    let only: Only =
        decode(&ty("record{a: list<u16>, nick-name: string, z: char}"), &bytes.unwrap()).unwrap();
    assert_eq!(only, Only { nick_name: "j".into() });
}

#[test]
fn sequences_tuples_and_maps() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pair(u8, String);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(u16);

    round("tuple<u8, string>", Pair(1, "a".into()), r#"[1,"a"]"#);
    round("tuple<u8, u8, u8>", [1u8, 2, 3], "[1,2,3]");
    round("tuple<u8, u8>", vec![1u8, 2], "[1,2]");
    round("list<tuple<u8, string>>", vec![(1u8, "a".to_owned())], r#"[[1,"a"]]"#);
    round("u16", Wrapped(7), "7");
    round("list<u16>", vec![Wrapped(7)], "[7]");
    round("list<u16>", Vec::<u16>::new(), "[]");
    round(
        "record{a: u8, b: u8}",
        BTreeMap::from([("b".to_owned(), 2u8), ("a".to_owned(), 1)]),
        r#"{"a":1,"b":2}"#,
    );
    round("list<tuple<string, u8>>", HashMap::from([("a".to_owned(), 1u8)]), r#"[["a",1]]"#);
    round(
        "list<tuple<u32, bool>>",
        BTreeMap::from([(1u32, true), (2, false)]),
        "[[1,true],[2,false]]",
    );
    refuse("tuple<u8, u8>", (1, 2, 3));
    refuse("tuple<u8, u8>", [1]);
    refuse("list<u8>", 1);
    assert!(decode::<(u8, u8)>(&ty("tuple<u8, u8, u8>"), &[1, 2, 3]).is_err());
    assert!(decode::<(u8, u8)>(&ty("tuple<u8>"), &[1]).is_err());
    assert!(decode::<[u16; 1]>(&ty("list<u16>"), &[2, 0, 0, 0, 0, 0, 0, 0]).is_err());
}

#[test]
fn arguments_by_position_by_name_and_starred() {
    #[derive(Serialize)]
    struct Named<'a> {
        text: &'a str,
        max_size: u8,
    }

    let two = sig("(max-size: u8, text: string, extra: option<u8>)");
    let encode = |sig: &Signature, star, value: &dyn erased::Value| {
        let mut out = Vec::new();
        value.put(sig, star, &mut out).map(|()| out).map_err(|error| error.to_string())
    };
    let expected = Ok(vec![7, 1, 0, 0, 0, b'x', 0]);
    for star in [false, true] {
        assert_eq!(encode(&two, star, &(7, "x", None::<u8>)), expected);
        assert_eq!(encode(&two, star, &Named { text: "x", max_size: 7 }), expected);
        assert_eq!(encode(&two, star, &json!({"maxSize": 7, "text": "x"})), expected);
        assert!(encode(&two, star, &(7, "x")).is_err());
    }
    let single = sig("(list: list<u8>)");
    assert_eq!(encode(&single, false, &[1u8]), Ok(vec![1, 0, 0, 0, 1]));
    assert_eq!(encode(&single, true, &([1u8],)), Ok(vec![1, 0, 0, 0, 1]));
    assert_eq!(encode(&single, true, &json!({"list": [1]})), Ok(vec![1, 0, 0, 0, 1]));
    assert!(encode(&single, true, &[1u8]).is_err());
    assert!(encode(&single, true, &"x").is_err());
    assert_eq!(encode(&sig("()"), false, &"ignored"), Ok(vec![]));
    assert_eq!(encode(&sig("()"), true, &(1, 2)), Ok(vec![]));
    assert_eq!(
        encode(&sig("(s32, f64)"), false, &(1, 0.0)),
        Ok([[1, 0, 0, 0], [0; 4], [0; 4]].concat())
    );
    assert!(encode(&sig("(s32, f64)"), false, &json!({"": 1})).is_err());
}

mod erased {
    use super::{Serialize, Signature, to_params};
    use crate::codec::Mismatch;

    pub(super) trait Value {
        fn put(&self, sig: &Signature, star: bool, out: &mut Vec<u8>) -> Result<(), Mismatch>;
    }

    impl<T: Serialize> Value for T {
        fn put(&self, sig: &Signature, star: bool, out: &mut Vec<u8>) -> Result<(), Mismatch> {
            to_params(sig, star, self, out)
        }
    }
}

#[test]
fn json_values_are_targets_and_sources() {
    let ty = ty(
        "record{id: u64, name: string, raw: list<u8>, can: flags{a, b}, v: variant{x, y(u8)}, r: result<_, u8>, o: option<u8>, c: char}",
    );
    let value = json!({
        "id": u64::MAX, "name": "n", "raw": [1, 2], "can": ["b"], "v": {"y": 3},
        "r": {"ok": null}, "o": null, "c": "é"
    });
    let bytes = encode(&ty, &value).unwrap();
    assert_eq!(decode::<serde_json::Value>(&ty, &bytes).unwrap(), value);
}

#[test]
fn untagged_enums_and_custom_errors() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Loose {
        Number(i64),
        Text(String),
    }

    struct Failing;

    impl Serialize for Failing {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("two\nlines"))
        }
    }

    round("string", Loose::Text("a".into()), "\"a\"");
    round("u8", Loose::Number(1), "1");
    let error = encode(&ty("list<u8>"), &[Failing]).unwrap_err();
    assert_eq!(error.to_string(), "at $[0]: two lines");
}
