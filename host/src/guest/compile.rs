//! Compiles a task module: from bytes that nobody trusts to an artifact and a description.
//!
//! This module must not run anything of the module; it is meant for a throw-away process.

use super::budget::{Budget, Excess};
use super::{budget, describe, engine, imports};
use crate::description::{Description, EngineSettings, ImportInfo, Needs};
use std::time::Instant;
use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled, ResourcesRequired};

const WASM_PAGE: u64 = 64 * 1024;
/// Some editors put it before text; the text parser does not know it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const EXPECTED: &str = "expected a WebAssembly core module, a component, or their `.wat` text";

/// What the bytes are, by their first few.
enum Shape {
    Module,
    Component,
}

impl Shape {
    fn invalid(&self, error: &wasmtime::Error) -> String {
        let name = match self {
            Self::Module => "core module",
            Self::Component => "component",
        };
        format!("it is not a valid {name}: {}", one_line(error))
    }

    /// As `invalid`, of what can be read with all proposals that there are.
    fn refused(&self, error: &wasmtime::Error, bytes: &[u8]) -> String {
        let mut text = self.invalid(error);
        if !text.contains("memory64") && budget::has_wide_memory(bytes) {
            text.push_str("; it has a 64-bit memory, and memory64 is not enabled");
        }
        text
    }
}

/// Compiles `module` (binary or text) for this machine.
///
/// # Errors
/// One line that says what the bytes are and what would be right, or what in them is wrong.
pub(crate) fn compile(
    module: &[u8],
    settings: EngineSettings,
) -> Result<(Vec<u8>, Description), String> {
    let began = Instant::now();
    let shape = sniff(module)?;
    let engine = engine::compiler(settings).map_err(|error| one_line(&error))?;
    let code = module.strip_prefix(BYTE_ORDER_MARK).unwrap_or(module);
    let code = wat::parse_bytes(code).map_err(|error| shape.invalid(&error.into()))?;
    Budget::default().check(&code).map_err(|excess| match excess {
        Excess::Part(text) => text,
        Excess::Malformed(error) => shape.invalid(&error.into()),
    })?;
    let compiled = match shape {
        Shape::Module => core(&engine, &code)?,
        Shape::Component => component(&engine, &code)?,
    };
    let Compiled { artifact, functions, imports: (imports, wasi), needs } = compiled;
    if functions.callable.is_empty() {
        return Err(nothing_callable(&functions));
    }
    let description = Description {
        kind: functions.kind,
        functions: functions.callable,
        uncallable: functions.uncallable,
        imports,
        wasi,
        needs,
        module_size: size(module.len()),
        artifact_size: size(artifact.len()),
        compile_micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    Ok((artifact, description))
}

struct Compiled {
    artifact: Vec<u8>,
    functions: describe::Functions,
    imports: (Vec<ImportInfo>, bool),
    needs: Option<Needs>,
}

fn core(engine: &Engine, bytes: &[u8]) -> Result<Compiled, String> {
    let module =
        Module::from_binary(engine, bytes).map_err(|error| Shape::Module.refused(&error, bytes))?;
    Ok(Compiled {
        imports: imports::of_module(&module)?,
        functions: describe::module(&module),
        needs: Some(needs(&module.resources_required())),
        artifact: module.serialize().map_err(|error| one_line(&error))?,
    })
}

fn component(engine: &Engine, bytes: &[u8]) -> Result<Compiled, String> {
    let component = Component::from_binary(engine, bytes)
        .map_err(|error| Shape::Component.refused(&error, bytes))?;
    Ok(Compiled {
        imports: imports::of_component(&component)?,
        functions: describe::component(engine, &component),
        needs: component.resources_required().as_ref().map(needs),
        artifact: component.serialize().map_err(|error| one_line(&error))?,
    })
}

fn needs(required: &ResourcesRequired) -> Needs {
    Needs {
        memories: required.num_memories,
        tables: required.num_tables,
        memory_bytes: required.max_initial_memory_size.unwrap_or(0).saturating_mul(WASM_PAGE),
        table_elements: required.max_initial_table_size.unwrap_or(0),
    }
}

fn nothing_callable(functions: &describe::Functions) -> String {
    match functions.uncallable.as_slice() {
        [] => "it exports no function".to_string(),
        all => {
            let reasons: Vec<_> =
                all.iter().map(|(name, reason)| format!("`{name}`: {reason}")).collect();
            format!("it exports no function that can be called: {}", reasons.join("; "))
        }
    }
}

/// Tells what the bytes are before anything parses them, so that the common mistakes get an
/// answer of their own.
fn sniff(bytes: &[u8]) -> Result<Shape, String> {
    if bytes.is_empty() {
        return Err(format!("it is empty; {EXPECTED}"));
    }
    if let Some(rest) = bytes.strip_prefix(b"\0asm") {
        return binary(rest);
    }
    if b"\0asm".starts_with(bytes) {
        return Err(format!("it ends after {} bytes, inside the header; {EXPECTED}", bytes.len()));
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(match Engine::detect_precompiled(bytes) {
            Some(Precompiled::Module | Precompiled::Component) => {
                "it is a precompiled wasmtime artifact, which could contain any machine code; \
                 give the `.wasm` file that it was made from"
                    .to_string()
            }
            None => format!(
                "it is a native executable (ELF); {EXPECTED} (build with a target such as \
                 `wasm32-wasip2`)"
            ),
        });
    }
    text(bytes)
}

fn binary(after_magic: &[u8]) -> Result<Shape, String> {
    match after_magic.get(..4) {
        Some([1, 0, 0, 0]) => Ok(Shape::Module),
        // The low half is the version of the format, the high half tells a component.
        Some([13, 0, 1, 0]) => Ok(Shape::Component),
        Some([a, b, c, d]) => Err(format!(
            "its WebAssembly version is {:#010x}, which is not known; {EXPECTED}",
            u32::from_le_bytes([*a, *b, *c, *d])
        )),
        _ => Err(format!(
            "it ends after {} bytes, inside the header; {EXPECTED}",
            4 + after_magic.len()
        )),
    }
}

fn text(bytes: &[u8]) -> Result<Shape, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("it is neither WebAssembly nor text; {EXPECTED}"));
    };
    let code = skip_comments(text.trim_start_matches('\u{feff}'));
    match code.strip_prefix('(').map(str::trim_start) {
        Some(form) if form.starts_with("component") => Ok(Shape::Component),
        Some(_) => Ok(Shape::Module),
        None if code.is_empty() => Err(format!("it is text without content; {EXPECTED}")),
        None => Err(format!("it is text, but not WebAssembly text; {EXPECTED}")),
    }
}

/// Skips white space, `;; line` comments and `(; block ;)` comments, which may nest.
fn skip_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix(";;") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if text.starts_with("(;") {
            text = skip_block(text);
        } else {
            return text;
        }
    }
}

fn skip_block(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(inside) = rest.strip_prefix("(;") {
            depth += 1;
            rest = inside;
        } else if let Some(outside) = rest.strip_prefix(";)") {
            depth -= 1;
            rest = outside;
            if depth == 0 {
                return rest;
            }
        } else {
            let mut chars = rest.chars();
            if chars.next().is_none() {
                return "";
            }
            rest = chars.as_str();
        }
    }
}

/// The causes of an error as one line, outermost first.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        // Errors of the text parser carry a picture of the source line; its first line says it.
        let text = cause.to_string();
        let text = text.lines().map(str::trim).find(|text| !text.is_empty()).unwrap_or_default();
        let text = text.trim_end_matches(['.', ':']);
        if text.is_empty() || line.contains(text) || text == "failed to parse WebAssembly module" {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(text);
    }
    line
}

fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
