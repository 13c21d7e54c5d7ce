//! Configures wasmtime: once for the compiler, once for the worker, with the same code generation.
//!
//! This module must not load or run anything. What changes generated code must be set in `common`
//! alone, and `REVISION` must be raised with it.

use crate::artifact::AlreadyExecutable;
use crate::description::{EngineSettings, Needs};
use sha2::{Digest as _, Sha256};
use std::hash::{Hash as _, Hasher};
use std::sync::OnceLock;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel,
    PoolingAllocationConfig,
};

/// Raised whenever `common` or `compiler` change what code is generated.
const REVISION: u32 = 1;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Table elements that a pooled table may grow to, unless it starts larger: the pool maps eight
/// writable bytes for each, which count against the worker's data limit.
const TABLE_ELEMENTS: usize = 128 * KIB;

/// Memories or tables beyond which an instance is allocated on demand: a pool would reserve 4 GiB
/// of address space for each.
const POOLED: u32 = 64;

/// What decides generated code.
fn common(settings: EngineSettings) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        // wasmtime walks guest frames by their frame pointers; nothing else ever unwinds them.
        .native_unwind_info(false)
        .wasm_memory64(false)
        .consume_fuel(settings.fuel)
        .relaxed_simd_deterministic(settings.deterministic)
        .with_custom_code_memory(Some(AlreadyExecutable::shared()));
    config
}

/// The engine that compiles. Code it makes is never run in that process.
pub(super) fn compiler(settings: EngineSettings) -> wasmtime::Result<Engine> {
    let mut config = common(settings);
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(settings.deterministic);
    Engine::new(&config)
}

/// The engine that runs items: without a compiler, pooled if the module fits a pool.
pub(super) fn worker(
    settings: EngineSettings,
    needs: Option<Needs>,
    dirty: DirtyPages,
) -> wasmtime::Result<Engine> {
    let mut config = common(settings);
    config.enable_compiler(false);
    let fits = |needs: &Needs| needs.memories <= POOLED && needs.tables <= POOLED;
    if let Some(needs) = needs.filter(fits) {
        let pool = pool(&needs, dirty);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        // A pool that cannot be had (a small address space, a module beyond its caps) is no
        // reason to fail: on-demand allocation runs the same code, slower.
        if let Ok(engine) = Engine::new(&config) {
            return Ok(engine);
        }
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    }
    Engine::new(&config)
}

/// How the pages that an item wrote are found, to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirtyPages {
    /// The kernel is asked (`PAGEMAP_SCAN`, Linux 6.7).
    Asked,
    /// The first few are taken for dirty, the rest is given back to the kernel.
    Assumed,
}

/// Opens what is needed of `/proc`, which the walls deny later. To be called before they rise;
/// loading a guest without costs tens of microseconds for every fresh component.
pub(crate) fn before_walls() {
    dirty_pages();
}

/// Does what the engine that compiles does once in a process, and asks the kernel for: trap
/// signals, keys of hash maps, facts of the machine. To be called before the walls rise.
pub(crate) fn before_compiling(settings: EngineSettings) {
    let _ = std::hash::RandomState::new();
    let _ = rustix::param::page_size();
    // What is wrong with it, the real one will say.
    drop(compiler(settings));
}

/// Found out once for the process: wasmtime opens and keeps `/proc/self/pagemap`.
pub(super) fn dirty_pages() -> DirtyPages {
    static FOUND: OnceLock<DirtyPages> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if PoolingAllocationConfig::is_pagemap_scan_available() && !crate::swap::is_active() {
            DirtyPages::Asked
        } else {
            DirtyPages::Assumed
        }
    })
}

/// One slot for each thing that one instance needs, since a worker has one instance at a time.
fn pool(needs: &Needs, dirty: DirtyPages) -> PoolingAllocationConfig {
    let elements = usize::try_from(needs.table_elements).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(1000)
        .total_memories(needs.memories)
        .total_tables(needs.tables)
        .total_stacks(1)
        .max_core_instances_per_component(1000)
        .max_memories_per_component(needs.memories)
        .max_tables_per_component(needs.tables)
        .max_memories_per_module(needs.memories)
        .max_tables_per_module(needs.tables)
        .max_core_instance_size(64 * MIB)
        .max_component_instance_size(64 * MIB)
        .table_elements(elements.max(TABLE_ELEMENTS))
        .max_unused_warm_slots(needs.memories)
        .decommit_batch_size(1);
    match dirty {
        DirtyPages::Asked => pool
            .pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(2 * MIB)
            .table_keep_resident(64 * KIB),
        // The kept part is rewritten every time, touched or not: more than this costs more than
        // giving the pages back.
        DirtyPages::Assumed => pool.pagemap_scan(Enabled::No).linear_memory_keep_resident(64 * KIB),
    };
    pool
}

/// A stable hash of all that decides whether an artifact may be used again: this crate and its
/// engine configuration, the full version of wasmtime, the settings, and the processor's features.
/// The loader itself compares only wasmtime's major version, and a patch release may fix code
/// generation. Builds no engine, which would install signal handlers in the host.
pub(crate) fn compatibility_key(settings: EngineSettings) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"sandpool artifact\0");
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(REVISION.to_le_bytes());
    hash.update([u8::from(settings.fuel), u8::from(settings.deterministic)]);
    hash.update(std::env::consts::ARCH);
    hash.update(std::env::consts::OS);
    hash.update(usize::BITS.to_le_bytes());
    // Hashing the strategy yields the full version of wasmtime, which no constant offers.
    let mut version = Feed(&mut hash);
    ModuleVersionStrategy::WasmtimeVersion.hash(&mut version);
    for (name, present) in processor_features() {
        if present {
            hash.update(name);
            hash.update([0]);
        }
    }
    hash.finalize().into()
}

/// A [`Hasher`] that only passes on what it is fed.
struct Feed<'a>(&'a mut Sha256);

impl Hasher for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// What Cranelift looks for when it compiles for the machine it runs on.
#[cfg(target_arch = "x86_64")]
fn processor_features() -> impl Iterator<Item = (&'static str, bool)> {
    macro_rules! features {
        ($($name:tt)*) => { [$(($name, std::is_x86_feature_detected!($name))),*] };
    }
    features!(
        "cmpxchg16b" "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "avxvnni" "bmi1"
        "bmi2" "lzcnt" "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "avx512vnni"
    )
    .into_iter()
}

/// What Cranelift looks for when it compiles for the machine it runs on.
#[cfg(target_arch = "aarch64")]
fn processor_features() -> impl Iterator<Item = (&'static str, bool)> {
    macro_rules! features {
        ($($name:tt)*) => { [$(($name, std::arch::is_aarch64_feature_detected!($name))),*] };
    }
    features!("lse" "paca" "fp16" "dotprod" "i8mm" "bti").into_iter()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor_features() -> impl Iterator<Item = (&'static str, bool)> {
    std::iter::empty()
}
