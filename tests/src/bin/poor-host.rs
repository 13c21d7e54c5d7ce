//! A host on a machine that lacks something: the system calls that its argument names are refused,
//! as an old kernel or a container's profile would, for it and all its children.
//!
//! What it found is its exit status: 0 for right answers, 3 for a pool that was refused (the reason
//! is on standard error). Further arguments: `sandbox-off` asks for no sandbox, `zygote` for workers
//! that are forked, and a number for so many of them.

use sandpool::{Cache, Pool, Sandbox, TaskModule, Zygote};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::io::Write as _;
use std::process::ExitCode;

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#;

#[cfg(target_arch = "x86_64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::aarch64;

/// An argument of a call, by its place, and what it must be for the call to be refused.
type Argument = (u8, SeccompCmpOp, u64);

/// The call, the argument if only some are refused, and the error.
fn lacking(name: &str) -> Option<(i64, Option<Argument>, i32)> {
    let first = |value: i32| Some((0, SeccompCmpOp::Eq, u64::from(value.cast_unsigned())));
    Some(match name {
        "landlock" => (libc::SYS_landlock_create_ruleset, None, libc::ENOSYS),
        "landlock-refused" => (libc::SYS_landlock_restrict_self, None, libc::EPERM),
        "seccomp" => (libc::SYS_seccomp, None, libc::EINVAL),
        "no-new-privs" => (libc::SYS_prctl, first(libc::PR_SET_NO_NEW_PRIVS), libc::EPERM),
        "mdwe" => (libc::SYS_prctl, first(libc::PR_SET_MDWE), libc::EINVAL),
        "dumpable" => (libc::SYS_prctl, first(libc::PR_SET_DUMPABLE), libc::EPERM),
        "rlimits" => (libc::SYS_prlimit64, Some((2, SeccompCmpOp::Ne, 0)), libc::EPERM),
        "setuid" => (libc::SYS_setresuid, None, libc::EPERM),
        "namespaces" => (libc::SYS_unshare, None, libc::ENOSPC),
        "pidfd" => (libc::SYS_pidfd_open, None, libc::ENOSYS),
        _ => return None,
    })
}

fn refuse(
    call: i64,
    argument: Option<Argument>,
    errno: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let rules = match argument {
        None => Vec::new(),
        Some((place, op, value)) => {
            let only = SeccompCondition::new(place, SeccompCmpArgLen::Qword, op, value)?;
            vec![SeccompRule::new(vec![only])?]
        }
    };
    let refused = SeccompAction::Errno(errno.cast_unsigned());
    let rules = [(call, rules)].into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, ARCH)?;
    let program: seccompiler::BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some((call, argument, errno)) = args.next().as_deref().and_then(lacking) else {
        return ExitCode::from(64);
    };
    if refuse(call, argument, errno).is_err() {
        return ExitCode::from(65);
    }
    let options: Vec<String> = args.collect();
    let asked = |option: &str| options.iter().any(|given| given == option);
    let sandbox = if asked("sandbox-off") { Sandbox::Off } else { Sandbox::Strict };
    let zygote = if asked("zygote") { Zygote::On } else { Zygote::Off };
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    let workers = options.iter().find_map(|given| given.parse().ok()).unwrap_or(2);
    let builder = Pool::builder(module).processes(workers).cache(Cache::Off);
    let builder = builder.sandbox(sandbox).zygote(zygote);
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::from(3);
        }
    };
    match pool.map::<_, i64>("square", 0..100_i64) {
        Ok(squares) if (0..).zip(&squares).all(|(n, square): (i64, _)| n * n == *square) => {
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(5),
    }
}
