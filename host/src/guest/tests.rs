//! Tests of the guest layer: plain in-process calls over modules written as text.

mod command;
mod component;
mod core;
mod isolation;
mod limits;
mod refusals;

use super::{Guest, Item, Reply, compile};
use crate::artifact::Mapped;
use crate::description::{Description, EngineSettings, Form, GuestConfig};
use crate::limits::Limits;
use crate::outcome::{Failure, Logs, TaskErrorKind};

/// A guest under test, made from text.
pub(super) struct Fixture {
    guest: Guest,
    pub(super) description: Description,
    next: u64,
}

/// What differs from the defaults.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) settings: EngineSettings,
    pub(super) reuse: bool,
    pub(super) limits: Limits,
    pub(super) dirs: Vec<crate::description::DirGrant>,
    pub(super) env: Vec<(String, String)>,
    pub(super) args: Vec<String>,
    pub(super) initializer: Option<(u32, Vec<u8>)>,
}

impl Setup {
    pub(super) fn config(self, description: Description) -> GuestConfig {
        let Self { settings, reuse, limits, dirs, env, args, initializer } = self;
        GuestConfig { description, settings, reuse, limits, dirs, env, args, initializer }
    }

    pub(super) fn load(self, text: &str) -> Fixture {
        self.try_load(text.as_bytes()).unwrap()
    }

    pub(super) fn try_load(self, module: &[u8]) -> Result<Fixture, String> {
        let (artifact, description) = compile(module, self.settings)?;
        let mapped = Mapped::from_bytes(&artifact).unwrap();
        let guest = Guest::load(mapped, self.config(description.clone()))?;
        Ok(Fixture { guest, description, next: 0 })
    }
}

pub(super) fn fixture(text: &str) -> Fixture {
    Setup::default().load(text)
}

pub(super) fn reused() -> Setup {
    Setup { reuse: true, ..Setup::default() }
}

impl Fixture {
    pub(super) fn run(
        &mut self,
        function: &str,
        form: Form,
        star: bool,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let functions = &self.description.functions;
        let function = functions.iter().position(|info| info.name == function).unwrap();
        let function = u32::try_from(function).unwrap();
        let item = Item { index: self.next, attempt: 1, function, form, star, bytes };
        self.next += 1;
        let mut output = Reply { bytes: b"left over".to_vec(), body: b"this too".to_vec() };
        self.guest.run(&item, &mut output).map(|()| std::mem::take(output.join()))
    }

    /// Calls with JSON parameters and gives the JSON result.
    pub(super) fn json(&mut self, function: &str, item: &str) -> Result<String, Failure> {
        let output = self.run(function, Form::Json, false, item.as_bytes())?;
        Ok(String::from_utf8(output).unwrap())
    }

    /// Calls with a JSON list of arguments and gives the JSON result.
    pub(super) fn star(&mut self, function: &str, item: &str) -> Result<String, Failure> {
        let output = self.run(function, Form::Json, true, item.as_bytes())?;
        Ok(String::from_utf8(output).unwrap())
    }

    pub(super) fn raw(&mut self, function: &str, item: &[u8]) -> Result<Vec<u8>, Failure> {
        self.run(function, Form::Raw, false, item)
    }

    pub(super) fn binary(&mut self, function: &str, item: &[u8]) -> Result<Vec<u8>, Failure> {
        self.run(function, Form::Binary, false, item)
    }

    pub(super) fn logs(&mut self) -> Logs {
        self.guest.take_logs().unwrap_or_default()
    }
}

/// The kind and the message of a failure.
#[track_caller]
pub(super) fn failed<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> (TaskErrorKind, String) {
    let failure = outcome.unwrap_err();
    (failure.kind.unwrap(), failure.message)
}
