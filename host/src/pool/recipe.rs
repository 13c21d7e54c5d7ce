//! What workers are made of: decided when a pool is built.
//!
//! This module must not start any.

use crate::description::GuestConfig;
use crate::process::Program;
use crate::walls::Sandbox;
use rustix::fd::OwnedFd;

/// What workers are made of: decided when the pool is built.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) program: Program,
    pub(crate) config: GuestConfig,
    pub(crate) artifact: OwnedFd,
    pub(crate) artifact_len: u64,
    pub(crate) max_tasks: Option<u64>,
    pub(crate) sandbox: Sandbox,
    pub(crate) data_limit: Option<u64>,
}
