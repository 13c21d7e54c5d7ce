//! The loop that all verbs share: takes outcomes, prints what they are, counts them.
//!
//! This module must not know how items come in.

use super::args::{Emit, OnError, TalkArgs};
use super::exit::{CliError, Exit};
use super::forms::Spelling;
use super::output::{self, Errors, Results};
use super::record;
use super::report::Tally;
use super::signals::Interrupts;
use crate::outcome::{Failure, Logs, TaskError, TaskErrorKind};
use crate::pool::documents::Document;
use crate::pool::iter::{Imap, Outcome, Timeout};
use std::time::Duration;

/// When results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// As soon as they are there.
    Ready,
    /// When all of them are there.
    AllEnded,
}

/// How outcomes are printed.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) spelling: Spelling,
    pub(super) emit: Emit,
    pub(super) on_error: OnError,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    /// Where one item is all there is, its index says nothing.
    pub(super) indexed: bool,
}

impl Manner {
    pub(super) fn new(spelling: Spelling, emit: Emit, on_error: OnError, talk: &TalkArgs) -> Self {
        let TalkArgs { quiet, verbose, .. } = *talk;
        Self { spelling, emit, on_error, quiet, verbose, indexed: true }
    }
}

/// Prints outcomes.
pub(super) struct Printer {
    manner: Manner,
    results: Results,
    errors: Option<Errors>,
    terminal: bool,
    tally: Tally,
}

/// Whether the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    Halt,
}

impl Printer {
    /// Opens what is written to.
    ///
    /// # Errors
    /// If that is not possible.
    pub(super) fn open(manner: Manner, errors: Option<Errors>) -> Result<Self, CliError> {
        let results = Results::open()?;
        let terminal = output::talks_to_terminal();
        Ok(Self { manner, results, errors, terminal, tally: Tally::default() })
    }

    /// Runs a call to its end, and tells how it ended and what it came to.
    ///
    /// # Errors
    /// What ended it before: the input, the output, or the pool.
    pub(super) fn run(
        mut self,
        outcomes: Imap<Document>,
        when: When,
        interrupts: &Interrupts,
    ) -> (anyhow::Result<Exit>, Tally) {
        let ended = match when {
            When::Ready => self.print_ready(outcomes, interrupts),
            When::AllEnded => self.print_all(outcomes, interrupts),
        };
        // What is printed already stays printed; what waits is worth as much.
        let flushed = self.results.flush();
        let exit = match (ended, flushed) {
            (Err(error), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Ok(Go::Halt), _) => Ok(Exit::Halted),
            (Ok(Go::On), _) if self.tally.failed() > 0 => Ok(Exit::SomeFailed),
            (Ok(Go::On), _) => Ok(Exit::Done),
        };
        let killed = interrupts.exit();
        let exit = match (exit, killed) {
            // The pool was ended on purpose.
            (Err(error), Some(killed)) if super::exit::of(&error) == Exit::Pool => Ok(killed),
            (Ok(_), Some(killed)) => Ok(killed),
            (exit, _) => exit,
        };
        (exit, self.tally)
    }

    fn print_ready(
        &mut self,
        mut outcomes: Imap<Document>,
        interrupts: &Interrupts,
    ) -> anyhow::Result<Go> {
        loop {
            let next = match outcomes.next_outcome_timeout(Duration::ZERO) {
                Ok(next) => next,
                Err(Timeout) => {
                    self.results.flush()?;
                    outcomes.next_outcome()
                }
            };
            match next {
                None => return Ok(Go::On),
                Some(outcome) => {
                    if self.take(outcome?, interrupts)? == Go::Halt {
                        return Ok(Go::Halt);
                    }
                }
            }
        }
    }

    fn print_all(
        &mut self,
        outcomes: Imap<Document>,
        interrupts: &Interrupts,
    ) -> anyhow::Result<Go> {
        let stops = self.manner.on_error == OnError::Stop;
        let mut outcomes = outcomes;
        let mut all = Vec::new();
        let mut error = None;
        while let Some(next) = outcomes.next_outcome() {
            match next {
                Ok(outcome) => {
                    let last = stops && outcome.result.is_err();
                    all.push(outcome);
                    if last {
                        break;
                    }
                }
                Err(failed) => error = Some(failed),
            }
        }
        // Running items of a halted call are worth nothing.
        drop(outcomes);
        for outcome in all {
            if self.take(outcome, interrupts)? == Go::Halt {
                return Ok(Go::Halt);
            }
        }
        error.map_or(Ok(Go::On), |error| Err(error.into()))
    }

    /// Prints one outcome.
    fn take(
        &mut self,
        outcome: Outcome<Document>,
        interrupts: &Interrupts,
    ) -> Result<Go, CliError> {
        let Outcome { index, attempts, logs, result, .. } = outcome;
        self.show_logs(index, &logs);
        let printed = match result {
            Ok(document) => self.print_value(index, &document).map_err(|why| {
                TaskError::new(index, attempts, Failure::new(TaskErrorKind::BadOutput, why), logs)
            }),
            Err(error) => Err(error),
        };
        let go = match printed {
            Ok(()) => {
                self.tally.value();
                Go::On
            }
            Err(error) => self.fail(index, &error, interrupts)?,
        };
        self.results.flush_if_full()?;
        Ok(go)
    }

    fn print_value(&mut self, index: u64, result: &[u8]) -> Result<(), String> {
        let out = self.results.buffer();
        if self.manner.emit == Emit::Value {
            return self.manner.spelling.print(result, out);
        }
        let before = out.len();
        record::begin_value(index, out);
        if let Err(why) = self.manner.spelling.record(result, out) {
            out.truncate(before);
            return Err(why);
        }
        record::end_value(out);
        out.extend(self.manner.spelling.ending());
        Ok(())
    }

    fn fail(
        &mut self,
        index: u64,
        error: &TaskError,
        interrupts: &Interrupts,
    ) -> Result<Go, CliError> {
        if error.kind() == TaskErrorKind::Terminated && interrupts.has_killed() {
            // It was ended because the run was: it has not failed.
            self.tally.unfinished();
            return Ok(Go::On);
        }
        self.tally.error(error.kind());
        let out = self.results.buffer();
        match (self.manner.emit, self.manner.on_error) {
            (Emit::Record, _) => {
                record::error(index, error, out);
                out.extend(self.manner.spelling.ending());
            }
            (Emit::Value, OnError::Null) => {
                out.extend_from_slice(b"null");
                out.extend(self.manner.spelling.ending());
            }
            (Emit::Value, OnError::Skip | OnError::Stop) => {}
        }
        if let Some(errors) = &mut self.errors {
            let mut line = Vec::new();
            record::error(index, error, &mut line);
            line.push(b'\n');
            errors.write(&line)?;
        }
        self.say(error);
        Ok(if self.manner.on_error == OnError::Stop { Go::Halt } else { Go::On })
    }

    fn say(&self, error: &TaskError) {
        if self.manner.quiet || self.manner.emit == Emit::Record {
            return;
        }
        if self.manner.indexed {
            output::say(error);
        } else {
            output::say(format_args!("{}: {}", error.kind().name(), error.message()));
        }
        if self.manner.verbose
            && let Some(backtrace) = error.backtrace()
        {
            for frame in backtrace.lines() {
                output::say_block(&format!("    {}\n", output::harmless(frame, "")));
            }
        }
    }

    fn show_logs(&self, index: u64, logs: &Logs) {
        if self.manner.quiet || logs.is_empty() {
            return;
        }
        if logs.dropped > 0 {
            let bytes = logs.dropped;
            let note = format!("({bytes} bytes of what it wrote before were dropped)");
            output::show_log(index, note.as_bytes(), self.terminal);
        }
        for log in [&logs.stdout, &logs.stderr].into_iter().filter(|log| !log.is_empty()) {
            output::show_log(index, log, self.terminal);
        }
    }
}
