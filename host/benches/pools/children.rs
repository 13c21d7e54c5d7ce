//! Programs that are run to their end, with what they took.

use crate::Result;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitOptions, getpid, set_child_subreaper, wait, waitid,
};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has ended well.
pub(crate) struct Ran {
    pub(crate) wall: Duration,
    /// CPU time of the process itself.
    own: f64,
    output: File,
}

impl Ran {
    pub(crate) fn output(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.output.rewind()?;
        self.output.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Runs it; its output goes to a file in memory, its errors nowhere.
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    let output = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
    command.stdout(output.try_clone()?).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a pid")?;
    // It stays to be looked at, with the times of those it has waited for.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let wall = start.elapsed();
    let own = cpu(&child.id().to_string())?.0;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(Ran { wall, own, output })
}

/// Seconds of CPU time of a process, and of its children that have ended.
fn cpu(process: &str) -> Result<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may have anything in it, the state is field 3.
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in `stat`")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let second = rustix::param::clock_ticks_per_second() as f64;
    let ticks = |field: usize| -> Result<f64> {
        Ok(fields.get(field - 3).ok_or("no times in `stat`")?.parse::<f64>()? / second)
    };
    Ok((ticks(14)? + ticks(15)?, ticks(16)? + ticks(17)?))
}

/// The part of a program's CPU time, in percent, that its first process takes.
///
/// This process must have no other children: those that the program leaves behind become its own.
pub(crate) fn share_of_host(command: &mut Command) -> Result<f64> {
    set_child_subreaper(Some(getpid()))?;
    let own = run(command)?.own;
    while wait(WaitOptions::empty()).is_ok_and(|ended| ended.is_some()) {}
    let all = cpu("self")?.1;
    Ok(100.0 * own / all)
}

/// The argument that makes this program measure something of its own, with nothing else in it.
pub(crate) const APART: &str = "--apart";

/// What this program answers when it is started for nothing else.
pub(crate) fn apart(what: &str) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = run(command.args([APART, what]))?.output()?;
    Ok(String::from_utf8(output)?.trim().parse()?)
}

/// The processes that this one has started and that live.
pub(crate) fn living() -> Result<Vec<u32>> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
        // Others end while one looks.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent == Some(own.as_str()) {
            found.push(pid);
        }
    }
    Ok(found)
}
