//! Builds what a guest sees of the world through WASI: its streams, its grants, its clocks.
//!
//! This module must not grant anything that was not asked for.

use super::logs::Capture;
use crate::description::GuestConfig;
use bytes::Bytes;
use rand_core::TryRng;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtxBuilder, WasiView as _};

/// Resources that a guest may hold at once: streams, directories, pollables.
const RESOURCES: usize = 10_000;

/// What every context of this worker has in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: GuestConfig,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
    /// Present if clocks and randomness are to be the same in every run.
    pub(super) world: Option<World>,
}

impl Plan {
    /// A new context; `stdin` is what a command reads.
    ///
    /// # Errors
    /// Where a granted directory cannot be opened.
    pub(super) fn context(&self, stdin: Option<Bytes>) -> Result<WasiP1Ctx, String> {
        let mut builder = WasiCtxBuilder::new();
        // File operations would otherwise go to a pool of threads, and a worker has one.
        builder.allow_blocking_current_thread(true);
        builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        builder.stdout(self.stdout.clone()).stderr(self.stderr.clone());
        if let Some(stdin) = stdin {
            builder.stdin(MemoryInputPipe::new(stdin));
        }
        // Programs expect their own name first; the path on the host is none of their business.
        builder.arg("task").args(&self.config.args).envs(&self.config.env);
        for dir in &self.config.dirs {
            let perms = if dir.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            builder.preopened_dir(&dir.host, &dir.guest, perms).map_err(|error| {
                format!("cannot open the granted directory `{}`: {error}", dir.host.display())
            })?;
        }
        if let Some(world) = &self.world {
            builder
                .wall_clock(FixedClock)
                .monotonic_clock(Ticks(Arc::clone(&world.ticks)))
                .secure_random(Random(Arc::clone(&world.seed)))
                .insecure_random(Random(Arc::clone(&world.seed)))
                // Fixed when the instance is made, so it must not depend on the item it is made for.
                .insecure_random_seed(u128::from(GOLDEN));
        }
        let mut context = builder.build_p1();
        context.ctx().table.set_max_capacity(RESOURCES);
        Ok(context)
    }
}

/// A world in which an item sees the same clocks and the same randomness every time, whatever
/// worker it runs on and whatever ran before it.
#[derive(Debug, Default)]
pub(super) struct World {
    ticks: Arc<AtomicU64>,
    seed: Arc<AtomicU64>,
}

impl World {
    /// Starts the world anew for an item.
    pub(super) fn begin(&self, index: u64) {
        self.ticks.store(0, Ordering::Relaxed);
        // Mixed once, so that the streams of neighbouring items do not overlap.
        self.seed.store(mix(index.wrapping_add(GOLDEN)), Ordering::Relaxed);
    }
}

/// The wall clock stands at the Unix epoch.
struct FixedClock;

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// The monotonic clock moves by a microsecond whenever it is read, so that loops that wait for
/// time to pass end.
struct Ticks(Arc<AtomicU64>);

const MICROSECOND: u64 = 1000;

impl HostMonotonicClock for Ticks {
    fn resolution(&self) -> u64 {
        MICROSECOND
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(MICROSECOND, Ordering::Relaxed)
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// SplitMix64 over a shared state: fixed by its definition, unlike the generators of `rand`,
/// whose output may change with a release.
struct Random(Arc<AtomicU64>);

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let state = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        Ok(mix(state))
    }

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let high = self.try_next_u64()? >> 32;
        Ok(u32::try_from(high).unwrap_or_default())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let random = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(random.get(..chunk.len()).unwrap_or_default());
        }
        Ok(())
    }
}
