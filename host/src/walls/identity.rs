//! Who a child is: nobody, without capabilities.
//!
//! This module must not change who the host is, nor act before it knows that the host could still
//! kill the child afterwards.

use super::{Missing, Wall};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The kernel's overflow user and group: they own nothing, and exist in every user namespace that
/// maps a usual range.
const NOBODY: u32 = 65534;

/// Gives up what would make the page map, opened next, tell physical addresses: that is decided by
/// who opens it, not by who reads it.
pub(crate) fn drop_administration() {
    let Ok(mut sets) = capabilities(None) else { return };
    if sets.permitted.contains(CapabilitySet::SYS_ADMIN) {
        for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
            set.remove(CapabilitySet::SYS_ADMIN);
        }
        let _ = set_capabilities(None, sets);
    }
}

/// Gives up every capability, and, as root, the identity too.
///
/// Root stays root (without capabilities) where it must go on owning files, those in granted
/// folders, and where the host, whose capabilities this process still has, could not kill a child
/// of another user.
pub(crate) fn drop_privileges(may_change: bool) -> Result<(), Missing> {
    let missing = |what: &str, errno| Missing::new(Wall::Identity, format!("{what}: {errno}"));
    let have = capabilities(None).map_err(|errno| missing("capabilities", errno))?.effective;
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
    if may_change && geteuid().is_root() && have.contains(needed) {
        become_nobody().map_err(|errno| missing("another user", errno))?;
    }
    // Where there are none, this takes none away; where there are, no exec brings them back.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|errno| missing("capabilities", errno))
}

/// The calls of libc that change every thread need signals between threads; a child has one thread,
/// so the kernel's own suffice.
///
/// In a user namespace that maps no such user (a container without root's help) there is nobody to
/// become; its root, without capabilities, is the ordinary user who made the namespace.
fn become_nobody() -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let cleared = set_thread_groups(&[]);
    match set_thread_res_gid(group, group, group) {
        Err(Errno::INVAL) => return Ok(()),
        changed => changed?,
    }
    cleared?;
    match set_thread_res_uid(user, user, user) {
        Err(Errno::INVAL) => Ok(()),
        changed => changed,
    }
}
