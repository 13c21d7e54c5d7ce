//! What an entry is: a mark, its authentication, two lengths, the description, the artifact.
//!
//! This module must not interpret anything that it has not authenticated, but for the lengths, which
//! it checks. The artifact goes straight into the file in memory that workers get: what was
//! authenticated is what they load, whatever happens to the entry meanwhile.

use super::Key;
use super::folder::invalid;
use super::secret::{Mac, Secret};
use crate::compiled::Compiled;
use crate::process::fds;
use hmac::Mac as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};

const MAGIC: &[u8; 16] = b"sandpool cache 2";
const TAG: usize = 32;
/// Longest description; compilers cannot send a longer one either.
const MAX_DESCRIPTION: u64 = 16 << 20;
/// Bytes of an artifact that are moved at once.
const PIECE: usize = 256 << 10;

/// All that precedes the description.
const FRONT: u64 = (MAGIC.len() + TAG + 8 + 8) as u64;

/// Authenticates an entry under its key: moved to another name, it does not fit.
fn begin(secret: &Secret, key: &Key, lengths: &[u8; 16]) -> Mac {
    secret.mac().chain_update(MAGIC).chain_update(key.0).chain_update(lengths)
}

fn lengths(description: u64, artifact: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&description.to_le_bytes());
    bytes[8..].copy_from_slice(&artifact.to_le_bytes());
    bytes
}

/// Reads an entry. Any that was not written by [`write`], with this secret under this key, is
/// `InvalidData`.
pub(super) fn read(secret: &Secret, key: &Key, file: File) -> io::Result<Compiled> {
    let size = file.metadata()?.len();
    let mut file = BufReader::with_capacity(PIECE, file);
    let magic: [u8; 16] = take(&mut file)?;
    let tag: [u8; TAG] = take(&mut file)?;
    let [description_len, artifact_len] =
        [take(&mut file)?, take(&mut file)?].map(u64::from_le_bytes);
    let told = FRONT.checked_add(description_len).and_then(|sum| sum.checked_add(artifact_len));
    if magic != *MAGIC || told != Some(size) || description_len > MAX_DESCRIPTION {
        return Err(invalid("no entry, or one of another length"));
    }
    let mut mac = begin(secret, key, &lengths(description_len, artifact_len));
    let mut description = Vec::new();
    copy(&mut file, &mut description, description_len, &mut mac)?;
    let mut artifact = fds::open_file("sandpool-artifact")?;
    copy(&mut file, &mut artifact, artifact_len, &mut mac)?;
    mac.verify_slice(&tag).map_err(|_| invalid("an entry that is not ours"))?;
    let description = serde_json::from_slice(&description).map_err(|_| invalid("a description"))?;
    Ok(Compiled { description, artifact: fds::seal(artifact)?, artifact_len })
}

/// Writes an entry.
pub(super) fn write(
    secret: &Secret,
    key: &Key,
    compiled: &Compiled,
    file: &mut File,
) -> io::Result<()> {
    let description = serde_json::to_vec(&compiled.description)?;
    let lengths = lengths(description.len() as u64, compiled.artifact_len);
    let mac = begin(secret, key, &lengths).chain_update(&description);
    // Sealed, so it is the same both times.
    let mut again = mac;
    copy(&mut compiled.reader(), &mut io::sink(), compiled.artifact_len, &mut again)?;
    let tag = again.finalize().into_bytes();
    for part in [&MAGIC[..], &tag, &lengths, &description] {
        file.write_all(part)?;
    }
    match io::copy(&mut compiled.reader(), file)? {
        count if count == compiled.artifact_len => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(cut)?;
    Ok(bytes)
}

/// Moves exactly `len` bytes, and authenticates them.
fn copy(from: &mut impl Read, to: &mut impl Write, len: u64, mac: &mut Mac) -> io::Result<()> {
    let mut piece = vec![0; usize::try_from(len).map_or(PIECE, |len| len.min(PIECE))];
    let mut left = len;
    while left > 0 {
        let room = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        from.read_exact(&mut piece[..room]).map_err(cut)?;
        mac.update(&piece[..room]);
        to.write_all(&piece[..room])?;
        left -= room as u64;
    }
    Ok(())
}

/// A file that ends too soon is no entry.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid("an entry that was cut"),
        _ => error,
    }
}
