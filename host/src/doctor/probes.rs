//! Starts probes and hears what they say, or how they ended.
//!
//! This module must not judge an answer.

use crate::process::watch::poll_until;
use crate::process::{Child, Ended, Program, Role, fds, spawn};
use crate::wire::control::{Hello, receive, send};
use crate::wire::probe::{Behind, Like, ProbeAnswer, ProbeSetup, Task};
use rustix::event::{PollFd, PollFlags};
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest silence of a probe.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a probe came to.
#[derive(Debug)]
pub(super) enum Answer {
    Said(ProbeAnswer),
    Ended(Ended),
}

/// What probes attack, and what starts them.
#[derive(Debug)]
pub(super) struct Probes {
    program: Program,
    tcp: TcpListener,
    socket: String,
    _unix: UnixListener,
    /// One that waits, for each degree of walls.
    siblings: Vec<(Behind, Child)>,
}

impl Probes {
    /// Opens what is to be attacked. The calling thread must outlive the probes.
    pub(super) fn prepare() -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let socket = format!("sandpool-doctor-{}-{unique}", std::process::id());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket)?)?;
        let tcp = TcpListener::bind(("127.0.0.1", 0))?;
        let program = Program::ThisExecutable;
        let mut probes = Self { program, tcp, socket, _unix: unix, siblings: Vec::new() };
        for behind in [Behind::Nothing, Behind::AllButSeccomp, Behind::Everything] {
            // One that cannot seal itself ends, and then nobody attacks it.
            let (child, _) = probes.start(Task::Wait, behind, Like::Worker)?;
            probes.siblings.push((behind, child));
        }
        Ok(probes)
    }

    /// Has one task done by a new probe.
    pub(super) fn run(&self, task: Task, behind: Behind, like: Like) -> io::Result<Answer> {
        let (mut child, said) = self.start(task, behind, like)?;
        Ok(match said {
            Some(said) => Answer::Said(said),
            None => Answer::Ended(child.reap_soon()),
        })
    }

    fn start(
        &self,
        task: Task,
        behind: Behind,
        like: Like,
    ) -> io::Result<(Child, Option<ProbeAnswer>)> {
        let mut child = spawn(Role::Probe, &self.program)?;
        let control = child.control()?.try_clone()?;
        control.set_read_timeout(Some(PATIENCE))?;
        fds::attest(&control)?;
        let control = &control;
        let hello: Hello = receive(control)?;
        hello.check().map_err(io::Error::other)?;
        let sibling = self.siblings.iter().find(|(degree, _)| *degree == behind);
        let setup = ProbeSetup {
            task,
            behind,
            like,
            host_pid: std::process::id(),
            sibling: sibling.map_or(0, |(_, child)| child.pid()),
            port: self.tcp.local_addr()?.port(),
            socket: self.socket.clone(),
        };
        send(control, &setup)?;
        let mut bytes = [0; 4096];
        let mut heard: &[u8] = &[];
        if like == Like::Forked {
            poll_until(&mut [PollFd::new(control, PollFlags::IN)], Some(Instant::now() + PATIENCE));
            let (len, sender) = fds::receive_attested(control, &mut bytes)?;
            // What the copy says next may have come along.
            heard = bytes.get(..len).unwrap_or_default();
            match (receive(&mut heard)?, sender) {
                // The one that made it ends by itself.
                (ProbeAnswer::Forked, Some(copy)) => child = Child::adopt(copy)?,
                (said, _) => return Ok((child, Some(said))),
            }
        }
        let said = match receive(heard.chain(control)) {
            Ok(said) => Some(said),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => return Err(error),
        };
        Ok((child, said))
    }
}
