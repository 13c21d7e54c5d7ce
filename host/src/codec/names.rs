//! Equality of names across the case styles of WIT, JSON and Rust.
//!
//! This module must not know where names come from.

/// Something with a name, so that fields, cases, flags and Rust names are searched alike.
pub(super) trait Named {
    fn name(&self) -> &str;
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> Named for (String, T) {
    fn name(&self) -> &str {
        &self.0
    }
}

/// Which spellings of a name are taken for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    /// As WIT writes it, or with `_` for `-`.
    Json,
    /// Equal modulo case style: `max-size`, `max_size`, `maxSize`, `MaxSize`, `MAX_SIZE`.
    Rust,
}

/// Finds the name that `key` stands for. The one at `hint` is tried first.
///
/// WIT allows `foo-bar` beside `foobar`, so word boundaries count as long as they can decide;
/// without them (`XY` for `x-y`) a name is found only if no other is spelled with its letters.
pub(super) fn find<N: Named>(style: Style, names: &[N], key: &str, hint: usize) -> Option<usize> {
    let found = position(names, hint, |name| same_separated(name, key));
    match style {
        Style::Json => found,
        Style::Rust => {
            found.or_else(|| position(names, hint, |name| same_words(name, key))).or_else(|| {
                let same = |i: &usize| names.get(*i).is_some_and(|n| same_letters(n.name(), key));
                let mut found = (0..names.len()).filter(same);
                found.next().filter(|_| found.next().is_none())
            })
        }
    }
}

fn position<N: Named>(names: &[N], hint: usize, same: impl Fn(&str) -> bool) -> Option<usize> {
    if names.get(hint).is_some_and(|name| same(name.name())) {
        return Some(hint);
    }
    names.iter().position(|name| same(name.name()))
}

fn same_separated(a: &str, b: &str) -> bool {
    let kebab = |byte: u8| if byte == b'_' { b'-' } else { byte };
    a == b || a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| kebab(a) == kebab(b))
}

fn same_words(a: &str, b: &str) -> bool {
    words(a).eq(words(b))
}

fn same_letters(a: &str, b: &str) -> bool {
    words(a).filter(|&byte| byte != b'-').eq(words(b).filter(|&byte| byte != b'-'))
}

/// The bytes of `name` in lower-case kebab style; a capital that follows none starts a word.
fn words(name: &str) -> impl Iterator<Item = u8> {
    let mut before = b'-';
    name.bytes().flat_map(move |byte| {
        let inside = !matches!(before, b'-' | b'_') && !before.is_ascii_uppercase();
        let boundary = (byte.is_ascii_uppercase() && inside).then_some(b'-');
        before = byte;
        let letter = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        boundary.into_iter().chain(Some(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_finds_the_name() {
        let names = ["max-size", "x", "a1-b2", "http-url"];
        for key in ["max-size", "max_size", "maxSize", "MaxSize", "MAX_SIZE"] {
            assert_eq!(find(Style::Rust, &names, key, 3), Some(0), "{key}");
        }
        assert_eq!(find(Style::Rust, &names, "A1B2", 0), Some(2));
        assert_eq!(find(Style::Rust, &names, "HTTPUrl", 0), Some(3));
        assert_eq!(find(Style::Rust, &names, "max", 0), None);
        assert_eq!(find(Style::Rust, &names, "max-size-x", 0), None);
        assert_eq!(find(Style::Rust, &names, "", 0), None);
    }

    #[test]
    fn word_boundaries_decide_between_names_of_the_same_letters() {
        let names = ["foobar", "foo-bar", "f-oobar"];
        assert_eq!(find(Style::Rust, &names, "FooBar", 0), Some(1));
        assert_eq!(find(Style::Rust, &names, "Foobar", 1), Some(0));
        assert_eq!(find(Style::Rust, &names, "fOobar", 0), Some(2));
        assert_eq!(find(Style::Rust, &names, "FOO_BAR", 0), Some(1));
        assert_eq!(find(Style::Rust, &names, "fooBa_r", 0), None);
    }

    #[test]
    fn json_knows_kebab_and_snake_only() {
        let names = ["max-size", "x"];
        assert_eq!(find(Style::Json, &names, "max-size", 1), Some(0));
        assert_eq!(find(Style::Json, &names, "max_size", 0), Some(0));
        assert_eq!(find(Style::Json, &names, "maxSize", 0), None);
        assert_eq!(find(Style::Json, &names, "X", 0), None);
    }
}
