//! What the compiler tells of a task module: plain data, so that the host needs no engine.
//!
//! This module must not decide anything about processes; it only knows how a function is chosen.

use crate::codec::types::{Signature, Type};
use serde::{Deserialize, Serialize};

/// What sort of task module this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModuleKind {
    /// A core module with numeric exports.
    Core,
    /// A component with typed exports.
    Component,
    /// A WASI preview 1 command (a core module with `_start`).
    CommandP1,
    /// A WASI preview 2 command (a component that exports `wasi:cli/run`).
    CommandP2,
}

/// One function that can be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// The full name: `name`, or `namespace:package/interface@version#name`.
    pub name: String,
    /// Its parameters and result. A command has one parameter and one result, both `list<u8>`:
    /// standard input and standard output.
    pub signature: Signature,
}

/// One import of the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportInfo {
    /// The name: `module.field` of a core module, the interface or function of a component.
    pub name: String,
    /// Whether sandpool provides it.
    pub provided: bool,
    /// The option that makes it useful (`--dir`, `--env`), if it does nothing without.
    pub grant: Option<String>,
}

/// What one instance takes from the allocator, so that a worker can size its pool before it loads
/// the artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Linear memories, of all core instances together.
    pub memories: u32,
    /// Tables, of all core instances together.
    pub tables: u32,
    /// Bytes that the largest memory starts with.
    pub memory_bytes: u64,
    /// Elements that the largest table starts with.
    pub table_elements: u64,
}

/// What the compiler found in a task module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The sort of module.
    pub kind: ModuleKind,
    /// The functions that can be called, in the order of the exports. For a command: one,
    /// called `_start` or `wasi:cli/run`.
    pub functions: Vec<FunctionInfo>,
    /// Exports that are functions and cannot be called, with the reason.
    pub uncallable: Vec<(String, String)>,
    /// What it imports.
    pub imports: Vec<ImportInfo>,
    /// Whether it imports WASI.
    pub wasi: bool,
    /// What one instance takes, if that is known before it is instantiated.
    pub needs: Option<Needs>,
    /// Bytes of the module as it was given.
    pub module_size: u64,
    /// Bytes of the compiled artifact.
    pub artifact_size: u64,
    /// Microseconds that compiling took.
    pub compile_micros: u64,
}

/// How items and results of a call are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The compact untagged binary of `codec::binary`: all parameters, one after the other.
    Binary,
    /// JSON text, converted in the worker by the function's type.
    Json,
    /// The bytes themselves, for one `list<u8>` or `string` parameter, and such a result.
    Raw,
}

/// The settings that decide what code is generated; compiler and worker must agree on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineSettings {
    /// Count fuel.
    pub fuel: bool,
    /// Canonical NaNs and deterministic relaxed SIMD.
    pub deterministic: bool,
}

/// A directory of the host that a guest may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirGrant {
    /// Path on the host.
    pub host: std::path::PathBuf,
    /// Path that the guest sees.
    pub guest: String,
    /// Whether the guest may only read.
    pub read_only: bool,
}

/// Everything a worker needs to know before it takes items, apart from the artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestConfig {
    /// The description the compiler gave; function ids of items index its `functions`.
    pub description: Description,
    /// The settings the artifact was compiled with.
    pub settings: EngineSettings,
    /// Whether one instance serves many items.
    pub reuse: bool,
    /// Limits per item (the timeout is the host's business).
    pub limits: crate::limits::Limits,
    /// Directories the guest may use.
    pub dirs: Vec<DirGrant>,
    /// Environment of the guest.
    pub env: Vec<(String, String)>,
    /// Arguments of the guest, after the program name.
    pub args: Vec<String>,
    /// Function id and `Form::Binary` arguments of the initializer; implies `reuse`.
    pub initializer: Option<(u32, Vec<u8>)>,
}

/// Name of the only function of a preview 1 command.
pub(crate) const START: &str = "_start";
/// Front of the name of the only function of a preview 2 command, up to the version.
pub(crate) const RUN: &str = "wasi:cli/run";

impl FunctionInfo {
    /// Whether calling this function runs a whole command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.name == START || self.name.starts_with(RUN)
    }

    /// Whether this is `run` of our own WIT world.
    fn is_ours(&self) -> bool {
        let Signature { params, result } = &self.signature;
        let takes_bytes = matches!(params.as_slice(), [(_, only)] if only.is_bytes());
        let gives_bytes = matches!(
            result,
            Some(Type::Result { ok: Some(ok), err: Some(_) }) if ok.is_bytes()
        );
        self.name == "run" && takes_bytes && gives_bytes
    }

    /// The name without package, interface and version.
    fn bare_name(&self) -> &str {
        self.name.rsplit_once('#').map_or(&self.name, |(_, bare)| bare)
    }

    /// The type of the value that an item ends with: the `ok` side, if the function gives a
    /// `result`.
    #[must_use]
    pub fn value_type(&self) -> Option<&Type> {
        match &self.signature.result {
            Some(Type::Result { ok, .. }) => ok.as_deref(),
            other => other.as_ref(),
        }
    }

    /// The type of the function's own error, if it gives a `result` that has one.
    #[must_use]
    pub fn error_type(&self) -> Option<&Type> {
        match &self.signature.result {
            Some(Type::Result { err, .. }) => err.as_deref(),
            _ => None,
        }
    }
}

impl Description {
    /// Finds the function to call: the one named (in full, or without its package and interface if
    /// that is unambiguous); without a name, `run` of our own world, else the only callable export,
    /// else the command.
    ///
    /// # Errors
    /// One text that lists the candidates with their signatures.
    pub fn choose(&self, name: Option<&str>) -> Result<u32, String> {
        let found = match name {
            Some(name) => self.named(name)?,
            None => self.default_function()?,
        };
        u32::try_from(found).map_err(|_| "the module has too many functions".to_owned())
    }

    fn named(&self, name: &str) -> Result<usize, String> {
        if let Some(found) = self.functions.iter().position(|function| function.name == name) {
            return Ok(found);
        }
        let bare: Vec<usize> = (0..self.functions.len())
            .filter(|&at| self.functions[at].bare_name() == name)
            .collect();
        if let [found] = bare[..] {
            return Ok(found);
        }
        if bare.len() > 1 {
            let candidates = self.list(bare);
            return Err(format!("more than one function is called `{name}`: {candidates}"));
        }
        if let Some((_, why)) = self.uncallable.iter().find(|(known, _)| known == name) {
            return Err(format!("the export `{name}` cannot be called: {why}"));
        }
        Err(match self.functions.len() {
            0 => format!("no function `{name}`: the module exports none that can be called"),
            n => format!("no function `{name}`; the module has {}", self.list(0..n)),
        })
    }

    fn default_function(&self) -> Result<usize, String> {
        if let Some(ours) = self.functions.iter().position(FunctionInfo::is_ours) {
            return Ok(ours);
        }
        let of_kind = |command: bool| -> Vec<usize> {
            let kind = |&at: &usize| self.functions[at].is_command() == command;
            (0..self.functions.len()).filter(kind).collect()
        };
        match (&of_kind(false)[..], &of_kind(true)[..]) {
            ([only], _) | ([], [only]) => Ok(*only),
            ([], _) => Err(match self.uncallable.as_slice() {
                [] => "the module exports no function".to_owned(),
                [(name, why), ..] => {
                    format!("the module exports no function that can be called (`{name}`: {why})")
                }
            }),
            (many, _) => {
                Err(format!("name one function; the module has {}", self.list(many.to_vec())))
            }
        }
    }

    fn list(&self, of: impl IntoIterator<Item = usize>) -> String {
        let functions = of.into_iter().filter_map(|at| self.functions.get(at));
        let texts: Vec<String> = functions
            .map(|function| format!("`{}{}`", function.name, function.signature))
            .collect();
        texts.join(", ")
    }
}
