//! The program `sandpool`, run as users run it.

#![expect(clippy::disallowed_methods, reason = "tests start processes and threads of their own")]

mod cache;
mod cases;
mod forms;
mod items;
mod listed;
mod signals;
mod statuses;
mod stops;
mod support;
mod walls;
