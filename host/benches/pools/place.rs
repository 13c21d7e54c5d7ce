//! Which core a thread, and whatever it starts, may run on.

use crate::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Does `what` with this thread bound to one core. Threads and processes that are started meanwhile
/// are bound to it too, and stay so.
pub(crate) fn on_one_core<T>(what: impl FnOnce() -> Result<T>) -> Result<T> {
    let all = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).ok_or("no core")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one)?;
    let result = what();
    sched_setaffinity(None, &all)?;
    result
}

/// Cores that this thread may run on.
pub(crate) fn cores() -> Result<u32> {
    Ok(sched_getaffinity(None)?.count())
}
