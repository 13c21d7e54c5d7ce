//! Judges why a guest stopped: from wasmtime's error to one kind of failure with its facts.
//!
//! This module must not decide what happens to the instance.

use super::limiter::Refusal;
use super::logs::OutputFull;
use super::state::State;
use crate::codec::types::{Signature, Type};
use crate::codec::{Reader, json};
use crate::description::Form;
use crate::limits::Limits;
use crate::outcome::{Failure, TaskErrorKind};
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// What the guest was doing when it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// The instance was being made: memories, data segments, start functions.
    Starting,
    /// A function was running, or its result was being read.
    Calling,
}

/// The exit status of a guest that ended itself.
pub(super) fn exit_code(error: &Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}

/// The failure behind an error of wasmtime.
pub(super) fn judge(error: &Error, when: When, state: &State, limits: &Limits) -> Failure {
    let mut failure = kind(error, when, state, limits);
    // An exit was meant; where it was meant is nobody's business.
    if failure.code.is_none() {
        failure.backtrace = backtrace(error);
    }
    failure
}

fn kind(error: &Error, when: When, state: &State, limits: &Limits) -> Failure {
    if let Some(full) = error.downcast_ref::<OutputFull>() {
        return too_large(full.written, full.limit);
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) {
        let limit = limits.fuel.unwrap_or(u64::MAX);
        let mut failure =
            Failure::new(TaskErrorKind::OutOfFuel, format!("used all {limit} units of fuel"));
        failure.used = Some((limit, limit));
        return failure;
    }
    match (exit_code(error), state.limiter.refusal()) {
        (Some(code), _) => return exited(code, state),
        (None, Some(refusal)) => return out_of_memory(refusal),
        (None, None) => {}
    }
    let running = error.downcast_ref::<WasmBacktrace>().is_some();
    match (trap, when) {
        (Some(trap), _) => Failure::new(TaskErrorKind::Trapped, trapped(trap, when, running)),
        (None, When::Starting) => {
            let text = super::compile::one_line(error);
            Failure::new(TaskErrorKind::Trapped, format!("the instance could not be made: {text}"))
        }
        // An error of a host function, raised while the guest was running.
        (None, When::Calling) if running => {
            Failure::new(TaskErrorKind::Trapped, error.root_cause().to_string())
        }
        (None, When::Calling) => unreadable(error, limits),
    }
}

/// The guest ended itself: because it had no memory, if it was refused some.
pub(super) fn exited(code: i32, state: &State) -> Failure {
    let mut failure = match state.limiter.refusal() {
        Some(refusal) if code != 0 => out_of_memory(refusal),
        _ => Failure::new(TaskErrorKind::Exited, format!("exited with status {code}")),
    };
    failure.code = Some(code);
    failure
}

fn out_of_memory(refusal: Refusal) -> Failure {
    let Refusal { used, more, limit } = refusal;
    let message = format!("used {used} of {limit} bytes and asked for {more} more");
    let mut failure = Failure::new(TaskErrorKind::OutOfMemory, message);
    failure.used = Some((used, limit));
    failure
}

/// The result is larger than it may be.
pub(super) fn too_large(size: u64, limit: u64) -> Failure {
    let message = format!("the output has {size} bytes, the limit is {limit}");
    let mut failure = Failure::new(TaskErrorKind::OutputTooLarge, message);
    failure.used = Some((size, limit));
    failure
}

fn trapped(trap: &Trap, when: When, running: bool) -> String {
    let text = trap.to_string();
    let text = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    match (when, running) {
        (When::Starting, true) => format!("{text}, in the start function"),
        (When::Starting, false) => format!("{text}, while the instance was made"),
        (When::Calling, _) => text.to_string(),
    }
}

/// The function returned, and wasmtime would not read what it returned.
fn unreadable(error: &Error, limits: &Limits) -> Failure {
    let cause = error.root_cause().to_string();
    // wasmtime's type for this is private; the text is checked by a test.
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        let message = format!(
            "the output takes too much memory as values to be converted, the limit is {} bytes",
            limits.output
        );
        return Failure::new(TaskErrorKind::OutputTooLarge, message);
    }
    let message = format!("the result breaks the canonical ABI: {cause}");
    Failure::new(TaskErrorKind::BadOutput, message)
}

/// The frames of the guest, innermost first, one a line, demangled.
fn backtrace(error: &Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    // Only the `Display` of the whole demangles; its first line is a heading.
    let text = backtrace.to_string();
    let frames: Vec<_> = text
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("note:"))
        .map(|line| line.replace("<unknown>!", ""))
        .collect();
    frames.join("\n")
}

/// The type of the value that a successful item yields: a `result` at the top is unwrapped.
pub(super) fn value_type(signature: &Signature) -> Option<&Type> {
    match &signature.result {
        Some(Type::Result { ok, .. }) => ok.as_deref(),
        other => other.as_ref(),
    }
}

/// The failure for the `err` side of a function's `result`, its payload in the form of the call.
pub(super) fn returned(signature: &Signature, payload: Vec<u8>, form: Form) -> Failure {
    let ty = match &signature.result {
        Some(Type::Result { err: Some(ty), .. }) => Some(&**ty),
        _ => None,
    };
    let mut text = Vec::new();
    let printed = json::print_value(ty, &payload, &mut text).is_ok();
    let message = match ty {
        None => "the function returned an error".to_string(),
        Some(Type::String) => Reader::new(&payload).string().unwrap_or_default().to_string(),
        Some(_) if printed => String::from_utf8_lossy(&text).into_owned(),
        Some(ty) => format!("the function returned an error that is no `{ty}`"),
    };
    let is_run = ty.is_some_and(|ty| *ty == Type::String || ty.is_bytes());
    let payload = match form {
        Form::Binary => payload,
        Form::Raw if is_run => payload.get(4..).unwrap_or_default().to_vec(),
        Form::Json | Form::Raw => text,
    };
    let mut failure = Failure::new(TaskErrorKind::Failed, message);
    failure.payload = Some(payload);
    failure
}
