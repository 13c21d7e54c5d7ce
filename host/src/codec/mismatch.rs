//! Why a value does not fit its type, and where: one line, with a path.
//!
//! This module must not know any form of values; it only words what the adapters found.

use super::names::Named;
use serde::{de, ser};
use std::fmt::{self, Display, Write};

/// Longest text, in characters, that is quoted of a type or a list of names.
const EXPECTED_MAX: usize = 120;
/// Longest text, in characters, that is quoted of a value.
const FOUND_MAX: usize = 60;

/// A value does not fit. Displays as `at $.points[2].x: expected s32, found string "abc"`.
#[derive(Debug, thiserror::Error)]
#[error("at ${}: {}", .0.path, .0.why)]
pub(crate) struct Mismatch(Box<Repr>);

/// Boxed, so that a result without a value stays one word on the way that matters.
#[derive(Debug)]
struct Repr {
    /// Without the leading `$`.
    path: String,
    why: String,
}

impl Mismatch {
    /// Something else than `expected` was found. Both texts are cut when they are long.
    #[cold]
    pub(crate) fn expected(expected: impl Display, found: impl Display) -> Self {
        let expected = clipped(expected, EXPECTED_MAX);
        Self::because(format_args!("expected {expected}, found {}", clipped(found, FOUND_MAX)))
    }

    /// Any other reason: a lower-case fragment.
    #[cold]
    pub(crate) fn because(why: impl Display) -> Self {
        let why = clipped(why, usize::MAX);
        Self(Box::new(Repr { path: String::new(), why }))
    }

    /// A key, case or flag that the type does not have.
    #[cold]
    pub(super) fn unknown<N: Named>(names: &[N], found: &str) -> Self {
        let names = fmt::from_fn(|f| {
            f.write_str(if names.is_empty() { "no name" } else { "one of " })?;
            for (i, name) in names.iter().enumerate() {
                write!(f, "{}`{}`", if i > 0 { ", " } else { "" }, name.name())?;
            }
            Ok(())
        });
        Self::expected(names, format_args!("`{found}`"))
    }

    /// A key or flag that came twice.
    #[cold]
    pub(super) fn twice(name: &str) -> Self {
        Self::expected(format_args!("`{name}` once"), "it twice")
    }

    /// The path from the whole value to the misfit: `$`, `.key` and `[index]`.
    #[cfg(test)]
    pub(super) fn path(&self) -> String {
        format!("${}", self.0.path)
    }

    /// The same misfit, seen from the value that holds it under `key`.
    #[cold]
    pub(crate) fn at_key(mut self, key: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let step = match !key.is_empty() && key.len() <= FOUND_MAX && key.chars().all(plain) {
            true => format!(".{key}"),
            false => format!("[{}]", clipped(format_args!("{key:?}"), FOUND_MAX)),
        };
        self.0.path.insert_str(0, &step);
        self
    }

    /// The same misfit, seen from the value that holds it at `index`.
    #[cold]
    pub(crate) fn at_index(mut self, index: usize) -> Self {
        self.0.path.insert_str(0, &format!("[{index}]"));
        self
    }
}

impl ser::Error for Mismatch {
    fn custom<T: Display>(message: T) -> Self {
        Self::because(message)
    }
}

impl de::Error for Mismatch {
    fn custom<T: Display>(message: T) -> Self {
        Self::because(message)
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(expected, found)
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(expected, found)
    }
}

/// At most `max` characters of `text`, on one line. Writing stops at the limit, so a huge value
/// costs no more than a small one.
fn clipped(text: impl Display, max: usize) -> String {
    struct Clip {
        text: String,
        room: usize,
    }

    impl Write for Clip {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for c in part.chars() {
                if self.room == 0 {
                    self.text.push('…');
                    return Err(fmt::Error);
                }
                self.room -= 1;
                self.text.push(if c.is_control() { ' ' } else { c });
            }
            Ok(())
        }
    }

    let mut clip = Clip { text: String::new(), room: max };
    // An error here means that the limit was reached, which the mark at the end already says.
    let _ = write!(clip, "{text}");
    clip.text
}
