//! The key that authenticates entries: 32 random bytes in a file that only its owner can read.
//!
//! This module must not hand out a key that somebody else can have chosen or read. One that is not
//! as we make it (owner, mode, length, plain file) is thrown away, and all entries with it.

use super::folder::{Folder, invalid};
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};

const NAME: &str = "secret";
const LEN: usize = 32;

/// HMAC because entries are only ever checked by whoever has the key, and SHA-256 because it is
/// here already; the crate is from the same workshop.
pub(super) type Mac = Hmac<Sha256>;

/// The key of one cache folder.
pub(super) struct Secret(Mac);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl Secret {
    /// The folder's key, made if there is none.
    pub(super) fn of(folder: &Folder) -> io::Result<Self> {
        match read(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A link says so when it is opened.
            Err(error) if is_unfit(&error) => folder.remove(NAME),
            done => return done,
        }
        match folder.create(NAME, write) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
        read(folder)
    }

    /// To authenticate with.
    pub(super) fn mac(&self) -> Mac {
        self.0.clone()
    }
}

fn is_unfit(error: &io::Error) -> bool {
    let link = rustix::io::Errno::LOOP.raw_os_error();
    error.kind() == io::ErrorKind::InvalidData || error.raw_os_error() == Some(link)
}

fn read(folder: &Folder) -> io::Result<Secret> {
    // While it is made, it has its maker's name too.
    let mut file = folder.open_ours(NAME, LEN as u64, 2)?;
    let mut key = Vec::with_capacity(LEN);
    file.read_to_end(&mut key)?;
    // What a full or broken disk leaves.
    if key.len() != LEN || key.iter().all(|byte| *byte == 0) {
        return Err(invalid("a key of another length"));
    }
    Mac::new_from_slice(&key).map(Secret).map_err(|_| invalid("a key of another length"))
}

fn write(file: &mut File) -> io::Result<()> {
    let mut key = [0; LEN];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    file.write_all(&key)?;
    // Once, so that a power cut does not leave a name without content.
    file.sync_all()
}
