//! A folder that is ours alone, held by its descriptor.
//!
//! This module must not use the folder's path once it is open: whatever is put in its place
//! afterwards is not what was checked. It must not follow links, nor wait for what it opens.

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    linkat, openat, renameat, statat, unlinkat, utimensat,
};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Ending of files that are being written.
const UNFINISHED: &str = ".new";
/// Seconds after which their writer is taken for dead.
const ABANDONED: i64 = 3600;

/// The open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder, and makes it and what is missing above it, for its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make(path)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let facts = rustix::fs::fstat(&folder)?;
        // Whoever can write here can take entries away and bring others, and race with our checks.
        if !is_ours(&facts) || facts.st_mode & 0o022 != 0 {
            return Err(invalid("the cache folder is not ours alone"));
        }
        Ok(Self(folder))
    }

    /// Opens a file for reading if it is a plain one of at most `limit` bytes and so many names
    /// (links), that nobody else can have written or can read. What is not so is `InvalidData`.
    pub(super) fn open_ours(&self, name: &str, limit: u64, names: u8) -> io::Result<File> {
        // Neither a pipe without writers nor a terminal may hold us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = openat(&self.0, name, flags | OFlags::CLOEXEC, Mode::empty())?;
        let facts = rustix::fs::fstat(&file)?;
        let plain = FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile;
        let ours = is_ours(&facts) && facts.st_mode & 0o7777 == 0o600;
        let fits = u64::try_from(facts.st_size).is_ok_and(|size| size <= limit);
        if !plain || !ours || !fits || facts.st_nlink > names.into() {
            return Err(invalid("a file that is not plain, not ours alone, or too long"));
        }
        Ok(File::from(file))
    }

    /// Opens a file to lock, and makes it if there is none.
    pub(super) fn open_lock(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(openat(&self.0, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?)
    }

    /// Puts a file in the place of `name`, whole or not at all.
    pub(super) fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let beside = self.write_beside(name, write)?;
        let placed = renameat(&self.0, &beside, &self.0, name);
        if placed.is_err() {
            self.remove(&beside);
        }
        Ok(placed?)
    }

    /// Puts a file under `name`, whole or not at all, and only if there is none.
    pub(super) fn create(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let beside = self.write_beside(name, write)?;
        // Not a rename that replaces nothing, which network file systems do not have.
        let placed = linkat(&self.0, &beside, &self.0, name, AtFlags::empty());
        self.remove(&beside);
        Ok(placed?)
    }

    fn write_beside(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<String> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let beside = format!("{name}.{}.{unique}{UNFINISHED}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = match openat(&self.0, &beside, flags, mode) {
            // Its writer had our process id and is dead.
            Err(rustix::io::Errno::EXIST) => {
                self.remove(&beside);
                openat(&self.0, &beside, flags, mode)
            }
            opened => opened,
        }
        .map(File::from)?;
        match write(&mut file) {
            Ok(()) => Ok(beside),
            Err(error) => {
                self.remove(&beside);
                Err(error)
            }
        }
    }

    /// Removes a file, if that is possible.
    pub(super) fn remove(&self, name: &str) {
        let _ = unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Marks a file as used just now.
    pub(super) fn touch(&self, name: &str) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: keep, last_modification: now };
        let _ = utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    /// Removes entries that were not used for longest until the rest is within `limit` bytes, and
    /// what writers left that were killed. Files that are no entries are left alone.
    pub(super) fn prune(&self, limit: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let kept = name.ends_with(super::ENDING);
            let unfinished = name.ends_with(UNFINISHED) || name.ends_with(super::turn::ENDING);
            // It may have gone meanwhile, or be somebody else's business.
            let Ok(facts) = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
                continue;
            }
            if unfinished && now().saturating_sub(facts.st_mtime) > ABANDONED {
                self.remove(name);
            } else if kept || unfinished {
                let used = (facts.st_mtime, facts.st_mtime_nsec);
                entries.push((used, u64::try_from(facts.st_size).unwrap_or(0), name.to_owned()));
            }
        }
        entries.sort();
        let mut total = entries.iter().fold(0_u64, |sum, (_, size, _)| sum.saturating_add(*size));
        for (_, size, name) in entries {
            if total <= limit {
                break;
            }
            self.remove(&name);
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

/// What keeps a file or folder from being used.
pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn is_ours(facts: &Stat) -> bool {
    facts.st_uid == rustix::process::geteuid().as_raw()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        // What it is turns out when it is opened.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
