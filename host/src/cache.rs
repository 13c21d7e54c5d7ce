//! The artifact cache: a folder of files that only their owner can have written.
//!
//! This module must not fail a build: whatever is wrong with the cache, the module is compiled. It
//! must not hand out bytes that are not exactly those that were put in under the same key.
//!
//! An entry is `<key>.artifact`: a magic, a digest over key and payload, the description's length,
//! the description as JSON, the artifact. Entries are written beside their place and renamed, so
//! that readers see whole ones only.

use crate::description::{Description, EngineSettings};
use crate::guest::compatibility_key;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const MAGIC: &[u8; 16] = b"sandpool cache 1";
const DIGEST: usize = 32;
const ENDING: &str = "artifact";
/// Bytes of all entries beyond which the oldest are removed.
const LIMIT: u64 = 2 << 30;

/// Where compiled artifacts are kept between pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cache {
    /// `$XDG_CACHE_HOME/sandpool`, else `$HOME/.cache/sandpool`. The default. Works without: if
    /// the folder cannot be made or belongs to somebody else, modules are compiled each time.
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
#[derive(Debug)]
pub(crate) struct Key([u8; DIGEST]);

impl Key {
    pub(crate) fn of(module: &[u8], settings: EngineSettings) -> Self {
        let digest = Sha256::new()
            .chain_update(crate::wire::BUILD)
            .chain_update(crate::wire::PROTOCOL.to_le_bytes())
            .chain_update(compatibility_key(settings))
            .chain_update(Sha256::digest(module));
        Self(digest.finalize().into())
    }

    fn file_name(&self) -> String {
        let mut name = String::with_capacity(2 * DIGEST + 1 + ENDING.len());
        for byte in self.0 {
            let _ = write!(name, "{byte:02x}");
        }
        name.push('.');
        name.push_str(ENDING);
        name
    }

    /// The digest of a payload under this key: an entry moved to another name does not fit.
    fn seal(&self, payload: &[u8]) -> [u8; DIGEST] {
        Sha256::new().chain_update(self.0).chain_update(payload).finalize().into()
    }
}

/// An open cache folder.
#[derive(Debug)]
pub(crate) struct Store {
    folder: OwnedFd,
    path: PathBuf,
}

impl Store {
    fn open(path: &Path) -> io::Result<Self> {
        if let Err(error) = make_folder(path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let facts = rustix::fs::fstat(&folder)?;
        let ours = facts.st_uid == rustix::process::geteuid().as_raw();
        // Whoever can write here can make workers run any code, behind their walls.
        if !ours || facts.st_mode & 0o022 != 0 {
            return Err(io::Error::other("the cache folder is not ours alone"));
        }
        Ok(Self { folder, path: path.to_owned() })
    }

    /// The entry under `key`, if it is there, whole, ours, and what was put in.
    pub(crate) fn get(&self, key: &Key) -> Option<(Description, Vec<u8>)> {
        let name = key.file_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file =
            File::from(rustix::fs::openat(&self.folder, &name, flags, Mode::empty()).ok()?);
        let facts = file.metadata().ok()?;
        let ours = facts.uid() == rustix::process::geteuid().as_raw();
        if !facts.is_file() || !ours || facts.mode() & 0o022 != 0 || facts.len() > LIMIT {
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let found = unpack(key, bytes);
        match found {
            // Pruning removes what was not used for longest.
            Some(_) => self.touch(&name),
            // It would fail again every time.
            None => drop(rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty())),
        }
        found
    }

    fn touch(&self, name: &str) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: keep, last_modification: now };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let _ = rustix::fs::utimensat(&self.folder, name, &times, flags);
    }

    /// Puts an entry in, if that is possible, and makes room for it.
    pub(crate) fn put(&self, key: &Key, description: &Description, artifact: &[u8]) {
        if let Some(payload) = pack(description, artifact) {
            let _ = self.write(key, &payload);
        }
        let _ = self.prune(LIMIT);
    }

    fn write(&self, key: &Key, payload: &[u8]) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let beside = format!("{}.{}.{unique}.new", key.file_name(), std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.folder, &beside, flags, mode)?);
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(&key.seal(payload)))
            .and_then(|()| file.write_all(payload));
        let placed = written.and_then(|()| {
            Ok(rustix::fs::renameat(&self.folder, &beside, &self.folder, key.file_name())?)
        });
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, &beside, AtFlags::empty());
        }
        placed
    }

    /// Removes what was not used for longest until the rest is within `limit` bytes, and the
    /// leftovers of writers that were killed.
    fn prune(&self, limit: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let left_over = entry.path().extension().is_some_and(|ending| ending == "new")
                && used.elapsed().is_ok_and(|age| age.as_secs() > 3600);
            if left_over {
                let _ = std::fs::remove_file(entry.path());
            } else if facts.is_file() {
                entries.push((used, facts.len(), entry.path()));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if total <= limit {
                break;
            }
            std::fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

/// Makes a folder and what is missing above it, for its owner only.
fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn pack(description: &Description, artifact: &[u8]) -> Option<Vec<u8>> {
    let description = serde_json::to_vec(description).ok()?;
    let mut payload = Vec::with_capacity(8 + description.len() + artifact.len());
    payload.extend((description.len() as u64).to_le_bytes());
    payload.extend(description);
    payload.extend(artifact);
    Some(payload)
}

fn unpack(key: &Key, mut bytes: Vec<u8>) -> Option<(Description, Vec<u8>)> {
    let (front, payload) = bytes.split_at_checked(MAGIC.len() + DIGEST)?;
    let (magic, seal) = front.split_at(MAGIC.len());
    if magic != MAGIC || seal != key.seal(payload) {
        return None;
    }
    let (len, rest) = payload.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let description = serde_json::from_slice(rest.get(..len)?).ok()?;
    bytes.drain(..front.len() + 8 + len);
    Some((description, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::ModuleKind;
    use std::os::unix::fs::PermissionsExt as _;

    fn description() -> Description {
        Description {
            kind: ModuleKind::Core,
            functions: Vec::new(),
            uncallable: Vec::new(),
            imports: Vec::new(),
            wasi: false,
            needs: None,
            module_size: 3,
            artifact_size: 4,
            compile_micros: 5,
        }
    }

    fn store() -> (tempfile::TempDir, Store, Key) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("deep/cache")).expect("opens");
        let key = Key::of(b"module", EngineSettings::default());
        (folder, store, key)
    }

    fn entry(store: &Store, key: &Key) -> PathBuf {
        store.path.join(key.file_name())
    }

    #[test]
    fn what_was_put_in_comes_out_under_its_key_only() {
        let (_folder, store, key) = store();
        assert!(store.get(&key).is_none());
        store.put(&key, &description(), b"code");
        assert_eq!(store.get(&key), Some((description(), b"code".to_vec())));
        let other = Key::of(b"other", EngineSettings::default());
        std::fs::rename(entry(&store, &key), entry(&store, &other)).expect("renames");
        assert!(store.get(&other).is_none(), "an entry under another's name");
        let fuel = EngineSettings { fuel: true, deterministic: false };
        assert_ne!(Key::of(b"module", fuel).0, key.0);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (_folder, store, key) = store();
        store.put(&key, &description(), b"code");
        let whole = std::fs::read(entry(&store, &key)).expect("reads");
        for at in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            std::fs::write(entry(&store, &key), &bytes).expect("writes");
            assert!(store.get(&key).is_none(), "bit {at}");
        }
        for cut in 0..whole.len() {
            assert!(unpack(&key, whole[..cut].to_vec()).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_used() {
        let (_folder, store, key) = store();
        store.put(&key, &description(), b"code");
        let path = entry(&store, &key);
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode(0o666)).expect("changes");
        assert!(store.get(&key).is_none(), "a file that others can write");
        std::fs::remove_file(&path).expect("removes");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("links");
        assert!(store.get(&key).is_none(), "a link");
        std::fs::set_permissions(&store.path, mode(0o777)).expect("changes");
        Store::open(&store.path).expect_err("a folder that others can write");
    }

    #[test]
    fn pruning_removes_the_oldest() {
        let (_folder, store, key) = store();
        store.put(&key, &description(), b"code");
        let newer = Key::of(b"newer", EngineSettings::default());
        store.put(&newer, &description(), b"code");
        let old = File::open(entry(&store, &key)).expect("opens");
        old.set_modified(SystemTime::UNIX_EPOCH).expect("sets");
        let size = old.metadata().expect("facts").len();
        store.prune(size).expect("prunes");
        assert!(store.get(&key).is_none() && store.get(&newer).is_some());
    }
}
