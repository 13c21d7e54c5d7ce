//! The guest layer: loads a compiled task module and runs items in it, one at a time.
//!
//! Everything that names wasmtime is below this module (and in `artifact`). It must not know
//! processes, rings or walls, and must never start a thread.

mod budget;
mod call;
mod compile;
mod component;
mod core;
mod describe;
mod engine;
mod failure;
mod imports;
mod limiter;
mod load;
mod logs;
mod state;
#[cfg(test)]
mod tests;
mod typed;
mod values;
mod wasi;

pub(crate) use compile::compile;
pub(crate) use engine::{before_compiling, before_walls, compatibility_key};

use crate::codec::types::{Signature, Type};
use crate::codec::{Writer, json};
use crate::description::{Form, FunctionInfo, GuestConfig, ModuleKind};
use crate::outcome::{Failure, Logs, TaskErrorKind};
use bytes::Bytes;
pub(crate) use call::Reply;
use call::{Input, Output, Spelling, Stop, Waiter};
use failure::When;
use state::State;
use wasmtime::{Engine, Store};

/// What a buffer may keep between items: the one that a huge item needed is given back.
const KEPT: usize = 4 * 1024 * 1024;

/// One item, as the worker hands it over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Index over the whole call.
    pub(crate) index: u64,
    /// How often the item was started before: 0, unless retries were asked for.
    pub(crate) attempt: u32,
    /// Index into the description's functions.
    pub(crate) function: u32,
    /// How `bytes` are spelled, and how the result is to be.
    pub(crate) form: Form,
    /// Whether the item is an argument list, even for one parameter.
    pub(crate) star: bool,
    /// The item.
    pub(crate) bytes: &'a [u8],
}

/// A loaded task module.
pub(crate) struct Guest {
    mold: Mold,
    /// The instance that serves the next item too, if instances are reused; else the last one, which
    /// ends when its result is on its way: what it wrote is to be wiped then.
    live: Option<Live>,
    /// Binary form of JSON items and results.
    scratch: (Vec<u8>, Reply),
}

/// What instances are made of, and called by.
struct Mold {
    engine: Engine,
    linked: Linked,
    plan: &'static wasi::Plan,
    waiter: Option<Waiter>,
    hostcall_fuel: usize,
    ways: Ways,
}

/// What the configuration comes to for each item.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// It imports nothing, so it can write nothing.
    silent: bool,
    command: bool,
    /// An instance serves more than one item.
    reuses: bool,
    initializes: bool,
    /// Fuel of an item, if it is counted.
    fuel: Option<u64>,
    /// Most bytes of a result.
    output: u64,
}

impl Ways {
    fn of(config: &GuestConfig) -> Self {
        let initializes = config.initializer.is_some();
        let limits = &config.limits;
        Self {
            silent: config.description.imports.is_empty(),
            command: is_command(config.description.kind),
            reuses: config.reuse || initializes,
            initializes,
            fuel: config.settings.fuel.then_some(limits.fuel.unwrap_or(u64::MAX)),
            output: limits.output,
        }
    }
}

enum Linked {
    Core(core::Core),
    Component(component::Linked),
}

struct Live {
    store: Store<State>,
    instance: Instance,
    /// The function that was called last, and its index.
    handle: Option<(u32, Handle)>,
}

enum Handle {
    Core(core::Handle),
    Component(wasmtime::component::Func),
}

#[derive(Clone, Copy)]
enum Instance {
    Core(wasmtime::Instance),
    Component(wasmtime::component::Instance),
}

impl Guest {
    /// Tells whether an initializer is configured and there is no live initialised instance.
    #[inline]
    pub(crate) fn needs_preparation(&self) -> bool {
        self.mold.ways.initializes && self.live.is_none()
    }

    /// Makes an instance and runs the initializer in it.
    ///
    /// # Errors
    /// What an item would end in.
    pub(crate) fn prepare(&mut self) -> Result<(), Failure> {
        let plan = self.mold.plan;
        let Some((function, args)) = &plan.config.initializer else { return Ok(()) };
        self.live = None;
        self.clear_logs();
        let info = function_info(&plan.config, *function)?;
        let mut live = self.mold.instantiate(0, 0, None)?;
        let mut discarded = Reply::default();
        let mut output = Output::new(&mut discarded, Spelling::Binary, u64::MAX);
        let input = Input::new(args, Spelling::Binary);
        match self.mold.call(&mut live, *function, input, &mut output) {
            Ok(()) => {
                self.live = Some(live);
                Ok(())
            }
            Err(stop) => Err(self.mold.judge_as(stop, &live, &info.signature, Form::Binary)),
        }
    }

    /// Runs one item. `output` is cleared first; on success it holds exactly the result, in the
    /// item's form: the value of the function, without the `ok` around it if it is a `result`.
    ///
    /// # Errors
    /// Any failure that a guest can end in.
    #[inline]
    pub(crate) fn run(&mut self, item: &Item<'_>, output: &mut Reply) -> Result<(), Failure> {
        output.clear();
        if let Some(ran) = self.run_again(item, output) {
            return ran;
        }
        self.clear_logs();
        match item.form {
            Form::Binary => {
                let result = self.mold.spelling(item.function);
                self.execute(item, item.bytes, (Spelling::Binary, result), output)
            }
            Form::Raw => self.execute(item, item.bytes, (Spelling::Raw, Spelling::Raw), output),
            Form::Json => self.run_json(item, &mut output.bytes),
        }
    }

    /// Ends an instance that serves no other item. To be called when there is nothing to run.
    pub(crate) fn rest(&mut self) {
        if !self.mold.ways.reuses {
            self.live = None;
        }
    }

    /// Logs of the last run. `None` when it wrote nothing, or they were taken already.
    #[inline]
    pub(crate) fn take_logs(&mut self) -> Option<Logs> {
        if self.mold.ways.silent {
            return None;
        }
        logs::take(&self.mold.plan.stdout, &self.mold.plan.stderr)
    }

    #[inline]
    fn clear_logs(&self) {
        if self.mold.ways.silent {
            return;
        }
        self.mold.plan.stdout.clear();
        self.mold.plan.stderr.clear();
    }

    /// Runs an item as the one before it was, if that is all there is to do: the same function of the
    /// same instance, compiled in, which can write nothing. What [`execute`](Self::execute) looks at
    /// besides takes as long as such a call.
    #[inline]
    fn run_again(&mut self, item: &Item<'_>, output: &mut Reply) -> Option<Result<(), Failure>> {
        let ways = &self.mold.ways;
        let plain = ways.silent && ways.reuses && ways.fuel.is_none();
        let live = self.live.as_mut().filter(|_| plain && item.form == Form::Binary)?;
        let Some((function, Handle::Core(core::Handle::Typed(call)))) = &live.handle else {
            return None;
        };
        if *function != item.function {
            return None;
        }
        live.store.data_mut().begin(item.index, item.attempt);
        let mut sink = Output::new(output, Spelling::Binary, ways.output);
        let input = Input::new(item.bytes, Spelling::Binary);
        let waiter = self.mold.waiter.as_ref();
        match call.call(&mut live.store, waiter, input, &mut sink) {
            Ok(()) => Some(Ok(())),
            Err(stop) => Some(Err(self.stopped(stop, item, output))),
        }
    }

    /// What comes of an item whose call stopped.
    #[cold]
    fn stopped(&mut self, stop: Stop, item: &Item<'_>, output: &mut Reply) -> Failure {
        output.clear();
        let Self { mold, live, .. } = self;
        // What stopped inside the guest may have left it half-way: never again.
        let spoiled = matches!(stop, Stop::Guest(_));
        let failure = match live {
            Some(live) => mold.judge(stop, live, item),
            None => Failure::new(TaskErrorKind::Trapped, "its instance is gone"),
        };
        if spoiled {
            *live = None;
        }
        failure
    }

    fn run_json(&mut self, item: &Item<'_>, output: &mut Vec<u8>) -> Result<(), Failure> {
        let info = function_info(&self.mold.plan.config, item.function)?;
        let (mut params, mut result) = std::mem::take(&mut self.scratch);
        params.clear();
        let outcome = json::parse_params(&info.signature, item.bytes, item.star, &mut params)
            .map_err(|error| Failure::new(TaskErrorKind::BadInput, error.to_string()))
            .and_then(|()| {
                self.execute(item, &params, (Spelling::Binary, Spelling::Binary), &mut result)
            })
            .and_then(|()| {
                json::print_value(failure::value_type(&info.signature), result.join(), output)
                    .map_err(|error| Failure::new(TaskErrorKind::BadOutput, error.to_string()))
            })
            .and_then(|()| self.check_size(output));
        params.clear();
        result.clear();
        params.shrink_to(KEPT);
        result.bytes.shrink_to(KEPT);
        self.scratch = (params, result);
        outcome
    }

    /// JSON may be longer than the binary form that was checked.
    fn check_size(&self, output: &mut Vec<u8>) -> Result<(), Failure> {
        let limit = self.mold.plan.config.limits.output;
        let size = u64::try_from(output.len()).unwrap_or(u64::MAX);
        if size > limit {
            output.clear();
            return Err(failure::too_large(size, limit));
        }
        Ok(())
    }

    /// Runs an item whose bytes are not JSON (any more), with parameters and result in these
    /// spellings.
    #[inline]
    fn execute(
        &mut self,
        item: &Item<'_>,
        bytes: &[u8],
        spelling: (Spelling, Spelling),
        output: &mut Reply,
    ) -> Result<(), Failure> {
        let ways = self.mold.ways;
        if ways.command {
            return self.execute_command(item, bytes, spelling, output);
        }
        if self.needs_preparation() {
            self.prepare()?;
        }
        self.rest();
        let Self { mold, live: kept, .. } = self;
        let live = match &mut *kept {
            Some(live) => {
                live.store.data_mut().begin(item.index, item.attempt);
                mold.refuel(&mut live.store)?;
                live
            }
            none => none.insert(mold.instantiate(item.index, item.attempt, None)?),
        };
        let limit = match item.form {
            // JSON is checked when it is printed: `0,` of a list is two bytes, and eight as binary.
            Form::Json => ways.output.saturating_mul(4).saturating_add(16),
            Form::Binary | Form::Raw => ways.output,
        };
        let mut sink = Output::new(output, spelling.1, limit);
        let ran = mold.call(live, item.function, Input::new(bytes, spelling.0), &mut sink);
        ran.map_err(|stop| self.stopped(stop, item, output))
    }

    /// Runs a command: the item is its standard input, its standard output is the result.
    fn execute_command(
        &mut self,
        item: &Item<'_>,
        bytes: &[u8],
        (params, result): (Spelling, Spelling),
        output: &mut Reply,
    ) -> Result<(), Failure> {
        let stdin = stdin(Input::new(bytes, params))?;
        let mut live = self.mold.instantiate(item.index, item.attempt, Some(stdin))?;
        let mut nothing = Reply::default();
        let mut sink = Output::new(&mut nothing, Spelling::Binary, u64::MAX);
        let input = Input::new(&[], Spelling::Binary);
        match self.mold.call(&mut live, item.function, input, &mut sink) {
            Ok(()) => {}
            Err(Stop::Guest(error)) if failure::exit_code(&error) == Some(0) => {}
            // A preview 2 command says no more than that it failed.
            Err(Stop::Failed(_)) => return Err(failure::exited(1, live.store.data())),
            Err(stop) => return Err(self.mold.judge(stop, &live, item)),
        }
        self.mold.plan.stdout.swap(&mut output.bytes);
        if result == Spelling::Binary {
            std::mem::swap(&mut output.bytes, &mut output.body);
            Writer(&mut output.bytes)
                .count(output.body.len())
                .map_err(|error| Failure::new(TaskErrorKind::BadOutput, error.to_string()))?;
        }
        Ok(())
    }
}

impl Mold {
    /// How the result of a function is spelled whose parameters are in binary form.
    #[inline(never)]
    fn spelling(&self, function: u32) -> Spelling {
        let info = self.plan.config.description.functions.get(function as usize);
        let value = info.and_then(|info| failure::value_type(&info.signature));
        match value.is_some_and(Type::is_run) {
            true => Spelling::Raw,
            false => Spelling::Binary,
        }
    }

    fn instantiate(&self, index: u64, attempt: u32, stdin: Option<Bytes>) -> Result<Live, Failure> {
        let broken = |message: String| Failure::new(TaskErrorKind::Trapped, message);
        let state = State::new(self.plan, stdin).map_err(broken)?;
        let mut store =
            Store::try_new(&self.engine, state).map_err(|error| broken(error.to_string()))?;
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.hostcall_fuel);
        store.data_mut().begin(index, attempt);
        self.refuel(&mut store)?;
        let waiter = self.waiter.as_ref();
        let instance = match &self.linked {
            Linked::Core(core) => core.instantiate(&mut store, waiter).map(Instance::Core),
            Linked::Component(linked) => {
                linked.instantiate(&mut store, waiter).map(Instance::Component)
            }
        };
        match instance {
            Ok(instance) => Ok(Live { store, instance, handle: None }),
            Err(error) => {
                let limits = &self.plan.config.limits;
                Err(failure::judge(&error, When::Starting, store.data(), limits))
            }
        }
    }

    #[inline]
    fn refuel(&self, store: &mut Store<State>) -> Result<(), Failure> {
        let Some(fuel) = self.ways.fuel else { return Ok(()) };
        store
            .set_fuel(fuel)
            .map_err(|error| Failure::new(TaskErrorKind::Trapped, error.to_string()))
    }

    #[inline]
    fn call(
        &self,
        live: &mut Live,
        function: u32,
        input: Input<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), Stop> {
        let Live { store, instance, handle } = live;
        let waiter = self.waiter.as_ref();
        let index = usize::try_from(function).unwrap_or(usize::MAX);
        if let (false, Linked::Core(core), Instance::Core(instance)) =
            (self.ways.reuses, &self.linked, *instance)
        {
            return core.call_once(store, instance, waiter, index, input, output);
        }
        if handle.as_ref().is_none_or(|(bound, _)| *bound != function) {
            *handle = Some((function, self.bind(store, *instance, index)?));
        }
        match (&self.linked, handle) {
            (Linked::Core(core), Some((_, Handle::Core(handle)))) => {
                core.call(store, handle, waiter, index, input, output)
            }
            (Linked::Component(linked), Some((_, Handle::Component(func)))) => {
                linked.call(store, *func, waiter, index, input, output)
            }
            _ => Err(mixed_up()),
        }
    }

    fn bind(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        index: usize,
    ) -> Result<Handle, Stop> {
        match (&self.linked, instance) {
            (Linked::Core(core), Instance::Core(instance)) => {
                core.bind(store, instance, index).map(Handle::Core)
            }
            (Linked::Component(linked), Instance::Component(instance)) => {
                linked.bind(store, instance, index).map(Handle::Component)
            }
            _ => Err(mixed_up()),
        }
    }

    /// How an item ends whose call stopped.
    #[cold]
    fn judge(&self, stop: Stop, live: &Live, item: &Item<'_>) -> Failure {
        match function_info(&self.plan.config, item.function) {
            Ok(info) => self.judge_as(stop, live, &info.signature, item.form),
            Err(failure) => failure,
        }
    }

    fn judge_as(&self, stop: Stop, live: &Live, signature: &Signature, form: Form) -> Failure {
        let limits = &self.plan.config.limits;
        match stop {
            Stop::Guest(error) => failure::judge(&error, When::Calling, live.store.data(), limits),
            Stop::Input(message) => Failure::new(TaskErrorKind::BadInput, message),
            Stop::Output(message) => Failure::new(TaskErrorKind::BadOutput, message),
            Stop::TooLarge(size) => failure::too_large(size, limits.output),
            Stop::Failed(payload) => {
                let failure = failure::returned(signature, payload, form);
                // An error is a result too: the ring has room for no larger one.
                let size = failure.payload.as_ref().map_or(0, Vec::len);
                match u64::try_from(size).unwrap_or(u64::MAX) {
                    size if size > limits.output => failure::too_large(size, limits.output),
                    _ => failure,
                }
            }
        }
    }
}

/// Cannot be: instances and handles are only ever made from what is linked.
#[cold]
fn mixed_up() -> Stop {
    Stop::Input("the instance is of another module".into())
}

/// What a command reads.
fn stdin(mut input: Input<'_>) -> Result<Bytes, Failure> {
    let bytes = input.bytes().and_then(|bytes| input.end().map(|()| bytes));
    match bytes {
        Ok(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        Err(Stop::Input(message)) => Err(Failure::new(TaskErrorKind::BadInput, message)),
        Err(_) => Err(Failure::new(TaskErrorKind::BadInput, "the item cannot be read")),
    }
}

fn is_command(kind: ModuleKind) -> bool {
    matches!(kind, ModuleKind::CommandP1 | ModuleKind::CommandP2)
}

fn function_info(config: &GuestConfig, function: u32) -> Result<&FunctionInfo, Failure> {
    usize::try_from(function)
        .ok()
        .and_then(|index| config.description.functions.get(index))
        .ok_or_else(|| {
            Failure::new(TaskErrorKind::BadInput, format!("there is no function {function}"))
        })
}
