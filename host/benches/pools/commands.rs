//! The rows of the command line: from a file to a file, and from shell to exit.

use crate::Result;
use crate::children::{self, apart};
use crate::cpython::script;
use crate::guests;
use crate::row::Goal::{AtLeast, AtMost, Within};
use crate::row::Kind::{Command as Started, Python};
use crate::row::{Row, median};
use crate::setting::{self, PROGRAM, file, folder, program};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// JSON integers in one run.
const INTEGERS: u64 = 2_000_000;
/// Lines through a WASI command in one run of ours.
const LINES: u64 = 100_000;
/// Lines for programs that are started for each of them: what they cost does not change.
const FEW_LINES: u64 = 400;

const NO_WASMTIME: &str = "`wasmtime` cannot be started: put it on PATH, or name it in $WASMTIME";
const NO_RUSTC: &str = "no WASI command: `rustc --target wasm32-wasip1` cannot make one";

pub(crate) fn rows() -> Vec<Row> {
    let wasmtime = setting::wasmtime();
    let command = wordcount().ok();
    vec![
        integers("reuse"),
        integers("fresh"),
        share(),
        lines(wasmtime.as_deref(), command.as_deref()),
        shell(wasmtime.as_deref()),
        first_use(wasmtime.as_deref(), command.as_deref()),
    ]
}

/// sandpool with a cache that the measurements share.
fn sandpool(cache: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    // Of the environment, only what is set here may tell it anything.
    command.env_clear().env("XDG_CACHE_HOME", cache).stdin(Stdio::null());
    command
}

fn shared_cache() -> Result<PathBuf> {
    Ok(folder()?.join("cache"))
}

/// wasmtime with its cache on.
fn wasmtime(path: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(path);
    command.args(arguments).env("XDG_CACHE_HOME", shared_cache()?).stdin(Stdio::null());
    Ok(command)
}

fn square_file(text: &str, name: &str) -> Result<PathBuf> {
    file(name, || Ok(wat::parse_str(text)?))
}

fn integers_file() -> Result<PathBuf> {
    file("integers.jsonl", || {
        Ok((0..INTEGERS).flat_map(|i| format!("{i}\n").into_bytes()).collect())
    })
}

/// A command as any other, as rustc makes it.
fn wordcount() -> Result<PathBuf> {
    file("wordcount.wasm", || {
        let source =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/wordcount/src/main.rs");
        let made = folder()?.join("wordcount.making");
        let mut rustc = Command::new("rustc");
        rustc
            .args(["--edition", "2024", "--target", "wasm32-wasip1", "-O", source, "-o"])
            .arg(&made);
        children::run(&mut rustc)?;
        Ok(std::fs::read(made)?)
    })
}

/// All squares in one run of the program.
pub(crate) fn squares(instance: &str) -> Result<Command> {
    let mut command = sandpool(&shared_cache()?);
    command.args(["imap", "-j2", "--instance", instance]);
    command.arg(square_file(guests::TYPED, "typed.wasm")?).arg(integers_file()?);
    Ok(command)
}

/// The same by CPython, which reads and prints JSON in this place.
pub(crate) fn python_squares(place: &str) -> Result<Command> {
    let mut command = Command::new("python3");
    command.arg(script("cpython_filter.py")).arg(place).arg(integers_file()?);
    Ok(command)
}

/// Microseconds for each integer, once the results are found to be right.
fn checked(mut command: Command) -> Result<f64> {
    let ran = children::run(&mut command)?;
    let micros = ran.wall.as_secs_f64() * 1e6 / INTEGERS as f64;
    let output = ran.output()?;
    let last = (INTEGERS - 1) * (INTEGERS - 1);
    let lines = output.iter().filter(|byte| **byte == b'\n').count() as u64;
    if lines != INTEGERS || !output.ends_with(format!("\n{last}\n").as_bytes()) {
        return Err(format!("wrong results, in {lines} lines").into());
    }
    Ok(micros)
}

fn integers(instance: &'static str) -> Row {
    let reused = instance == "reuse";
    let work = match reused {
        true => "command line, 2,000,000 JSON integers, an instance per worker",
        false => "command line, 2,000,000 JSON integers, an instance per item",
    };
    let (least, aim) = if reused { (8.0, 12.0) } else { (0.5, 1.0) };
    let row = Row::new("7", work).rounds(3).ours(move |_| checked(squares(instance)?)).side(
        Python,
        "`multiprocessing`, JSON in the workers",
        |_| checked(python_squares("workers")?),
    );
    let row = match reused {
        true => row.side(Python, "`multiprocessing`, JSON in the host", |_| {
            checked(python_squares("host")?)
        }),
        false => row,
    };
    row.target(AtLeast(least, Some(aim)), Python)
}

fn share() -> Row {
    Row::new("7", "the same, host's part of the CPU time, an instance per worker")
        .unit("%")
        .rounds(3)
        .ours(|_| apart("share of sandpool"))
        .side(Python, "`multiprocessing`, JSON in the workers", |_| apart("share of CPython"))
        .target(Within(40.0, None), None)
}

fn lines(wasmtime: Option<&Path>, command: Option<&Path>) -> Row {
    let work = "command line, 100,000 lines, a WASI command for each";
    let row = Row::new("8", work).rounds(3).target(AtLeast(400.0, None), Started);
    let Some(command) = command.map(Path::to_owned) else { return row.without(NO_RUSTC) };
    let ours = command.clone();
    let row = row.ours(move |_| {
        let mut program = sandpool(&shared_cache()?);
        program.args(["imap", "-j2"]).arg(&ours).arg(text_file(LINES)?);
        let ran = children::run(&mut program)?;
        let micros = ran.wall.as_secs_f64() * 1e6 / LINES as f64;
        let counts = ran.output()?.iter().filter(|byte| **byte == b'\n').count() as u64;
        if counts != 5 * LINES {
            return Err(format!("wrong results: {counts} words").into());
        }
        Ok(micros)
    });
    let Some(wasmtime) = wasmtime else { return row.without(NO_WASMTIME) };
    let started = |program: &str, arguments: &[&str]| {
        let mut words = vec![program.to_owned()];
        words.extend(arguments.iter().map(|&argument| argument.to_owned()));
        words.push(wasmtime.display().to_string());
        words.extend(["run", "-C", "cache=y"].map(str::to_owned));
        words.push(command.display().to_string());
        words
    };
    // The line is an argument, which the command does not read: a shell in between, to make it the
    // input, would cost them still more.
    let xargs = started("xargs", &["-P2", "-d", "\\n", "-n1"]);
    let row = row.side(Started, "`xargs -P2 … wasmtime run`", move |_| per_line(&xargs));
    if program("parallel").is_none() {
        return row;
    }
    let parallel = started("parallel", &["-j2"]);
    row.side(Started, "GNU `parallel -j2 … wasmtime run`", move |_| per_line(&parallel))
}

fn per_line(words: &[String]) -> Result<f64> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env("XDG_CACHE_HOME", shared_cache()?);
    command.stdin(std::fs::File::open(text_file(FEW_LINES)?)?);
    Ok(children::run(&mut command)?.wall.as_secs_f64() * 1e6 / FEW_LINES as f64)
}

/// Five words in each line, no two alike.
fn text_file(lines: u64) -> Result<PathBuf> {
    let text = (0..lines).flat_map(|i| format!("the quick brown fox {i}\n").into_bytes());
    file(&format!("lines-{lines}.txt"), || Ok(text.collect()))
}

/// Milliseconds from the start of a program to its end, the median of `runs`, once its output is
/// found to be right.
fn alone(runs: u32, make: impl Fn() -> Result<Command>, expected: &str) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let ran = children::run(&mut make()?)?;
        times.push(ran.wall.as_secs_f64() * 1e3);
        let output = String::from_utf8(ran.output()?)?;
        if output.trim() != expected {
            return Err(format!("wrong result `{}`", output.trim()).into());
        }
    }
    Ok(median(&times))
}

fn shell(path: Option<&Path>) -> Row {
    let row = Row::new("9", "`sandpool apply`, from shell to exit, warm cache")
        .unit("ms")
        .target(AtMost(1.5, None), Started)
        .ours(|_| {
            let module = square_file(guests::SQUARE, "square.wasm")?;
            let make = || {
                let mut command = sandpool(&shared_cache()?);
                command.arg("apply").arg(&module).arg("12");
                Ok(command)
            };
            alone(15, make, "144")
        });
    let Some(path) = path.map(Path::to_owned) else { return row.without(NO_WASMTIME) };
    row.side(Started, "`wasmtime run --invoke`", move |_| {
        let module = square_file(guests::SQUARE, "square.wasm")?;
        let make = || {
            let mut command = wasmtime(&path, &["run", "-C", "cache=y", "--invoke", "square"])?;
            command.arg(&module).arg("12");
            Ok(command)
        };
        alone(15, make, "144")
    })
}

fn first_use(path: Option<&Path>, command: Option<&Path>) -> Row {
    let row = Row::new("11", "first use of a module: compiled and run")
        .unit("ms")
        .target(AtMost(1.2, None), Started);
    let Some(command) = command.map(Path::to_owned) else { return row.without(NO_RUSTC) };
    let module = command.clone();
    let row = row.ours(move |_| {
        let make = || {
            let cache = folder()?.join("no-cache");
            let _ = std::fs::remove_dir_all(&cache);
            let mut program = sandpool(&cache);
            program.arg("apply").arg(&module).arg("word");
            Ok(program)
        };
        alone(3, make, "1\tword")
    });
    let Some(path) = path.map(Path::to_owned) else { return row.without(NO_WASMTIME) };
    row.side(Started, "`wasmtime compile`, one thread", move |_| {
        let make = || {
            let mut program = wasmtime(&path, &["compile", "-C", "parallel-compilation=n"])?;
            program.arg(&command).arg("-o").arg(folder()?.join("wordcount.cwasm"));
            Ok(program)
        };
        alone(3, make, "")
    })
}
