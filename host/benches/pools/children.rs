//! Programs that are run to their end, with what they took.

use crate::Result;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has ended well.
pub(crate) struct Ran {
    pub(crate) wall: Duration,
    /// CPU time of the process itself.
    pub(crate) own: f64,
    /// CPU time of the processes that it started.
    pub(crate) others: f64,
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
    let (own, others) = cpu(&std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?)
        .ok_or("no times in its `stat`")?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(Ran { wall, own, others, output })
}

/// Seconds of a process, and of its children that have ended.
fn cpu(stat: &str) -> Option<(f64, f64)> {
    // Behind the name, which may have anything in it, the state is field 3.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let second = rustix::param::clock_ticks_per_second() as f64;
    Some(((ticks(14)? + ticks(15)?) / second, (ticks(16)? + ticks(17)?) / second))
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
