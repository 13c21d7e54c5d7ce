//! One golden case, as it is written.
//!
//! This module must not run anything.

use crate::outcome::{TaskError, TaskErrorKind};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// A file of cases cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CasesError {
    message: String,
    unreadable: bool,
}

impl CasesError {
    pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        Self { message: format!("cannot read `{name}`: {error}"), unreadable: true }
    }

    fn malformed(place: &str, why: &dyn fmt::Display) -> Self {
        Self { message: format!("{place}: {why}"), unreadable: false }
    }

    /// Whether the file cannot be read at all, as opposed to one of its lines being no case.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }
}

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// File and line.
    pub(super) place: String,
    name: Option<String>,
    pub(super) function: Option<String>,
    pub(super) given: Given,
    pub(super) expected: Expected,
}

/// What the function is given.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Nothing,
    Args(Box<RawValue>),
    Input(String),
}

/// How the case is to end.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Ok(Box<RawValue>),
    Output(String),
    Error(ExpectedError),
}

/// The error that a case is to end in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedError {
    #[serde(deserialize_with = "kind")]
    kind: TaskErrorKind,
    message: Option<String>,
    contains: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a case")]
struct Line {
    name: Option<String>,
    function: Option<String>,
    args: Option<Box<RawValue>>,
    input: Option<String>,
    // `null` is a value here, and not the same as nothing.
    #[serde(default, deserialize_with = "present")]
    ok: Option<Box<RawValue>>,
    output: Option<String>,
    error: Option<ExpectedError>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<TaskErrorKind, D::Error> {
    let name = String::deserialize(from)?;
    let names = || TaskErrorKind::ALL.map(TaskErrorKind::name).join(", ");
    let known = TaskErrorKind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| {
        let text = format!("`{name}` is no kind of error; there are {}", names());
        serde::de::Error::custom(text)
    })
}

impl Case {
    pub(super) fn parse(file: &str, line: usize, text: &[u8]) -> Result<Self, CasesError> {
        let place = format!("{file}:{line}");
        let malformed = |why: &dyn fmt::Display| CasesError::malformed(&place, why);
        let parsed: Line = serde_json::from_slice(text).map_err(|why| {
            // Every case is its own text, on one line: what is left to say is the column.
            let text = why.to_string();
            let text = text.replace(" at line 1 column ", ", column ");
            malformed(&text)
        })?;
        let given = match (parsed.args, parsed.input) {
            (None, None) => Given::Nothing,
            (Some(args), None) => Given::Args(args),
            (None, Some(input)) => Given::Input(input),
            (Some(_), Some(_)) => return Err(malformed(&"it has both `args` and `input`")),
        };
        let expected = match (parsed.ok, parsed.output, parsed.error) {
            (Some(value), None, None) => Expected::Ok(value),
            (None, Some(text), None) => Expected::Output(text),
            (None, None, Some(error)) => Expected::Error(error),
            _ => return Err(malformed(&"it needs exactly one of `ok`, `output` and `error`")),
        };
        Ok(Self { name: parsed.name, function: parsed.function, given, expected, place })
    }

    /// The name, or what is called.
    pub(super) fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.call())
    }

    /// What is called, with what.
    pub(super) fn call(&self) -> String {
        let name = self.function.as_deref().unwrap_or("(the default function)");
        match &self.given {
            Given::Nothing => format!("{name} []"),
            Given::Args(args) => format!("{name} {}", args.get()),
            Given::Input(text) => format!("{name} on the text {text:?}"),
        }
    }
}

impl ExpectedError {
    pub(super) fn fits(&self, error: &TaskError) -> bool {
        let message = error.message();
        self.kind == error.kind()
            && self.message.as_ref().is_none_or(|wanted| wanted == message)
            && self.contains.as_ref().is_none_or(|wanted| message.contains(wanted))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(value) => write!(f, "value {}", value.get()),
            Self::Output(text) => write!(f, "output {text:?}"),
            Self::Error(ExpectedError { kind, message, contains }) => {
                write!(f, "error {}", kind.name())?;
                if let Some(message) = message {
                    write!(f, ": {message}")?;
                }
                if let Some(part) = contains {
                    write!(f, " with a message that contains {part:?}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Case, CasesError> {
        Case::parse("cases.jsonl", 7, text.as_bytes())
    }

    #[test]
    fn null_is_an_expected_value() {
        let case = parse(r#"{"ok":null}"#).expect("a case");
        assert_eq!(case.expected.to_string(), "value null");
        assert!(matches!(case.given, Given::Nothing));
    }

    #[test]
    fn malformed_cases_say_where_and_why() {
        for (text, why) in [
            ("{", "cases.jsonl:7: EOF while parsing an object, column 1"),
            ("[]", "expected an object with a case"),
            (r#"{"args":[]}"#, "exactly one of"),
            (r#"{"ok":1,"error":{"kind":"failed"}}"#, "exactly one of"),
            (r#"{"ok":1,"arguments":[]}"#, "unknown field `arguments`"),
            (r#"{"ok":1,"args":[],"input":""}"#, "both `args` and `input`"),
            (r#"{"error":{"kind":"broken"}}"#, "`broken` is no kind of error; there are failed,"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with("cases.jsonl:7: ") && error.contains(why), "{error}");
        }
    }
}
