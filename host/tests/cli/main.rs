//! The program `sandpool`, run as users run it.

mod cases;
mod forms;
mod items;
mod library;
mod signals;
mod statuses;
mod support;
