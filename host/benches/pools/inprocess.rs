//! The limit: the same calls by wasmtime in this process, with the settings that workers have.

use crate::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use wasmtime::component::{Component, ComponentExportIndex};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Module, ModuleExport,
    PoolingAllocationConfig, Store,
};

/// As `guest/engine.rs` makes them, but for where code is kept.
fn engine() -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    pool.total_component_instances(8)
        .total_core_instances(1000)
        .total_memories(8)
        .total_tables(8)
        .table_elements(128 << 10)
        .max_unused_warm_slots(8)
        .decommit_batch_size(1)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No })
        .linear_memory_keep_resident(if scan { 2 << 20 } else { 64 << 10 });
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .native_unwind_info(false)
        .wasm_memory64(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

type Number = wasmtime::TypedFunc<(i64,), (i64,)>;

/// A core function `i64 -> i64`.
pub(crate) struct Core {
    engine: Engine,
    pre: InstancePre<()>,
    export: ModuleExport,
}

impl Core {
    pub(crate) fn new(text: &str, name: &str) -> Result<Self> {
        let engine = engine()?;
        let module = Module::new(&engine, text)?;
        let export = module.get_export_index(name).ok_or("no such export")?;
        let pre = wasmtime::Linker::new(&engine).instantiate_pre(&module)?;
        Ok(Self { engine, pre, export })
    }

    fn instance(&self) -> Result<(Store<()>, Number)> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.pre.instantiate(&mut store)?;
        let export = instance.get_module_export(&mut store, &self.export);
        let function = export.and_then(wasmtime::Extern::into_func).ok_or("no function")?;
        let function = function.typed::<(i64,), (i64,)>(&store)?;
        Ok((store, function))
    }

    fn call(&self, items: impl Iterator<Item = i64>, fresh: bool) -> Result<i64> {
        let mut sum = 0_i64;
        let (mut store, mut function) = self.instance()?;
        for item in items {
            sum = sum.wrapping_add(function.call(&mut store, (item,))?.0);
            if fresh {
                // The next one is made in the same slot, which is warm.
                drop(store);
                (store, function) = self.instance()?;
            }
        }
        Ok(sum)
    }

    /// Microseconds per item of `items` on one thread, an instance for each.
    pub(crate) fn fresh(&self, items: u64) -> Result<f64> {
        let start = Instant::now();
        std::hint::black_box(self.call(0..items as i64, true)?);
        Ok(start.elapsed().as_secs_f64() / items as f64 * 1e6)
    }

    /// Microseconds per item of `items` on two threads, instances reused. A thread that is free
    /// takes the next `block` of them.
    pub(crate) fn two_threads(&self, items: &[i64], block: usize) -> Result<f64> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<i64> {
            let blocks = std::iter::from_fn(|| {
                let from = next.fetch_add(block, Ordering::Relaxed);
                items.get(from..items.len().min(from + block)).filter(|block| !block.is_empty())
            });
            self.call(blocks.flatten().copied(), false)
        };
        let start = Instant::now();
        let sum = std::thread::scope(|scope| {
            let other = scope.spawn(|| work().map_err(|error| error.to_string()));
            let one = work()?;
            let other = other.join().map_err(|_| "a thread panicked")??;
            Ok::<_, Box<dyn std::error::Error>>(one.wrapping_add(other))
        })?;
        std::hint::black_box(sum);
        Ok(start.elapsed().as_secs_f64() / items.len() as f64 * 1e6)
    }
}

/// A component with one function `list<u8> -> list<u8>`.
pub(crate) struct Echo {
    engine: Engine,
    pre: wasmtime::component::InstancePre<()>,
    export: ComponentExportIndex,
}

impl Echo {
    pub(crate) fn new(text: &str) -> Result<Self> {
        let engine = engine()?;
        let component = Component::new(&engine, text)?;
        let export = component.get_export_index(None, "echo").ok_or("no such export")?;
        let pre = wasmtime::component::Linker::new(&engine).instantiate_pre(&component)?;
        Ok(Self { engine, pre, export })
    }

    /// Microseconds per item on one thread, an instance for each.
    pub(crate) fn fresh(&self, items: u64, size: usize) -> Result<f64> {
        let start = Instant::now();
        for i in 0..items {
            let item = vec![i as u8; size];
            let mut store = Store::new(&self.engine, ());
            store.set_hostcall_fuel(1 << 30);
            let instance = self.pre.instantiate(&mut store)?;
            let function = instance.get_func(&mut store, self.export).ok_or("no function")?;
            let function = function.typed::<(&[u8],), (Vec<u8>,)>(&store)?;
            let (value,) = function.call(&mut store, (&item,))?;
            assert_eq!(value.len(), size);
        }
        Ok(start.elapsed().as_secs_f64() / items as f64 * 1e6)
    }
}
