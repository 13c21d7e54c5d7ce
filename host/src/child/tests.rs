//! Tests of the worker loop: a guest that is none, on a thread, over a real ring.

use super::serve::{Run, serve};
use crate::description::Form;
use crate::guest::{Item, Reply};
use crate::outcome::{Failure, Logs, TaskErrorKind};
use crate::process::fds::bell_pipe;
use crate::ring::frame::{Context, Items, ResultKind, append};
use crate::ring::worker::Stop;
use crate::ring::{HostRing, Inbox, Region, WorkerRing, map};
use crate::wire::report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What the loop asked of the guest, in order.
type Diary = Arc<Mutex<Vec<String>>>;

/// A guest that does what its item says.
#[derive(Default)]
struct Fake {
    diary: Diary,
    logs: Option<Logs>,
    /// Outcomes of preparations to come; none left: no preparation is needed.
    preparations: Vec<Result<(), Failure>>,
    prepared: bool,
}

impl Run for Fake {
    fn needs_preparation(&self) -> bool {
        !self.prepared && !self.preparations.is_empty()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.diary.lock().unwrap().push("prepare".into());
        let outcome = self.preparations.remove(0);
        self.prepared = outcome.is_ok();
        outcome
    }

    fn run(&mut self, item: &Item<'_>, output: &mut Reply) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(item.bytes).into_owned();
        self.diary.lock().unwrap().push(format!("{} {text}", item.index));
        output.clear();
        if text == "log" {
            self.logs = Some(Logs { stdout: b"out".to_vec(), stderr: vec![], dropped: 1 });
        }
        if text == "fail" {
            // The instance is lost with it.
            self.prepared = false;
            return Err(Failure::new(TaskErrorKind::Trapped, "on purpose"));
        }
        output.bytes.extend(item.bytes.iter().rev());
        Ok(())
    }

    fn take_logs(&mut self) -> Option<Logs> {
        self.logs.take()
    }
}

struct Host {
    ring: HostRing,
    bell: Option<OwnedFd>,
    host_bell: OwnedFd,
    pushed: u64,
    inbox: Inbox,
}

fn start(fake: Fake) -> (Host, JoinHandle<Stop>) {
    let file = map::create().unwrap();
    let (their_bell, bell) = bell_pipe(false).unwrap();
    let (host_bell, their_host_bell) = bell_pipe(true).unwrap();
    let region = Region::map(&file).unwrap();
    let worker = std::thread::spawn(move || {
        let mut fake = fake;
        serve(&mut WorkerRing::new(region, their_bell, their_host_bell), &mut fake)
    });
    let ring = HostRing::new(Region::map(&file).unwrap());
    (Host { ring, bell: Some(bell), host_bell, pushed: 0, inbox: Inbox::new(1 << 20) }, worker)
}

impl Host {
    fn push(&mut self, items: &[&str]) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for item in items {
            append(&mut bytes, |out| {
                out.extend_from_slice(item.as_bytes());
                Ok::<(), ()>(())
            })
            .unwrap();
            ends.push(bytes.len());
        }
        let index = self.pushed;
        let context = Context { index, attempt: 0, function: 0, form: Form::Raw, star: false };
        let run = Items::framed(&bytes, &ends, 0);
        assert_eq!(self.ring.push(context, run).unwrap(), items.len());
        self.pushed += items.len() as u64;
        self.ring.commit().unwrap();
        if self.ring.must_ring() {
            rustix::io::write(self.bell.as_ref().unwrap(), &[1]).unwrap();
        }
    }

    fn next(&mut self) -> (ResultKind, Vec<u8>) {
        loop {
            if self.ring.take(&mut self.inbox).unwrap() {
                rustix::io::write(self.bell.as_ref().unwrap(), &[1]).unwrap();
            }
            if let Some((kind, bytes)) = self.inbox.pop().unwrap() {
                if kind != ResultKind::Fatal {
                    self.ring.end(1).unwrap();
                }
                return (kind, bytes);
            }
            self.ring.bell_after(1);
            self.ring.raise();
            if !self.ring.has_results() {
                let mut set = [PollFd::new(&self.host_bell, PollFlags::IN)];
                let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
                assert_eq!(poll(&mut set, Some(&patience)).unwrap(), 1, "nobody rings the host");
                let _ = rustix::io::read(&self.host_bell, &mut [0_u8; 64]);
            }
            self.ring.lower();
        }
    }

    /// Closes the bell, which is how a worker learns that its host is gone.
    fn leave(mut self, worker: JoinHandle<Stop>) -> Stop {
        self.bell = None;
        worker.join().unwrap()
    }
}

#[test]
fn values_failures_and_logs_come_in_the_order_of_their_items() {
    let (mut host, worker) = start(Fake::default());
    host.push(&["abc", "fail", "log", ""]);
    assert_eq!(host.next(), (ResultKind::Value, b"cba".to_vec()));
    let (kind, bytes) = host.next();
    let (failure, logs) = report::decode_failure(&bytes).unwrap();
    assert_eq!((kind, failure.kind), (ResultKind::Failure, Some(TaskErrorKind::Trapped)));
    assert!(failure.message == "on purpose" && logs.is_empty());
    let (kind, bytes) = host.next();
    let mut rest = &bytes[..];
    let logs = report::decode_logs(&mut rest).unwrap();
    assert_eq!((kind, rest), (ResultKind::LoggedValue, &b"gol"[..]));
    assert_eq!((logs.stdout, logs.dropped), (b"out".to_vec(), 1));
    assert_eq!(host.next(), (ResultKind::Value, Vec::new()), "the logs were those of one item");
    assert!(matches!(host.leave(worker), Stop::HostGone));
}

#[test]
fn a_worker_sleeps_between_portions_and_wakes_for_each() {
    let (mut host, worker) = start(Fake::default());
    for round in 0..500 {
        let text = round.to_string();
        host.push(&[&text, &text]);
        for _ in 0..2 {
            assert_eq!(host.next().1, text.bytes().rev().collect::<Vec<_>>());
        }
    }
    assert!(matches!(host.leave(worker), Stop::HostGone));
}

#[test]
fn an_instance_is_prepared_before_its_first_item_and_after_it_was_lost() {
    let fake = Fake { preparations: vec![Ok(()), Ok(())], ..Fake::default() };
    let diary = Arc::clone(&fake.diary);
    let (mut host, worker) = start(fake);
    host.push(&["a", "fail", "b", "c"]);
    let kinds: Vec<ResultKind> = (0..4).map(|_| host.next().0).collect();
    assert_eq!(kinds[1], ResultKind::Failure);
    host.leave(worker);
    let expected = ["prepare", "0 a", "1 fail", "prepare", "2 b", "3 c"];
    assert_eq!(*diary.lock().unwrap(), expected);
}

#[test]
fn a_failed_preparation_is_told_and_starts_nothing() {
    let refused = Failure::new(TaskErrorKind::Trapped, "no");
    let fake = Fake { preparations: vec![Ok(()), Err(refused)], ..Fake::default() };
    let diary = Arc::clone(&fake.diary);
    let (mut host, worker) = start(fake);
    host.push(&["fail", "never"]);
    assert_eq!(host.next().0, ResultKind::Failure);
    let (kind, bytes) = host.next();
    assert_eq!(kind, ResultKind::Fatal);
    assert_eq!(report::decode_failure(&bytes).unwrap().0.message, "no");
    assert!(matches!(worker.join().unwrap(), Stop::Broken(_)));
    assert_eq!(*diary.lock().unwrap(), ["prepare", "0 fail", "prepare"]);
    // The item before has ended, so its clock stands, and the other one can be taken back.
    let reading = host.ring.observe().unwrap();
    assert!(!reading.running);
    assert_eq!(host.ring.recall(0).unwrap(), 1);
}

#[test]
fn a_worker_that_waits_ends_when_its_host_is_gone() {
    let (host, worker) = start(Fake::default());
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(matches!(host.leave(worker), Stop::HostGone));
}
