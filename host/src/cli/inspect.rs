//! `sandpool inspect`: what a module is, has and needs.
//!
//! This module must not run the module; the description says all of it.

use super::args::{CompileArgs, InspectArgs};
use super::exit::Exit;
use super::output::{self, Results};
use super::units::show_size;
use crate::description::{Description, FunctionInfo, ImportInfo, ModuleKind};
use crate::limits::CompileLimits;
use crate::pool::module::TaskModule;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Runs the verb.
pub(super) fn execute(args: &InspectArgs) -> anyhow::Result<Exit> {
    let CompileArgs { compile_timeout: timeout, compile_memory: memory } = args.compiling;
    let limits = CompileLimits { timeout, memory };
    let description = TaskModule::from_file(&args.task)?.describe_within(limits)?;
    let text =
        if args.json { format!("{}\n", as_json(&description)) } else { as_text(&description) };
    let mut results = Results::open()?;
    results.buffer().extend_from_slice(text.as_bytes());
    results.flush()?;
    Ok(Exit::Done)
}

fn kind(kind: ModuleKind) -> (&'static str, &'static str) {
    match kind {
        ModuleKind::Core => ("core", "core module"),
        ModuleKind::Component => ("component", "component"),
        ModuleKind::CommandP1 => ("command-p1", "WASI command (preview 1)"),
        ModuleKind::CommandP2 => ("command-p2", "WASI command (preview 2)"),
    }
}

fn default_function(description: &Description) -> Option<&FunctionInfo> {
    let at = description.choose(None).ok()?;
    description.functions.get(usize::try_from(at).ok()?)
}

fn as_text(description: &Description) -> String {
    let Description { functions, uncallable, imports, .. } = description;
    let mut text = String::new();
    // A string takes everything.
    let _ = writeln!(text, "kind      {}", kind(description.kind).1);
    let compiled = show_size(description.artifact_size);
    let size = show_size(description.module_size);
    let took = Duration::from_micros(description.compile_micros).as_secs_f64();
    let _ = writeln!(text, "size      {size}, compiled {compiled}");
    let _ = writeln!(text, "compiling {took:.3} s");
    section(&mut text, "functions", functions, |function| {
        let chosen = match default_function(description) {
            Some(default) if functions.len() > 1 && default.name == function.name => "  (default)",
            _ => "",
        };
        if function.is_command() {
            format!("{}  standard input -> standard output", shown(&function.name))
        } else {
            format!("{}{}{chosen}", shown(&function.name), shown(&function.signature.to_string()))
        }
    });
    section(&mut text, "exports that cannot be called", uncallable, |(name, why)| {
        format!("{}: {}", shown(name), shown(why))
    });
    section(&mut text, "imports", imports, |import| {
        let ImportInfo { name, provided, grant } = import;
        let note = match (provided, grant) {
            (false, _) => "  (not provided)".to_owned(),
            (true, Some(grant)) => format!("  (of use with {})", shown(grant)),
            (true, None) => String::new(),
        };
        format!("{}{note}", shown(name))
    });
    text
}

fn section<T>(text: &mut String, title: &str, of: &[T], line: impl Fn(&T) -> String) {
    if of.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for part in of {
        let _ = writeln!(text, "  {}", line(part));
    }
}

/// Names come from the module, which nobody trusts.
fn shown(text: &str) -> String {
    output::harmless(text, "")
}

fn as_json(description: &Description) -> Value {
    let functions = description.functions.iter().map(|function| {
        let params = function.signature.params.iter().map(|(name, ty)| {
            let name = (!name.is_empty()).then_some(name);
            json!({ "name": name, "type": ty.to_string() })
        });
        json!({
            "name": function.name,
            "params": params.collect::<Vec<_>>(),
            "result": function.signature.result.as_ref().map(ToString::to_string),
        })
    });
    let uncallable =
        description.uncallable.iter().map(|(name, why)| json!({ "name": name, "reason": why }));
    let imports = description.imports.iter().map(
        |import| json!({ "name": import.name, "provided": import.provided, "grant": import.grant }),
    );
    json!({
        "kind": kind(description.kind).0,
        "default": default_function(description).map(|function| &function.name),
        "functions": functions.collect::<Vec<_>>(),
        "uncallable": uncallable.collect::<Vec<_>>(),
        "imports": imports.collect::<Vec<_>>(),
        "module_size": description.module_size,
        "artifact_size": description.artifact_size,
        "compile_micros": description.compile_micros,
    })
}
