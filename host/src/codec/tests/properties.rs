//! What holds for every type and every value.

use super::any::Any;
use super::random::{any_json, any_type, typed_value};
use super::{decode, encode, one, parse, print, wit};
use crate::codec::types::Type;
use crate::codec::{parse_params, validate};
use proptest::prelude::*;
use serde::de::IgnoredAny;

proptest! {
    #[test]
    fn types_read_back_from_their_text(ty in any_type()) {
        prop_assert_eq!(wit::parse_type(&ty.to_string()), ty);
    }

    #[test]
    fn json_is_lossless((ty, bytes) in typed_value()) {
        prop_assert!(validate(Some(&ty), &bytes).is_ok());
        let text = print(&ty, &bytes).unwrap();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(parse(&ty, &text).unwrap(), bytes);
    }

    #[test]
    fn rust_values_are_lossless((ty, bytes) in typed_value()) {
        let value: Any = decode(&ty, &bytes).unwrap();
        prop_assert_eq!(&encode(&ty, &value).unwrap(), &bytes);
        prop_assert_eq!(encode(&ty, &value.reversed()).unwrap(), bytes);
    }

    #[test]
    fn a_value_is_no_longer_and_no_shorter((ty, mut bytes) in typed_value()) {
        bytes.push(0);
        prop_assert!(validate(Some(&ty), &bytes).is_err());
        prop_assert!(print(&ty, &bytes).is_err());
        prop_assert!(decode::<Any>(&ty, &bytes).is_err());
        bytes.pop();
        if bytes.pop().is_some() {
            prop_assert!(validate(Some(&ty), &bytes).is_err());
            prop_assert!(print(&ty, &bytes).is_err());
            prop_assert!(decode::<Any>(&ty, &bytes).is_err());
        }
    }

    #[test]
    fn readers_agree_on_hostile_bytes(
        (ty, mut bytes) in typed_value(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64)),
    ) {
        if let Some(noise) = noise {
            bytes = noise;
        }
        for (at, byte) in flips.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let valid = validate(Some(&ty), &bytes).is_ok();
        prop_assert_eq!(print(&ty, &bytes).is_ok(), valid);
        prop_assert_eq!(decode::<Any>(&ty, &bytes).is_ok(), valid);
        prop_assert_eq!(decode::<IgnoredAny>(&ty, &bytes).is_ok(), valid);
        // Targets that mostly do not fit.
        let _ = decode::<serde_json::Value>(&ty, &bytes);
        let _ = decode::<Vec<Option<(u8, String)>>>(&ty, &bytes);
        let _ = decode::<std::collections::HashMap<String, f32>>(&ty, &bytes);
        let _ = decode::<Result<char, Vec<u8>>>(&ty, &bytes);
    }

    #[test]
    fn accepted_json_is_printed_and_accepted_again(
        ty in any_type(),
        text in any_json(),
        star in any::<bool>(),
    ) {
        let mut out = vec![7];
        match parse_params(&one(&ty), text.as_bytes(), star, &mut out) {
            Ok(()) => {
                let printed = print(&ty, &out[1..]).unwrap();
                prop_assert_eq!(parse(&ty, &printed).unwrap(), &out[1..]);
            }
            Err(mismatch) => {
                prop_assert_eq!(out, [7], "left as it was");
                prop_assert!(!mismatch.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn integers_are_read_alike_alone_and_in_a_list(
        ty in proptest::sample::select(vec![Type::U8, Type::S16, Type::U32, Type::S64, Type::U64]),
        parts in proptest::collection::vec(
            proptest::sample::select(vec!["-", "0", "1", "9", "00", "55", "255", "999999999", " "]),
            0..4,
        ),
    ) {
        let text = parts.concat();
        let alone = parse(&ty, &text).ok();
        let mut listed = Vec::new();
        let arguments = format!("[{text}]");
        let parsed = parse_params(&one(&ty), arguments.as_bytes(), true, &mut listed);
        prop_assert_eq!(alone, parsed.ok().map(|()| listed), "{}", text);
    }

    #[test]
    fn broken_json_does_no_harm(
        (ty, bytes) in typed_value(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = print(&ty, &bytes).unwrap().into_bytes();
        let at = cut.index(text.len());
        text[at] = byte;
        let mut out = Vec::new();
        if parse_params(&one(&ty), &text, false, &mut out).is_ok() {
            prop_assert!(validate(Some(&ty), &out).is_ok());
        }
        prop_assert!(parse_params(&one(&ty), &text[..at], false, &mut Vec::new()).is_err()
            || serde_json::from_slice::<IgnoredAny>(&text[..at]).is_ok());
    }
}
