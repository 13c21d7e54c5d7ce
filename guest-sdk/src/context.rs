//! Which item is running.
//!
//! This module must not keep state: every call asks the host.

/// The position of the running item in its call, from 0, whatever the order of completion.
/// Always 0 outside a pool, such as in a native test.
#[must_use]
pub fn index() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::sandpool::task::context::index();
    #[cfg(not(target_family = "wasm"))]
    0
}

/// How often the running item has been started before: 0, unless retries were asked for.
/// Always 0 outside a pool, such as in a native test.
#[must_use]
pub fn attempt() -> u32 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::sandpool::task::context::attempt();
    #[cfg(not(target_family = "wasm"))]
    0
}
