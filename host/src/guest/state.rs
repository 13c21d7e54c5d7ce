//! What a store carries for one instance: its limiter, its WASI context, the item it runs.
//!
//! This module must not outlive an instance: what all instances share is in `wasi::Plan`.

use super::limiter::Limiter;
use super::wasi::Plan;
use bytes::Bytes;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};

/// The data of a store.
pub(super) struct State {
    pub(super) limiter: Limiter,
    /// Boxed and absent until it is used: many guests import WASI because their toolchain does,
    /// and never call it.
    wasi: Option<Box<WasiP1Ctx>>,
    plan: Option<&'static Plan>,
    index: u64,
    attempt: u32,
}

impl State {
    /// The state of a new instance.
    ///
    /// # Errors
    /// Where a granted directory cannot be opened.
    pub(super) fn new(plan: &'static Plan, stdin: Option<Bytes>) -> Result<Self, String> {
        // Built at once where building may fail, or there is input to hand over; else on use.
        let needed = stdin.is_some() || !plan.config.dirs.is_empty();
        let wasi = if needed && plan.config.description.wasi {
            Some(Box::new(plan.context(stdin)?))
        } else {
            None
        };
        let limiter = Limiter::new(plan.config.limits.memory);
        Ok(Self { limiter, wasi, plan: Some(plan), index: 0, attempt: 0 })
    }

    /// A state for stores that run nothing.
    pub(super) fn idle() -> Self {
        Self { limiter: Limiter::new(0), wasi: None, plan: None, index: 0, attempt: 0 }
    }

    /// Turns to the next item.
    #[inline]
    pub(super) fn begin(&mut self, index: u64, attempt: u32) {
        self.index = index;
        self.attempt = attempt;
        self.limiter.next_item();
        if let Some(world) = self.plan.as_ref().and_then(|plan| plan.world.as_ref()) {
            world.begin(index);
        }
    }

    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Appends a line to the captured standard error.
    pub(super) fn log(&self, level: &str, message: &str) {
        if let Some(plan) = &self.plan {
            // A log is kept by its tail, so nothing can be refused.
            let _ = plan.stderr.append(format!("{level}: {message}\n").as_bytes());
        }
    }

    /// The WASI context. A closed one stands in where none can be built, which `new` rules out.
    pub(super) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let plan = self.plan.as_ref();
        self.wasi.get_or_insert_with(|| {
            let context = plan.and_then(|plan| plan.context(None).ok());
            Box::new(context.unwrap_or_else(|| WasiCtxBuilder::new().build_p1()))
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().ctx()
    }
}
