//! Where and with what was measured, in a line.

use crate::setting::wasmtime;
use crate::{Result, place};
use std::path::Path;
use std::process::Command;

pub(crate) fn describe() -> Result<String> {
    let cores = place::cores()?;
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, name)| name);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel.split('-').next().unwrap_or_default().trim().to_owned();
    let python = told(Path::new("python3")).unwrap_or("no CPython".into());
    let wasmtime = wasmtime().and_then(|path| told(&path));
    let wasmtime = wasmtime.unwrap_or("no `wasmtime` program".into());
    let mut date = Command::new("date");
    let date = date.args(["-u", "+%Y-%m-%d"]).output()?;
    let date = String::from_utf8(date.stdout)?;
    Ok(format!(
        "{}, {cores} cores of {processor} ({}), Linux {release}, {python}, {wasmtime}",
        date.trim(),
        std::env::consts::ARCH,
    ))
}

/// What a program says of itself: name and version.
fn told(path: &Path) -> Option<String> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Some(words.join(" "))
}
