//! How items and results are spelled between the command line and the workers.
//!
//! This module must not do any input or output. Items are not parsed here: a line that is a string
//! is at most put in quotes, a result that is a string at most freed of them.

use super::args::{Emit, InputForm, OutputForm};
use super::exit::CliError;
use crate::codec::types::Type;
use crate::description::{Form, FunctionInfo};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// What can be given as it is, without JSON around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Text,
    Bytes,
}

fn plain(ty: &Type) -> Option<Plain> {
    match ty {
        Type::String => Some(Plain::Text),
        ty if ty.is_bytes() => Some(Plain::Bytes),
        _ => None,
    }
}

/// What becomes of an item's bytes on their way to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemStep {
    /// They are the item in the call's form: JSON text, or plain bytes.
    AsIs,
    /// As `AsIs`, and they must be UTF-8.
    Text,
    /// They become a JSON string.
    Quoted,
    /// They become a JSON string of base64.
    Base64,
    /// They do not matter.
    Ignored,
}

/// How results arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrives {
    Json,
    /// As a JSON string of a text, or of base64.
    JsonString(Plain),
    /// As they are.
    Plain(Plain),
}

/// How one call spells its items and its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) form: Form,
    pub(super) item: ItemStep,
    pub(super) input: InputForm,
    pub(super) output: OutputForm,
    arrives: Arrives,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) input: Option<InputForm>,
    pub(super) output: Option<OutputForm>,
    pub(super) emit: Emit,
    /// Items are argument lists.
    pub(super) starred: bool,
}

impl Spelling {
    /// Decides how items and results of `function` are spelled.
    ///
    /// # Errors
    /// If they cannot be spelled as was asked for; the text says what is possible.
    pub(super) fn of(function: &FunctionInfo, wanted: Wanted) -> Result<Self, CliError> {
        let input = wanted.input.unwrap_or(default_input(function, wanted.starred));
        let output = wanted.output.unwrap_or(default_output(function, wanted.emit));
        if wanted.emit == Emit::Record && output == OutputForm::Raw {
            let text = "records need something between them: --output json, lines or null";
            return Err(CliError::Usage(text.to_owned()));
        }
        let value = function.value_type().and_then(plain);
        let item = item_step(function, input, wanted.starred)?;
        let json = |item| Self {
            form: Form::Json,
            item,
            input,
            output,
            arrives: value.map_or(Arrives::Json, Arrives::JsonString),
        };
        Ok(match (item, value) {
            // Plain on both sides: nobody needs to spell anything in JSON.
            (ItemStep::Quoted, Some(value)) => Self {
                form: Form::Raw,
                item: ItemStep::Text,
                arrives: Arrives::Plain(value),
                ..json(item)
            },
            (ItemStep::Base64, Some(value)) => Self {
                form: Form::Raw,
                item: ItemStep::AsIs,
                arrives: Arrives::Plain(value),
                ..json(item)
            },
            _ => json(item),
        })
    }

    /// The value of a result as JSON.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn json(&self, result: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self.arrives {
            Arrives::Json | Arrives::JsonString(_) => out.extend_from_slice(result),
            Arrives::Plain(Plain::Bytes) => quote_bytes(result, out),
            Arrives::Plain(Plain::Text) => quote_text(result, out)?,
        }
        Ok(())
    }

    /// The value of a result for a record: as JSON, but where plain output was asked for, bytes
    /// are shown as the text that they are.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn record(&self, result: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let bytes = match (self.output, self.arrives) {
            (OutputForm::Json | OutputForm::Raw, _) => return self.json(result, out),
            (_, Arrives::Plain(Plain::Bytes)) => result.to_vec(),
            (_, Arrives::JsonString(Plain::Bytes)) => unquote(Plain::Bytes, result)?,
            _ => return self.json(result, out),
        };
        quote_text(&bytes, out).map_err(|why| format!("{why}; --output json has it as base64"))
    }

    /// The value of a result with its ending, in the output form.
    ///
    /// # Errors
    /// Why it cannot be printed so.
    pub(super) fn print(&self, result: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if self.output == OutputForm::Json {
            self.json(result, out)?;
            out.push(b'\n');
            return Ok(());
        }
        let before = out.len();
        match self.arrives {
            Arrives::Json | Arrives::Plain(_) => out.extend_from_slice(result),
            Arrives::JsonString(plain) => out.extend_from_slice(&unquote(plain, result)?),
        }
        let Some(ending) = self.ending() else { return Ok(()) };
        let printed = out.get(before..).unwrap_or_default();
        if memchr::memchr(ending, printed).is_some() {
            out.truncate(before);
            return Err(match ending {
                b'\n' => {
                    "the result contains a newline, so a line cannot hold it; use --output \
                          json, null or raw"
                }
                _ => "the result contains a NUL byte, which would end it; use --output json or raw",
            }
            .to_owned());
        }
        out.push(ending);
        Ok(())
    }

    /// What follows a result or a record.
    pub(super) fn ending(&self) -> Option<u8> {
        match self.output {
            OutputForm::Json | OutputForm::Lines => Some(b'\n'),
            OutputForm::Null => Some(0),
            OutputForm::Raw => None,
        }
    }
}

/// The sort of the one parameter, if it has a plain one.
fn only_parameter(function: &FunctionInfo) -> Option<Plain> {
    match function.signature.params.as_slice() {
        [(_, only)] => plain(only),
        _ => None,
    }
}

/// Whether the function takes bytes: its items are then plain, if nothing else is said.
pub(super) fn takes_bytes(function: &FunctionInfo) -> bool {
    function.is_command() || only_parameter(function) == Some(Plain::Bytes)
}

fn default_input(function: &FunctionInfo, starred: bool) -> InputForm {
    if takes_bytes(function) && !starred { InputForm::Lines } else { InputForm::Json }
}

fn default_output(function: &FunctionInfo, emit: Emit) -> OutputForm {
    let gives_bytes = function.value_type().is_some_and(Type::is_bytes);
    match emit {
        Emit::Record => OutputForm::Json,
        Emit::Value if function.is_command() => OutputForm::Raw,
        Emit::Value if takes_bytes(function) && gives_bytes => OutputForm::Lines,
        Emit::Value => OutputForm::Json,
    }
}

fn item_step(
    function: &FunctionInfo,
    input: InputForm,
    starred: bool,
) -> Result<ItemStep, CliError> {
    if input == InputForm::Json {
        return Ok(ItemStep::AsIs);
    }
    if function.signature.params.is_empty() {
        return Ok(ItemStep::Ignored);
    }
    let only = if starred { None } else { only_parameter(function) };
    match (only, input) {
        (Some(Plain::Text), _) => Ok(ItemStep::Quoted),
        (Some(Plain::Bytes), _) => Ok(ItemStep::Base64),
        // A file can hold what a line can.
        (None, InputForm::Files) => Ok(ItemStep::AsIs),
        (None, _) => {
            let signature = format!("`{}{}`", function.name, function.signature);
            let why = if starred { "a list of arguments is JSON" } else { "an item of it is JSON" };
            Err(CliError::Usage(format!(
                "{signature} does not take one string or `list<u8>` as it is: {why}; use --input \
                 json (one item a line) or --input files (one a file)"
            )))
        }
    }
}

/// Appends a text as a JSON string.
///
/// # Errors
/// If it is not UTF-8.
pub(super) fn quote_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(&error))?;
    quote_str(text, out);
    Ok(())
}

/// Appends a JSON string.
pub(super) fn quote_str(text: &str, out: &mut Vec<u8>) {
    // Neither a string nor a vector can fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends bytes as a JSON string of base64.
pub(super) fn quote_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    quote_str(&BASE64.encode(bytes), out);
}

/// Says where text is not UTF-8.
pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("not UTF-8 (byte {})", error.valid_up_to() + 1)
}

fn unquote(plain: Plain, json: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: &dyn std::fmt::Display| format!("the result is no string: {error}");
    let text: String = serde_json::from_slice(json).map_err(|error| broken(&error))?;
    match plain {
        Plain::Text => Ok(text.into_bytes()),
        Plain::Bytes => BASE64.decode(text).map_err(|error| broken(&error)),
    }
}
