//! A compiled task module: what is in it, and its artifact as a file in memory.
//!
//! This module must not know where it came from, nor what a worker does with it.

use crate::description::Description;
use rustix::fd::OwnedFd;
use std::io::{self, Read};

/// A usable module.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) description: Description,
    /// Sealed: nobody can change it any more.
    pub(crate) artifact: OwnedFd,
    pub(crate) artifact_len: u64,
}

impl Compiled {
    /// The same for another owner; the artifact is not copied.
    pub(crate) fn share(&self) -> io::Result<Self> {
        Ok(Self {
            description: self.description.clone(),
            artifact: self.artifact.try_clone()?,
            artifact_len: self.artifact_len,
        })
    }

    /// Reads the artifact from its beginning, wherever the descriptor's own position is.
    pub(crate) fn reader(&self) -> impl Read {
        Reader { artifact: &self.artifact, at: 0 }
    }
}

struct Reader<'a> {
    artifact: &'a OwnedFd,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = rustix::io::pread(self.artifact, bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
