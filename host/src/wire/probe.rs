//! What the doctor asks of a probe: a child that goes behind the walls and attacks them.
//!
//! This module must not attack anything; it holds the words for it.

use crate::walls::Wall;
use serde::{Deserialize, Serialize};

/// One way out that code which has taken over a worker would try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Attack {
    OpenFile,
    OpenFolder,
    ConnectTcp,
    ConnectAbstract,
    MakeSocket,
    SignalHost,
    Fork,
    Execute,
    MapWritableExecutable,
    MakeExecutable,
    ReadSibling,
    ReadSiblingMaps,
    ReadSiblingEnvironment,
    ListSiblingDescriptors,
    TraceSibling,
    CopyFromSibling,
    NewNamespace,
    IoUring,
    LoadBpf,
    BecomeRoot,
}

impl Attack {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 20] = [
        Self::OpenFile,
        Self::OpenFolder,
        Self::ConnectTcp,
        Self::ConnectAbstract,
        Self::MakeSocket,
        Self::SignalHost,
        Self::Fork,
        Self::Execute,
        Self::MapWritableExecutable,
        Self::MakeExecutable,
        Self::ReadSibling,
        Self::ReadSiblingMaps,
        Self::ReadSiblingEnvironment,
        Self::ListSiblingDescriptors,
        Self::TraceSibling,
        Self::CopyFromSibling,
        Self::NewNamespace,
        Self::IoUring,
        Self::LoadBpf,
        Self::BecomeRoot,
    ];

    /// What it does, in a few words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::OpenFile => "open a file",
            Self::OpenFolder => "list a folder",
            Self::ConnectTcp => "connect to a TCP port",
            Self::ConnectAbstract => "connect to an abstract socket",
            Self::MakeSocket => "make a UDP socket",
            Self::SignalHost => "signal the host",
            Self::Fork => "fork",
            Self::Execute => "run a program",
            Self::MapWritableExecutable => "map memory writable and executable",
            Self::MakeExecutable => "make written memory executable",
            Self::ReadSibling => "open a sibling's memory",
            Self::ReadSiblingMaps => "open a sibling's memory map",
            Self::ReadSiblingEnvironment => "open a sibling's environment",
            Self::ListSiblingDescriptors => "list a sibling's descriptors",
            Self::TraceSibling => "trace a sibling",
            Self::CopyFromSibling => "copy a sibling's memory",
            Self::NewNamespace => "make a user namespace",
            Self::IoUring => "set up an io_uring",
            Self::LoadBpf => "load a BPF map",
            Self::BecomeRoot => "become root",
        }
    }
}

/// How much of the sandbox a probe puts up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Behind {
    Nothing,
    /// All but the system call filter, so that the others are seen to hold by themselves.
    AllButSeccomp,
    Everything,
}

/// Whose walls a probe puts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Like {
    Worker,
    WorkerWithWasi,
    /// A worker that was forked from a zygote: the probe goes behind a zygote's walls, makes a copy
    /// of itself, and that goes the rest of the way.
    Forked,
    Compiler,
}

/// What a probe is to do behind its walls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    Attack(Attack),
    /// Tell what it is.
    Audit,
    /// Say that it is there, and wait until it is killed: it is a sibling.
    Wait,
    /// Make the system call of this number, with arguments that mean nothing.
    #[cfg(test)]
    Call(i64),
}

/// What the doctor tells a probe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProbeSetup {
    pub(crate) task: Task,
    pub(crate) behind: Behind,
    pub(crate) like: Like,
    pub(crate) host_pid: u32,
    /// A process that was started as this one.
    pub(crate) sibling: u32,
    /// A port of the loopback interface on which the doctor listens.
    pub(crate) port: u16,
    /// Name of an abstract socket on which the doctor listens.
    pub(crate) socket: String,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProbeAnswer {
    /// The attack went through.
    Reached,
    /// The kernel refused it with this error.
    Refused(i32),
    Audited(Audit),
    Waiting,
    /// The copy of the probe is there, and will say the rest.
    Forked,
    /// It could not get behind its walls.
    Missing {
        wall: Wall,
        reason: String,
    },
}

/// What a process looks like from inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Audit {
    pub(crate) user: u32,
    pub(crate) capabilities: u64,
    pub(crate) threads: usize,
    /// What its descriptors are, as `/proc` names them.
    pub(crate) descriptors: Vec<(i32, String)>,
    pub(crate) variables: usize,
    pub(crate) folder: String,
    /// Mappings that are writable and executable at once.
    pub(crate) writable_executable: usize,
    pub(crate) no_new_privileges: bool,
    /// Whether the kernel promises that written memory never turns executable; `None` if it does
    /// not know how.
    pub(crate) denies_write_execute: Option<bool>,
    pub(crate) landlock: Option<i32>,
    pub(crate) dumpable: bool,
    pub(crate) leads_session: bool,
    /// Whether its page map tells physical addresses.
    pub(crate) physical_addresses: bool,
    /// Resource limits that are not zero, of those that should be.
    pub(crate) open_limits: Vec<String>,
}
