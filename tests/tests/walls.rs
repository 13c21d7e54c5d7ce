//! Machines that lack a wall: the pool is refused by name, unless it was told to do without.

use std::process::{Command, Output};

fn poor_host(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poor-host")).args(args).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// isolation.md §D 55.
#[test]
fn a_missing_mandatory_wall_is_refused_by_name() {
    for (lacking, wall) in [
        ("landlock", "Landlock"),
        ("landlock-refused", "Landlock"),
        ("seccomp", "seccomp"),
        ("no-new-privs", "no-new-privileges"),
        ("dumpable", "undumpable"),
        ("rlimits", "resource limits"),
    ] {
        let output = poor_host(&[lacking]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(3), "{lacking}: {text}");
        assert_eq!(text.lines().count(), 1, "{lacking}: {text}");
        assert!(text.contains(&format!("the wall `{wall}` cannot be raised")), "{lacking}: {text}");
        let off = poor_host(&[lacking, "sandbox-off"]);
        assert_eq!(off.status.code(), Some(0), "{lacking}: {}", said(&off));
    }
}

#[test]
fn what_older_kernels_and_containers_lack_is_done_without() {
    for lacking in ["mdwe", "namespaces"] {
        let output = poor_host(&[lacking]);
        assert_eq!(output.status.code(), Some(0), "{lacking}: {}", said(&output));
    }
}

/// Root that may not become another user: a wall fewer than was promised, so it is refused.
#[test]
fn root_that_cannot_become_nobody_is_refused() {
    let root = rustix::process::geteuid().is_root();
    let output = poor_host(&["setuid"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(if root { 3 } else { 0 }), "{text}");
    assert!(!root || text.contains("the wall `identity` cannot be raised"), "{text}");
}
