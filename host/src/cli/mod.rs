//! The command line: arguments in, results out, an exit status.
//!
//! This module must not be used by the rest of the library. Of its own, only `output` writes to the
//! terminal, and only `signals` ends the process.

mod apply;
mod args;
mod config;
mod doctor;
mod exit;
mod forms;
mod input;
mod inspect;
mod lines;
mod map;
mod output;
mod record;
mod report;
mod run;
mod signals;
mod test;
mod units;

use crate::pool::Pool;
use args::{Cli, Command, TalkArgs};
use clap::Parser as _;
use exit::Exit;
use map::{Order, Verb};
use report::Tally;
use run::When;
use signals::Interrupts;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no error.
            let _ = error.print();
            let usage = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.status());
            return ExitCode::from(usage);
        }
    };
    let exit = execute(cli.command).unwrap_or_else(|error| {
        let exit = exit::of(&error);
        if exit != Exit::Done {
            output::say(&error);
        }
        exit
    });
    ExitCode::from(exit.status())
}

fn execute(command: Command) -> anyhow::Result<Exit> {
    // Before the first thread.
    crate::fences::prepare();
    let interrupts = Interrupts::start()?;
    let eager = Verb { when: When::AllEnded, order: Order::Input, starred: false };
    let lazy = Verb { when: When::Ready, ..eager };
    let unordered = Verb { order: Order::Ends, ..lazy };
    let star = |verb| Verb { starred: true, ..verb };
    match command {
        Command::Apply(args) => apply::execute(&args, &interrupts),
        Command::Map(args) => map::execute(&args, eager, &interrupts),
        Command::Imap(args) => map::execute(&args, lazy, &interrupts),
        Command::ImapUnordered(args) => map::execute(&args, unordered, &interrupts),
        Command::Starmap(args) => map::execute(&args, star(eager), &interrupts),
        Command::Istarmap(args) => map::execute(&args, star(lazy), &interrupts),
        Command::IstarmapUnordered(args) => map::execute(&args, star(unordered), &interrupts),
        Command::Inspect(args) => inspect::execute(&args),
        Command::Doctor(args) => doctor::execute(&args),
        Command::Test(args) => test::execute(&args, &interrupts),
    }
}

/// When a run ends in a summary that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    WhenUnusual,
    Never,
}

/// Runs a call, and says at its end what was asked for, or what must be said.
fn measured(
    pool: &Pool,
    talk: &TalkArgs,
    summary: Summary,
    call: impl FnOnce() -> (anyhow::Result<Exit>, Tally),
) -> anyhow::Result<Exit> {
    let begin = Instant::now();
    let (exit, tally) = call();
    let elapsed = begin.elapsed();
    let gone = exit.as_ref().is_err_and(|error| exit::of(error) == Exit::Done);
    if gone {
        return exit;
    }
    if talk.stats {
        pool.close();
        // Counts of workers are of interest only after their end, which is near.
        let _ = pool.join_timeout(Duration::from_secs(1));
        output::say_block(&tally.block(&pool.stats(), elapsed));
        return exit;
    }
    let unusual = matches!(exit, Ok(exit) if exit != Exit::Done);
    if !talk.quiet && (talk.verbose || summary == Summary::WhenUnusual && unusual) {
        output::say(tally.summary());
    }
    exit
}
