//! Write task modules for [sandpool](https://docs.rs/sandpool) in Rust: a function and an attribute.
//!
//! A task module is a library. Its `Cargo.toml`:
//!
//! ```toml
//! [package]
//! name = "hello"
//! version = "0.1.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! sandpool-guest = "0.1"
//! ```
//!
//! Its `src/lib.rs`:
//!
//! ```
//! use sandpool_guest::{TaskType, log, task};
//!
//! /// What comes in.
//! #[derive(TaskType)]
//! struct Guest {
//!     name: String,
//!     age: Option<u8>,
//! }
//!
//! /// Greets one guest.
//! #[task]
//! fn hello(guest: Guest) -> Result<String, String> {
//!     if guest.name.is_empty() {
//!         return Err("a guest needs a name".to_owned());
//!     }
//!     if guest.age.is_none() {
//!         log::warn!("{} does not tell an age", guest.name);
//!     }
//!     Ok(format!("Hello, {}", guest.name))
//! }
//! # assert_eq!(hello(Guest { name: "Ada".into(), age: Some(36) }), Ok("Hello, Ada".into()));
//! ```
//!
//! And how it is built and run:
//!
//! ```text
//! $ rustup target add wasm32-wasip2
//! $ cargo build --release --target wasm32-wasip2
//! $ echo '{"name": "Ada", "age": 36}' | sandpool imap target/wasm32-wasip2/release/hello.wasm
//! "Hello, Ada"
//! ```
//!
//! No build script, no WIT file and no other tool is needed: [`task`] checks the types of the
//! function while it compiles, and turns it into an export of a component.
//!
//! # Functions
//!
//! A module has as many tasks as it likes, in whatever modules of the crate they stand. The Rust
//! name becomes the export in kebab-case: `fn second_try` is called as `second-try`. Parameters
//! keep their names in the same way, so an item can be an array or an object. A task without
//! parameters ignores its item, one without a result gives `null`. A task
//! `fn run(input: Vec<u8>) -> Result<Vec<u8>, String>` is exactly the world `sandpool:task/task`, the
//! one for bytes, and takes lines, files and raw bytes as they are.
//!
//! A function that returns a `Result` fails its item with the error; a panic, or anything else that
//! traps, ends the item as well, with a backtrace. Neither touches any other item.
//!
//! # Types
//!
//! | Rust | WIT |
//! |---|---|
//! | `bool`, `char` | `bool`, `char` |
//! | `u8`, `u16`, `u32`, `u64` | `u8`, `u16`, `u32`, `u64` |
//! | `i8`, `i16`, `i32`, `i64` | `s8`, `s16`, `s32`, `s64` |
//! | `f32`, `f64` | `f32`, `f64` |
//! | `String` | `string` |
//! | `Vec<T>`, bytes (`Vec<u8>`) included | `list<T>` |
//! | `Option<T>` | `option<T>` |
//! | `Result<T, E>`, either of them `()` | `result<T, E>` |
//! | `(A, B, …)` | `tuple<A, B, …>` |
//! | `()` | as the result of a function: no result |
//! | a struct with named fields and [`TaskType`] | `record` |
//! | an enum of bare variants and [`TaskType`] | `enum` |
//! | any other enum with [`TaskType`] | `variant`; `Case(A)` carries `A`, `Case(A, B)` a `tuple<A, B>` |
//!
//! Types nest freely, and can stand in any module of the crate: `shapes::Point` works, and so do
//! imports of it, renamed or by glob. Fields may be private. Names become kebab-case, WIT keywords
//! included.
//!
//! # What is refused
//!
//! Each of these is a compile error that points at the type and says what to use:
//!
//! - Borrowed data (`&str`, `&[T]`): use `String` and `Vec<T>`. Arrays: use `Vec<T>`.
//! - `usize` and `isize`, whose width differs between machines, and 128-bit integers.
//! - Maps and sets: use `Vec<(K, V)>` and `Vec<T>`, and collect.
//! - `Box`, `Rc` and the like, and types that contain themselves: WIT has no recursion.
//! - Other types of the standard library, such as `PathBuf` and `Duration`.
//! - Generic, `async`, `unsafe` and `extern` functions, methods, and parameters without a name.
//! - Tuple structs, empty structs, enums with `Case { fields }`, unions, and types with parameters.
//! - Type aliases (`cannot find macro` is what the compiler says of them): write the type itself.
//! - Types of other crates, since the derive has to see the definition.
//! - Two task types of one name in a crate, whatever their modules: WIT has one namespace.
//! - A task with the name of a C library function, such as `write` or `index`: every WASI module
//!   has those, and an export would replace them.
//!
//! `#![forbid(unsafe_code)]` does not go with exports, which need some; `deny` does.
//!
//! # Tests
//!
//! A task stays the function that it is, so `cargo test` tests it natively, without a pool: there
//! [`log`] prints to standard error, and [`context`] says item 0, attempt 0. `sandpool test` runs
//! the module itself against golden cases.
//!
//! # Targets
//!
//! `wasm32-wasip2` gives a component at once. It imports those parts of WASI that Rust's standard
//! library uses, if only to print a panic; a module whose code cannot panic has none. A module for
//! `wasm32-unknown-unknown` never has any, and becomes a component by `wasm-tools component new`.

pub mod context;
pub mod log;

#[cfg(target_family = "wasm")]
mod bindings;
mod types;

/// Makes a function a task: a typed export of the component.
///
/// The attribute takes no arguments. See the crate's documentation for [functions](crate#functions)
/// and [types](crate#types).
///
/// ```
/// #[sandpool_guest::task]
/// fn add(left: u32, right: u32) -> Option<u32> {
///     left.checked_add(right)
/// }
/// ```
///
/// # Errors
///
/// What cannot be exported is a compile error at the place where it is written:
///
/// ```compile_fail
/// #[sandpool_guest::task]
/// fn length(text: &str) -> u64 { // `&str`: borrowed data does not cross: use `String`
///     0
/// }
/// ```
pub use sandpool_guest_macros::task;

/// Makes a struct a WIT record, and an enum a WIT enum or variant. See the [types](crate#types).
pub use sandpool_guest_macros::TaskType;

pub use types::TaskType;

/// What the macros expand to. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::types::{Cases, Nested, Record};
    pub use sandpool_guest_macros::step;
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;
}
