//! What code that has taken over a worker would try, each in the plainest way.
//!
//! This module must not do harm where it succeeds: it opens and closes, connects and hangs up.

use crate::process::sys::{self, Attempt};
use crate::wire::probe::{Attack, ProbeSetup};
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket, socket_with,
};
use rustix::process::{Pid, test_kill_process};
use rustix::thread::UnshareFlags;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Tries one way out.
///
/// # Errors
/// What the kernel said, if it let the process live.
pub(super) fn attack(attack: Attack, setup: &ProbeSetup) -> io::Result<()> {
    match attack {
        Attack::OpenFile => look("/etc/passwd", OFlags::RDONLY),
        Attack::OpenFolder => look("/", OFlags::RDONLY | OFlags::DIRECTORY),
        Attack::ConnectTcp => {
            let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            Ok(connect(&stream, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, setup.port))?)
        }
        Attack::ConnectAbstract => {
            let flags = SocketFlags::CLOEXEC;
            let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            Ok(connect(&stream, &SocketAddrUnix::new_abstract_name(setup.socket.as_bytes())?)?)
        }
        Attack::MakeSocket => Ok(socket(AddressFamily::INET, SocketType::DGRAM, None).map(drop)?),
        Attack::SignalHost => Ok(test_kill_process(pid(setup.host_pid)?)?),
        Attack::Fork => sys::attempt(Attempt::Fork),
        Attack::Execute => sys::attempt(Attempt::Execute),
        Attack::MapWritableExecutable => sys::attempt(Attempt::MapWritableExecutable),
        Attack::MakeExecutable => sys::attempt(Attempt::MakeExecutable),
        Attack::ReadSibling => of_sibling(setup, "mem", OFlags::RDONLY),
        Attack::ReadSiblingMaps => of_sibling(setup, "maps", OFlags::RDONLY),
        Attack::ReadSiblingEnvironment => of_sibling(setup, "environ", OFlags::RDONLY),
        Attack::ListSiblingDescriptors => {
            of_sibling(setup, "fd", OFlags::RDONLY | OFlags::DIRECTORY)
        }
        Attack::TraceSibling => sys::attempt(Attempt::Trace(setup.sibling)),
        Attack::CopyFromSibling => sys::attempt(Attempt::CopyFrom(setup.sibling)),
        Attack::NewNamespace => sys::attempt(Attempt::Unshare(UnshareFlags::NEWUSER)),
        Attack::IoUring => sys::attempt(Attempt::IoUring),
        Attack::LoadBpf => sys::attempt(Attempt::LoadBpf),
        Attack::BecomeRoot => {
            let root = rustix::process::Uid::ROOT;
            Ok(rustix::thread::set_thread_res_uid(root, root, root)?)
        }
    }
}

fn of_sibling(setup: &ProbeSetup, file: &str, how: OFlags) -> io::Result<()> {
    look(&format!("/proc/{}/{file}", setup.sibling), how)
}

fn look(path: &str, how: OFlags) -> io::Result<()> {
    Ok(open(path, how | OFlags::CLOEXEC, Mode::empty()).map(drop)?)
}

fn pid(number: u32) -> io::Result<Pid> {
    let raw = i32::try_from(number).ok().and_then(Pid::from_raw);
    raw.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
