//! The walls, seen from inside: what every system call comes to, and what a sealed process is.

use super::probes::{Answer, Probes};
use super::*;
use crate::walls::lists::{COMPILING, Entry, SERVING, WASI};
use std::collections::BTreeSet;

/// Kernels since 6.12 answer these without asking any filter: traps of their own probes.
#[cfg(target_arch = "x86_64")]
const EXEMPT: [i64; 2] = [335, 336];
#[cfg(not(target_arch = "x86_64"))]
const EXEMPT: [i64; 0] = [];

/// Set in the number of a call of the x32 interface.
#[cfg(target_arch = "x86_64")]
const INTERFACES: [i64; 2] = [0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const INTERFACES: [i64; 1] = [0];

fn sweep(like: Like, lists: &[&[Entry]]) {
    let probes = Probes::prepare().unwrap();
    let listed: BTreeSet<i64> = lists.iter().copied().flatten().map(|entry| entry.call).collect();
    let mut answered = BTreeSet::new();
    for interface in INTERFACES {
        for number in 0..600 {
            let call = interface + number;
            match probes.run(Task::Call(call), Behind::Everything, like).unwrap() {
                Answer::Ended(Ended::Signal(libc::SIGSYS)) => {}
                // What is allowed may still end a process whose arguments mean nothing.
                _ => drop(answered.insert(call)),
            }
        }
    }
    let allowed = |call: &i64| listed.contains(call) || EXEMPT.contains(call);
    let strangers: Vec<_> = answered.iter().filter(|call| !allowed(call)).collect();
    assert!(strangers.is_empty(), "the filter let {strangers:?} through");
    // The sweep sees what is allowed, so it would see a stranger.
    assert!(answered.contains(&libc::SYS_munmap) && answered.contains(&libc::SYS_brk));
}

#[test]
fn a_sealed_worker_has_its_list_and_no_other_call() {
    sweep(Like::Worker, &[SERVING]);
}

#[test]
fn a_sealed_worker_of_a_zygote_has_the_same_list_and_no_other_call() {
    sweep(Like::Forked, &[SERVING]);
}

#[test]
fn without_the_filter_the_other_walls_stop_a_worker_of_a_zygote_too() {
    let probes = Probes::prepare().unwrap();
    for attack in Attack::ALL {
        let of = |like| {
            Reply::of(probes.run(Task::Attack(attack), Behind::AllButSeccomp, like).unwrap())
        };
        let (forked, executed) = (of(Like::Forked), of(Like::Worker));
        match attack {
            // A process that changes its user while it may have no others can run nothing; one that
            // loses the right to have others later meets Landlock.
            Attack::Execute => assert!(forked.is_stopped(), "{forked}"),
            _ => assert_eq!(forked, executed, "{attack:?}"),
        }
    }
}

#[test]
fn a_sealed_worker_with_wasi_has_its_lists_and_no_other_call() {
    sweep(Like::WorkerWithWasi, &[SERVING, WASI]);
}

#[test]
fn a_sealed_compiler_has_its_list_and_no_other_call() {
    sweep(Like::Compiler, &[COMPILING]);
}

#[test]
fn arguments_are_filtered_too() {
    let probes = Probes::prepare().unwrap();
    for like in [Like::Worker, Like::WorkerWithWasi, Like::Forked, Like::Compiler] {
        // These calls are on the lists, for other arguments.
        for attack in [Attack::MapWritableExecutable, Attack::MakeExecutable] {
            let answer = probes.run(Task::Attack(attack), Behind::Everything, like).unwrap();
            assert_eq!(Reply::of(answer), Reply::Killed("SIGSYS".into()), "{attack:?} as {like:?}");
        }
    }
    // Descriptor 0 is the probe's stream; `read` and `write` of any other number are refused. The
    // meaningless call reads from 0 into nowhere, which is allowed and fails.
    let read = probes.run(Task::Call(libc::SYS_read), Behind::Everything, Like::Worker).unwrap();
    assert!(matches!(read, Answer::Said(_)), "{read:?}");
    let ioctl = probes.run(Task::Call(libc::SYS_ioctl), Behind::Everything, Like::Worker).unwrap();
    assert!(matches!(ioctl, Answer::Ended(Ended::Signal(libc::SIGSYS))), "{ioctl:?}");
}

#[test]
fn every_attack_is_refused_as_listed() {
    let report = examine().unwrap();
    assert!(report.is_sound(), "{report:#?}");
    let reply = |name: &str| {
        report.attacks.iter().find(|attack| attack.name == name).expect("a known attack")
    };
    for attack in &report.attacks {
        assert_eq!(attack.sealed, Reply::Killed("SIGSYS".into()), "{attack:?}");
        assert_eq!(attack.forked, attack.sealed, "{attack:?}");
    }
    let eacces = Reply::Refused("EACCES".into());
    let eperm = Reply::Refused("EPERM".into());
    // Without walls an attack that fails proves nothing, so these must succeed.
    for (name, unfiltered) in [
        ("open a file", Some(&eacces)),
        ("list a folder", Some(&eacces)),
        ("connect to a TCP port", (report.landlock >= Some(4)).then_some(&eacces)),
        ("connect to an abstract socket", (report.landlock >= Some(6)).then_some(&eperm)),
        ("signal the host", (report.landlock >= Some(6)).then_some(&eperm)),
        ("open a sibling's memory", Some(&eacces)),
        ("open a sibling's memory map", Some(&eacces)),
        ("open a sibling's environment", Some(&eacces)),
        ("list a sibling's descriptors", Some(&eacces)),
    ] {
        assert_eq!(reply(name).bare, Reply::Reached, "{name}");
        if let Some(unfiltered) = unfiltered {
            assert_eq!(reply(name).unfiltered, *unfiltered, "{name}");
        }
    }
    for name in ["map memory writable and executable", "make written memory executable"] {
        assert_eq!(reply(name).bare, Reply::Reached, "{name}");
    }
    for name in ["fork", "run a program"] {
        assert_eq!(reply(name).bare, Reply::Reached, "{name}");
        assert!(reply(name).unfiltered.is_stopped(), "{name}");
    }
}

#[test]
fn a_sealed_process_owns_next_to_nothing() {
    let probes = Probes::prepare().unwrap();
    let answer = probes.run(Task::Audit, Behind::AllButSeccomp, Like::Worker).unwrap();
    let Answer::Said(ProbeAnswer::Audited(audit)) = answer else { panic!("{answer:?}") };
    assert_eq!((audit.threads, audit.variables, audit.writable_executable), (1, 0, 0));
    assert_eq!((audit.capabilities, audit.folder.as_str()), (0, "/"));
    assert!(audit.no_new_privileges && !audit.dumpable && audit.leads_session, "{audit:?}");
    assert!(!audit.physical_addresses, "{audit:?}");
    assert!(audit.open_limits.is_empty(), "{audit:?}");
    // In a user namespace there may be nobody to become.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(audit.user != 0 || !initial, "root becomes somebody else");
    // Its stream, the null device twice, and its page map.
    let numbers: Vec<i32> = audit.descriptors.iter().map(|(number, _)| *number).collect();
    assert!(numbers == [0, 1, 2, 3] || numbers == [0, 1, 2], "{audit:?}");
}
