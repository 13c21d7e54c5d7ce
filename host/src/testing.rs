//! Golden cases: what a function of a task module is to answer, checked in a pool.
//!
//! ```no_run
//! #[test]
//! fn golden() {
//!     sandpool::testing::check("target/wasm32-wasip2/debug/task.wasm", "tests/cases.jsonl");
//! }
//! ```
//!
//! Cases are JSON Lines; blank lines do not count. A case is an object:
//!
//! | key | meaning |
//! |---|---|
//! | `name` | for the report; optional |
//! | `function` | what is called; optional if the module has one function |
//! | `args` | the arguments, an array (or an object by name), as in `docs/json.md`; default `[]` |
//! | `input` | instead: the text that a command reads, or the one string or `list<u8>` parameter |
//! | `ok` | expected: this value |
//! | `output` | expected: this text, where the value is a string or `list<u8>`, or of a command |
//! | `error` | expected: `{"kind": …}`, with `message` if it must be just so, or `contains` |
//!
//! Each case has exactly one of `ok`, `output` and `error`. Values are compared as values of the
//! function's type: the order of an object's keys and the spelling of numbers do not matter. Cases
//! run in parallel, each in a new instance, unless the pool reuses them.
//!
//! This module must not print.

mod case;

use crate::codec::types::{Signature, Type};
use crate::codec::{json, parse_params};
use crate::description::{Form, FunctionInfo};
use crate::pool::Pool;
use crate::pool::documents::{Document, Pulled};
use crate::pool::error::CallError;
use crate::pool::function::Function;
use crate::pool::iter::{Imap, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
pub use case::CasesError;
use case::{Case, Expected, Given};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Characters of a value or a message that a report shows.
const SHOWN: usize = 400;

/// Runs the cases in a file against the module in another, and panics with a report if one of them
/// differs: for `#[test]` functions.
///
/// # Panics
/// If a case differs, a file cannot be read or used, or the module cannot.
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn check(module: impl AsRef<Path>, cases: impl AsRef<Path>) {
    let run = || -> Result<Report, Box<dyn std::error::Error>> {
        let cases = Cases::from_file(cases)?;
        Ok(cases.run(&Pool::new(module)?)?)
    };
    match run() {
        Ok(report) if report.is_ok() => {}
        Ok(report) => panic!("\n{report}"),
        Err(error) => panic!("{error}"),
    }
}

/// Golden cases.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    cases: Vec<Case>,
    function: Option<String>,
}

impl Cases {
    /// Reads the cases in a file.
    ///
    /// # Errors
    /// If it cannot be read, or a line of it is no case.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CasesError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = std::fs::read(path).map_err(|error| CasesError::unreadable(&name, &error))?;
        Self::parse(&name, &text)
    }

    /// Reads the cases in a text; `name` is for messages.
    ///
    /// # Errors
    /// If a line of it is no case.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, CasesError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut cases = Vec::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if !line.trim_ascii().is_empty() {
                cases.push(Case::parse(name, at + 1, line)?);
            }
        }
        Ok(Self { cases, function: None })
    }

    /// Adds the cases of another set.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.cases.extend(other.cases);
        self
    }

    /// The function of cases that name none. Default: that of
    /// [`Pool::default_function`](crate::Pool::default_function).
    #[must_use]
    pub fn function(self, name: impl Into<String>) -> Self {
        Self { function: Some(name.into()), ..self }
    }

    /// Number of cases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Runs all cases, in parallel.
    ///
    /// # Errors
    /// If the pool does not take them or cannot go on. A case that differs, or that cannot be run,
    /// is in the report.
    ///
    /// # Blocking
    /// Until all of them have ended.
    pub fn run(&self, pool: &Pool) -> Result<Report, CallError> {
        let mut found: Vec<Found> = vec![Found::Nothing; self.cases.len()];
        let mut calls = Vec::new();
        for (name, members) in self.by_function() {
            let function = match name {
                Some(name) => pool.function(name),
                None => pool.default_function(),
            };
            match function {
                Ok(function) => calls.push(self.start(&function, &members, &mut found)?),
                Err(error) => {
                    for at in members {
                        put(&mut found, at, Found::Unusable(error.to_string()));
                    }
                }
            }
        }
        for call in calls {
            call.collect(&mut found)?;
        }
        let results = self.cases.iter().zip(found).map(|(case, found)| judge(case, found));
        Ok(Report { results: results.collect() })
    }

    fn by_function(&self) -> BTreeMap<Option<&str>, Vec<usize>> {
        let mut groups: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for (at, case) in self.cases.iter().enumerate() {
            let name = case.function.as_deref().or(self.function.as_deref());
            groups.entry(name).or_default().push(at);
        }
        groups
    }

    /// Submits the cases of one function.
    fn start(
        &self,
        function: &Function,
        members: &[usize],
        found: &mut [Found],
    ) -> Result<Running, CallError> {
        let info = function.info();
        let mut items = Vec::new();
        let mut running = Vec::new();
        let cases = members.iter().filter_map(|at| Some((*at, self.cases.get(*at)?)));
        for (at, case) in cases {
            let prepared = expected(info, &case.expected)
                .and_then(|expected| Ok((item(info, &case.given)?, expected)));
            match prepared {
                Ok((item, expected)) => {
                    items.push(item);
                    running.push((at, expected));
                }
                Err(why) => put(found, at, Found::Unusable(why)),
            }
        }
        let mut items = items.into_iter();
        let source = move |out: &mut Vec<u8>| match items.next() {
            Some(item) => {
                *out = item;
                Ok(Pulled::Document)
            }
            None => Ok(Pulled::End),
        };
        let outcomes = function.documents(Form::Json).starred().imap(source)?;
        Ok(Running { outcomes, running })
    }
}

/// Cases of one function that run.
struct Running {
    outcomes: Imap<Document>,
    /// Place among all cases, and the expected value in its only spelling, if it is a value.
    running: Vec<(usize, Option<String>)>,
}

impl Running {
    fn collect(mut self, found: &mut [Found]) -> Result<(), CallError> {
        for (at, expected) in self.running {
            let Some(outcome) = self.outcomes.next_outcome() else { break };
            put(found, at, Found::Outcome { expected, outcome: Box::new(outcome?) });
        }
        Ok(())
    }
}

/// What a case came to.
#[derive(Clone, Debug)]
enum Found {
    Nothing,
    /// It could not be run.
    Unusable(String),
    Outcome {
        expected: Option<String>,
        outcome: Box<Outcome<Document>>,
    },
}

fn put(found: &mut [Found], at: usize, what: Found) {
    if let Some(place) = found.get_mut(at) {
        *place = what;
    }
}

/// The argument list of a case.
fn item(info: &FunctionInfo, given: &Given) -> Result<Vec<u8>, String> {
    let text = match given {
        Given::Args(json) => return Ok(json.get().as_bytes().to_vec()),
        Given::Nothing => return Ok(b"[]".to_vec()),
        Given::Input(text) => text,
    };
    match info.signature.params.as_slice() {
        [(_, only)] => Ok(format!("[{}]", spelled(only, text)?).into_bytes()),
        _ => Err("`input` needs a function of one string or `list<u8>`; use `args`".to_owned()),
    }
}

/// A text as a JSON value of a type that is plain.
fn spelled(ty: &Type, text: &str) -> Result<String, String> {
    match ty {
        Type::String => Ok(serde_json::Value::from(text).to_string()),
        ty if ty.is_bytes() => Ok(format!("\"{}\"", BASE64.encode(text))),
        ty => Err(format!("a text is no `{ty}`; use `args` and `ok`")),
    }
}

/// The expected value in the spelling in which results arrive.
fn expected(info: &FunctionInfo, expected: &Expected) -> Result<Option<String>, String> {
    let ty = info.value_type();
    match (expected, ty) {
        (Expected::Error(_), _) => Ok(None),
        (Expected::Ok(json), Some(ty)) => same_spelling(ty, json.get()).map(Some),
        (Expected::Ok(json), None) if json.get() == "null" => Ok(Some("null".to_owned())),
        (_, None) => Err("the function has no value: expect `\"ok\": null`".to_owned()),
        (Expected::Output(text), Some(ty)) => spelled(ty, text).map(Some),
    }
}

/// Reads a value by its type and prints it again.
fn same_spelling(ty: &Type, text: &str) -> Result<String, String> {
    let misfit = |why: &dyn fmt::Display| format!("the expected value is no `{ty}`: {why}");
    let signature = Signature { params: vec![(String::new(), ty.clone())], result: None };
    let (mut value, mut printed) = (Vec::new(), Vec::new());
    parse_params(&signature, text.as_bytes(), false, &mut value).map_err(|why| misfit(&why))?;
    json::print_value(Some(ty), &value, &mut printed).map_err(|why| misfit(&why))?;
    String::from_utf8(printed).map_err(|why| misfit(&why))
}

fn judge(case: &Case, found: Found) -> CaseResult {
    let outcome = match found {
        Found::Nothing => return case.differs("it was not run".to_owned(), ""),
        Found::Unusable(why) => return case.differs(why, ""),
        Found::Outcome { expected, outcome } => (expected, *outcome),
    };
    let (expected, Outcome { result, logs, .. }) = outcome;
    let stderr = String::from_utf8_lossy(&logs.stderr);
    match (result, &case.expected) {
        (Err(error), Expected::Error(wanted)) if wanted.fits(&error) => case.agrees(),
        (Err(error), _) => {
            let found = format!("error {}: {}", error.kind().name(), error.message());
            case.differs(found, &stderr)
        }
        (Ok(value), _) if expected.as_deref().map(str::as_bytes) == Some(&*value) => case.agrees(),
        (Ok(value), _) => {
            case.differs(format!("value {}", String::from_utf8_lossy(&value)), &stderr)
        }
    }
}

/// What all cases came to. Its text lists those that differ, and counts.
#[derive(Clone, Debug)]
#[must_use = "a case that differs is in the report only"]
pub struct Report {
    results: Vec<CaseResult>,
}

impl Report {
    /// Whether no case differs.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed() == 0
    }

    /// Number of cases that differ.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|result| !result.is_ok()).count()
    }

    /// Every case, in the order in which they were written.
    #[must_use]
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// The counts, as one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let cases = self.results.len();
        let s = if cases == 1 { "" } else { "s" };
        match self.failed() {
            0 => format!("{cases} case{s}, all as expected"),
            1 => format!("{cases} case{s}, 1 differs"),
            failed => format!("{cases} case{s}, {failed} differ"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in self.results.iter().filter(|result| !result.is_ok()) {
            writeln!(f, "{result}")?;
        }
        f.write_str(&self.summary())
    }
}

/// What one case came to. Its text is one line, or five if it differs.
#[derive(Clone, Debug)]
pub struct CaseResult {
    place: String,
    title: String,
    difference: Option<Difference>,
}

#[derive(Clone, Debug)]
struct Difference {
    called: String,
    expected: String,
    found: String,
    stderr: String,
}

impl CaseResult {
    /// Whether it ended as expected.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.difference.is_none()
    }

    /// File and line of the case.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, title, difference } = self;
        let Some(Difference { called, expected, found, stderr }) = difference else {
            return write!(f, "ok       {place}  {}", shown(title));
        };
        writeln!(f, "DIFFERS  {place}  {}", shown(title))?;
        writeln!(f, "         called    {}", shown(called))?;
        writeln!(f, "         expected  {}", shown(expected))?;
        write!(f, "         found     {}", shown(found))?;
        for line in stderr.lines() {
            write!(f, "\n         stderr    {}", shown(line))?;
        }
        Ok(())
    }
}

/// A text as part of one line, not too long, and without characters that a terminal obeys.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

impl Case {
    fn agrees(&self) -> CaseResult {
        CaseResult { place: self.place.clone(), title: self.title(), difference: None }
    }

    fn differs(&self, found: String, stderr: &str) -> CaseResult {
        let difference = Difference {
            called: self.call(),
            expected: self.expected.to_string(),
            found,
            stderr: stderr.to_owned(),
        };
        CaseResult { difference: Some(difference), ..self.agrees() }
    }
}
