//! CPython's pools, as processes that measure themselves.

use crate::Result;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Which of its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Multiprocessing,
    Futures,
    /// `multiprocessing` with a new process for every item.
    Recycled,
    /// `multiprocessing`, all of it on one core.
    OneCore,
}

impl Flavour {
    const fn argument(self) -> &'static str {
        match self {
            Self::Multiprocessing | Self::OneCore => "multiprocessing",
            Self::Futures => "futures",
            Self::Recycled => "recycled",
        }
    }
}

pub(crate) fn script(name: &str) -> String {
    format!("{}/benches/pools/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) struct Python {
    child: Child,
    /// Closed when it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn start(flavour: Flavour) -> Result<Self> {
        let mut child = Command::new("python3")
            .args([&script("cpython_pool.py"), flavour.argument()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, input, output })
    }

    /// What `what` with `n` items costs for each, in microseconds, as the script measures it.
    pub(crate) fn measure(&mut self, what: &str, n: u64) -> Result<f64> {
        writeln!(self.input.as_ref().ok_or("no standard input")?, "{what} {n}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let value = line.trim().parse();
        Ok(value.map_err(|_| format!("CPython answers `{}` to `{what}`", line.trim()))?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Killed, it would leave the processes of its pool behind.
        self.input = None;
        let _ = self.child.wait();
    }
}
