//! Pools with evil workers, in a process of their own where all that is left over can be seen.

use super::{PATIENCE, end};
use crate::child::evil::{Deed, FIRST, LAB, Lab, Point, STAGE, told};
use crate::{Cache, Function, Pool, PoolBuilder, TaskError, TaskModule};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Numbers of workers that every test runs with.
pub(super) const SIZES: [usize; 3] = [1, 2, 8];

const GUEST: &str = r#"(module
  (memory (export "memory") 1 2000)
  (func (export "echo") (param i64) (result i64) (local.get 0))
  ;; Counts to its parameter.
  (func (export "count") (param i64) (result i64) (local $n i64)
    (loop $more
      (local.set $n (i64.add (local.get $n) (i64.const 1)))
      (br_if $more (i64.lt_u (local.get $n) (local.get 0))))
    (local.get $n))
  (func (export "spin") (param i64) (result i64) (loop (br 0)) (i64.const 1))
  ;; Takes memory and writes it, a page after the other, for ever.
  (func (export "hoard") (param i64) (result i64) (local $at i32)
    (drop (memory.grow (i32.const 1900)))
    (loop $more
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 120000000)))
      (local.set $at (i32.const 0))
      (br $more))
    (i64.const 1))
  (func (export "start") (param i64)))"#;

/// Artifacts of this process.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// A folder with orders, and the pools that obey them.
pub(super) struct Site {
    folder: TempDir,
    lab: Lab,
}

impl Site {
    pub(super) fn new(deeds: &[Deed]) -> Self {
        // Beside this program, so that a second name of it can lie there.
        let program = std::env::current_exe().unwrap();
        let beside = program.parent().map(tempfile::tempdir_in);
        let folder = beside.and_then(Result::ok).unwrap_or_else(|| tempfile::tempdir().unwrap());
        let lab = Lab::at(folder.path());
        fs::write(lab.path("orders"), serde_json::to_vec(deeds).unwrap()).unwrap();
        fs::write(lab.path("stage"), [0; STAGE]).unwrap();
        Self { folder, lab }
    }

    /// Makes only the first `n` workers evil.
    pub(super) fn tokens(self, n: usize) -> Self {
        fs::create_dir(self.lab.path("tokens")).unwrap();
        self.add_tokens(n);
        self
    }

    pub(super) fn add_tokens(&self, n: usize) {
        for token in 0..n {
            fs::write(self.lab.path("tokens").join(token.to_string()), b"").unwrap();
        }
    }

    pub(super) fn take_tokens(&self) {
        let tokens = fs::read_dir(self.lab.path("tokens")).unwrap();
        tokens.for_each(|token| drop(fs::remove_file(token.unwrap().path())));
    }

    pub(super) fn tokens_left(&self) -> usize {
        fs::read_dir(self.lab.path("tokens")).unwrap().count()
    }

    /// Has claims counted, of items with an index below `items`.
    pub(super) fn journal(self, items: usize) -> Self {
        fs::write(self.lab.path("journal"), vec![0; items]).unwrap();
        self
    }

    pub(super) fn claims(&self) -> Vec<u8> {
        fs::read(self.lab.path("journal")).unwrap()
    }

    pub(super) fn builder(&self, processes: usize) -> PoolBuilder {
        let lab = self.folder.path().to_str().unwrap();
        Pool::builder(TaskModule::from_bytes("guest.wat", GUEST.as_bytes()))
            .cache(Cache::Dir(CACHE.path().join("artifacts")))
            .processes(processes)
            .env(LAB, lab)
    }

    /// As `builder`, and workers know their orders from the start.
    pub(super) fn early_builder(&self, processes: usize) -> PoolBuilder {
        self.builder(processes).worker_program(self.program())
    }

    /// Puts this text where workers' program is, or nothing.
    pub(super) fn replace_program(&self, text: Option<&str>) {
        let program = self.lab.path("program");
        fs::remove_file(&program).unwrap();
        if let Some(text) = text {
            fs::write(&program, text).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn program(&self) -> PathBuf {
        let (ours, other) = (std::env::current_exe().unwrap(), self.lab.path("program"));
        if !other.exists() && fs::hard_link(&ours, &other).is_err() {
            fs::copy(&ours, &other).unwrap();
        }
        other
    }

    /// Waits until some worker stands at a point, and gives its process.
    pub(super) fn await_told(&self, point: Point) -> u32 {
        let start = Instant::now();
        loop {
            let stage = fs::read(self.lab.path("stage")).unwrap();
            if let Some(pid) = told(&stage, point) {
                return pid;
            }
            assert!(start.elapsed() < PATIENCE, "no worker gets to {point:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Items that set off each deed once, with honest ones around them.
pub(super) fn items(deeds: usize) -> Vec<i64> {
    let around = |n: usize| (0..5).map(move |at| (5 * n + at) as i64);
    let mixed = (0..deeds).flat_map(|n| around(n).chain([FIRST + n as i64]));
    mixed.chain(around(deeds)).collect()
}

/// Sets off each deed once and checks what holds whatever workers do: an outcome for each item, the
/// right ones for honest items, and a pool that goes on. Gives the outcomes of the evil items.
///
/// `spared`: no honest item is blamed for what its worker did.
pub(super) fn besiege(
    pool: &Pool,
    deeds: usize,
    spared: bool,
    options: impl Fn(Function) -> Function,
) -> Vec<Result<i64, TaskError>> {
    let echo = options(pool.function("echo").unwrap());
    let items = items(deeds);
    let outcomes = echo.map_outcomes::<_, i64>(items.iter().copied()).unwrap();
    assert_eq!(outcomes.len(), items.len());
    let mut evil = Vec::new();
    for (item, outcome) in items.iter().zip(outcomes) {
        match outcome {
            outcome if *item >= FIRST => evil.push(outcome),
            Ok(value) => assert_eq!(value, *item),
            Err(error) => {
                assert!(!spared && error.is_worker_death(), "{item}: {error}");
            }
        }
    }
    let after = pool.map::<_, i64>("echo", 0..200_i64).unwrap();
    assert!(after.into_iter().eq(0..200));
    for n in 0..20 {
        assert_eq!(pool.apply::<_, i64>("echo", &n).unwrap(), n);
    }
    evil
}

/// What this process has, that a pool must give back.
fn belongings() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, children().len())
}

/// Child processes of this one, zombies among them.
pub(super) fn children() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let text: String = lists.map(Result::unwrap_or_default).collect();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Bytes of a line of `/proc/self/status`.
fn status(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|each| each.strip_prefix(line)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The most memory that this process had at once, and what it has.
pub(super) fn peak_memory() -> u64 {
    status("VmHWM:")
}

pub(super) fn private_memory() -> u64 {
    status("RssAnon:")
}

const ALONE: &str = "SANDPOOL_TEST_ALONE";

/// Runs the body of a test in a process of its own, and checks there that it leaves no child, no
/// zombie and no descriptor behind.
pub(super) fn alone<F: FnOnce()>(body: F) {
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").unwrap().1.trim_end_matches("::{{closure}}");
    if std::env::var(ALONE).is_ok_and(|test| test == name) {
        // Whatever is made once and stays is made by this.
        end(&Site::new(&[]).builder(1).build().unwrap());
        let keepers = || {
            let tasks = fs::read_dir("/proc/self/task").unwrap();
            let name = |task: std::io::Result<fs::DirEntry>| task.unwrap().path().join("comm");
            let names = tasks.map(|task| fs::read_to_string(name(task)).unwrap_or_default());
            names.filter(|name| name.starts_with("sandpool-keeper")).count()
        };
        // The last of them takes the pool's descriptors with it.
        while keepers() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = belongings();
        body();
        let start = Instant::now();
        // Fewer descriptors are no leak: something of before was still on its way out.
        let settled = |(descriptors, children)| descriptors <= before.0 && children == before.1;
        while !settled(belongings()) {
            assert!(start.elapsed() < PATIENCE, "{before:?} became {:?}", belongings());
            std::thread::sleep(Duration::from_millis(1));
        }
        return;
    }
    let limit = Duration::from_secs(
        std::env::var("SANDPOOL_TEST_LIMIT").map_or(120, |limit| limit.parse().unwrap()),
    );
    let output = run(name, limit);
    assert!(output.0 && output.1.contains("1 passed"), "{name}: {}", output.1);
    print!("{}", output.1);
}

fn run(name: &str, limit: Duration) -> (bool, String) {
    let report = tempfile::NamedTempFile::new().unwrap();
    // It may be killed, and what it keeps for as long as it runs is dropped by nobody.
    let folders = tempfile::tempdir().unwrap();
    let writer = || Stdio::from(report.reopen_append());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--include-ignored", "--nocapture", name])
        .env(ALONE, name)
        .env("TMPDIR", folders.path())
        .stdout(writer())
        .stderr(writer())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = fs::read_to_string(report.path()).unwrap();
    match status {
        Some(status) => (status.success(), text),
        None => (false, format!("hangs: killed after {limit:?}\n{text}")),
    }
}

trait Append {
    fn reopen_append(&self) -> fs::File;
}

impl Append for tempfile::NamedTempFile {
    fn reopen_append(&self) -> fs::File {
        let path: &Path = self.path();
        fs::File::options().append(true).open(path).unwrap()
    }
}
