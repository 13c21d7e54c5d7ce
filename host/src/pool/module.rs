//! A task module as the user hands it in: a name for messages, and bytes.
//!
//! This module must not look into the bytes; that is the compiler's part.

use super::compile::{self, Means};
use super::error::{BuildError, BuildErrorKind};
use crate::cache::Cache;
use crate::description::{Description, EngineSettings};
use crate::limits::CompileLimits;
use crate::process::Program;
use crate::walls::Sandbox;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Largest module that is read, and compiled.
pub(super) const MAX_MODULE: u64 = 256 << 20;

/// A task module: a component, a core module (`.wasm`, or `.wat` text), or a WASI command.
#[derive(Clone)]
pub struct TaskModule {
    name: Arc<str>,
    bytes: Arc<[u8]>,
}

impl std::fmt::Debug for TaskModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, bytes } = self;
        f.debug_struct("TaskModule").field("name", name).field("size", &bytes.len()).finish()
    }
}

impl TaskModule {
    /// Reads a module from a file of at most 256 MiB.
    ///
    /// # Errors
    /// If it cannot be read, or is larger. Whether it is a module turns out in
    /// [`PoolBuilder::build`](crate::PoolBuilder::build).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BuildError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unreadable =
            |why: String| BuildError::new(BuildErrorKind::Unreadable, format!("`{name}`: {why}"));
        let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        if file.metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(unreadable("is a directory, not a task module".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_MODULE + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > MAX_MODULE {
            return Err(unreadable(format!("is larger than {} MiB", MAX_MODULE >> 20)));
        }
        Ok(Self::from_bytes(name, bytes))
    }

    /// A module that is in memory already; `name` is for messages. One of more than 256 MiB will be
    /// refused.
    #[must_use]
    pub fn from_bytes(name: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }

    /// The name for messages: the path, if it came from a file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Compiles the module in a process of its own (or finds its artifact in the user's cache) and
    /// tells what is in it.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`](crate::PoolBuilder::build).
    ///
    /// # Blocking
    /// As long as compiling takes, at most 60 s.
    pub fn describe(&self) -> Result<Description, BuildError> {
        self.describe_within(CompileLimits::default())
    }

    /// As [`describe`](Self::describe), with other limits.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    ///
    /// # Blocking
    /// As long as compiling takes and may take.
    pub fn describe_within(&self, limits: CompileLimits) -> Result<Description, BuildError> {
        let means = Means {
            settings: EngineSettings::default(),
            sandbox: Sandbox::Strict,
            limits,
            program: &Program::ThisExecutable,
            cache: &Cache::User,
        };
        Ok(compile::obtain(self, &means)?.description)
    }
}
