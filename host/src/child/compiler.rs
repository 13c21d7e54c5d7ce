//! The compiler role: one module in, an artifact and a description out, then gone.
//!
//! This module must not be trusted by the host: a hostile module may own this process.

use super::check_parent;
use crate::guest;
use crate::process::{fds, sys};
use crate::walls::{self, Profile, Sandbox, lists};
use crate::wire::control::{CompilerAnswer, CompilerSetup, Hello, receive, send};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

pub(super) fn run(control: UnixStream) -> io::Result<()> {
    send(&control, &Hello::ours())?;
    let [module] = fds::receive_fds::<1>(&control)?;
    let setup: CompilerSetup = receive(&control)?;
    check_parent(setup.host_pid)?;
    // As a file, since behind the filter a stream's own calls are denied.
    let mut control = File::from(OwnedFd::from(control));
    // Where memory ends, the host is to hear it: the process then dies of its filter.
    sys::redirect_stderr(control.as_fd())?;
    guest::before_compiling(setup.settings);
    if setup.sandbox == Sandbox::Strict {
        let fds = lists::Fds {
            input: vec![module.as_raw_fd()],
            output: vec![control.as_raw_fd(), 2],
            ..lists::Fds::default()
        };
        let profile = Profile::compiler(fds, setup.budget);
        if let Err(missing) = walls::confine(&profile).and_then(|_| walls::seal(&profile)) {
            return send(&control, &CompilerAnswer::Unsealed(missing.to_string()));
        }
    }
    let bytes = read(module, setup.module_len)?;
    match guest::compile(&bytes, setup.settings) {
        Ok((artifact, description)) => {
            let artifact_len = artifact.len() as u64;
            let description = Box::new(description);
            send(&control, &CompilerAnswer::Compiled { description, artifact_len })?;
            control.write_all(&artifact)
        }
        Err(reason) => send(&control, &CompilerAnswer::Refused(reason)),
    }
    // Dropping the file would close it, which takes a system call that is denied.
    .inspect(|()| std::mem::forget(control))
}

fn read(module: OwnedFd, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut module = File::from(module).take(len);
    module.read_to_end(&mut bytes)?;
    std::mem::forget(module);
    Ok(bytes)
}
