//! The artifact cache: a folder of files that only their owner can have written.
//!
//! This module must not fail a build: whatever is wrong with the cache, the module is compiled. It
//! must not hand out bytes that are not exactly those that were put in under the same key.
//!
//! [`folder`] opens the folder once and does all through that descriptor, [`secret`] keeps the key
//! that authenticates entries, [`entry`] is their format, [`turn`] keeps processes from doing the
//! same work twice.

mod entry;
mod folder;
mod secret;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start what they like")]
mod tests;
mod turn;

use crate::compiled::Compiled;
use crate::description::EngineSettings;
use crate::guest::compatibility_key;
use folder::Folder;
use secret::Secret;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use turn::Turn;

const ENDING: &str = ".artifact";
/// Bytes of all entries beyond which the oldest are removed.
const LIMIT: u64 = 2 << 30;

/// Where compiled artifacts are kept between pools.
///
/// An artifact is machine code, so an entry is used only if this user's own pools wrote it: it is
/// authenticated (HMAC-SHA-256 over its content, the module, and all that decides what code a module
/// becomes) with a random key, which is made on first use and kept beside the entries in a file that
/// only its owner can read. Entries that others brought in, that were altered or moved, that belong
/// to another engine or processor, and files of another owner, with wider permissions, or that are
/// no plain files are compiled again and replaced.
///
/// The key does not protect from whoever can read the owner's files, and so can forge entries; nor
/// does it stop an older entry of the same module and the same engine from being put back, which is
/// as good as the newer one. Even a forged artifact is loaded by workers only, behind their walls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cache {
    /// `$XDG_CACHE_HOME/sandpool`, else `$HOME/.cache/sandpool`. The default. Works without: if
    /// the folder cannot be made or written or belongs to somebody else, modules are compiled each
    /// time.
    #[default]
    User,
    /// This folder, which is made if it is not there.
    Dir(PathBuf),
    /// None: modules are compiled each time.
    Off,
}

impl Cache {
    /// Opens the folder, if there is one that is ours alone.
    pub(crate) fn open(&self) -> Option<Store> {
        let path = match self {
            Self::Off => return None,
            Self::Dir(path) => path.clone(),
            Self::User => user_folder()?,
        };
        Store::open(&path).ok()
    }
}

fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("sandpool"))
}

/// What an artifact depends on: the module's bytes, and all that decides what code they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(module: &[u8], settings: EngineSettings) -> Self {
        Self::with(module, &compatibility_key(settings))
    }

    fn with(module: &[u8], engine: &[u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(crate::wire::BUILD)
            .chain_update(crate::wire::PROTOCOL.to_le_bytes())
            .chain_update(engine)
            .chain_update(Sha256::digest(module));
        Self(digest.finalize().into())
    }

    fn file_name(&self) -> String {
        let mut name = String::with_capacity(2 * self.0.len() + ENDING.len());
        for byte in self.0 {
            let _ = write!(name, "{byte:02x}");
        }
        name.push_str(ENDING);
        name
    }
}

/// An open cache folder.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Folder,
    secret: Secret,
}

impl Store {
    fn open(path: &Path) -> io::Result<Self> {
        let folder = Folder::open(path)?;
        let secret = Secret::of(&folder)?;
        Ok(Self { folder, secret })
    }

    /// The entry under `key`, if it is there, whole, ours, and what was put in.
    pub(crate) fn get(&self, key: &Key) -> Option<Compiled> {
        let name = key.file_name();
        let found = match self.folder.open_ours(&name, LIMIT, 1) {
            Ok(file) => entry::read(&self.secret, key, file),
            Err(error) => Err(error),
        };
        match found {
            Ok(compiled) => {
                // Pruning removes what was not used for longest.
                self.folder.touch(&name);
                Some(compiled)
            }
            Err(error) => {
                // It would fail again every time; what is somebody's to repair stays.
                if error.kind() == io::ErrorKind::InvalidData {
                    self.folder.remove(&name);
                }
                None
            }
        }
    }

    /// Waits until no other process makes the entry under `key`, but no longer than until `until`;
    /// others then wait for us. `None` if that cannot be said here.
    pub(crate) fn turn(&self, key: &Key, until: Instant) -> Option<Turn<'_>> {
        Turn::wait(&self.folder, &key.file_name(), until).ok()
    }

    /// Puts an entry in, if that is possible, and makes room for it.
    pub(crate) fn put(&self, key: &Key, compiled: &Compiled) {
        let _ = self
            .folder
            .replace(&key.file_name(), |file| entry::write(&self.secret, key, compiled, file));
        let _ = self.folder.prune(LIMIT);
    }
}
