//! Reads items: files one after the other, or standard input, cut into lines.
//!
//! This module must not parse items, and must not hold more of the input than one item and one
//! block.

use super::args::InputForm;
use super::exit::CliError;
use super::forms::{self, ItemStep, Spelling};
use super::lines::{Bytes, Cut, Splitter};
use super::signals::Wake;
use super::units::show_size;
use crate::description::Form;
use crate::pool::documents::{DocumentSource, Pulled};
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// Largest file whose content is an item: what the pool takes, and no more memory than that.
const MAX_FILE: u64 = 1 << 30;

/// One input, named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Stdin,
    File(PathBuf),
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn open(&self) -> io::Result<File> {
        match self {
            Self::Stdin => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Self::File(path) => File::open(path),
        }
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> String {
        format!("cannot read {}: {error}", self.name())
    }
}

/// The named inputs, checked as far as that is possible without reading.
#[derive(Debug)]
pub(super) struct Places(VecDeque<Place>);

impl Places {
    /// Takes files as they were named: none, or `-`, is standard input.
    ///
    /// # Errors
    /// If one of them is missing, or standard input is a terminal and nobody asked for it.
    pub(super) fn of(files: &[PathBuf], expected: &str) -> Result<Self, CliError> {
        if files.is_empty() {
            if io::stdin().is_terminal() {
                return Err(CliError::Usage(format!(
                    "{expected} expected on standard input, which is a terminal: name a file, \
                     redirect one (`< FILE`), or say `-` to type"
                )));
            }
            return Ok(Self(VecDeque::from([Place::Stdin])));
        }
        let places = files.iter().map(|path| place(path)).collect::<Result<_, _>>()?;
        Ok(Self(places))
    }
}

fn place(path: &Path) -> Result<Place, CliError> {
    if path == Path::new("-") {
        return Ok(Place::Stdin);
    }
    let place = Place::File(path.to_owned());
    let unreadable = |why: &dyn std::fmt::Display| CliError::InputOutput(place.unreadable(why));
    let facts = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if facts.is_dir() {
        return Err(unreadable(&"it is a directory"));
    }
    Ok(place)
}

/// Reads all of standard input, for a verb that takes one item.
///
/// # Errors
/// If it cannot be read, or is a terminal.
pub(super) fn read_stdin(wake: &Arc<Wake>, expected: &str) -> Result<Vec<u8>, CliError> {
    let Places(mut places) = Places::of(&[], expected)?;
    let place = places.pop_front().unwrap_or(Place::Stdin);
    let unreadable = |error: io::Error| CliError::InputOutput(place.unreadable(&error));
    let file = place.open().map_err(unreadable)?;
    let mut file = Stoppable { file, wake: Arc::clone(wake) };
    let mut item = Vec::new();
    let mut block = vec![0; 64 * 1024];
    while let Some(filled @ 1..) = file.fill(&mut block).map_err(unreadable)? {
        item.extend_from_slice(block.get(..filled).unwrap_or_default());
        if item.len() as u64 > MAX_FILE {
            let text = format!("{} has more than {}", place.name(), show_size(MAX_FILE));
            return Err(CliError::InputOutput(text));
        }
    }
    Ok(item)
}

/// A file whose reader can be told to stop, also while it waits.
struct Stoppable {
    file: File,
    wake: Arc<Wake>,
}

impl Bytes for Stoppable {
    fn fill(&mut self, block: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let mut fds = [
                PollFd::new(&self.file, PollFlags::IN),
                PollFd::new(self.wake.fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if self.wake.is_stopping() {
                return Ok(None);
            }
            match self.file.read(block) {
                Ok(filled) => return Ok(Some(filled)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

/// An input that is open.
struct Open {
    place: Place,
    lines: Splitter<Stoppable>,
    /// Lines that were cut from it.
    line: u64,
}

/// Items out of the named inputs.
pub(super) struct Items {
    places: VecDeque<Place>,
    open: Option<Open>,
    line: Vec<u8>,
    spelling: Spelling,
    max_line: usize,
    wake: Arc<Wake>,
}

/// Why an item cannot be used, after where it is.
type Unusable = String;

impl Items {
    pub(super) fn new(places: Places, spelling: Spelling, max_line: u64, wake: Arc<Wake>) -> Self {
        let max_line = usize::try_from(max_line).unwrap_or(usize::MAX);
        Self { places: places.0, open: None, line: Vec::new(), spelling, max_line, wake }
    }

    /// The next line that is an item, with its ending and a byte order mark taken off. It is in
    /// `self.line`; `None` at the end of all inputs.
    fn next_line(&mut self) -> Result<Option<Result<(), Unusable>>, Box<dyn Error + Send + Sync>> {
        loop {
            if self.wake.is_stopping() {
                return Ok(None);
            }
            let Some(open) = &mut self.open else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            self.line.clear();
            let cut = open.lines.next(&mut self.line).map_err(|e| open.place.unreadable(&e))?;
            open.line += 1;
            match cut {
                Cut::End => self.open = None,
                Cut::TooLong => {
                    let limit = show_size(self.max_line as u64);
                    return Ok(Some(Err(format!("longer than {limit} (--max-line)"))));
                }
                Cut::Item { ended } => {
                    let first = open.line == 1;
                    trim(&mut self.line, self.spelling.input, first, ended);
                    if !self.is_blank() {
                        return Ok(Some(Ok(())));
                    }
                }
            }
        }
    }

    fn open_next(&mut self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let Some(place) = self.places.pop_front() else { return Ok(false) };
        let file = place.open().map_err(|error| place.unreadable(&error))?;
        let separator = if self.spelling.input == InputForm::Null { 0 } else { b'\n' };
        let bytes = Stoppable { file, wake: Arc::clone(&self.wake) };
        let lines = Splitter::new(bytes, separator, self.max_line);
        self.open = Some(Open { place, lines, line: 0 });
        Ok(true)
    }

    /// Whether this line is none that counts.
    fn is_blank(&self) -> bool {
        match self.spelling.input {
            // What JSON calls white space.
            InputForm::Json => self.line.iter().all(|byte| b" \t\r\n".contains(byte)),
            InputForm::Files => self.line.is_empty(),
            InputForm::Lines | InputForm::Null => false,
        }
    }

    fn item(&mut self, out: &mut Vec<u8>) -> Result<(), Unusable> {
        if self.spelling.input != InputForm::Files {
            return spell(&self.line, self.spelling, out);
        }
        let named = content(&self.line);
        let path = String::from_utf8_lossy(&self.line);
        let mut content = named.map_err(|error| format!("cannot read `{path}`: {error}"))?;
        if self.spelling.form == Form::Json && content.starts_with(BOM) {
            content.drain(..BOM.len());
        }
        spell(&content, self.spelling, out).map_err(|why| format!("`{path}`: {why}"))
    }
}

impl DocumentSource for Items {
    fn pull(&mut self, out: &mut Vec<u8>) -> Result<Pulled, Box<dyn Error + Send + Sync>> {
        let Some(line) = self.next_line()? else { return Ok(Pulled::End) };
        let Err(why) = line.and_then(|()| self.item(out)) else { return Ok(Pulled::Document) };
        let place = self.open.as_ref().map(|open| (open.place.name(), open.line));
        let (name, line) = place.unwrap_or_default();
        *out = format!("{name}, line {line}: {why}").into_bytes();
        Ok(Pulled::Unusable)
    }
}

/// Takes off what is no part of a line's item.
fn trim(line: &mut Vec<u8>, input: InputForm, first: bool, ended: bool) {
    if input == InputForm::Null {
        return;
    }
    if ended && line.ends_with(b"\r") {
        line.pop();
    }
    if first && line.starts_with(BOM) {
        line.drain(..BOM.len());
    }
}

/// Spells an item as its call wants it.
fn spell(bytes: &[u8], spelling: Spelling, out: &mut Vec<u8>) -> Result<(), Unusable> {
    let check = || std::str::from_utf8(bytes).map(drop).map_err(|error| forms::not_utf8(&error));
    match spelling.item {
        ItemStep::AsIs if spelling.form == Form::Json => {
            check()?;
            if let Some(at) = memchr(0, bytes) {
                return Err(format!("a NUL byte, which JSON cannot have (byte {})", at + 1));
            }
            out.extend_from_slice(bytes);
        }
        ItemStep::AsIs => out.extend_from_slice(bytes),
        ItemStep::Text => {
            check()?;
            out.extend_from_slice(bytes);
        }
        ItemStep::Quoted => forms::quote_text(bytes, out)?,
        ItemStep::Base64 => forms::quote_bytes(bytes, out),
        ItemStep::Ignored => out.extend_from_slice(b"null"),
    }
    Ok(())
}

fn content(path: &[u8]) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let mut file = File::open(path)?;
    let mut content = Vec::new();
    (&mut file).take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("larger than {}", show_size(MAX_FILE))));
    }
    Ok(content)
}
