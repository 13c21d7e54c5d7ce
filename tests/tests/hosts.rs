//! Hosts that are no plain program: bad habits, another executor, a stream.

use futures_core::Stream as _;
use sandpool::{Cache, Pool, PoolEvent, TaskModule, WorkerEnd};
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

const GUEST: &str = r#"(module
    (func (export "square") (param i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#;

fn odd_host(habit: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_odd-host")).arg(habit).output().expect("it starts")
}

#[test]
fn a_host_without_standard_streams_works() {
    assert_eq!(odd_host("no-stdio").status.code(), Some(0));
}

#[test]
fn a_host_that_ignores_sigchld_works() {
    assert_eq!(odd_host("no-sigchld").status.code(), Some(0));
}

#[test]
fn a_program_that_does_not_become_a_worker_is_one_clear_error() {
    let output = odd_host("not-a-worker");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(
        text.contains("sandpool::init()") || text.contains("before it had an answer"),
        "{text}"
    );
}

/// The smallest executor: it parks its thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

fn pool() -> Pool {
    let module = TaskModule::from_bytes("guest.wat", GUEST.as_bytes());
    Pool::builder(module).processes(2).cache(Cache::Off).build().expect("the pool can be built")
}

#[test]
fn a_handle_is_a_future() {
    let pool = pool();
    let mut handle = pool.apply_async::<_, i64>("square", &12_i64).expect("it runs");
    let value = block_on(|context| Pin::new(&mut handle).poll(context));
    assert_eq!(value.ok(), Some(144));
}

#[test]
fn an_iterator_is_a_stream() {
    let pool = pool();
    let mut results = pool.imap::<_, i64>("square", 0..1000_i64).expect("it runs");
    let mut sum = 0;
    while let Some(value) = block_on(|context| Pin::new(&mut results).poll_next(context)) {
        sum += value.expect("a value");
    }
    assert_eq!(sum, (0..1000).map(|n: i64| n * n).sum::<i64>());
    // A stream that has ended stays so.
    assert!(block_on(|context| Pin::new(&mut results).poll_next(context)).is_none());
}

#[test]
fn an_observer_that_comes_late_knows_the_workers_and_sees_their_end() {
    let pool = pool();
    let squares: Vec<i64> = pool.map("square", 0..100_i64).expect("values");
    assert_eq!(squares.len(), 100);
    let events = pool.events();
    pool.close();
    pool.join().expect("it is closed");
    // The stream ends with the workers.
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            PoolEvent::WorkerStarted { pid, .. } => started.push(pid),
            PoolEvent::WorkerEnded { pid, reason, .. } => ended.push((pid, reason)),
            _ => {}
        }
    }
    ended.sort_by_key(|(pid, _)| *pid);
    started.sort_unstable();
    assert!(!started.is_empty());
    let closed: Vec<_> = started.iter().map(|pid| (*pid, WorkerEnd::Closed)).collect();
    assert_eq!(ended, closed, "every worker that was told of ends, as the pool was closed");
}
