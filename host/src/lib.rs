//! A process pool for WebAssembly: isolated worker processes run functions of a task module, with
//! the API of Python's `multiprocessing.Pool`.
//!
//! ```no_run
//! use sandpool::Pool;
//!
//! let pool = Pool::new("square.wasm")?;
//! for result in pool.imap::<_, i64>("square", 0..1000)? {
//!     println!("{}", result?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The words
//!
//! * A [`TaskModule`] is the user's Wasm: a component with typed exports, a core module with
//!   numeric ones, or a WASI command.
//! * A [`Pool`] owns worker processes. Each runs one item at a time, by default in a new instance.
//! * A [`Function`] is an export that can be called, with options: chunk size, window, timeout,
//!   retries.
//! * A call (`map`, `imap`, …) turns items into outcomes: a value, or one [`TaskError`] each.
//! * An [`AsyncResult`] is the handle of an eager call, an [`Imap`] the iterator of a lazy one.
//!
//! # When something fails
//!
//! A guest that traps, runs too long, uses too much memory or takes its worker process down costs
//! the item that it was running, and that item says so. No item is ever started twice unless
//! retries were asked for. Nothing hangs: every handle and iterator ends.
//!
//! # Workers
//!
//! A worker is this very executable, started again; a hook that runs before `main` makes it one.
//! There is nothing to set up ([`init`] is for exotic targets). Linux only.
//!
//! # Features
//!
//! * `cli` (default): the binary.
//! * `stream`: [`Imap`] is a `futures_core::Stream`; adds no runtime.

mod artifact;
mod buffers;
mod cache;
mod call;
mod child;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod codec;
mod compiled;
mod description;
pub mod doctor;
mod event;
mod fences;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guest;
mod keeper;
mod limits;
mod outcome;
mod pool;
mod process;
mod ring;
mod swap;
pub mod testing;
mod walls;
mod wire;

pub use cache::Cache;
pub use codec::types::{Signature, Type};
pub use description::{Description, Form, FunctionInfo, ImportInfo, ModuleKind, Needs};
pub use event::{Events, PoolEvent, PoolStats, WorkerEnd};
pub use limits::{CompileLimits, Limits};
pub use outcome::{Logs, TaskError, TaskErrorKind};
pub use pool::Pool;
pub use pool::builder::{DirAccess, Instance, PoolBuilder, Zygote};
pub use pool::callbacks::Callbacks;
pub use pool::documents::{Document, DocumentSource, Documents, Pulled};
pub use pool::error::{
    BuildError, BuildErrorKind, CallError, InputError, PoolError, PoolErrorKind,
};
pub use pool::function::{ErrorPolicy, Function};
pub use pool::handle::AsyncResult;
pub use pool::iter::{Imap, Indexed, Outcome, Timeout};
pub use pool::module::TaskModule;
pub use process::role::init;
pub use walls::Sandbox;
