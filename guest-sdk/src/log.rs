//! Messages to the host, which attaches them to the running item.
//!
//! This module must not filter: which levels are shown is the host's choice.
//!
//! ```
//! use sandpool_guest::log;
//!
//! let skipped = 3;
//! log::warn!("skipped {skipped} empty lines");
//! log::write(log::Level::Info, "the same without a format");
//! ```

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For someone who follows a single item.
    Trace,
    /// For the author of the task module.
    Debug,
    /// For whoever runs the pool.
    Info,
    /// The result stands, and somebody should look.
    Warn,
    /// Something is wrong, whether or not the item fails.
    Error,
}

/// Emits one message. The host caps the bytes of an item's messages and drops what is beyond.
/// Outside a pool, such as in a native test, the message goes to standard error.
#[cfg(target_family = "wasm")]
pub fn write(level: Level, message: &str) {
    use crate::bindings::sandpool::task::log;
    let level = match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::log(level, message);
}

/// Emits one message. The host caps the bytes of an item's messages and drops what is beyond.
/// Outside a pool, such as in a native test, the message goes to standard error.
#[cfg(not(target_family = "wasm"))]
#[expect(clippy::print_stderr, reason = "outside of a pool, that is where logs go")]
pub fn write(level: Level, message: &str) {
    let level = match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    eprintln!("{level}: {message}");
}

/// A message of [`Level::Trace`], with the arguments of [`format!`](std::format).
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Trace, &::std::format!($($message)+))
    };
}

/// A message of [`Level::Debug`], with the arguments of [`format!`](std::format).
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Debug, &::std::format!($($message)+))
    };
}

/// A message of [`Level::Info`], with the arguments of [`format!`](std::format).
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Info, &::std::format!($($message)+))
    };
}

/// A message of [`Level::Warn`], with the arguments of [`format!`](std::format).
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Warn, &::std::format!($($message)+))
    };
}

/// A message of [`Level::Error`], with the arguments of [`format!`](std::format).
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Error, &::std::format!($($message)+))
    };
}

#[doc(inline)]
pub use {
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace,
    __log_warn as warn,
};
