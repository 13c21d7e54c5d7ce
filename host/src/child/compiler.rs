//! The compiler role: one module in, an artifact and a description out, then gone.
//!
//! This module must not be trusted by the host: a hostile module may own this process.

use super::check_parent;
use crate::guest;
use crate::process::fds;
use crate::wire::control::{CompilerAnswer, CompilerSetup, Hello, receive, send};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

pub(super) fn run(mut control: UnixStream) -> io::Result<()> {
    send(&control, &Hello::ours())?;
    let [module] = fds::receive_fds::<1>(&control)?;
    let setup: CompilerSetup = receive(&control)?;
    check_parent(setup.host_pid)?;
    let mut bytes = Vec::new();
    File::from(module).take(setup.module_len).read_to_end(&mut bytes)?;
    match guest::compile(&bytes, setup.settings) {
        Ok((artifact, description)) => {
            let artifact_len = artifact.len() as u64;
            let description = Box::new(description);
            send(&control, &CompilerAnswer::Compiled { description, artifact_len })?;
            control.write_all(&artifact)
        }
        Err(reason) => send(&control, &CompilerAnswer::Refused(reason)),
    }
}
