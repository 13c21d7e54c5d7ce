//! What the example programs share: their task modules, and how a guest in Rust is built.
//!
//! This library must not use the pool; that is what the programs show.

use sandpool::TaskModule;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Functions over numbers: `square`, `cube`, `add`, `divide`.
#[must_use]
pub fn numbers() -> TaskModule {
    TaskModule::from_bytes("numbers.wat", *include_bytes!("guests/numbers.wat"))
}

/// Functions that take their time: `nap`, `pause`, `slow-add`.
#[must_use]
pub fn naps() -> TaskModule {
    TaskModule::from_bytes("naps.wat", *include_bytes!("guests/naps.wat"))
}

/// The root of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Builds a guest of `examples/guests` as a component and gives its path.
///
/// # Errors
/// If cargo cannot be run, or does not build it; what it has to say is on standard error.
pub fn build_guest(package: &str) -> Result<PathBuf, Box<dyn Error>> {
    // The cargo that started this program, so that the toolchain is the same.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repository())
        .args(["build", "--release", "--target", "wasm32-wasip2", "--package", package])
        .args(["--locked", "--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("`cargo build --package {package}`: {}", output.status).into());
    }
    // One JSON object a line; the artifact's own says where cargo put it.
    let messages = String::from_utf8(output.stdout)?;
    let mut files = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let file = message["filenames"].as_array()?.first()?.as_str()?;
        file.ends_with(".wasm").then(|| PathBuf::from(file))
    });
    files.next_back().ok_or_else(|| format!("cargo built no module from `{package}`").into())
}
