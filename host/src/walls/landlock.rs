//! Landlock: no files but those granted, no TCP, no signals to and no sockets of others.
//!
//! This module must not follow a grant further than the folder that was named.

use super::{Missing, Wall};
use crate::description::DirGrant;
use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope,
};

/// The newest interface that this module knows; on an older kernel as much of it as there is.
const NEWEST: ABI = ABI::V6;

/// A granted folder, held open so that its path may be out of reach by now.
#[derive(Debug)]
pub(crate) struct Folder {
    place: PathFd,
    pub(crate) read_only: bool,
}

impl Folder {
    /// Opens the folder of a grant.
    ///
    /// # Errors
    /// One line that names it.
    pub(crate) fn open(grant: &DirGrant) -> Result<Self, String> {
        let path = grant.host.display();
        let place = PathFd::new(&grant.host).map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map_or_else(String::new, |cause| format!(": {cause}"));
            format!("cannot open the granted directory `{path}`{cause}")
        })?;
        Ok(Self { place, read_only: grant.read_only })
    }
}

/// Denies everything that this kernel's Landlock can deny, but the granted folders; gives its
/// version.
///
/// # Errors
/// Where the kernel has no Landlock.
pub(crate) fn restrict(folders: &[Folder]) -> Result<i32, Missing> {
    restrict_but(folders, None)
}

/// As [`restrict`], and files of `/proc` may be read: copies of this process open their own page
/// map, and then restrict themselves further.
pub(crate) fn restrict_zygote(folders: &[Folder]) -> Result<i32, Missing> {
    // Where it is not to be had there is no page map either.
    restrict_but(folders, PathFd::new("/proc").ok())
}

fn restrict_but(folders: &[Folder], proc: Option<PathFd>) -> Result<i32, Missing> {
    let missing = |error: RulesetError| Missing::new(Wall::Landlock, error);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(missing)?;
    for folder in folders {
        let rule = PathBeneath::new(&folder.place, granted(folder));
        ruleset = ruleset.add_rule(rule).map_err(missing)?;
    }
    if let Some(proc) = proc {
        let rule = PathBeneath::new(proc, AccessFs::ReadFile);
        ruleset = ruleset.add_rule(rule).map_err(missing)?;
    }
    let status = ruleset.restrict_self().map_err(missing)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        let reason = "this kernel has none (Linux 5.13 has), it is not among the enabled security \
                      modules (`lsm=` of the kernel's command line), or a container's profile \
                      refuses it";
        return Err(Missing::new(Wall::Landlock, reason));
    }
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi.min(NEWEST) as i32,
        _ => 0,
    })
}

/// What may be done in a granted folder: never run a program or make a device there.
fn granted(folder: &Folder) -> BitFlags<AccessFs> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    match folder.read_only {
        true => reading,
        false => {
            reading
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::MakeDir
                | AccessFs::MakeReg
                | AccessFs::MakeSym
                | AccessFs::Refer
        }
    }
}
