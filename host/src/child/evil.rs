//! A worker that misbehaves as it is told, for tests of the host: this library's own test program
//! becomes its workers, and these then do what no honest one can.
//!
//! This module must not exist outside of test builds.
//!
//! What it does stands in a folder, the [`Lab`]. A worker finds it in the variable [`LAB`] of its
//! guest's environment, or beside its own executable (which is how it can misbehave before it was
//! told anything). If the folder has tokens, each of them makes one worker evil, and the others
//! are honest. The guest is `(param i64)`, and an item of value [`FIRST`]` + n` sets off the `n`-th
//! deed; all other items are run honestly, and marked in the journal when they are claimed.

mod orders;

use super::serve::Run;
use crate::guest::{Item, Reply};
use crate::outcome::{Failure, Logs, TaskErrorKind};
use crate::process::sys::{self, Attempt};
use crate::ring::Region;
use crate::ring::frame::HEAD;
use crate::ring::map::{ARENA, Stream};
use crate::wire::control::{Hello, WorkerReady, send};
use crate::wire::report;
pub(crate) use orders::{Deed, End, FIRST, Field, LAB, Lab, Point, STAGE, told};
use orders::{Stage, tell};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

fn end(how: End, tell: impl FnOnce()) -> ! {
    match how {
        End::Exit(status) => sys::exit_now(status),
        End::Park => {
            tell();
            park()
        }
    }
}

/// Starts a process that has the descriptors 0 and 2 of this one, control stream and bell, and ends.
#[expect(clippy::disallowed_methods, reason = "it is what no honest worker does")]
fn leave_child() -> ! {
    // A sealed worker gets no further.
    let _ = sys::attempt(Attempt::Fork);
    let _ = std::process::Command::new("sleep").arg("8").spawn();
    sys::exit_now(0)
}

/// Runs for ever: whoever sleeps needs a system call for it.
fn park() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn wait(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

thread_local! {
    /// What was ordered before the guest's environment was known.
    static EARLY: Cell<Option<Vec<Deed>>> = const { Cell::new(None) };
}

/// Before the worker has said anything.
pub(super) fn before_hello(mut control: &UnixStream) -> io::Result<()> {
    let Ok(program) = std::env::current_exe() else { return Ok(()) };
    let Some(folder) = program.parent() else { return Ok(()) };
    let lab = Lab::at(folder);
    let Some(deeds) = lab.orders() else { return Ok(()) };
    for deed in &deeds {
        match deed {
            Deed::OtherHello => {
                let other = Hello { protocol: 9999, build: "sandpool 9.9.9\u{1b}[31m".into() };
                send(control, &other)?;
                park();
            }
            Deed::Garbage(bytes) => {
                control.write_all(bytes)?;
                park();
            }
            Deed::LeaveChild => leave_child(),
            Deed::At(Point::BeforeHello, how) => end(*how, || lab.tell(Point::BeforeHello)),
            _ => {}
        }
    }
    EARLY.set(Some(deeds));
    Ok(())
}

/// What a worker was told to do, when it is about to load its guest.
pub(super) struct Plan {
    deeds: Vec<Deed>,
    region: Region,
    /// The same memory, for where there is but a shared borrow. Mapped before the walls forbid it.
    spare: RefCell<Region>,
    ring: OwnedFd,
    host_bell: RawFd,
    journal: Option<&'static [AtomicU8]>,
    stage: Option<Stage>,
    /// It has put bytes of its own among the results.
    speaks: bool,
}

impl Plan {
    /// Reads the orders, and does what is to be done before the walls.
    pub(super) fn new(
        env: &[(String, String)],
        control: &UnixStream,
        ring: &OwnedFd,
        host_bell: &mut OwnedFd,
    ) -> io::Result<Self> {
        let early = EARLY.take();
        let lab = env.iter().find(|(name, _)| name == LAB).map(|(_, path)| Path::new(path));
        let beside = std::env::current_exe()?;
        let lab = Lab::at(lab.or(beside.parent()).unwrap_or(Path::new("/")));
        let deeds = early.or_else(|| lab.orders()).unwrap_or_default();
        for deed in &deeds {
            match deed {
                Deed::At(Point::BeforeReady, how) => end(*how, || lab.tell(Point::BeforeReady)),
                Deed::Refuse(reason) => {
                    send(control, &WorkerReady::Refused(reason.clone()))?;
                    park();
                }
                Deed::ReadyTwice => send(control, &WorkerReady::Ready)?,
                Deed::CloseBell => *host_bell = rustix::pipe::pipe()?.1,
                _ => {}
            }
        }
        Ok(Self {
            deeds,
            region: Region::map(ring)?,
            spare: RefCell::new(Region::map(ring)?),
            ring: ring.try_clone()?,
            host_bell: host_bell.as_raw_fd(),
            journal: lab.mapped("journal"),
            stage: lab.stage(),
            speaks: false,
        })
    }

    /// The guest in the hands of this worker.
    pub(super) fn with<G: Run>(self, guest: &mut G) -> Worker<'_, G> {
        for deed in &self.deeds {
            if let Deed::At(Point::Ready, how) = deed {
                end(*how, || tell(self.stage, Point::Ready));
            }
        }
        Worker { plan: self, guest, unsolicited: Cell::new(false), done: None, logs: None }
    }

    fn ordered(&self, point: Point) {
        for deed in &self.deeds {
            if let Deed::At(at, how) = deed
                && *at == point
            {
                end(*how, || tell(self.stage, point));
            }
        }
    }

    /// Wakes the host, whether it wants that or not.
    fn ring(&self) {
        let _ = rustix::io::write(sys::borrow(self.host_bell), &[1]);
    }

    /// Appends bytes to the result stream and publishes them at once, as frames: a row of values
    /// that an honest worker has begun ends ahead of them.
    fn put(&mut self, bytes: &[u8]) {
        let tail = self.region.control().results_tail.load(Ordering::Acquire);
        if !std::mem::replace(&mut self.speaks, true) {
            self.region.control().row_end.store(tail, Ordering::Release);
        }
        self.region.write(Stream::Results, tail, bytes);
        let tail = tail.wrapping_add(bytes.len() as u64);
        self.region.control().results_tail.store(tail, Ordering::Release);
    }

    fn room(&self) -> u64 {
        let control = self.region.control();
        let tail = control.results_tail.load(Ordering::Acquire);
        let head = control.results_head.load(Ordering::Acquire);
        (ARENA as u64).saturating_sub(tail.wrapping_sub(head))
    }

    /// As an honest worker does before it publishes.
    fn use_up_item(&self) {
        let control = self.region.control();
        // A number, among others.
        control.items_head.fetch_add(8, Ordering::Release);
    }
}

/// Lets a long result come, so that there are new bytes whenever one looks.
fn trickle(region: &mut Region, mib: u64, pause: Duration) -> ! {
    let mut more = frame(0, mib << 20, &[]);
    let tail = region.control().results_tail.load(Ordering::Acquire);
    region.control().row_end.store(tail, Ordering::Release);
    loop {
        let control = region.control();
        let tail = control.results_tail.load(Ordering::Acquire);
        let head = control.results_head.load(Ordering::Acquire);
        if tail.wrapping_sub(head) < ARENA as u64 / 2 {
            region.write(Stream::Results, tail, &more);
            let tail = tail.wrapping_add(more.len() as u64);
            region.control().results_tail.store(tail, Ordering::Release);
            more = vec![1];
        }
        wait(pause);
    }
}

/// A frame whose head may say anything. Of the kind, only some bits fit.
fn frame(kind: u8, len: u64, bytes: &[u8]) -> Vec<u8> {
    let mut frame = (len << 3 | u64::from(kind)).to_le_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// A worker's guest, and what else it does.
pub(super) struct Worker<'a, G> {
    plan: Plan,
    guest: &'a mut G,
    unsolicited: Cell<bool>,
    /// An evil item was run, so that its result will be next.
    done: Option<usize>,
    logs: Option<Logs>,
}

impl<G: Run> Run for Worker<'_, G> {
    fn needs_preparation(&self) -> bool {
        let word = self.plan.region.control().word.read();
        if self.done.is_some() {
            self.plan.ordered(Point::BeforeNext);
        }
        if word.claimed != word.limit {
            if self.plan.deeds.contains(&Deed::Murmur) {
                trickle(&mut self.plan.spare.borrow_mut(), 63, Duration::from_nanos(400));
            }
            self.plan.ordered(Point::Unclaimed);
        } else if self.unsolicited.replace(false) {
            // The item before has not ended yet; this is a result of the one after it.
            let control = self.plan.region.control();
            control.word.end();
            let tail = control.results_tail.load(Ordering::Acquire);
            let bytes = frame(0, 8, &7_i64.to_le_bytes());
            control.row_end.store(tail, Ordering::Release);
            self.plan.spare.borrow_mut().write(Stream::Results, tail, &bytes);
            control.results_tail.store(tail + bytes.len() as u64, Ordering::Release);
            self.plan.ring();
            park();
        }
        self.guest.needs_preparation()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.guest.prepare()
    }

    fn run(&mut self, item: &Item<'_>, output: &mut Reply) -> Result<(), Failure> {
        if let Some(mark) =
            usize::try_from(item.index).ok().and_then(|at| self.plan.journal?.get(at))
        {
            mark.fetch_add(1, Ordering::Relaxed);
        }
        let value = item.bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes));
        let number = value.and_then(|value| usize::try_from(value.checked_sub(FIRST)?).ok());
        let Some((number, deed)) = number.and_then(|n| Some((n, self.plan.deeds.get(n)?.clone())))
        else {
            return self.guest.run(item, output);
        };
        self.done = Some(number);
        output.clear();
        output.bytes.extend_from_slice(item.bytes);
        self.act(deed, &mut output.bytes)
    }

    fn take_logs(&mut self) -> Option<Logs> {
        self.logs.take().or_else(|| self.guest.take_logs())
    }

    fn rest(&mut self) {
        self.guest.rest();
    }
}

impl<G: Run> Worker<'_, G> {
    /// Does what is to be done at an item. The honest answer is in `output`.
    fn act(&mut self, deed: Deed, output: &mut Vec<u8>) -> Result<(), Failure> {
        let right = frame(0, output.len() as u64, output);
        match deed {
            Deed::At(Point::HalfResult, how) => {
                self.plan.put(&frame(0, 1000, &[1; 500]));
                let stage = self.plan.stage;
                end(how, || tell(stage, Point::HalfResult));
            }
            Deed::At(Point::Running | Point::BeforeResult, _) => {
                self.plan.ordered(Point::Running);
                self.plan.ordered(Point::BeforeResult);
            }
            Deed::Frame { kind, len, bytes } => {
                self.plan.use_up_item();
                self.plan.put(&frame(kind, len, &vec![1; bytes]));
                self.linger();
            }
            Deed::Twice => {
                self.plan.use_up_item();
                self.plan.put(&right);
                self.plan.put(&right);
                self.linger();
            }
            Deed::Ahead => {
                self.plan.use_up_item();
                self.plan.put(&right);
                let next = frame(0, 8, &13_i64.to_le_bytes());
                self.plan.put(&next);
                self.linger();
            }
            Deed::Unsolicited => self.unsolicited.set(true),
            Deed::Dribble(pause) => {
                self.plan.use_up_item();
                // A head comes whole, as an honest worker writes it.
                let (head, rest) = right.split_at(HEAD);
                self.plan.put(head);
                for byte in rest {
                    self.plan.put(&[*byte]);
                    self.plan.ring();
                    wait(Duration::from_millis(pause));
                }
                self.linger();
            }
            Deed::Trickle => {
                self.plan.use_up_item();
                self.plan.region.control().word.end();
                trickle(&mut self.plan.region, 1000, Duration::ZERO);
            }
            Deed::Shirk => {
                self.plan.use_up_item();
                self.plan.region.control().word.end();
                self.plan.ring();
                park();
            }
            Deed::Flood => {
                self.plan.use_up_item();
                loop {
                    if self.plan.room() >= right.len() as u64 {
                        self.plan.put(&right);
                    }
                    self.plan.ring();
                }
            }
            Deed::Stream => {
                self.plan.put(&frame(0, 1 << 20, &[]));
                loop {
                    let piece = usize::try_from(self.plan.room()).unwrap_or(0);
                    self.plan.put(&vec![1; piece]);
                    self.plan.ring();
                }
            }
            Deed::Bells => loop {
                self.plan.ring();
            },
            Deed::Set(field, bits) => {
                self.plan.region.raw_word(field.at()).store(bits, Ordering::SeqCst);
                self.linger();
            }
            Deed::Add(field, by) => {
                let word = self.plan.region.raw_word(field.at());
                word.fetch_add(by.cast_unsigned(), Ordering::SeqCst);
                self.linger();
            }
            Deed::Unclaim => {
                // One claim less, and nothing runs.
                let word = self.plan.region.raw_word(Field::Word.at());
                word.fetch_sub(5, Ordering::SeqCst);
                sys::exit_now(3);
            }
            Deed::Contend => {
                self.plan.ring();
                loop {
                    let _ = self.plan.region.control().word.publish(1);
                }
            }
            Deed::Truncate(len) => {
                let done = rustix::fs::ftruncate(&self.plan.ring, len);
                let errno = done.map_or_else(|errno| errno.raw_os_error(), |()| 0);
                *output = i64::from(errno).to_le_bytes().to_vec();
            }
            Deed::Wrong(bytes) => *output = bytes,
            Deed::Long(len) => *output = vec![1; len],
            Deed::LongLogs(len) => {
                self.logs = Some(Logs { stdout: vec![b'x'; len], stderr: vec![], dropped: 0 });
            }
            Deed::Report(kind, extra) => {
                let kind = TaskErrorKind::ALL[kind];
                let mut bytes = Vec::new();
                let lie = Failure::new(kind, "a lie");
                report::encode_failure(&lie, &Logs::default(), &mut bytes);
                bytes.extend(vec![0; extra]);
                self.plan.use_up_item();
                self.plan.put(&frame(2, bytes.len() as u64, &bytes));
                self.linger();
            }
            Deed::Fatal => {
                let mut bytes = Vec::new();
                let lie = Failure::new(TaskErrorKind::Trapped, "a lie");
                report::encode_failure(&lie, &Logs::default(), &mut bytes);
                self.plan.put(&frame(3, bytes.len() as u64, &bytes));
                self.linger();
            }
            Deed::LeaveChild => leave_child(),
            Deed::CloseAll => {
                let _ = sys::redirect_stderr(self.plan.ring.as_fd());
                sys::close_inherited();
                park();
            }
            Deed::Note(note) => {
                self.plan.region.leave_note(&note);
                sys::exit_now(9);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets the host look, and is gone some time later in case it sees nothing wrong.
    fn linger(&self) -> ! {
        self.plan.ring();
        wait(Duration::from_millis(30));
        sys::exit_now(3)
    }
}
