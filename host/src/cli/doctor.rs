//! `sandpool doctor`: what the sandbox is worth on this machine.
//!
//! This module must not examine anything itself.

use super::args::DoctorArgs;
use super::exit::{CliError, Exit};
use super::output::Results;
use crate::doctor::{Report, examine};
use std::fmt::Write as _;

/// Runs the verb.
pub(super) fn execute(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let report =
        examine().map_err(|error| CliError::System(format!("no probe starts: {error}")))?;
    let text = match args.json {
        true => {
            let mut value = serde_json::to_value(&report)?;
            value["sound"] = report.is_sound().into();
            format!("{value}\n")
        }
        false => as_text(&report),
    };
    let mut results = Results::open()?;
    results.buffer().extend_from_slice(text.as_bytes());
    results.flush()?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Pool })
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = write!(text, "{}", report.kernel);
    let _ = match report.landlock {
        Some(version) => writeln!(text, ", Landlock {version}"),
        None => writeln!(text, ", no Landlock"),
    };
    let _ = writeln!(text, "\nwalls");
    for wall in &report.walls {
        let state = match (wall.holds, wall.mandatory) {
            (true, _) => "holds",
            (false, true) => "MISSING",
            (false, false) => "missing",
        };
        let _ = writeln!(text, "  {state:8}{:50}{}", wall.name, wall.proof);
    }
    let [attack, bare, unfiltered, sealed, forked] =
        ["attack", "no wall", "all but the filter", "sealed", "sealed, of a zygote"];
    let _ = writeln!(text, "\n  {attack:38}{bare:22}{unfiltered:22}{sealed:12}{forked}");
    for attack in &report.attacks {
        let replies = [&attack.bare, &attack.unfiltered, &attack.sealed, &attack.forked];
        let [bare, unfiltered, sealed, forked] = replies.map(ToString::to_string);
        let _ = writeln!(text, "  {:38}{bare:22}{unfiltered:22}{sealed:12}{forked}", attack.name);
    }
    let _ = writeln!(text, "\nlimits, each against a hostile guest");
    for limit in &report.limits {
        let state = if limit.binds { "binds" } else { "FAILS" };
        let after = if limit.worker_lives { "" } else { "; the worker was replaced" };
        let _ = writeln!(text, "  {state:8}{:26}{}{after}", limit.name, limit.seen);
    }
    let _ = writeln!(text, "\n{}", verdict(report));
    text
}

fn verdict(report: &Report) -> &'static str {
    if report.is_sound() {
        "All mandatory walls hold, and every limit binds."
    } else {
        "Pools are refused here, or a wall does not hold: see above. `--sandbox off` runs modules \
         without walls."
    }
}
