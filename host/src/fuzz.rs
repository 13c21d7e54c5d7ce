//! What strangers can send us, as functions of bytes: the targets of `fuzz/`, and a short run of
//! each of them as a test.
//!
//! This module must not exist in an ordinary build. A target panics if a promise is broken; that
//! bytes are refused is no failure.

mod codec;
mod ring;
#[cfg(test)]
mod short;

pub use codec::{binary, json};
pub use ring::ring;

use crate::description::Description;
use crate::outcome::Logs;
use crate::wire::control::{CompilerAnswer, Hello, WorkerReady, WorkerSetup, receive, send};
use crate::wire::report;

/// Bytes that are taken one after the other; nothing more is zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (front, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut out = [0; N];
        out[..front.len()].copy_from_slice(front);
        out
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(self.0.len().min(n));
        self.0 = rest;
        front
    }
}

/// The description of a module, as a compiler process sends it.
pub fn description(data: &[u8]) {
    let Ok(parsed) = serde_json::from_slice::<Description>(data) else { return };
    let again = serde_json::to_vec(&parsed).expect("it can be written");
    let again: Description = serde_json::from_slice(&again).expect("and read");
    assert!(again == parsed);
    let names: Vec<_> = parsed.functions.iter().map(|function| function.name.clone()).collect();
    for name in names.iter().map(|name| Some(name.as_str())).chain([None, Some("run"), Some("")]) {
        if let Ok(chosen) = parsed.choose(name) {
            let chosen = &parsed.functions[chosen as usize];
            let _ = (chosen.value_type(), chosen.error_type(), chosen.signature.to_string());
        }
    }
}

/// The messages of both sides of a control stream.
pub fn control(data: &[u8]) {
    if let Ok(hello) = receive::<Hello>(data) {
        let mut again = Vec::new();
        send(&mut again, &hello).expect("it can be written");
        assert!(receive::<Hello>(&again[..]).expect("and read") == hello);
        let _ = hello.check();
    }
    let _ = receive::<WorkerReady>(data);
    let _ = receive::<WorkerSetup>(data);
    let _ = receive::<CompilerAnswer>(data);
}

/// The report of a failure, and logs.
pub fn report(data: &[u8]) {
    if let Some((failure, logs)) = report::decode_failure(data) {
        let mut again = Vec::new();
        report::encode_failure(&failure, &logs, &mut again);
        // What is too long, or no text, is written in another way than it was read.
        assert!(report::decode_failure(&again).is_some());
    }
    let mut rest = data;
    if let Some(logs) = report::decode_logs(&mut rest) {
        let Logs { stdout, stderr, .. } = &logs;
        assert!(stdout.len() + stderr.len() + rest.len() <= data.len());
        let mut again = Vec::new();
        report::encode_logs(&logs, &mut again);
        assert!(data.starts_with(&again));
    }
}
