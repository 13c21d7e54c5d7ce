//! Writes to standard output, standard error and the file of errors: nothing else does.
//!
//! This module must not decide what is said. Standard output carries results and nothing else.

use super::exit::CliError;
use super::signals;
use rustix::fs::FileType;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

/// Bytes of results that wait at most, while more of them are ready.
const FULL: usize = 64 * 1024;

/// Standard output.
pub(super) struct Results {
    file: File,
    waiting: Vec<u8>,
    /// A terminal is not shown what guests make of control characters: those could write anything
    /// over anything.
    terminal: bool,
}

impl Results {
    /// Takes standard output.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn open() -> Result<Self, CliError> {
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(|e| unwritable(&e))?;
        if rustix::fs::fstat(&file)
            .is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode).is_fifo())
            && let Ok(pipe) = file.try_clone()
        {
            signals::end_with_reader(pipe);
        }
        let terminal = file.is_terminal();
        Ok(Self { file: File::from(file), waiting: Vec::new(), terminal })
    }

    /// Where the next result is to be appended to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Writes what waits, if it is much.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn flush_if_full(&mut self) -> Result<(), CliError> {
        if self.waiting.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Writes what waits, which is whole results.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.terminal {
            self.waiting = harmless(&String::from_utf8_lossy(&self.waiting), "\n\t").into_bytes();
        }
        let written = self.file.write_all(&self.waiting);
        self.waiting.clear();
        self.waiting.shrink_to(16 * FULL);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::ReaderGone,
            _ => unwritable(&error),
        })
    }
}

fn unwritable(error: &io::Error) -> CliError {
    CliError::InputOutput(format!("cannot write standard output: {error}"))
}

/// The file of `--errors`.
pub(super) struct Errors {
    file: File,
    name: String,
}

impl Errors {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// If that is not possible.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self { file, name }),
            Err(error) => Err(cannot_write(&name, &error)),
        }
    }

    /// Writes one line, at once: whoever looks into the file while we run sees whole lines.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), CliError> {
        self.file.write_all(line).map_err(|error| cannot_write(&self.name, &error))
    }
}

fn cannot_write(name: &str, error: &io::Error) -> CliError {
    CliError::InputOutput(format!("cannot write `{name}`: {error}"))
}

/// Says one line on standard error, whatever is in the text.
pub(super) fn say(text: impl Display) {
    let line = format!("sandpool: {}\n", harmless(&text.to_string(), ""));
    // If nobody listens, nobody needs to be told.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Says several lines on standard error, as they are.
pub(super) fn say_block(lines: &str) {
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// Shows what a guest wrote on standard error, each line behind the index of its item. A terminal
/// is not shown control characters: they could write anything over anything.
pub(super) fn show_log(index: u64, log: &[u8], terminal: bool) {
    let mut shown = Vec::with_capacity(log.len() + 16);
    for line in log.strip_suffix(b"\n").unwrap_or(log).split(|byte| *byte == b'\n') {
        shown.extend_from_slice(format!("[{index}] ").as_bytes());
        if terminal {
            shown.extend_from_slice(harmless(&String::from_utf8_lossy(line), "\t").as_bytes());
        } else {
            shown.extend_from_slice(line);
        }
        shown.push(b'\n');
    }
    let _ = io::stderr().lock().write_all(&shown);
}

/// Whether standard error is a terminal.
pub(super) fn talks_to_terminal() -> bool {
    io::stderr().is_terminal()
}

/// The text with control characters, and those that change the direction of text, spelled out.
pub(super) fn harmless(text: &str, except: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let splits = matches!(c, '\u{2028}' | '\u{2029}');
        if (c.is_control() || turns || splits) && !except.contains(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(
            harmless("a\tb\n\u{1b}[2Jc\u{9b}\u{202e}é", "\t"),
            "a\tb\\n\\u{1b}[2Jc\\u{9b}\\u{202e}é"
        );
        assert_eq!(harmless("a\tb", ""), "a\\tb");
    }
}
