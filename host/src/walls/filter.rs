//! Turns lists of system calls into a seccomp filter and installs it.
//!
//! This module must not decide what is on a list. What is not on it ends the process.

use super::lists::{Entry, Fds, PAGEMAP_SCAN, When};
use super::{Missing, Wall};
use crate::process::sys::SIBLING;
use rustix::fd::RawFd;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Installs the filter for these lists together: what one of them allows is allowed. Another one
/// that is installed already goes on holding.
pub(crate) fn install(lists: &[&[Entry]], fds: &Fds) -> Result<(), Missing> {
    let missing = |what: String| Missing::new(Wall::Seccomp, what);
    let program = compile(lists, fds).map_err(|error| missing(error.to_string()))?;
    seccompiler::apply_filter(&program).map_err(|error| missing(reason(&error)))
}

fn reason(error: &seccompiler::Error) -> String {
    match error {
        seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error) => format!(
            "{error} (the kernel needs CONFIG_SECCOMP_FILTER, and a container's profile must allow \
             `seccomp`)"
        ),
        other => other.to_string(),
    }
}

fn compile(lists: &[&[Entry]], fds: &Fds) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::<i64, Vec<SeccompRule>>::new();
    let mut free = Vec::new();
    for entry in lists.iter().copied().flatten() {
        let rules = rules.entry(entry.call).or_default();
        match conditions(entry.when, fds)? {
            None => free.push(entry.call),
            Some(alternatives) => rules.extend(alternatives),
        }
    }
    for call in free {
        // No rule at all means every argument.
        rules.insert(call, Vec::new());
    }
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, ARCH)?;
    filter.try_into()
}

/// The alternatives under which a call is allowed; `None` if under any.
fn conditions(
    when: When,
    fds: &Fds,
) -> Result<Option<Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |argument: u8, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let unexecutable = || {
        let masked = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        SeccompCondition::new(2, SeccompCmpArgLen::Qword, masked, 0)
    };
    let rule = |conditions: Vec<SeccompCondition>| SeccompRule::new(conditions);
    Ok(Some(match when {
        When::Always => return Ok(None),
        When::On(which) => {
            let on = |&fd: &RawFd| rule(vec![is(0, number(fd))?]);
            fds.of(which).iter().map(on).collect::<Result<_, _>>()?
        }
        When::Unexecutable => vec![rule(vec![unexecutable()?])?],
        When::ArtifactOnly => {
            let code = (libc::PROT_READ | libc::PROT_EXEC) as u64;
            let mut rules = vec![rule(vec![unexecutable()?])?];
            for &fd in fds.of(super::lists::Which::Artifact) {
                rules.push(rule(vec![is(2, code)?, is(4, number(fd))?])?);
            }
            rules
        }
        When::Sibling => {
            let whole = |argument: u8, value: u64| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
            };
            // On the original's stack, which it has a copy of.
            vec![rule(vec![whole(0, SIBLING)?, whole(1, 0)?])?]
        }
        When::PagemapScan => {
            let scan = |&fd: &RawFd| rule(vec![is(0, number(fd))?, is(1, PAGEMAP_SCAN)?]);
            fds.of(super::lists::Which::Pagemap).iter().map(scan).collect::<Result<_, _>>()?
        }
    }))
}

/// As the kernel sees an `int` argument.
fn number(fd: RawFd) -> u64 {
    u64::from(fd.cast_unsigned())
}
