//! The program on caches that are full, read-only, missing, shared, or fought over.

use crate::support::{finish, folder, run, sandpool};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const SQUARE: [&str; 5] = ["apply", "numbers.wat", "-f", "square", "5"];

fn entries(cache: &Path) -> Vec<fs::DirEntry> {
    let Ok(found) = fs::read_dir(cache.join("sandpool")) else { return Vec::new() };
    let is_entry = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|e| e == "artifact");
    found.map(|entry| entry.expect("reads")).filter(is_entry).collect()
}

#[test]
fn there_need_be_no_cache() {
    let mut command = sandpool(&SQUARE);
    command.env_remove("XDG_CACHE_HOME");
    finish(command, "").is(0, "25\n", "");
    for nowhere in ["", "relative", "/dev/null", "/proc", "/nonexistent/\u{1}"] {
        let mut command = sandpool(&SQUARE);
        command.env("XDG_CACHE_HOME", nowhere);
        finish(command, "").is(0, "25\n", "");
        assert!(!Path::new("relative").exists());
    }
}

#[test]
fn a_read_only_cache_is_read() {
    let folder = folder();
    let mut command = sandpool(&SQUARE);
    command.env("XDG_CACHE_HOME", folder.path());
    finish(command, "").is(0, "25\n", "");
    let entry = &entries(folder.path())[0];
    let before = entry.metadata().expect("facts");
    // As root, permissions bind nobody, so it is a mount that says no; without name spaces, they.
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    let found = in_name_space(mount, folder.path()).unwrap_or_else(|| {
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(folder.path().join("sandpool"), mode(0o500)).expect("changes");
        let mut command = sandpool(&SQUARE);
        command.env("XDG_CACHE_HOME", folder.path());
        finish(command, "")
    });
    found.is(0, "25\n", "");
    let after = entry.metadata().expect("facts");
    assert_eq!((after.ino(), after.mtime()), (before.ino(), before.mtime()));
}

#[test]
fn a_full_cache_is_done_without() {
    // Room for nothing, for the secret alone, and for half an entry.
    for size in ["4k", "8k", "12k", "16k"] {
        let folder = folder();
        let mount = format!("mount -t tmpfs -o size={size},mode=700 none \"$0\"");
        let Some(found) = in_name_space(&mount, folder.path()) else { return };
        found.is(0, "25\n", "");
    }
}

/// Runs the program where a mount was made on the folder, its cache, that nobody else sees. `None`
/// where this user may not do that.
fn in_name_space(mount: &str, folder: &Path) -> Option<crate::support::Ended> {
    let user = rustix::process::geteuid();
    // Without privileges a mount takes a name space in which this user is root; the program is then
    // run in one more, in which it is itself again.
    let (outer, inner): (&[&str], String) = if user.is_root() {
        (&["--mount"], String::new())
    } else {
        let again = format!("unshare --user --map-user={} --", user.as_raw());
        (&["--user", "--map-root-user", "--mount"], again)
    };
    let unshare = |script: &str| {
        #[expect(clippy::disallowed_methods, reason = "it is a test of the program")]
        let mut command = Command::new("unshare");
        command.args(outer).args(["sh", "-c", script]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if !unshare(&format!("{mount} && {inner} true")).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let program = sandpool(&SQUARE);
    let mut command = unshare(&format!("{mount} && exec {inner} \"$@\""));
    command.arg(program.get_program()).args(program.get_args());
    command.env("XDG_CACHE_HOME", folder);
    Some(finish(command, ""))
}

#[test]
fn many_at_once_on_one_cache_and_some_are_killed() {
    let folder = folder();
    let start = || {
        let mut command = sandpool(&SQUARE);
        command.env("XDG_CACHE_HOME", folder.path());
        command
    };
    for round in 0..8_u64 {
        for entry in entries(folder.path()) {
            fs::remove_file(entry.path()).expect("removes");
        }
        thread::scope(|scope| {
            for n in 0..16_u64 {
                scope.spawn(move || {
                    if n % 2 == 0 {
                        return finish(start(), "").is(0, "25\n", "");
                    }
                    let mut child = start().spawn().expect("starts");
                    thread::sleep(Duration::from_millis(5 * n + 3 * round));
                    child.kill().expect("is there");
                    child.wait().expect("ends");
                });
            }
        });
        assert_eq!(entries(folder.path()).len(), 1);
        let before = entries(folder.path())[0].metadata().expect("facts").ino();
        finish(start(), "").is(0, "25\n", "");
        let after = entries(folder.path())[0].metadata().expect("facts").ino();
        assert_eq!(after, before, "the entry is whole, and used");
    }
}

#[test]
fn what_is_no_module_is_refused_before_it_is_compiled() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, bytes, part) in [
        ("empty", &b""[..], "it is empty"),
        ("byte", b"\0", "ends after 1 bytes"),
        ("magic", b"\0asm", "ends after 4 bytes"),
        ("component", b"\0asm\x0d\0\x01\0\x01\x20", "not a valid component"),
        ("module", b"\0asm\x01\0\0\0\x01\x20\x01", "not a valid core module"),
        ("text", b"hello", "not WebAssembly text"),
    ] {
        fs::write(path(name), bytes).expect("writes");
        run(&["inspect", &path(name)], "").says(3, &[name, part]);
    }
    let own = env!("CARGO_BIN_EXE_sandpool");
    run(&["inspect", own], "").says(3, &["native executable (ELF)"]);
    // An artifact of our own making is no module either.
    let mut command = sandpool(&SQUARE);
    command.env("XDG_CACHE_HOME", folder.path());
    finish(command, "").is(0, "25\n", "");
    let entry = fs::read(entries(folder.path())[0].path()).expect("reads");
    let elf = entry.windows(4).position(|bytes| bytes == b"\x7fELF").expect("an artifact");
    fs::write(path("artifact"), &entry[elf..]).expect("writes");
    run(&["inspect", &path("artifact")], "").says(3, &["precompiled wasmtime artifact"]);
    run(&["apply", &path("artifact")], "").says(3, &["precompiled wasmtime artifact"]);
}

/// Nested loops, at each of which another local may come: small to write, long to compile.
fn loops(functions: usize) -> String {
    let mut body = format!("(param i32) (local {})", "i32 ".repeat(200));
    body.push_str(&"loop ".repeat(200));
    for turn in 0..200 {
        let from = 1 + turn * 7 % 200;
        body.push_str(&format!("local.get 0 local.set {} local.get {from} ", 1 + turn));
        body.push_str("br_if 0 end ");
    }
    format!(
        "(module (func (export \"f\") {body}){})",
        format!("(func {body})").repeat(functions - 1)
    )
}

#[test]
fn processes_that_start_at_once_compile_once() {
    let folder = folder();
    let path = folder.path().join("slow.wat");
    fs::write(&path, loops(1)).expect("writes");
    let path = path.display().to_string();
    let inspect = || {
        let mut command = sandpool(&["inspect", "--json", &path]);
        command.env("XDG_CACHE_HOME", folder.path());
        let found = finish(command, "");
        assert_eq!((found.status, found.stderr.as_str()), (0, ""), "{found:?}");
        // With the time that compiling took.
        String::from_utf8(found.stdout).expect("text")
    };
    let found: Vec<String> = thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(inspect)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert!(found[0].contains("compile_micros") && found.iter().all(|text| *text == found[0]));
    let names = fs::read_dir(folder.path().join("sandpool")).expect("reads").count();
    assert_eq!(names, 2, "an entry and the secret");
}

#[test]
fn a_module_that_takes_too_long_to_compile_is_3() {
    let folder = folder();
    let path = folder.path().join("bomb.wat");
    let text = loops(50);
    fs::write(&path, text).expect("writes");
    let path = path.display().to_string();
    for verb in ["inspect", "apply", "imap"] {
        let found = run(&[verb, &path, "--compile-timeout", "700ms"], "");
        found.says(3, &["bomb.wat", "takes longer than 0.7 s to compile", "--compile-timeout"]);
    }
    let wide = format!("(module {}", "(func (export \"f\")".to_owned() + &"loop ".repeat(251));
    fs::write(&path, wide + &"end ".repeat(251) + "))").expect("writes");
    run(&["apply", &path], "").says(3, &["bomb.wat", "it has 251 loops inside each other"]);
    let found = run(&["apply", &path, "--compile-timeout", "0s"], "");
    assert_eq!(found.status, 2, "{found:?}");
}
