//! How fast items could go to and fro at all: by pipes between two processes, and by memory that two
//! threads share.

use crate::Result;
use crate::row::quantile;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// The argument that makes this program give back what it reads.
pub(crate) const MIRROR: &str = "--mirror";

/// The other end of the pipes.
pub(crate) fn mirror() -> Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        output.write_all(buffer.get(..n).unwrap_or(&[]))?;
        output.flush()?;
    }
}

fn start() -> Result<(Child, ChildStdin, ChildStdout)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(MIRROR).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let there = child.stdin.take().ok_or("no standard input")?;
    let back = child.stdout.take().ok_or("no standard output")?;
    Ok((child, there, back))
}

/// Microseconds below which `share` of `n` round trips of eight bytes stay.
pub(crate) fn ping_pong(n: u64, share: f64) -> Result<f64> {
    let (mut child, mut there, mut back) = start()?;
    let mut times = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        there.write_all(&i.to_le_bytes())?;
        back.read_exact(&mut [0; 8])?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    drop(there);
    child.wait()?;
    Ok(quantile(&times, share))
}

/// Microseconds for each of `n` items of eight bytes that go there and back in blocks.
pub(crate) fn pipes(n: u64) -> Result<f64> {
    const BLOCK: usize = 32 << 10;
    let (mut child, mut there, mut back) = start()?;
    let blocks = (n * 8).div_ceil(BLOCK as u64);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let block = vec![7; BLOCK];
            (0..blocks).try_for_each(|_| there.write_all(&block))
        });
        let mut block = vec![0; BLOCK];
        (0..blocks).try_for_each(|_| back.read_exact(&mut block))?;
        writer.join().map_err(|_| "a thread panicked")??;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let took = begin.elapsed();
    child.wait()?;
    Ok(took.as_secs_f64() * 1e6 / n as f64)
}

const SLOTS: usize = 4096;
/// Items that are announced together.
const TOGETHER: usize = 256;

/// A count on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicUsize);

/// A queue from one thread to one other. It spins: nothing is quicker while both run.
struct Ring {
    slots: Vec<AtomicU64>,
    head: Count,
    tail: Count,
}

impl Ring {
    fn new() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, head: Count::default(), tail: Count::default() }
    }

    /// Puts as many of `items` in as there is room for, at most some at a time.
    fn put(&self, items: &mut impl Iterator<Item = u64>) -> usize {
        let tail = self.tail.0.load(Ordering::Relaxed);
        let room = SLOTS - (tail - self.head.0.load(Ordering::Acquire));
        let mut n = 0;
        for item in items.take(room.min(TOGETHER)) {
            self.slots[(tail + n) % SLOTS].store(item, Ordering::Relaxed);
            n += 1;
        }
        self.tail.0.store(tail + n, Ordering::Release);
        n
    }

    /// Takes what is there.
    fn take(&self, mut each: impl FnMut(u64)) -> usize {
        let head = self.head.0.load(Ordering::Relaxed);
        let n = self.tail.0.load(Ordering::Acquire) - head;
        for at in head..head + n {
            each(self.slots[at % SLOTS].load(Ordering::Relaxed));
        }
        self.head.0.store(head + n, Ordering::Release);
        n
    }
}

/// Microseconds for each of `n` items that go to another thread, are squared there, and come back.
pub(crate) fn memory(n: u64) -> Result<f64> {
    let (there, back) = (Ring::new(), Ring::new());
    let begin = Instant::now();
    let sum = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut done, mut squares) = (0, Vec::with_capacity(SLOTS));
            while done < n {
                if there.take(|item| squares.push(item.wrapping_mul(item))) == 0 {
                    std::thread::yield_now();
                }
                let mut left = squares.drain(..);
                while left.len() > 0 {
                    done += back.put(&mut left) as u64;
                }
            }
        });
        let (mut items, mut ended, mut sum) = (0..n, 0, 0_u64);
        while ended < n {
            // No more are out than both rings hold, so neither side waits for the other for ever.
            there.put(&mut items);
            let taken = back.take(|square| sum = sum.wrapping_add(square));
            ended += taken as u64;
            if taken == 0 {
                std::thread::yield_now();
            }
        }
        sum
    });
    std::hint::black_box(sum);
    Ok(begin.elapsed().as_secs_f64() * 1e6 / n as f64)
}

/// Microseconds for each of `n` items of `size` bytes that are copied into memory that two threads
/// share, out of it by the other one, and back in the same way; one at a time.
pub(crate) fn copies(n: usize, size: usize) -> Result<f64> {
    let places = || [0, 1].map(|_| Mutex::new(vec![0_u8; size]));
    let (there, back) = (places(), places());
    // Odd, it is the other one's.
    let turn = AtomicUsize::new(0);
    let copy = |from: &[u8], to: &mut [u8]| to.copy_from_slice(from);
    let place = |places: &[Mutex<Vec<u8>>; 2], i: usize, with: &mut dyn FnMut(&mut Vec<u8>)| {
        with(&mut places[i % 2].lock().expect("no holder panics"));
    };
    let mine = |whose: usize| {
        while turn.load(Ordering::Acquire) != whose {
            std::hint::spin_loop();
        }
    };
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut own = vec![0; size];
            for i in 0..n {
                mine(2 * i + 1);
                place(&there, i, &mut |shared| copy(shared, &mut own));
                place(&back, i, &mut |shared| copy(&own, shared));
                turn.store(2 * i + 2, Ordering::Release);
            }
        });
        let (item, mut result) = (vec![7; size], vec![0; size]);
        for i in 0..n {
            place(&there, i, &mut |shared| copy(&item, shared));
            turn.store(2 * i + 1, Ordering::Release);
            mine(2 * i + 2);
            place(&back, i, &mut |shared| copy(shared, &mut result));
        }
        assert!(result == item);
    });
    Ok(begin.elapsed().as_secs_f64() * 1e6 / n as f64)
}
