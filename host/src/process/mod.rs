//! Child processes: the roles of our executable, how one is started, watched, killed and reaped.
//!
//! This module must not know what a child is for; [`role`] is the one constant both sides share,
//! [`spawn`] the only place that starts processes, [`sys`] the only one with raw system calls.

pub(crate) mod fds;
pub(crate) mod role;
pub(crate) mod spawn;
pub(crate) mod sys;
pub(crate) mod watch;

pub(crate) use role::Role;
pub(crate) use spawn::{Program, spawn};
pub(crate) use watch::{Child, Ended};
