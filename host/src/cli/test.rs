//! `sandpool test`: golden cases against a task module.
//!
//! This module must not know what a case is; `testing` does.

use super::args::TestArgs;
use super::config;
use super::exit::{CliError, Exit};
use super::input;
use super::output::Results;
use super::signals::Interrupts;
use crate::limits::Limits;
use crate::testing::{Cases, CasesError};
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(super) fn execute(args: &TestArgs, interrupts: &Interrupts) -> anyhow::Result<Exit> {
    let mut cases = Cases::default();
    for path in &args.files {
        cases = cases.and(read(path, interrupts)?);
    }
    if let Some(name) = &args.choice.function {
        cases = cases.function(name);
    }
    if cases.is_empty() {
        return Err(CliError::Usage("there is no case in what was named".to_owned()).into());
    }
    let pool = config::pool(&args.task, &args.pool, Limits::default().input)?;
    let report = cases.run(&pool)?;
    let mut results = Results::open()?;
    for result in report.results().iter().filter(|result| !args.quiet || !result.is_ok()) {
        results.buffer().extend_from_slice(format!("{result}\n").as_bytes());
    }
    if !args.quiet || !report.is_ok() {
        results.buffer().extend_from_slice(format!("{}\n", report.summary()).as_bytes());
    }
    results.flush()?;
    Ok(if report.is_ok() { Exit::Done } else { Exit::SomeFailed })
}

fn read(path: &PathBuf, interrupts: &Interrupts) -> Result<Cases, CliError> {
    let cases = if path == Path::new("-") {
        Cases::parse("standard input", &input::read_stdin(interrupts.wake(), "cases are")?)
    } else {
        Cases::from_file(path)
    };
    cases.map_err(|error: CasesError| match error.is_unreadable() {
        true => CliError::InputOutput(error.to_string()),
        false => CliError::Usage(error.to_string()),
    })
}
