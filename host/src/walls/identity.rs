//! Who a child is: nobody, without capabilities.
//!
//! This module must not change who the host is, nor act before it knows that the host could still
//! kill the child afterwards.

use super::{Missing, Wall};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The kernel's overflow user and group: they own nothing, and exist in every user namespace that
/// maps a usual range.
const NOBODY: u32 = 65534;

/// Gives up every capability, and, as root, the identity too.
///
/// Root stays root (without capabilities) where it must go on owning files (`keep` the identity for
/// granted folders), and where the host, whose capabilities this process still has, could not
/// kill a child of another user.
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
fn become_nobody() -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}
