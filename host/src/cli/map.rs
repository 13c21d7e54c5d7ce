//! The six verbs that map a function over items.
//!
//! This module must not print.

use super::Summary;
use super::args::{Emit, MapArgs, OnError, OutputForm};
use super::config;
use super::exit::{CliError, Exit};
use super::forms::{Spelling, Wanted};
use super::input::{Items, Places};
use super::output::Errors;
use super::run::{Manner, Printer, When};
use super::signals::Interrupts;
use crate::description::FunctionInfo;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Which of the verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verb {
    pub(super) when: When,
    pub(super) order: Order,
    /// Items are argument lists.
    pub(super) starred: bool,
}

/// The order of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Input,
    Ends,
}

/// Runs one of the verbs.
pub(super) fn execute(args: &MapArgs, verb: Verb, interrupts: &Interrupts) -> anyhow::Result<Exit> {
    let places = Places::of(&args.files, "items are")?;
    if let Some(errors) = &args.failures.errors {
        refuse_own_input(errors, args)?;
    }
    let pool = config::pool(&args.task, &args.pool, args.input.max_line)?;
    let function = config::function(&pool, &args.choice, &args.call)?;
    let mut function = config::travelling(function, &args.travel);
    if verb.when == When::AllEnded {
        // Everything is read and kept before anything is printed.
        function = function.window(usize::MAX).window_bytes(u64::MAX);
    }
    let spelling = spelling(function.info(), args, verb)?;
    let manner = Manner::new(spelling, args.output.emit, args.failures.on_error, &args.talk);
    let errors = args.failures.errors.as_deref().map(Errors::create).transpose()?;
    let printer = Printer::open(manner, errors)?;
    let wake = interrupts.wake().clone();
    let items = Items::new(places, spelling, args.input.max_line, wake);
    let mut documents = function.documents(spelling.form);
    if verb.starred {
        documents = documents.starred();
    }
    interrupts.drain(&pool, args.talk.quiet);
    super::measured(&pool, &args.talk, Summary::WhenUnusual, || {
        let outcomes = match verb.order {
            Order::Input => documents.imap(items),
            Order::Ends => documents.imap_unordered(items),
        };
        match outcomes {
            Ok(outcomes) => printer.run(outcomes, verb.when, interrupts),
            Err(error) => (Err(error.into()), super::report::Tally::default()),
        }
    })
}

/// Refuses a file of errors that this run reads as well: making it would empty it.
fn refuse_own_input(errors: &Path, args: &MapArgs) -> Result<(), CliError> {
    let identity = |path: &Path| {
        let facts = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some((facts.dev(), facts.ino()))
    };
    let Some(own) = identity(errors) else { return Ok(()) };
    let mut read = std::iter::once(&args.task).chain(&args.files);
    if read.any(|path| identity(path) == Some(own)) {
        let name = errors.display();
        let text = format!("`--errors {name}` would empty a file that is read: name another one");
        return Err(CliError::Usage(text));
    }
    Ok(())
}

fn spelling(info: &FunctionInfo, args: &MapArgs, verb: Verb) -> Result<Spelling, CliError> {
    let wanted = Wanted {
        input: args.input.input,
        output: args.output.output,
        emit: args.output.emit,
        starred: verb.starred,
    };
    let spelling = Spelling::of(info, wanted)?;
    let places_kept = args.failures.on_error == OnError::Null && args.output.emit == Emit::Value;
    if places_kept && spelling.output == OutputForm::Raw {
        let text = "--on-error null keeps the places of results, and raw output has none: use \
                    --output json, lines or null";
        return Err(CliError::Usage(text.to_owned()));
    }
    Ok(spelling)
}
