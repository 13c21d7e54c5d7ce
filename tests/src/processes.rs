//! What the kernel tells about this process and its children, and how to kill one of them.
//!
//! This module must not guess: what `/proc` does not say is an error of the test.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;

/// Threads of this process whose name begins so.
pub fn threads(name: &str) -> BTreeSet<u32> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let tids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    tids.filter(|tid| {
        // A thread may end between the listing and this look.
        let comm = fs::read_to_string(format!("/proc/self/task/{tid}/comm")).unwrap_or_default();
        comm.starts_with(name)
    })
    .collect()
}

/// Children that this thread of ours has started and not reaped.
pub fn children_of(tid: u32) -> Vec<u32> {
    let path = format!("/proc/self/task/{tid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// All children of this process.
pub fn children() -> Vec<u32> {
    threads("").into_iter().flat_map(children_of).collect()
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The state letter of a process.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in parentheses and may have any of them itself.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process is a zygote, and not one that has just been forked: that leads no session
/// before it is called a worker.
pub fn is_zygote(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    name.trim() == "sandpool-zygote" && rustix::process::getsid(pid).ok() == pid
}

/// Stops a process, as a debugger or a terminal would.
pub fn stop(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::STOP).expect("it is there");
}

/// Open descriptors of this process.
pub fn descriptors() -> usize {
    // The listing itself has one.
    fs::read_dir("/proc/self/fd").expect("/proc is mounted").count() - 1
}

/// Bytes of memory that are this process's own.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse().ok());
    1024 * kib.unwrap_or(0_u64)
}

/// Kills a process, if it is there.
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    let _ = kill_process(pid, Signal::KILL);
}

/// Whether this process ignores a signal, which those that it starts then do as well.
pub fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("it says so");
    let bits = u64::from_str_radix(bits.trim(), 16).expect("they are hexadecimal");
    bits >> (signal.as_raw() - 1) & 1 != 0
}
