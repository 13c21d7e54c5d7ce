//! The control messages: length-prefixed frames over a stream, descriptors beside them.
//!
//! This module must not allocate for a length before it has checked it.

use super::{BUILD, PROTOCOL};
use crate::description::{Description, EngineSettings, GuestConfig};
use crate::walls::Sandbox;
use crate::walls::rlimits::Budget;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Longest control message; descriptions of huge modules fit, floods do not.
const MAX_MESSAGE: usize = 16 << 20;

/// What every child says first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) build: String,
}

impl Hello {
    pub(crate) fn ours() -> Self {
        Self { protocol: PROTOCOL, build: BUILD.to_owned() }
    }

    /// Checks that the other side is of our build; the error names both.
    pub(crate) fn check(&self) -> Result<(), String> {
        if *self == Self::ours() {
            return Ok(());
        }
        let Self { protocol, build } = self;
        Err(format!(
            "the worker program is `{}` with protocol {protocol}, this host is `{BUILD}` with \
             protocol {PROTOCOL}; both must be built from the same version",
            build.escape_default()
        ))
    }
}

/// What the host then tells a worker. Descriptors beside it: ring, artifact, the worker's bell, the
/// host's bell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerSetup {
    pub(crate) config: GuestConfig,
    /// Length of the artifact.
    pub(crate) artifact_len: u64,
    pub(crate) sandbox: Sandbox,
    /// Bytes of writable memory, if not as many as the limits make necessary.
    pub(crate) data_limit: Option<u64>,
    /// Process that must be the parent; a child of anybody else has lost its host.
    pub(crate) host_pid: u32,
}

/// What the host tells a compiler. Descriptor beside it: the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompilerSetup {
    pub(crate) settings: EngineSettings,
    pub(crate) sandbox: Sandbox,
    /// What compiling may take.
    pub(crate) budget: Budget,
    /// Length of the module.
    pub(crate) module_len: u64,
    /// As in [`WorkerSetup`].
    pub(crate) host_pid: u32,
}

/// What a worker answers: ready, or why it cannot be. Of a worker that a zygote makes, the zygote
/// answers instead if there is no worker, and the host itself if there is no zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WorkerReady {
    /// It takes items.
    Ready,
    /// The artifact could not be loaded.
    Refused(String),
    /// There is no room for another process just now.
    NoRoom(String),
    /// Whoever was to become the worker, or to make it, came to nothing.
    Failed(String),
}

/// What a compiler answers, followed by the artifact.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CompilerAnswer {
    /// The module is usable; so many bytes of artifact follow.
    Compiled { description: Box<Description>, artifact_len: u64 },
    /// The module cannot be used, and why, in one line.
    Refused(String),
    /// A wall cannot be raised, so nothing was compiled.
    Unsealed(String),
}

/// What comes instead of a message when a child's memory ends: the beginning of what the standard
/// library says then. As a length it would be too long.
pub(crate) const OUT_OF_MEMORY: [u8; 4] = *b"memo";

/// Writes one message.
pub(crate) fn send(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let len = frame.len() - 4;
    if len > MAX_MESSAGE {
        return Err(io::Error::other("control message too long"));
    }
    // At most `MAX_MESSAGE`, so it fits.
    frame[..4].copy_from_slice(&(len as u32).to_le_bytes());
    stream.write_all(&frame)
}

/// Reads one message. End of stream before it is `UnexpectedEof`.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: impl Read) -> io::Result<T> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "control message too long"));
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    // Not as it comes: text that ends too soon is no end of the stream.
    serde_json::from_slice(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_names_both_builds() {
        let other = Hello { protocol: 999, build: "sandpool 9.9.9".into() };
        let text = other.check().expect_err("another build");
        assert!(text.contains("sandpool 9.9.9") && text.contains("999"), "{text}");
        assert!(text.contains(BUILD) && text.contains(&format!("protocol {PROTOCOL}")), "{text}");
        assert_eq!(Hello::ours().check(), Ok(()));
    }

    #[test]
    fn a_message_comes_back_and_a_cut_one_does_not() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Hello::ours()).expect("fits");
        assert_eq!(receive::<Hello>(&bytes[..]).expect("whole"), Hello::ours());
        for cut in 0..bytes.len() {
            receive::<Hello>(&bytes[..cut]).expect_err("cut");
        }
    }

    #[test]
    fn a_length_is_checked_before_it_is_believed() {
        let error = receive::<Hello>(&u32::MAX.to_le_bytes()[..]).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
