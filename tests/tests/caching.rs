//! Whatever is in the cache folder, a pool gives the right values, and what was spoilt is made anew.

use sandpool::{Cache, Pool, TaskModule};
use sandpool_tests::{hard_limit, input::scattered};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bits that are flipped, one after the other, spread over the entry.
const FLIPS: u64 = 1000;

/// `times(x)` is x times `factor`.
fn times(factor: u64) -> TaskModule {
    let text = format!(
        r#"(module (func (export "times") (param i64) (result i64)
            (i64.mul (local.get 0) (i64.const {factor}))))"#
    );
    TaskModule::from_bytes(format!("times {factor}"), text.into_bytes())
}

/// Builds a pool on this cache and checks what it gives.
#[track_caller]
fn works(factor: u64, cache: &Path) {
    let builder = Pool::builder(times(factor)).processes(1);
    let pool = builder.cache(Cache::Dir(cache.to_owned())).build().unwrap();
    assert_eq!(pool.apply::<_, u64>("times", &5).unwrap(), 5 * factor);
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "artifact")).collect()
}

/// The one entry that is in the folder and not among those before.
fn new_entry(folder: &Path, before: &[PathBuf]) -> PathBuf {
    let mut new = entries(folder);
    new.retain(|path| !before.contains(path));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

/// Puts a file of our own making in the place of an entry.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("spoilt");
    let mut file =
        fs::File::options().write(true).create_new(true).mode(0o600).open(&beside).unwrap();
    file.write_all(bytes).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// What tells whether an entry was made anew: the times in it will differ, else its inode will.
fn state(path: &Path) -> (u64, Vec<u8>) {
    (fs::metadata(path).unwrap().ino(), fs::read(path).unwrap())
}

#[test]
fn a_thousand_flipped_bits_are_a_thousand_compiles() {
    let _limit = hard_limit();
    let folder = folder();
    works(7, folder.path());
    let entry = new_entry(folder.path(), &[]);
    let first = state(&entry);
    works(7, folder.path());
    assert!(state(&entry) == first, "a whole entry is used, not made anew");
    let whole = first.1;
    let bits = whole.len() as u64 * 8;
    let mut scattered = scattered(42);
    for flip in 0..FLIPS {
        let at = (bits * flip + scattered() % bits) / FLIPS;
        let at = usize::try_from(at).unwrap();
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        replace(&entry, &bytes);
        works(7, folder.path());
        // The file was made anew, so the pool ran what was compiled and not what was there.
        let after = fs::read(&entry).unwrap();
        assert!(after != bytes, "bit {at} of {bits} was not noticed");
    }
    // What stands there now is good again.
    let last = state(&entry);
    works(7, folder.path());
    assert!(state(&entry) == last);
}

#[test]
fn exchanged_entries_are_made_anew() {
    let _limit = hard_limit();
    let folder = folder();
    works(2, folder.path());
    let two = new_entry(folder.path(), &[]);
    works(3, folder.path());
    let three = new_entry(folder.path(), std::slice::from_ref(&two));
    let [in_two, in_three] = [&two, &three].map(|path| fs::read(path).unwrap());
    replace(&two, &in_three);
    replace(&three, &in_two);
    works(2, folder.path());
    works(3, folder.path());
    assert!(fs::read(&two).unwrap() != in_three && fs::read(&three).unwrap() != in_two);
}

#[test]
fn an_entry_from_another_folder_is_made_anew() {
    let _limit = hard_limit();
    let (ours, theirs) = (folder(), folder());
    works(4, ours.path());
    works(4, theirs.path());
    let entry = new_entry(ours.path(), &[]);
    let foreign = fs::read(new_entry(theirs.path(), &[])).unwrap();
    replace(&entry, &foreign);
    works(4, ours.path());
    assert!(fs::read(&entry).unwrap() != foreign);
    // With their secret it would be theirs indeed: what can read the owner's files can forge.
    fs::copy(theirs.path().join("secret"), ours.path().join("secret")).unwrap();
    replace(&entry, &foreign);
    works(4, ours.path());
    assert!(fs::read(&entry).unwrap() == foreign, "as the documentation says");
}

#[test]
fn fault_88_pools_work_where_no_cache_can_be() {
    let _limit = hard_limit();
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let paths =
        [file.clone(), file.join("below"), link, "/proc/self/fd".into(), "/dev/full".into()];
    for path in paths {
        works(9, &path);
    }
}
