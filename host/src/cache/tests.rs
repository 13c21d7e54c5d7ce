//! What the cache takes for its own, and what it does not.

mod processes;

use super::*;
use crate::description::{Description, ModuleKind};
use crate::process::fds;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::time::{Duration, Instant, SystemTime};

fn compiled(artifact: &[u8]) -> Compiled {
    let description = Description {
        kind: ModuleKind::Core,
        functions: Vec::new(),
        uncallable: Vec::new(),
        imports: Vec::new(),
        wasi: false,
        needs: None,
        module_size: 3,
        artifact_size: artifact.len() as u64,
        compile_micros: 5,
    };
    Compiled {
        description,
        artifact: fds::sealed_file("test", artifact).expect("memory"),
        artifact_len: artifact.len() as u64,
    }
}

fn bytes(compiled: &Compiled) -> Vec<u8> {
    let mut bytes = Vec::new();
    compiled.reader().read_to_end(&mut bytes).expect("memory");
    assert_eq!(bytes.len() as u64, compiled.artifact_len);
    bytes
}

fn key(module: &str) -> Key {
    Key::of(module.as_bytes(), EngineSettings::default())
}

/// A folder that goes with its store.
struct Scene {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/cache");
        let store = Store::open(&path).expect("opens");
        Self { _folder: folder, path, store }
    }

    /// With an entry for this module.
    fn with(module: &str, artifact: &[u8]) -> Self {
        let scene = Self::new();
        scene.store.put(&key(module), &compiled(artifact));
        scene
    }

    fn entry(&self, module: &str) -> PathBuf {
        self.path.join(key(module).file_name())
    }

    fn get(&self, module: &str) -> Option<Vec<u8>> {
        self.store.get(&key(module)).as_ref().map(bytes)
    }

    fn names(&self) -> BTreeSet<String> {
        let names = fs::read_dir(&self.path).expect("reads");
        names.map(|name| name.expect("reads").file_name().into_string().expect("text")).collect()
    }
}

/// Writes a file as the cache would, so that only its content can be wrong.
fn write(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).expect("opens");
    file.write_all(bytes).expect("writes");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changes");
}

#[test]
fn what_was_put_in_comes_out_under_its_key_only() {
    let scene = Scene::new();
    assert!(scene.get("a").is_none());
    let code: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    scene.store.put(&key("a"), &compiled(&code));
    assert_eq!(scene.get("a"), Some(code.clone()));
    assert_eq!(scene.store.get(&key("a")).expect("there").description, compiled(&code).description);
    assert_eq!(fs::metadata(scene.entry("a")).expect("facts").mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(&scene.path).expect("facts").mode() & 0o7777, 0o700);
    fs::rename(scene.entry("a"), scene.entry("b")).expect("renames");
    assert!(scene.get("b").is_none(), "an entry under another's name");
    assert!(!scene.entry("b").exists(), "it would fail again every time");
    scene.store.put(&key("empty"), &compiled(b""));
    assert_eq!(scene.get("empty"), Some(Vec::new()));
}

#[test]
fn entries_of_two_modules_are_not_exchanged() {
    let scene = Scene::with("a", b"code of a");
    scene.store.put(&key("b"), &compiled(b"code of b"));
    let beside = scene.path.join("beside");
    for (from, to) in [
        (scene.entry("a"), beside.clone()),
        (scene.entry("b"), scene.entry("a")),
        (beside, scene.entry("b")),
    ] {
        fs::rename(from, to).expect("renames");
    }
    assert!(scene.get("a").is_none() && scene.get("b").is_none());
}

#[test]
fn an_entry_of_an_older_engine_does_not_come_back() {
    let old = Key::with(b"module", &[7; 32]);
    let now = Key::of(b"module", EngineSettings::default());
    let scene = Scene::new();
    scene.store.put(&old, &compiled(b"code with a bug"));
    let place = |key: &Key| scene.path.join(key.file_name());
    fs::rename(place(&old), place(&now)).expect("renames");
    assert!(scene.store.get(&now).is_none());
    for settings in [
        EngineSettings { fuel: true, deterministic: false },
        EngineSettings { fuel: false, deterministic: true },
    ] {
        assert_ne!(Key::of(b"module", settings), now);
    }
}

#[test]
fn an_entry_from_elsewhere_is_not_used() {
    let elsewhere = Scene::with("a", b"evil");
    let scene = Scene::new();
    write(&scene.entry("a"), &fs::read(elsewhere.entry("a")).expect("reads"));
    assert!(scene.get("a").is_none());
    assert_eq!(elsewhere.get("a"), Some(b"evil".to_vec()), "at home it is fine");
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let scene = Scene::with("a", b"code");
    let whole = fs::read(scene.entry("a")).expect("reads");
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        write(&scene.entry("a"), &bytes);
        assert!(scene.get("a").is_none(), "bit {at}");
    }
    for cut in 0..whole.len() {
        write(&scene.entry("a"), &whole[..cut]);
        assert!(scene.get("a").is_none(), "cut at {cut}");
    }
    write(&scene.entry("a"), &[&whole[..], b"x"].concat());
    assert!(scene.get("a").is_none(), "one byte more");
    // Lengths that would be huge if they were believed.
    for at in [48, 56] {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        write(&scene.entry("a"), &bytes);
        assert!(scene.get("a").is_none(), "length at {at}");
    }
    write(&scene.entry("a"), &whole);
    assert_eq!(scene.get("a"), Some(b"code".to_vec()));
}

#[test]
fn what_others_can_have_written_or_read_is_not_used() {
    let scene = Scene::with("a", b"code");
    let path = scene.entry("a");
    let whole = fs::read(&path).expect("reads");
    for wrong in [0o666, 0o640, 0o604, 0o620, 0o602, 0o700, 0o4600] {
        write(&path, &whole);
        mode(&path, wrong);
        assert!(scene.get("a").is_none(), "mode {wrong:o}");
    }
    write(&path, &whole);
    fs::hard_link(&path, scene.path.join("other")).expect("links");
    assert!(scene.get("a").is_none(), "a file with another name");
    write(&path, &whole);
    assert!(scene.get("a").is_some(), "the same content is fine otherwise");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).expect("changes");
        assert!(scene.get("a").is_none(), "another owner");
    }
}

#[test]
fn what_is_no_plain_file_is_not_used_and_does_not_block() {
    let scene = Scene::with("a", b"code");
    let path = scene.entry("a");
    let real = scene.path.join("real");
    fs::rename(&path, &real).expect("renames");
    for target in [real.as_path(), Path::new("/dev/zero"), Path::new("nowhere")] {
        std::os::unix::fs::symlink(target, &path).expect("links");
        assert!(scene.get("a").is_none(), "a link to {target:?}");
        scene.store.put(&key("a"), &compiled(b"new"));
        assert_eq!(scene.get("a"), Some(b"new".to_vec()), "the link is replaced, not followed");
        fs::remove_file(&path).expect("removes");
    }
    let fifo = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, fifo).expect("makes");
    assert!(scene.get("a").is_none(), "a pipe");
    let _ = fs::remove_file(&path);
    let socket = std::os::unix::net::UnixListener::bind(scene.path.join("s")).expect("binds");
    fs::rename(scene.path.join("s"), &path).expect("renames");
    assert!(scene.get("a").is_none(), "a socket");
    drop(socket);
    let _ = fs::remove_file(&path);
    fs::create_dir(&path).expect("makes");
    assert!(scene.get("a").is_none(), "a folder");
    scene.store.put(&key("a"), &compiled(b"new"));
    assert!(scene.get("a").is_none() && path.is_dir(), "it stays, and nothing is left beside it");
    assert_eq!(scene.names().len(), 3, "{:?}", scene.names());
}

#[test]
fn a_folder_that_is_not_ours_alone_is_not_used() {
    let scene = Scene::new();
    for wrong in [0o777, 0o770, 0o720, 0o702] {
        mode(&scene.path, wrong);
        Store::open(&scene.path).expect_err("a folder that others can write");
    }
    mode(&scene.path, 0o700);
    let link = scene.path.with_file_name("link");
    std::os::unix::fs::symlink(&scene.path, &link).expect("links");
    Store::open(&link).expect_err("a link");
    Store::open(&scene.path.join("secret")).expect_err("a file");
    Store::open(Path::new("/dev/null/cache")).expect_err("nowhere");
    Store::open(Path::new("/proc/self")).expect_err("a folder where nothing can be made");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&scene.path, Some(65534), None).expect("changes");
        Store::open(&scene.path).expect_err("another owner");
    }
}

#[test]
fn a_folder_that_is_replaced_meanwhile_is_not_touched() {
    let scene = Scene::with("a", b"code");
    let away = scene.path.with_file_name("away");
    fs::rename(&scene.path, &away).expect("renames");
    fs::create_dir(&scene.path).expect("makes");
    let theirs = scene.entry("b");
    write(&theirs, b"not an entry");
    assert_eq!(scene.get("a"), Some(b"code".to_vec()));
    assert!(scene.get("b").is_none());
    scene.store.put(&key("c"), &compiled(b"more"));
    scene.store.folder.prune(0).expect("prunes");
    assert!(theirs.exists() && scene.names().len() == 1, "{:?}", scene.names());
    assert_eq!(fs::read_dir(away).expect("reads").count(), 1, "only the secret is left");
}

#[test]
fn a_secret_that_others_can_know_is_replaced_and_its_entries_die() {
    let secret = |scene: &Scene| scene.path.join("secret");
    type Spoil<'a> = (&'a str, &'a dyn Fn(&Path));
    let spoils: [Spoil<'_>; 9] = [
        ("mode 0644", &|path| mode(path, 0o644)),
        ("mode 0660", &|path| mode(path, 0o660)),
        ("short", &|path| write(path, &[7; 31])),
        ("long", &|path| write(path, &[7; 33])),
        ("empty", &|path| write(path, &[])),
        ("zeros", &|path| write(path, &[0; 32])),
        ("other names", &|path| {
            fs::hard_link(path, path.with_file_name("one")).expect("links");
            fs::hard_link(path, path.with_file_name("two")).expect("links");
        }),
        ("a link", &|path| {
            fs::rename(path, path.with_file_name("real")).expect("renames");
            std::os::unix::fs::symlink("real", path).expect("links");
        }),
        ("a pipe", &|path| {
            fs::remove_file(path).expect("removes");
            let fifo = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, path, fifo).expect("makes");
        }),
    ];
    for (how, spoil) in spoils {
        let scene = Scene::with("a", b"code");
        let before = fs::read(secret(&scene)).expect("reads");
        spoil(&secret(&scene));
        let again = Store::open(&scene.path).expect("opens");
        assert!(again.get(&key("a")).is_none(), "{how}: the entry is of another secret");
        let facts = fs::symlink_metadata(secret(&scene)).expect("facts");
        assert!(facts.is_file() && facts.mode() & 0o7777 == 0o600 && facts.len() == 32, "{how}");
        assert_ne!(fs::read(secret(&scene)).expect("reads"), before, "{how}");
        again.put(&key("a"), &compiled(b"new"));
        let third = Store::open(&scene.path).expect("opens");
        assert_eq!(third.get(&key("a")).as_ref().map(bytes), Some(b"new".to_vec()), "{how}");
    }
    let scene = Scene::new();
    fs::remove_file(secret(&scene)).expect("removes");
    fs::create_dir(secret(&scene)).expect("makes");
    Store::open(&scene.path).expect_err("nobody can make a secret there");
}

#[test]
fn who_comes_first_at_once_agree_on_the_secret() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cache");
        let together = std::sync::Barrier::new(16);
        let open = |n: usize| {
            together.wait();
            let store = Store::open(&path).expect("opens");
            store.put(&key(&n.to_string()), &compiled(&n.to_le_bytes()));
        };
        std::thread::scope(|scope| {
            for n in 0..16 {
                scope.spawn(move || open(n));
            }
        });
        let store = Store::open(&path).expect("opens");
        for n in 0..16_usize {
            let found = store.get(&key(&n.to_string())).as_ref().map(bytes);
            assert_eq!(found, Some(n.to_le_bytes().to_vec()));
        }
        assert_eq!(fs::read_dir(&path).expect("reads").count(), 17, "nothing is left over");
    }
}

#[test]
fn pruning_removes_the_oldest_and_what_the_dead_left_and_nothing_else() {
    let scene = Scene::with("old", b"code");
    scene.store.put(&key("new"), &compiled(b"code"));
    let age = |name: &Path, seconds: u64| {
        let file = File::options().append(true).open(name).expect("opens");
        let then = SystemTime::now() - Duration::from_secs(seconds);
        file.set_modified(then).expect("sets");
    };
    age(&scene.entry("old"), 1_000_000);
    for (name, seconds) in [("x.1.0.new", 4000), ("y.1.0.new", 1000), ("notes", 9_000_000)] {
        write(&scene.path.join(name), b"");
        age(&scene.path.join(name), seconds);
    }
    let size = fs::metadata(scene.entry("old")).expect("facts").len();
    scene.store.folder.prune(2 * size).expect("prunes");
    assert!(scene.entry("old").exists() && !scene.path.join("x.1.0.new").exists());
    // Being used makes it the newest.
    age(&scene.entry("new"), 900_000);
    assert!(scene.get("old").is_some());
    scene.store.folder.prune(size).expect("prunes");
    let (old, new) = (scene.get("old"), scene.get("new"));
    assert!(old.is_some() && new.is_none(), "{:?}", scene.names());
    scene.store.folder.prune(0).expect("prunes");
    let left: Vec<_> = scene.names().into_iter().collect();
    assert_eq!(left, ["notes", "secret"], "the file that is being written was the rest");
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let scene = Scene::with("a", b"code");
    let name = key("a").file_name();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem] {
        let fail = |file: &mut File| {
            file.write_all(b"half")?;
            Err(kind.into())
        };
        assert_eq!(scene.store.folder.replace(&name, fail).expect_err("fails").kind(), kind);
        assert_eq!(scene.store.folder.create("b", fail).expect_err("fails").kind(), kind);
    }
    assert_eq!(scene.get("a"), Some(b"code".to_vec()), "what was there is still there");
    assert_eq!(scene.names().len(), 2, "{:?}", scene.names());
}

#[test]
fn a_turn_is_waited_for_and_passed_on() {
    let scene = Scene::new();
    let later = || Instant::now() + Duration::from_secs(30);
    let turn = scene.store.turn(&key("a"), later()).expect("nobody has it");
    assert!(scene.store.turn(&key("b"), later()).is_some(), "another module");
    let began = Instant::now();
    let late = scene.store.turn(&key("a"), began + Duration::from_millis(200));
    assert!(late.is_none() && began.elapsed() >= Duration::from_millis(200));
    let taken = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(&scene.path).expect("opens");
                let turn = store.turn(&key("a"), later()).expect("in time");
                let before = taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                assert_eq!(before % 2, 0, "two at once");
                std::thread::sleep(Duration::from_millis(5));
                taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                drop(turn);
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(taken.load(std::sync::atomic::Ordering::SeqCst), 0, "they wait");
        drop(turn);
    });
    assert_eq!(scene.names().len(), 1, "only the secret is left: {:?}", scene.names());
}
