//! The `sandpool` program.
//!
//! This file must not do anything but call the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandpool::cli::main()
}
