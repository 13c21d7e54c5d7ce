//! The command line as it is written: options, their texts, their environment variables.
//!
//! This module must not read or open anything; it says only what was asked for.

use super::units::{self, Count, Dir};
use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sandpool imap task.wasm < items.jsonl > results.jsonl
  sandpool apply task.wasm -f add 2 -3
  find . -name '*.md' | sandpool imap-unordered --input files --emit record render.wasm";

const AFTER: &str = "\
Every option can be given as an environment variable too: --chunk-size as SANDPOOL_CHUNK_SIZE.
DUR is `500ms`, `2s` or `1m30s`. SIZE is `65536`, `16MiB` or `1GB`.

Exit status: 0 all items have a value, 1 some failed, 2 usage, 3 the module is missing or refused,
4 input unreadable or output unwritable, 5 the pool failed, 6 ended by `--on-error stop`,
130 and 143 interrupted and terminated.";

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (wasmtime 48, protocol 1)");

/// Maps functions of a WebAssembly module over items, in a pool of isolated worker processes.
#[derive(Debug, Parser)]
#[command(name = "sandpool", version = VERSION, before_help = EXAMPLES, after_help = AFTER)]
#[command(max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Calls a function once; each ARG is one parameter, as JSON
    #[command(before_help = "\
Examples:
  sandpool apply math.wasm -f add 2 -3
  sandpool apply text.wasm -f greet '\"Ada\"'
  sandpool apply wc.wasm < book.txt")]
    Apply(ApplyArgs),
    /// Eager: reads all input first, prints all results at the end, in order
    #[command(after_help = AFTER)]
    Map(MapArgs),
    /// Lazy, in order: a bounded number of items is read ahead of what was printed
    #[command(after_help = AFTER, before_help = "\
Examples:
  sandpool imap task.wasm < items.jsonl > results.jsonl
  tail -f access.log | sandpool imap parse.wasm --input lines --timeout 1s
  sandpool imap task.wasm -f score --emit record --errors failed.jsonl a.jsonl b.jsonl")]
    Imap(MapArgs),
    /// As imap, but prints results as items end
    #[command(after_help = AFTER)]
    ImapUnordered(MapArgs),
    /// As map, but each item is a list of arguments
    #[command(after_help = AFTER)]
    Starmap(MapArgs),
    /// As imap, but each item is a list of arguments
    #[command(after_help = AFTER)]
    Istarmap(MapArgs),
    /// As imap-unordered, but each item is a list of arguments
    #[command(after_help = AFTER)]
    IstarmapUnordered(MapArgs),
    /// Tells what a module is: functions with signatures, imports and grants, size, compile time
    Inspect(InspectArgs),
    /// Attacks the sandbox, and tells what of it holds on this machine
    Doctor(DoctorArgs),
    /// Runs golden cases against a module: function, arguments, expected value or error
    #[command(before_help = "\
Examples:
  sandpool test task.wasm cases.jsonl
  echo '{\"function\":\"add\",\"args\":[2,3],\"ok\":5}' | sandpool test math.wasm -
  echo '{\"function\":\"div\",\"args\":[1,0],\"error\":{\"kind\":\"trapped\"}}' |
    sandpool test math.wasm -")]
    Test(TestArgs),
}

#[derive(Args, Debug)]
pub(super) struct ApplyArgs {
    /// The task module: a component, a core module (.wasm or .wat), or a WASI command
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) task: PathBuf,
    /// One parameter each, as JSON. For a command or a function of bytes: the item itself, and
    /// without it, standard input is
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(super) args: Vec<String>,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    #[command(flatten)]
    pub(super) call: CallArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

#[derive(Args, Debug)]
pub(super) struct MapArgs {
    /// The task module: a component, a core module (.wasm or .wat), or a WASI command
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) task: PathBuf,
    /// Files with items, read one after the other; none, or `-`, is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) failures: FailureArgs,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    #[command(flatten)]
    pub(super) call: CallArgs,
    #[command(flatten)]
    pub(super) travel: TravelArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long, env = "SANDPOOL_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// The task module: a component, a core module (.wasm or .wat), or a WASI command
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) task: PathBuf,
    /// Print one JSON object
    #[arg(long, env = "SANDPOOL_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) compiling: CompileArgs,
}

#[derive(Args, Debug)]
pub(super) struct TestArgs {
    /// The task module: a component, a core module (.wasm or .wat), or a WASI command
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) task: PathBuf,
    /// Files of cases in JSON Lines; `-` is standard input
    #[arg(value_name = "CASES", required = true, value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    /// Report only the cases that differ
    #[arg(short, long, env = "SANDPOOL_QUIET", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,
}

#[derive(Args, Debug)]
pub(super) struct ChoiceArgs {
    /// The function to call [default: `run` of sandpool's own world, else the only one]
    #[arg(short, long, value_name = "NAME", env = "SANDPOOL_FUNCTION", hide_env = true)]
    pub(super) function: Option<String>,
}

/// How items are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum InputForm {
    /// One JSON item a line
    Json,
    /// Each line is an item, as it is
    Lines,
    /// As `lines`, but items end in NUL bytes
    Null,
    /// Each line names a file, whose content is the item
    Files,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Input")]
pub(super) struct InputArgs {
    /// How items are spelled [default: json; lines for commands and functions of bytes]
    #[arg(long, value_name = "FORM", env = "SANDPOOL_INPUT", hide_env = true)]
    pub(super) input: Option<InputForm>,
    /// Longest item, a line or with `--input files` a file; a longer one fails
    #[arg(long, value_name = "SIZE", env = "SANDPOOL_MAX_LINE", hide_env = true)]
    #[arg(default_value = "64MiB", value_parser = units::size)]
    pub(super) max_line: u64,
}

/// How results are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputForm {
    /// One JSON value a line
    Json,
    /// Strings and bytes as they are, anything else as JSON, one a line
    Lines,
    /// As `lines`, but each result is followed by a NUL byte
    Null,
    /// As `lines`, with nothing between results
    Raw,
}

/// What is printed of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Emit {
    /// The value alone
    Value,
    /// {"index":0,"ok":…}, or {"index":3,"error":{…}}
    Record,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// How results are spelled [default: json; lines for functions of bytes, raw for commands]
    #[arg(long, value_name = "FORM", env = "SANDPOOL_OUTPUT", hide_env = true)]
    pub(super) output: Option<OutputForm>,
    /// What is printed of an outcome
    #[arg(long, value_name = "WHAT", env = "SANDPOOL_EMIT", hide_env = true)]
    #[arg(default_value = "value")]
    pub(super) emit: Emit,
}

/// What a failed item does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// It prints nothing
    Skip,
    /// It prints `null`, so that results keep their places
    Null,
    /// It ends the run, with status 6
    Stop,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct FailureArgs {
    /// What a failed item does
    #[arg(long, value_name = "WHAT", env = "SANDPOOL_ON_ERROR", hide_env = true)]
    #[arg(default_value = "skip")]
    pub(super) on_error: OnError,
    /// Also write a record of every failed item to this file, as JSON Lines
    #[arg(long, value_name = "FILE", env = "SANDPOOL_ERRORS", hide_env = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) errors: Option<PathBuf>,
}

/// How long an instance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum InstanceForm {
    /// Every item gets a new one
    Fresh,
    /// One for each worker, which keeps its state between items
    Reuse,
}

/// Whether there is a second wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SandboxForm {
    /// All of them, or the run is refused
    Strict,
    /// None; only for modules that are trusted anyway
    Off,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pool and instances")]
pub(super) struct PoolArgs {
    /// Number of worker processes [default: the processors that this process may use; 1 for apply]
    #[arg(short = 'j', long, value_name = "N", env = "SANDPOOL_PROCESSES", hide_env = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) processes: Option<u16>,
    /// How long an instance serves [default: fresh; reuse with --init]
    #[arg(long, value_name = "HOW", env = "SANDPOOL_INSTANCE", hide_env = true)]
    pub(super) instance: Option<InstanceForm>,
    /// A function that runs once in each instance before its first item
    #[arg(long, value_name = "FUNCTION", env = "SANDPOOL_INIT", hide_env = true)]
    pub(super) init: Option<String>,
    /// Its item: the value of its one parameter, or an array of several
    #[arg(long, value_name = "JSON", env = "SANDPOOL_INIT_ARGS", hide_env = true)]
    #[arg(requires = "init", allow_negative_numbers = true)]
    pub(super) init_args: Option<String>,
    /// Replace a worker process after it has started so many items
    #[arg(long, value_name = "N", env = "SANDPOOL_MAX_TASKS_PER_CHILD", hide_env = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_tasks_per_child: Option<u64>,
    /// Fork workers from a process that has loaded the module: a new worker is cheap then, and all
    /// of them have one address layout
    #[arg(long, env = "SANDPOOL_ZYGOTE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) zygote: bool,
    /// Whether workers stand behind the walls of the operating system
    #[arg(long, value_name = "HOW", env = "SANDPOOL_SANDBOX", hide_env = true)]
    #[arg(default_value = "strict")]
    pub(super) sandbox: SandboxForm,
    #[command(flatten)]
    pub(super) compiling: CompileArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) grants: GrantArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of compiling the module")]
pub(super) struct CompileArgs {
    /// Wall clock, and processor time
    #[arg(long, value_name = "DUR", env = "SANDPOOL_COMPILE_TIMEOUT", hide_env = true)]
    #[arg(default_value = "60s", value_parser = units::duration)]
    pub(super) compile_timeout: Duration,
    /// Memory of the process that compiles
    #[arg(long, value_name = "SIZE", env = "SANDPOOL_COMPILE_MEMORY", hide_env = true)]
    #[arg(default_value = "2GiB", value_parser = units::size)]
    pub(super) compile_memory: u64,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of each item")]
pub(super) struct LimitArgs {
    /// Wall clock; the worker is killed then [default: none]
    #[arg(long, value_name = "DUR", env = "SANDPOOL_TIMEOUT", hide_env = true)]
    #[arg(value_parser = units::duration)]
    pub(super) timeout: Option<Duration>,
    /// Memories and tables of an instance together
    #[arg(long, value_name = "SIZE", env = "SANDPOOL_MEMORY", hide_env = true)]
    #[arg(default_value = "256MiB", value_parser = units::size)]
    pub(super) memory: u64,
    /// A result
    #[arg(long, value_name = "SIZE", env = "SANDPOOL_MAX_OUTPUT", hide_env = true)]
    #[arg(default_value = "64MiB", value_parser = units::size)]
    pub(super) max_output: u64,
    /// Units of fuel, about one for an instruction [default: fuel is not counted]
    #[arg(long, value_name = "N", env = "SANDPOOL_FUEL", hide_env = true)]
    pub(super) fuel: Option<u64>,
}

#[derive(Args, Debug)]
#[command(
    next_help_heading = "Grants (guests have no file, variable, argument or network without)"
)]
pub(super) struct GrantArgs {
    /// Let guests use a directory; `:ro` lets them only read
    #[arg(long, value_name = "HOST::GUEST[:ro]", env = "SANDPOOL_DIR", hide_env = true)]
    #[arg(value_parser = units::dir, action = ArgAction::Append)]
    pub(super) dir: Vec<Dir>,
    /// Set a variable for guests; NAME alone passes ours on
    #[arg(long, value_name = "NAME=VALUE", env = "SANDPOOL_ENV", hide_env = true)]
    #[arg(value_parser = units::variable, action = ArgAction::Append)]
    pub(super) env: Vec<(String, String)>,
    /// Give guests an argument
    #[arg(long, value_name = "TEXT", env = "SANDPOOL_ARG", hide_env = true)]
    #[arg(allow_hyphen_values = true, action = ArgAction::Append)]
    pub(super) arg: Vec<String>,
    /// Fixed clocks, randomness seeded by the index of the item, canonical NaNs
    #[arg(long, env = "SANDPOOL_DETERMINISTIC", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(super) deterministic: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pool and instances")]
pub(super) struct CallArgs {
    /// Wall clock of the whole run; what has not ended then is killed [default: none]
    #[arg(long, value_name = "DUR", env = "SANDPOOL_DEADLINE", hide_env = true)]
    #[arg(value_parser = units::duration)]
    pub(super) deadline: Option<Duration>,
    /// Start an item again, so often, when its worker died or it ran out of time
    #[arg(long, value_name = "N", env = "SANDPOOL_RETRIES", hide_env = true)]
    #[arg(default_value_t = 0)]
    pub(super) retries: u32,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pool and instances")]
pub(super) struct TravelArgs {
    /// Items that travel together; never visible in results
    #[arg(long, value_name = "N|auto", env = "SANDPOOL_CHUNK_SIZE", hide_env = true)]
    #[arg(default_value = "auto", value_parser = units::count)]
    pub(super) chunk_size: Count,
    /// Items that a lazy verb may have read and not yet printed
    #[arg(long, value_name = "N|auto", env = "SANDPOOL_WINDOW", hide_env = true)]
    #[arg(default_value = "auto", value_parser = units::count)]
    pub(super) window: Count,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Reporting (on standard error)")]
pub(super) struct TalkArgs {
    /// Print counts and times at the end
    #[arg(long, env = "SANDPOOL_STATS", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(super) stats: bool,
    /// Say nothing of failed items, nor what guests wrote; errors of the run remain
    #[arg(short, long, env = "SANDPOOL_QUIET", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,
    /// Show backtraces, and a summary in any case
    #[arg(short, long, env = "SANDPOOL_VERBOSE", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(super) verbose: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        for command in Cli::command().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let Some(long) = arg.get_long().filter(|long| *long != "help") else { continue };
                let wanted = format!("SANDPOOL_{}", long.replace('-', "_").to_uppercase());
                let variable = arg.get_env().and_then(|name| name.to_str());
                assert_eq!(variable, Some(wanted.as_str()), "{} --{long}", command.get_name());
            }
        }
    }

    #[test]
    fn the_version_names_what_must_fit() {
        let protocol = format!("protocol {}", crate::wire::PROTOCOL);
        assert!(VERSION.contains(&protocol), "{VERSION}");
        let lock = include_str!("../../../Cargo.lock");
        let (_, engine) = lock.split_once("name = \"wasmtime\"\nversion = \"").expect("is there");
        let (line, _) = engine.split_once('.').expect("a version");
        assert!(VERSION.contains(&format!("wasmtime {line},")), "{VERSION}");
    }

    #[test]
    fn a_negative_number_is_an_argument() {
        let parsed =
            Cli::try_parse_from(["sandpool", "apply", "t.wasm", "-1", "-2.5e3", "-f", "g"]);
        let Command::Apply(apply) = parsed.expect("parses").command else { panic!("apply") };
        assert_eq!(apply.args, ["-1", "-2.5e3"]);
        assert_eq!(apply.choice.function.as_deref(), Some("g"));
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let parsed = Cli::try_parse_from(["sandpool", "imap", "t.wasm"]).expect("parses");
        let Command::Imap(map) = parsed.command else { panic!("imap") };
        let limits = crate::limits::Limits::default();
        assert_eq!(map.pool.limits.memory, limits.memory);
        assert_eq!(map.pool.limits.max_output, limits.output);
        assert_eq!(map.pool.limits.timeout, limits.timeout);
    }
}
