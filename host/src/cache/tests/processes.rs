//! Folders that many processes use, some of which are killed.
//!
//! The processes are this program again, as one of the tests that are ignored.

use super::*;
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "SANDPOOL_TEST_FOLDER";

#[test]
#[ignore = "a process of `a_turn_ends_with_its_process`"]
fn taker() {
    let Some(path) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(Path::new(&path)).expect("opens");
    let _turn = store.turn(&key("a"), Instant::now()).expect("nobody has it");
    store.put(&key("told"), &compiled(b""));
    loop {
        std::thread::park();
    }
}

#[test]
fn a_turn_ends_with_its_process() {
    let scene = Scene::new();
    let mut taker = start("taker", &scene.path);
    let until = Instant::now() + Duration::from_secs(30);
    while scene.get("told").is_none() {
        assert!(Instant::now() < until, "it does not take its turn");
        std::thread::sleep(Duration::from_millis(1));
    }
    // One that is stopped costs others their patience, and no more.
    let pid = rustix::process::Pid::from_child(&taker);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("is there");
    let soon = Instant::now() + Duration::from_millis(100);
    assert!(scene.store.turn(&key("a"), soon).is_none());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.store.turn(&key("a"), until).is_some());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        taker.kill().expect("is there");
        taker.wait().expect("ends");
        assert!(waiting.join().expect("no panic"));
    });
}

/// Long enough that most kills hit the middle of a write.
const LEN: usize = 4 << 20;

#[test]
#[ignore = "a process of `no_entry_is_torn_by_writers_that_are_killed`"]
fn writer() {
    let Some(path) = std::env::var_os(FOLDER) else { return };
    let mark = std::process::id() as u8;
    let made = compiled(&vec![mark; LEN]);
    loop {
        Store::open(Path::new(&path)).expect("opens").put(&key("a"), &made);
    }
}

/// Starts this program again, as one of the ignored tests.
fn start(test: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.args(["--exact", &format!("cache::tests::processes::{test}"), "--ignored"]);
    command.env(FOLDER, path).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("starts")
}

#[test]
fn no_entry_is_torn_by_writers_that_are_killed() {
    const KILLS: usize = 100;
    let scene = Scene::new();
    let until = Instant::now() + Duration::from_secs(60);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut writers: Vec<Child> = (0..16).map(|_| start("writer", &scene.path)).collect();
    let read = || {
        let (mut found, mut missing) = (0, 0);
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            // Each opens anew, as pools do.
            let store = Store::open(&scene.path).expect("opens");
            match store.get(&key("a")).as_ref().map(bytes) {
                None => missing += 1,
                Some(bytes) => {
                    assert!(bytes.len() == LEN && bytes.iter().all(|byte| *byte == bytes[0]));
                    found += 1;
                }
            }
        }
        (found, missing)
    };
    let (found, missing) = std::thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        while !scene.entry("a").exists() {
            assert!(Instant::now() < until, "nobody writes");
            std::thread::yield_now();
        }
        for kill in 0..KILLS {
            std::thread::sleep(Duration::from_millis((kill * 7 % 40) as u64));
            let writer = &mut writers[kill % 16];
            writer.kill().expect("is there");
            writer.wait().expect("ends");
            *writer = start("writer", &scene.path);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        readers
            .map(|reader| reader.join().expect("no torn entry"))
            .into_iter()
            .unzip::<i32, i32, Vec<_>, Vec<_>>()
    });
    for mut writer in writers {
        writer.kill().expect("is there");
        writer.wait().expect("ends");
    }
    let (found, missing) = (found.iter().sum::<i32>(), missing.iter().sum::<i32>());
    // Missing ones are those before the first was there.
    assert!(found > 20, "{found} found, {missing} missing");
    assert!(scene.get("a").is_some(), "and the last one is whole");
    let left = scene.names().iter().filter(|name| name.ends_with(".new")).count();
    assert!(left > 0, "no kill hit a write");
}
