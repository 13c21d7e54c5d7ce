//! Maps a compiled artifact read-execute and hands it to wasmtime without a copy.
//!
//! This module must not decide which artifact is trusted: whoever makes a [`Mapped`] vouches that
//! our own compiler role wrote the bytes. wasmtime runs tampered artifacts (292 of 300 bit flips
//! were accepted), so what stands between a forged one and the machine is the wall, not this file.

#![expect(unsafe_code, reason = "artifacts are mapped and loaded here and nowhere else")]

use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{CustomCodeMemory, Engine, Module};

const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK);

/// An artifact in memory, readable and executable, never writable, for the rest of the process's
/// life: there is no `Drop`, because modules and their data images point into it.
#[derive(Debug)]
pub(crate) struct Mapped {
    bytes: NonNull<[u8]>,
}

impl Mapped {
    /// Maps the first `len` bytes of `fd`: a memfd sealed against writing, growing and shrinking,
    /// of exactly that length. Works under memory-deny-write-execute, since the pages are never
    /// writable. The descriptor may be closed afterwards (and is).
    ///
    /// # Errors
    /// `InvalidInput` where a seal is missing or the length differs; else what `mmap` said.
    pub(crate) fn from_fd(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_string());
        if !fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(SEALS)) {
            return Err(invalid("the artifact is not a memfd sealed against change"));
        }
        let size = fstat(&fd)?.st_size;
        if len == 0 || u64::try_from(size).ok() != u64::try_from(len).ok() {
            return Err(invalid(&format!("the artifact has {size} bytes, not {len}")));
        }
        // SAFETY: a new private mapping at an address the kernel chooses overlaps nothing that
        // Rust knows of.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::EXEC,
                MapFlags::PRIVATE,
                fd.as_fd(),
                0,
            )
        }?;
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| invalid("mapped at zero"))?;
        Ok(Self { bytes: NonNull::slice_from_raw_parts(start, len) })
    }

    /// Copies an artifact into a new sealed memfd and maps that.
    ///
    /// # Errors
    /// What the system said.
    #[cfg(test)]
    pub(crate) fn from_bytes(artifact: &[u8]) -> io::Result<Self> {
        let file = crate::process::fds::sealed_file("sandpool-artifact", artifact)?;
        Self::from_fd(file, artifact.len())
    }

    /// The core module in this artifact.
    ///
    /// # Errors
    /// Where the artifact is for other settings, another processor or another wasmtime.
    pub(crate) fn module(&self, engine: &Engine) -> wasmtime::Result<Module> {
        // SAFETY: the bytes came out of our compiler role (see the module header); they stay
        // mapped until the process ends and cannot change, since `from_fd` demands the seals.
        unsafe { Module::deserialize_raw(engine, self.bytes) }
    }

    /// The component in this artifact.
    ///
    /// # Errors
    /// As for [`Mapped::module`].
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: as in `module`.
        unsafe { Component::deserialize_raw(engine, self.bytes) }
    }
}

/// Publishes code without touching protections: [`Mapped`] is executable from the start, and the
/// compiler role never runs what it compiles.
#[derive(Debug)]
pub(crate) struct AlreadyExecutable;

impl AlreadyExecutable {
    pub(crate) fn shared() -> Arc<dyn CustomCodeMemory> {
        Arc::new(Self)
    }
}

impl CustomCodeMemory for AlreadyExecutable {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, _ptr: *const u8, _len: usize) -> wasmtime::Result<()> {
        Ok(())
    }

    fn unpublish_executable(&self, _ptr: *const u8, _len: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}
