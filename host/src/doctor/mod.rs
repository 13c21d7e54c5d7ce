//! Finds out what the sandbox is worth on this machine, by attacking it.
//!
//! This module must not believe a kernel's version or a return code: a wall holds if an attack on
//! it was seen to fail, and the same attack was seen to succeed without it.

mod limits;
mod probes;
#[cfg(test)]
mod tests;

pub use limits::LimitFinding;

use crate::process::Ended;
use crate::wire::probe::{Attack, Audit, Behind, Like, ProbeAnswer, Task};
use probes::{Answer, Probes};
use serde::Serialize;
use std::io;

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The kernel's name, release and architecture.
    pub kernel: String,
    /// Version of Landlock that children use; `None` if there is none.
    pub landlock: Option<i32>,
    /// Each wall, and whether it holds.
    pub walls: Vec<WallFinding>,
    /// Each attack, and what came of it.
    pub attacks: Vec<AttackFinding>,
    /// Each limit, and what a guest that ran into it came to.
    pub limits: Vec<LimitFinding>,
}

/// One wall.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WallFinding {
    /// Its name.
    pub name: &'static str,
    /// Whether pools are refused where it is missing.
    pub mandatory: bool,
    /// Whether it holds here.
    pub holds: bool,
    /// What was seen.
    pub proof: String,
}

/// One attack, made four times.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AttackFinding {
    /// What was tried.
    pub name: &'static str,
    /// From a process without walls.
    pub bare: Reply,
    /// With all walls but the system call filter.
    pub unfiltered: Reply,
    /// From a sealed worker.
    pub sealed: Reply,
    /// From a sealed worker that was forked from a zygote.
    pub forked: Reply,
}

/// What an attack came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// It went through.
    Reached,
    /// The kernel refused it with this error.
    Refused(String),
    /// It ended the process with this signal.
    Killed(String),
    /// It could not be made, and why.
    Unknown(String),
}

impl Report {
    /// Whether every mandatory wall holds, no attack gets out of a sealed worker, and every limit
    /// binds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.walls.iter().all(|wall| wall.holds || !wall.mandatory)
            && self.attacks.iter().all(AttackFinding::is_stopped)
            && self.limits.iter().all(|limit| limit.binds)
    }
}

impl AttackFinding {
    /// Whether it does not get out of a sealed worker, whichever way that came to be.
    fn is_stopped(&self) -> bool {
        self.sealed.is_stopped() && self.forked.is_stopped()
    }
}

impl Reply {
    /// Whether the attack did not get through.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Killed(_))
    }

    fn of(answer: Answer) -> Self {
        match answer {
            Answer::Said(ProbeAnswer::Reached) => Self::Reached,
            Answer::Said(ProbeAnswer::Refused(errno)) => Self::Refused(errno_name(errno)),
            Answer::Said(ProbeAnswer::Missing { wall, reason }) => {
                Self::Unknown(format!("{}: {reason}", wall.name()))
            }
            Answer::Said(other) => Self::Unknown(format!("{other:?}")),
            Answer::Ended(Ended::Signal(libc::SIGSYS)) => Self::Killed("SIGSYS".to_owned()),
            Answer::Ended(ended) => Self::Unknown(format!("the probe {ended}")),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reached => f.write_str("goes through"),
            Self::Refused(name) | Self::Killed(name) => f.write_str(name),
            Self::Unknown(why) => write!(f, "? ({why})"),
        }
    }
}

/// Attacks every wall, from children of its own, and lets hostile guests run into every limit.
/// Takes about a second.
///
/// # Errors
/// Where children cannot be started at all.
pub fn examine() -> io::Result<Report> {
    let probes = Probes::prepare()?;
    let attacks: Vec<(Attack, AttackFinding)> = Attack::ALL
        .into_iter()
        .map(|attack| {
            let reply = |behind, like| {
                let answer = probes.run(Task::Attack(attack), behind, like)?;
                Ok::<_, io::Error>(match (attack, answer) {
                    // It became another program, which ended as it pleased.
                    (Attack::Execute, Answer::Ended(Ended::Status(_))) => Reply::Reached,
                    (_, answer) => Reply::of(answer),
                })
            };
            let finding = AttackFinding {
                name: attack.text(),
                bare: reply(Behind::Nothing, Like::Worker)?,
                unfiltered: reply(Behind::AllButSeccomp, Like::Worker)?,
                sealed: reply(Behind::Everything, Like::Worker)?,
                forked: reply(Behind::Everything, Like::Forked)?,
            };
            Ok((attack, finding))
        })
        .collect::<io::Result<_>>()?;
    let audit = match probes.run(Task::Audit, Behind::AllButSeccomp, Like::Worker)? {
        Answer::Said(ProbeAnswer::Audited(audit)) => Ok(audit),
        other => Err(Reply::of(other)),
    };
    let walls = match &audit {
        Ok(audit) => walls(audit, &attacks),
        Err(reply) => vec![WallFinding {
            name: "the sandbox",
            mandatory: true,
            holds: false,
            proof: reply.to_string(),
        }],
    };
    let sealed = walls.iter().all(|wall| wall.holds || !wall.mandatory);
    Ok(Report {
        kernel: kernel(),
        landlock: audit.ok().and_then(|audit| audit.landlock),
        walls,
        attacks: attacks.into_iter().map(|(_, finding)| finding).collect(),
        limits: if sealed { limits::examine() } else { Vec::new() },
    })
}

fn kernel() -> String {
    let names = rustix::system::uname();
    let text = [names.sysname(), names.release(), names.machine()];
    text.map(|name| name.to_string_lossy().into_owned()).join(" ")
}

/// What is known of each wall, by itself: without the filter, which would hide the others.
fn walls(audit: &Audit, attacks: &[(Attack, AttackFinding)]) -> Vec<WallFinding> {
    let finding = |wanted: Attack| attacks.iter().find(|(attack, _)| *attack == wanted);
    let stopped = |name, mandatory, by: &[Attack]| {
        let seen = by.iter().filter_map(|&attack| finding(attack));
        let holds = seen.clone().all(|(_, finding)| finding.unfiltered.is_stopped());
        let proof: Vec<String> =
            seen.map(|(_, finding)| format!("{}: {}", finding.name, finding.unfiltered)).collect();
        WallFinding { name, mandatory, holds, proof: proof.join(", ") }
    };
    let fact =
        |name, mandatory, holds, proof: String| WallFinding { name, mandatory, holds, proof };
    let filtered = attacks.iter().filter(|(_, finding)| finding.is_stopped()).count();
    let descriptors: Vec<&str> =
        audit.descriptors.iter().map(|(_, target)| target.as_str()).collect();
    vec![
        fact(
            "no new privileges",
            true,
            audit.no_new_privileges,
            "asked of the kernel, which never takes it back".to_owned(),
        ),
        fact(
            "system call filter",
            true,
            filtered == attacks.len(),
            format!(
                "{filtered} of {} attacks stopped from a sealed worker, executed or forked",
                attacks.len()
            ),
        ),
        stopped("Landlock: files", true, &[Attack::OpenFile, Attack::OpenFolder]),
        stopped("Landlock: TCP (Linux 6.7)", false, &[Attack::ConnectTcp]),
        stopped(
            "Landlock: signals, abstract sockets (Linux 6.12)",
            false,
            &[Attack::SignalHost, Attack::ConnectAbstract],
        ),
        match audit.denies_write_execute {
            Some(_) => stopped(
                "memory-deny-write-execute (Linux 6.3)",
                true,
                &[Attack::MapWritableExecutable, Attack::MakeExecutable],
            ),
            None => fact(
                "memory-deny-write-execute (Linux 6.3)",
                false,
                false,
                "this kernel does not know it; the filter refuses the calls".to_owned(),
            ),
        },
        fact(
            "resource limits",
            true,
            audit.open_limits.is_empty(),
            match audit.open_limits.as_slice() {
                [] => "no core file, child, locked memory, queued signal or message".to_owned(),
                open => format!("not closed: {}", open.join(", ")),
            },
        ),
        fact(
            "no identity to lose",
            true,
            audit.capabilities == 0,
            format!("user {}, capabilities {:#x}", audit.user, audit.capabilities),
        ),
        stopped(
            "hidden from siblings",
            true,
            &[
                Attack::ReadSibling,
                Attack::ReadSiblingMaps,
                Attack::ReadSiblingEnvironment,
                Attack::ListSiblingDescriptors,
                Attack::TraceSibling,
                Attack::CopyFromSibling,
            ],
        ),
        fact(
            "nothing inherited",
            true,
            audit.variables == 0 && audit.threads == 1 && audit.leads_session,
            format!(
                "{} variables, {} thread, a session of its own, descriptors {}",
                audit.variables,
                audit.threads,
                descriptors.join(" ")
            ),
        ),
        fact(
            "no page is writable and executable",
            true,
            audit.writable_executable == 0,
            format!("{} of them", audit.writable_executable),
        ),
    ]
}

fn errno_name(errno: i32) -> String {
    const NAMES: [(i32, &str); 12] = [
        (libc::EACCES, "EACCES"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOENT, "ENOENT"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EPERM, "EPERM"),
        (libc::ESRCH, "ESRCH"),
        (libc::EUSERS, "EUSERS"),
    ];
    match NAMES.iter().find(|(known, _)| *known == errno) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("error {errno}"),
    }
}
