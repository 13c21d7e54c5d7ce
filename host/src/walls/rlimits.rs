//! What a child may use up.
//!
//! This module must not bound an item: that is the guest layer's business. What is here holds when
//! that layer has fallen.

use super::{Missing, Wall};
use crate::limits::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// What is bounded after loading.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// Bytes of writable private memory.
    pub(crate) data: u64,
    /// Time on a processor; `None` for as much as there is.
    pub(crate) cpu: Option<Duration>,
    /// Whether the process may go on opening files.
    pub(crate) files: bool,
}

/// What a worker may need at most beside the memory of its guest: an item as text, as binary and
/// as values, a result the same way, log tails, and the engine itself.
///
/// The largest multiple is that of a list of short numbers: `0,` is two bytes as JSON, up to 48 as
/// a dynamic value in a vector that doubles.
pub(crate) fn worker_data(limits: &Limits) -> u64 {
    const ENGINE: u64 = 96 * MIB;
    [
        limits.memory,
        limits.input.saturating_mul(24),
        limits.output.saturating_mul(24),
        limits.log.saturating_mul(8),
        ENGINE,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

const CHILDREN: (Resource, &str) = (Resource::Nproc, "nproc");

const NONE: [(Resource, &str); 5] = [
    (Resource::Core, "core"),
    CHILDREN,
    (Resource::Memlock, "memlock"),
    (Resource::Sigpending, "sigpending"),
    (Resource::Msgqueue, "msgqueue"),
];

/// What nothing needs, not even loading: core files, children, locked memory, queued signals,
/// message queues.
pub(crate) fn early() -> Result<(), Missing> {
    NONE.into_iter().try_for_each(|(resource, name)| set(resource, name, 0))
}

/// As [`early`], for a process that goes on making others.
pub(crate) fn early_but_children() -> Result<(), Missing> {
    let others = NONE.into_iter().filter(|limit| *limit != CHILDREN);
    others.into_iter().try_for_each(|(resource, name)| set(resource, name, 0))
}

/// What [`early_but_children`] left out.
pub(crate) fn no_children() -> Result<(), Missing> {
    set(CHILDREN.0, CHILDREN.1, 0)
}

/// The names of those that are not closed.
pub(crate) fn open() -> Vec<String> {
    let open = NONE.into_iter().filter(|(resource, _)| getrlimit(*resource).maximum != Some(0));
    open.map(|(_, name)| name.to_owned()).collect()
}

/// Memory, processor time, and where no folder was granted also files and descriptors: what is
/// open stays open, nothing more can be.
pub(crate) fn late(budget: &Budget) -> Result<(), Missing> {
    set(Resource::Data, "data", budget.data)?;
    if let Some(cpu) = budget.cpu {
        // The kernel counts whole seconds, and kills at the second one: the first sends a signal
        // that says what it is.
        let seconds = cpu.as_secs().max(1);
        let limit = Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) };
        apply(Resource::Cpu, "cpu", limit)?;
    }
    if !budget.files {
        set(Resource::Fsize, "fsize", 0)?;
        set(Resource::Nofile, "nofile", 0)?;
    }
    Ok(())
}

fn set(resource: Resource, name: &str, most: u64) -> Result<(), Missing> {
    apply(resource, name, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Lowers a limit; one that is lower already (`ulimit`) stays.
fn apply(resource: Resource, name: &str, wanted: Rlimit) -> Result<(), Missing> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let lower = |value: Option<u64>| Some(value.unwrap_or(u64::MAX).min(ceiling));
    let limit = Rlimit { current: lower(wanted.current), maximum: lower(wanted.maximum) };
    setrlimit(resource, limit)
        .map_err(|errno| Missing::new(Wall::ResourceLimits, format!("{name}: {errno}")))
}
