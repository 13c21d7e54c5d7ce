//! The program `sandpool`, run as users run it.

mod cases;
mod forms;
mod items;
mod signals;
mod statuses;
mod support;
