//! `sandpool apply`: one call.
//!
//! This module must not print.

use super::Summary;
use super::args::{ApplyArgs, OnError};
use super::config;
use super::exit::{CliError, Exit};
use super::forms::{self, ItemStep, Spelling, Wanted};
use super::input;
use super::run::{Manner, Printer, When};
use super::signals::Interrupts;
use crate::description::FunctionInfo;
use crate::limits::Limits;
use crate::pool::documents::Pulled;
use serde::de::IgnoredAny;

/// Runs the verb.
pub(super) fn execute(args: &ApplyArgs, interrupts: &Interrupts) -> anyhow::Result<Exit> {
    let pool = config::pool_for_one(&args.task, &args.pool, Limits::default().input)?;
    let function = config::function(&pool, &args.choice, &args.call)?;
    let info = function.info();
    let plain = forms::takes_bytes(info);
    let wanted =
        Wanted { input: None, output: args.output.output, emit: args.output.emit, starred: !plain };
    let spelling = Spelling::of(info, wanted)?;
    let item =
        if plain { bytes(info, args, spelling, interrupts)? } else { list(info, &args.args)? };
    let mut documents = function.documents(spelling.form);
    if !plain {
        documents = documents.starred();
    }
    let manner = Manner {
        indexed: false,
        ..Manner::new(spelling, args.output.emit, OnError::Skip, &args.talk)
    };
    let printer = Printer::open(manner, None)?;
    let mut item = Some(item);
    super::measured(&pool, &args.talk, Summary::Never, || {
        let outcomes = documents.imap(move |out: &mut Vec<u8>| match item.take() {
            Some(item) => {
                *out = item;
                Ok(Pulled::Document)
            }
            None => Ok(Pulled::End),
        });
        match outcomes {
            Ok(outcomes) => printer.run(outcomes, When::Ready, interrupts),
            Err(error) => (Err(error.into()), super::report::Tally::default()),
        }
    })
}

/// The arguments as one JSON array.
fn list(info: &FunctionInfo, args: &[String]) -> Result<Vec<u8>, CliError> {
    let wanted = info.signature.params.len();
    if args.len() != wanted {
        return Err(CliError::Usage(format!(
            "`{}{}` takes {wanted} argument{}, found {}",
            info.name,
            info.signature,
            if wanted == 1 { "" } else { "s" },
            args.len()
        )));
    }
    for (at, arg) in args.iter().enumerate() {
        // Two values in one argument would count as two.
        if let Err(error) = serde_json::from_str::<IgnoredAny>(arg) {
            return Err(CliError::Usage(format!(
                "argument {}, `{arg}`, is not JSON: {error} (a string needs quotes of its own: \
                 '\"text\"')",
                at + 1
            )));
        }
    }
    Ok(format!("[{}]", args.join(",")).into_bytes())
}

/// The item of a command, or of a function of bytes: the only argument, else standard input.
fn bytes(
    info: &FunctionInfo,
    args: &ApplyArgs,
    spelling: Spelling,
    interrupts: &Interrupts,
) -> Result<Vec<u8>, CliError> {
    let item = match args.args.as_slice() {
        [] => input::read_stdin(interrupts.wake(), "the item is")?,
        [item] => item.clone().into_bytes(),
        more => {
            let what = if info.is_command() { "a command" } else { "a function of bytes" };
            return Err(CliError::Usage(format!(
                "{what} takes one ARG, which is its item, or none, then standard input is; found \
                 {} (--arg gives a guest arguments)",
                more.len()
            )));
        }
    };
    if spelling.item != ItemStep::Base64 {
        return Ok(item);
    }
    let mut quoted = Vec::new();
    forms::quote_bytes(&item, &mut quoted);
    Ok(quoted)
}
