//! The sandbox as users of the program meet it.

use crate::support::{finish, fixture, folder, run, sandpool};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const NOBODY: u32 = 65534;

#[test]
fn every_run_without_the_sandbox_says_so() {
    for quiet in [&["--sandbox", "off"][..], &["--sandbox", "off", "-q"]] {
        let found = run(&[&["imap", "numbers.wat", "-f", "square"], quiet].concat(), "3\n");
        assert_eq!(found.stdout, b"9\n");
        found.says(0, &["the operating system's sandbox is off", "--sandbox off"]);
    }
    let mut command = sandpool(&["imap", "numbers.wat", "-f", "square"]);
    command.env("SANDPOOL_SANDBOX", "off");
    finish(command, "3\n").says(0, &["sandbox is off"]);
    run(&["imap", "numbers.wat", "-f", "square", "--sandbox", "strict"], "3\n").is(0, "9\n", "");
}

#[test]
fn the_doctor_says_that_all_walls_hold() {
    let found = run(&["doctor"], "");
    assert_eq!(found.status, 0, "{found:?}");
    let text = String::from_utf8(found.stdout).unwrap();
    for part in ["walls", "Landlock: files", "attack", "SIGSYS", "All mandatory walls hold"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let json = run(&["doctor", "--json"], "");
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["sound"], true, "{report}");
    assert!(report["limits"].as_array().unwrap().iter().all(|limit| limit["binds"] == true));
}

/// A folder and a program in it that other users can reach, as the build's own may be out of reach.
fn in_public() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir_in("/tmp").expect("a public folder");
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .expect("a public folder");
    };
    let program = folder.path().join("sandpool");
    std::fs::copy(env!("CARGO_BIN_EXE_sandpool"), &program).expect("a public folder");
    std::fs::copy(fixture("numbers.wat"), folder.path().join("numbers.wat"))
        .expect("a public folder");
    open(folder.path());
    open(&program);
    (folder, program)
}

#[test]
fn it_is_the_same_for_nobody() {
    if !rustix::process::geteuid().is_root() {
        // Then all other tests are that test.
        return;
    }
    let (place, program) = in_public();
    let nobody = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).env_clear().uid(NOBODY).gid(NOBODY).current_dir(place.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let task = place.path().join("numbers.wat");
    let found = finish(nobody(&["imap", task.to_str().unwrap(), "-f", "square"]), "3\n4\n");
    found.is(0, "9\n16\n", "");
    let doctor = finish(nobody(&["doctor"]), "");
    assert_eq!(doctor.status, 0, "{doctor:?}");
}

/// Where they cannot be turned off because there are none, all other tests are that test.
#[test]
fn it_is_the_same_without_user_namespaces() {
    let (place, program) = in_public();
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" doctor --json";
    command.args(["-r", "sh", "-c", script]).arg(&program).current_dir(place.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let found = finish(command, "");
    if found.stdout.is_empty() && found.stderr.contains("unshare") {
        return;
    }
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["sound"], true, "{report}");
    let attacks = report["attacks"].as_array().unwrap();
    let namespace = attacks.iter().find(|attack| attack["name"] == "make a user namespace");
    assert_eq!(namespace.unwrap()["bare"]["refused"], "ENOSPC", "{report}");
}

/// What a container gives that drops capabilities: workers stay root, without any.
#[test]
fn it_is_the_same_for_root_without_capabilities() {
    let setpriv = Command::new("setpriv").args(["--version"]).stdout(Stdio::null()).status();
    if !rustix::process::geteuid().is_root() || setpriv.is_err() {
        return;
    }
    let (_place, program) = in_public();
    for dropped in ["-setuid", "-setgid", "-kill", "-all"] {
        let mut command = Command::new("setpriv");
        command.args([&format!("--bounding-set={dropped}"), "--inh-caps=-all"]);
        command.arg(&program).args(["doctor", "--json"]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let found = finish(command, "");
        assert_eq!(found.status, 0, "{dropped}: {found:?}");
        let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!(report["sound"], true, "{dropped}: {report}");
        assert!(report.to_string().contains("user 0, capabilities 0x0"), "{dropped}: {report}");
        let attacks = report["attacks"].as_array().unwrap();
        let fork = attacks.iter().find(|attack| attack["name"] == "fork").unwrap();
        assert!(fork["sealed"].to_string().contains("SIGSYS"), "{dropped}: {fork}");
    }
}

#[test]
fn a_grant_reaches_no_further_than_its_folder() {
    let place = folder();
    for (name, content) in [("in/seen", "inside"), ("hidden", "outside")] {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::os::unix::fs::symlink("../hidden", place.path().join("in/link")).unwrap();
    let grant = format!("{}::/:ro", place.path().join("in").display());
    let read = |name: &str| run(&["imap", "read_file.wat", "--dir", &grant], format!("{name}\n"));
    read("seen").is(0, "inside", "");
    assert_eq!(read("link").status, 1, "a link out of the folder");
    assert_eq!(read("../hidden").status, 1, "a path out of the folder");
}
