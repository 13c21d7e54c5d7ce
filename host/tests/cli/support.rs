//! Starting the program, feeding it, and reading what it says, with a deadline on everything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Checks all three at once, so that a failure shows all of them.
    #[track_caller]
    pub(crate) fn is(&self, status: i32, stdout: &str, stderr: &str) {
        let found = (self.status, String::from_utf8_lossy(&self.stdout), self.stderr.as_str());
        assert_eq!(found, (status, stdout.into(), stderr));
    }

    /// Checks the status, and that standard error is one line that contains all of `parts`.
    #[track_caller]
    pub(crate) fn says(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder for one test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// The program with arguments, in an environment that says nothing. An argument that ends in
/// `.wat` is a fixture.
pub(crate) fn sandpool(args: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "it is a test of the program")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandpool"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    command.env_clear().env("XDG_CACHE_HOME", cache);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for arg in args {
        match arg.ends_with(".wat") && !arg.contains('/') {
            true => command.arg(fixture(arg)),
            false => command.arg(arg),
        };
    }
    command
}

/// Runs it on an input.
#[track_caller]
pub(crate) fn run(args: &[&str], input: impl AsRef<[u8]>) -> Ended {
    finish(sandpool(args), input)
}

/// Runs a prepared command on an input.
#[track_caller]
pub(crate) fn finish(command: Command, input: impl AsRef<[u8]>) -> Ended {
    let mut live = Live::start(command);
    let mut stdin = live.stdin.take().expect("piped");
    let input = input.as_ref().to_vec();
    // It may end without reading all of it.
    thread::spawn(move || drop(stdin.write_all(&input)));
    live.end()
}

/// A run that is talked with.
pub(crate) struct Live {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Receiver<String>,
    told: String,
}

impl Live {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let (sender, stderr) = channel();
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { child, stdin, stdout, stderr, told: String::new() }
    }

    /// Writes to its standard input, which stays open.
    pub(crate) fn feed(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        stdin.write_all(text.as_bytes()).expect("takes it");
        stdin.flush().expect("takes it");
    }

    /// The next line of its standard output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut stdout = self.stdout.take().expect("open");
        let (line, stdout) = in_time(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("reads");
            (line, stdout)
        });
        self.stdout = Some(stdout);
        line
    }

    /// Closes our end of its standard output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Waits until it says something on standard error that contains `part`.
    #[track_caller]
    pub(crate) fn hear(&mut self, part: &str) {
        loop {
            let line = self.stderr.recv_timeout(DEADLINE).expect("it says so");
            self.told.push_str(&line);
            self.told.push('\n');
            if line.contains(part) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("is there");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its process to change.
    pub(crate) fn wait(&self, for_what: rustix::process::WaitIdOptions) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let waited = rustix::process::waitid(rustix::process::WaitId::Pid(pid), for_what);
        waited.expect("a child of ours");
    }

    /// Waits for its end. Standard input stays as it is.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let stdout = self.stdout.take();
        let mut child = self.child;
        let pid = rustix::process::Pid::from_child(&child);
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut bytes).expect("reads");
            }
            let status: ExitStatus = child.wait().expect("ends");
            let _ = sender.send((bytes, status));
        });
        let Ok((stdout, status)) = receiver.recv_timeout(DEADLINE) else {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("it did not end; it said: {}", self.told);
        };
        let mut stderr = self.told;
        while let Ok(line) = self.stderr.recv_timeout(DEADLINE) {
            stderr.push_str(&line);
            stderr.push('\n');
        }
        drop(self.stdin);
        Ended { status: status.code().unwrap_or(-1), stdout, stderr }
    }
}

#[track_caller]
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || drop(sender.send(work())));
    receiver.recv_timeout(DEADLINE).expect("in time")
}
