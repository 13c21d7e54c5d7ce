//! The last results, into the documents that show them.
//!
//! This module must not change a word that stands outside of its marks.

use crate::Result;
use std::path::Path;

const BEGIN: &str =
    "<!-- benchmarks: written by `cargo bench -p sandpool --bench pools -- --publish` -->";
const END: &str = "<!-- /benchmarks -->";

/// Writes the promises between the marks in `README.md`, all sides to `docs/benchmarks.md`, and the
/// chart to `docs/benchmarks.svg`.
pub(crate) fn publish(
    root: &Path,
    machine: &str,
    promises: &str,
    sides: &str,
    chart: &str,
) -> Result<()> {
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path)?;
    let between =
        format!("\n{machine}.\n\n{promises}\n![How many times as fast](docs/benchmarks.svg)\n\n");
    std::fs::write(path, replaced(&readme, &between)?)?;
    std::fs::write(root.join("docs/benchmarks.svg"), chart)?;
    let page = format!(
        "# All sides of the last measurement\n\nWritten by \
         `cargo bench -p sandpool --bench pools -- --publish`; [performance.md](performance.md) says \
         how to read it.\n\n{machine}.\n\n![How many times as fast](benchmarks.svg)\n\n{sides}"
    );
    std::fs::write(root.join("docs/benchmarks.md"), page)?;
    Ok(())
}

fn replaced(text: &str, between: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).ok_or("no mark where the benchmarks begin")?;
    let (_, after) = rest.split_once(END).ok_or("no mark where the benchmarks end")?;
    Ok(format!("{before}{BEGIN}\n{between}{END}{after}"))
}
