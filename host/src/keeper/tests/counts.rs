//! The hot paths on one thread, for their instructions to be counted: `.ci/instructions` runs these
//! step by step, and compares with `.ci/instructions.txt`.
//!
//! Host and worker take turns at the two ends of a ring, with a guest that is a real one; so every
//! run does the same. Signals tell `.ci/steps.c` whose turn it is. Otherwise these are tests that
//! all values come back.

use crate::artifact::Mapped;
use crate::call::chunk::Chunk;
use crate::call::feed::{self, Step};
use crate::call::spec::{Retry, Spec};
use crate::call::store::Order;
use crate::call::wait::Next;
use crate::call::{Call, Handover};
use crate::child::serve::serve;
use crate::codec;
use crate::description::{EngineSettings, Form, GuestConfig};
use crate::guest::{self, Guest};
use crate::keeper::batch::{self, Sorted};
use crate::keeper::bounds::Bounds;
use crate::keeper::flight::Flight;
use crate::keeper::seat::Seat;
use crate::limits::Limits;
use crate::pool::core::Core;
use crate::pool::recipe::Recipe;
use crate::process::fds::bell_pipe;
use crate::process::spawn::Program;
use crate::ring::{HostRing, Inbox, Region, WorkerRing, map};
use crate::walls::Sandbox;
use rustix::fd::OwnedFd;
use rustix::process::{Signal, kill_process};
use rustix::thread::gettid;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

const CORE: &str = r#"(module (func (export "square") (param i64) (result i64)
    (i64.mul (local.get 0) (local.get 0))))"#;
const TYPED: &str = r#"(component
    (core module $m (func (export "square") (param i64) (result i64)
        (i64.mul (local.get 0) (local.get 0))))
    (core instance $i (instantiate $m))
    (func (export "square") (param "x" s64) (result s64) (canon lift (core func $i "square"))))"#;
/// Items that travel together.
const CHUNK: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// Whose instructions are counted.
const HOST: Signal = Signal::USR1;
const WORKER: Signal = Signal::USR2;

/// How many items are to be counted, if any are.
fn asked() -> Option<i64> {
    std::env::var("SANDPOOL_COUNT").ok().map(|n| n.parse().unwrap())
}

/// Has what `run` does counted for one side.
fn counted<T>(side: Signal, run: impl FnOnce() -> T) -> T {
    let tell = || {
        // Without anybody who counts, the signals would kill. They are for this thread.
        if asked().is_some() {
            kill_process(gettid(), side).unwrap();
        }
    };
    tell();
    let result = run();
    tell();
    result
}

/// A host and a worker, and all that lies between them.
struct Pair {
    core: Arc<Core>,
    ring: HostRing,
    flight: Flight,
    inbox: Inbox,
    worker: WorkerRing,
    guest: Guest,
    _bell: OwnedFd,
}

impl Pair {
    fn new(text: &str, reuse: bool) -> Self {
        let settings = EngineSettings::default();
        let (artifact, description) = guest::compile(text.as_bytes(), settings).unwrap();
        let (limits, initializer) = (Limits::default(), None);
        let (dirs, env, args) = (Vec::new(), Vec::new(), Vec::new());
        let config =
            GuestConfig { description, settings, reuse, limits, dirs, env, args, initializer };
        let mapped = Mapped::from_bytes(&artifact).unwrap();
        let guest = Guest::load(mapped, config.clone()).unwrap();
        let recipe = Recipe {
            program: Program::ThisExecutable,
            config,
            artifact: map::create().unwrap(),
            artifact_len: 0,
            max_tasks: None,
            sandbox: Sandbox::Off,
            data_limit: None,
        };
        let file = map::create().unwrap();
        // Its other end is closed: a worker without items ends, and can be called again.
        let (bell, _) = bell_pipe(false).unwrap();
        let (ours, host_bell) = bell_pipe(true).unwrap();
        let region = || Region::map(&file).unwrap();
        Self {
            core: Core::new(Arc::new(recipe), vec![Seat::new().unwrap()], None),
            ring: HostRing::new(region()),
            flight: Flight::default(),
            inbox: Inbox::new(1 << 20),
            worker: WorkerRing::new(region(), bell, host_bell),
            guest,
            _bell: ours,
        }
    }

    fn call(&self, form: Form) -> Arc<Call> {
        let spec = Spec {
            function: 0,
            form,
            star: false,
            order: Order::Input,
            chunk: Chunk::Size(CHUNK),
            window: None,
            timeout: None,
            deadline: None,
            retry: Retry::default(),
            fail_fast: false,
            callbacks: false,
            driven: false,
        };
        Call::new(Arc::clone(&self.core), spec)
    }

    /// All items there and back, and the sum of what `decode` makes of them.
    fn run(
        &mut self,
        form: Form,
        encode: impl FnMut(i64, &mut Vec<u8>),
        decode: impl Fn(&[u8]) -> i64,
    ) {
        let items = asked().unwrap_or(3000);
        let call = self.call(form);
        counted(HOST, || feeds(&call, items, encode));
        while counted(HOST, || hands_over(self, &call)) {
            counted(WORKER, || serve(&mut self.worker, &mut self.guest));
            counted(HOST, || collects(self));
        }
        let squares = (0..items).map(|x| x * x).sum::<i64>();
        assert_eq!(counted(HOST, || reads(&call, decode)), (items, squares));
    }
}

fn feeds(call: &Arc<Call>, items: i64, mut encode: impl FnMut(i64, &mut Vec<u8>)) {
    let mut next = 0;
    let mut source = |out: &mut Vec<u8>| {
        if next == items {
            return Step::End;
        }
        encode(next, out);
        next += 1;
        Step::Item
    };
    feed::drain(call, &mut source).unwrap();
}

fn hands_over(pair: &mut Pair, call: &Arc<Call>) -> bool {
    let Some(Handover { span, .. }) = call.take(0, usize::MAX) else { return false };
    let accepted = pair.ring.push(call.spec.context(&span), span.items()).unwrap();
    assert_eq!(accepted, span.len());
    pair.flight.push(call, span);
    pair.ring.commit().unwrap();
    true
}

fn collects(pair: &mut Pair) {
    pair.ring.take(&mut pair.inbox).unwrap();
    let bounds = Bounds::of(&Limits::default());
    let Sorted { batches, items, parting, .. } =
        batch::sort(&mut pair.ring, &mut pair.flight, &mut pair.inbox, bounds);
    assert!(parting.is_none() && pair.flight.len() == 0, "{parting:?}");
    pair.ring.end(items).unwrap();
    for batch in batches {
        batch.deliver(Duration::from_micros(100));
    }
}

fn reads(call: &Arc<Call>, decode: impl Fn(&[u8]) -> i64) -> (i64, i64) {
    let (mut count, mut sum) = (0, 0);
    while let Some(Next::Run(mut run, _)) = call.next(None) {
        while let Some(out) = run.next() {
            sum += decode(out.result.unwrap().bytes);
            count += 1;
        }
    }
    (count, sum)
}

fn binary(reuse: bool) {
    let mut pair = Pair::new(CORE, reuse);
    let function = pair.core.recipe.config.description.functions[0].clone();
    pair.run(
        Form::Binary,
        |x, out| codec::to_params(&function.signature, false, &x, out).unwrap(),
        |bytes| codec::from_value(function.value_type(), bytes).unwrap(),
    );
}

#[test]
fn count_reused() {
    binary(true);
}

#[test]
fn count_fresh() {
    binary(false);
}

#[test]
fn count_json() {
    let mut pair = Pair::new(TYPED, true);
    pair.run(
        Form::Json,
        |x, out| out.extend(x.to_string().into_bytes()),
        |bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap(),
    );
}
