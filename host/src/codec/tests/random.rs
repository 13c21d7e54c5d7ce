//! Random types, values and JSON texts for the property tests.

use crate::codec::binary::Writer;
use crate::codec::types::Type;
use proptest::prelude::*;
use proptest::sample::subsequence;

/// Names that are alike, that mean something in the mapping, or that have several words.
const NAMES: [&str; 12] =
    ["a", "b", "foobar", "foo-bar", "x-y", "tag", "val", "some", "ok", "err", "h2-o", "only"];

fn names(least: usize) -> impl Strategy<Value = Vec<String>> {
    let names = subsequence(NAMES.map(str::to_owned).to_vec(), least..=5);
    names.prop_shuffle()
}

fn scalar() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::Bool),
        Just(Type::S8),
        Just(Type::U8),
        Just(Type::S16),
        Just(Type::U16),
        Just(Type::S32),
        Just(Type::U32),
        Just(Type::S64),
        Just(Type::U64),
        Just(Type::F32),
        Just(Type::F64),
        Just(Type::Char),
        Just(Type::String),
        names(1).prop_map(Type::Enum),
        // Flags without a name, too: elements without bytes.
        names(0).prop_map(Type::Flags),
    ]
}

/// Any type, nested up to five levels, without uninhabited ones.
pub(super) fn any_type() -> impl Strategy<Value = Type> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        let some = |inner| proptest::option::weighted(0.7, inner);
        let named = move |inner: BoxedStrategy<Type>| {
            (names(0), proptest::collection::vec(inner, 5))
                .prop_map(|(names, types)| names.into_iter().zip(types).collect())
        };
        let cases = (names(1), proptest::collection::vec(some(inner.clone()), 5))
            .prop_map(|(names, types)| Type::Variant(names.into_iter().zip(types).collect()));
        prop_oneof![
            inner.clone().prop_map(|ty| Type::List(Box::new(ty))),
            inner.clone().prop_map(|ty| Type::Option(Box::new(ty))),
            named(inner.clone().boxed()).prop_map(Type::Record),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Type::Tuple),
            cases,
            (some(inner.clone()), some(inner)).prop_map(|(ok, err)| Type::Result {
                ok: ok.map(Box::new),
                err: err.map(Box::new)
            }),
        ]
    })
}

/// A type, and the binary form of one of its values.
pub(super) fn typed_value() -> impl Strategy<Value = (Type, Vec<u8>)> {
    (any_type(), proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|(ty, entropy)| {
        let mut out = Vec::new();
        put_value(&ty, &mut entropy.into_iter(), &mut out);
        (ty, out)
    })
}

type Entropy = std::vec::IntoIter<u8>;

fn take<const N: usize>(entropy: &mut Entropy) -> [u8; N] {
    std::array::from_fn(|_| entropy.next().unwrap_or(0))
}

fn pick(entropy: &mut Entropy, among: usize) -> usize {
    usize::from(take::<1>(entropy)[0]) % among
}

/// An integer of `N` bytes: often an extreme one.
fn integer<const N: usize>(entropy: &mut Entropy) -> [u8; N] {
    let mut bytes = take::<N>(entropy);
    match pick(entropy, 6) {
        0 => bytes = [0xff; N],
        1 => {
            bytes = [0xff; N];
            bytes[N - 1] = 0x7f;
        }
        2 => {
            bytes = [0; N];
            bytes[N - 1] = 0x80;
        }
        _ => {}
    }
    bytes
}

fn scalar_value(entropy: &mut Entropy) -> char {
    match pick(entropy, 4) {
        0 => ['"', '\\', '\0', '\n', '\u{7f}', '\u{2028}'][pick(entropy, 6)],
        1 => char::from_u32(u32::from_le_bytes(take(entropy)) % 0x11_0000).unwrap_or('😀'),
        _ => char::from(b' ' + take::<1>(entropy)[0] % 95),
    }
}

/// The one NaN that JSON has, for all.
fn float(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

fn double(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn put_value(ty: &Type, entropy: &mut Entropy, out: &mut Vec<u8>) {
    match ty {
        Type::Bool => Writer(out).bool(pick(entropy, 2) == 1),
        Type::S8 | Type::U8 => out.extend(integer::<1>(entropy)),
        Type::S16 | Type::U16 => out.extend(integer::<2>(entropy)),
        Type::S32 | Type::U32 => out.extend(integer::<4>(entropy)),
        Type::S64 | Type::U64 => out.extend(integer::<8>(entropy)),
        Type::F32 => out.extend(float(f32::from_le_bytes(integer(entropy))).to_le_bytes()),
        Type::F64 => out.extend(double(f64::from_le_bytes(integer(entropy))).to_le_bytes()),
        Type::Char => Writer(out).char(scalar_value(entropy)),
        Type::String => {
            let text: String = (0..pick(entropy, 6)).map(|_| scalar_value(entropy)).collect();
            Writer(out).bytes(text.as_bytes()).expect("a short string");
        }
        Type::List(element) => {
            let count = pick(entropy, 5);
            let at = Writer(out).open_list();
            (0..count).for_each(|_| put_value(element, entropy, out));
            Writer(out).close_list(at, count).expect("a short list");
        }
        Type::Record(fields) => fields.iter().for_each(|(_, ty)| put_value(ty, entropy, out)),
        Type::Tuple(types) => types.iter().for_each(|ty| put_value(ty, entropy, out)),
        Type::Enum(cases) => Writer(out).case(pick(entropy, cases.len()), cases.len()),
        Type::Variant(cases) => {
            let case = pick(entropy, cases.len());
            Writer(out).case(case, cases.len());
            if let Some(payload) = &cases[case].1 {
                put_value(payload, entropy, out);
            }
        }
        Type::Option(some) => {
            let present = pick(entropy, 3) > 0;
            Writer(out).bool(present);
            if present {
                put_value(some, entropy, out);
            }
        }
        Type::Result { ok, err } => {
            let failed = pick(entropy, 2) == 1;
            Writer(out).bool(failed);
            if let Some(payload) = if failed { err } else { ok } {
                put_value(payload, entropy, out);
            }
        }
        Type::Flags(names) => {
            let at = Writer(out).flags(names.len());
            for flag in 0..names.len() {
                if pick(entropy, 2) == 1 {
                    Writer(out).set_flag(at, flag);
                }
            }
        }
    }
}

/// JSON that a type may or may not like: literals and names of the mapping, nested.
pub(super) fn any_json() -> impl Strategy<Value = String> {
    let literals = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "255",
        "256",
        "1.0",
        "1e3",
        "-1.5e-7",
        "18446744073709551615",
        "18446744073709551616",
        "1e999",
        "\"\"",
        "\"a\"",
        "\"foo-bar\"",
        "\"foo_bar\"",
        "\"AAE=\"",
        "\"NaN\"",
        "\"-Infinity\"",
        "\"12\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{}",
    ];
    let key = prop_oneof![proptest::sample::select(&NAMES[..]), Just("foo_bar"), Just("é")];
    let leaf = proptest::sample::select(literals.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let entry =
            (key.clone(), inner.clone()).prop_map(|(key, value)| format!("{key:?}:{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4)
                .prop_map(|parts| format!("[{}]", parts.join(","))),
            proptest::collection::vec(entry, 0..4)
                .prop_map(|parts| format!("{{{}}}", parts.join(","))),
        ]
    })
}
