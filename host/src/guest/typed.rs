//! Calls of component functions that are compiled in: where long lists or strings pass.
//!
//! This module must not try to cover all signatures. Results are lifted into owned values:
//! wasmtime 48 runs the guest's post-return before a typed call returns, so that `WasmList` and
//! `WasmStr` would point into memory that the guest has freed.

use super::call::{Input, Output, Stop, Waiter};
use super::state::State;
use crate::codec::types::{Signature, Type};
use crate::codec::{Mismatch, Writer};
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Func, Lift, Lower};

/// A call that is compiled in.
pub(super) type Typed =
    fn(Func, &mut Store<State>, Option<&Waiter>, Input<'_>, &mut Output<'_>) -> End;
type End = Result<(), Stop>;

/// The one parameter of a function whose call is compiled in.
trait Param {
    type Lowered<'a>: Lower + Send + Sync;
    fn matches(ty: &Type) -> bool;
    fn take<'a>(input: &mut Input<'a>) -> Result<Self::Lowered<'a>, Stop>;
}

/// A value in the result of a function whose call is compiled in.
trait Part {
    type Lifted: Lift + 'static;
    fn matches(ty: Option<&Type>) -> bool;
    fn put(lifted: Self::Lifted, output: &mut Output<'_>) -> End;
}

/// `list<u8>`
struct Bytes;
/// `string`
struct Text;
/// `list<T>` of numbers
struct Numbers<T>(T);
/// nothing, as the payload of a `result`
struct Nothing;
/// `result<T, string>`
struct OrText<T>(T);

impl Param for Bytes {
    type Lowered<'a> = &'a [u8];
    fn matches(ty: &Type) -> bool {
        ty.is_bytes()
    }
    fn take<'a>(input: &mut Input<'a>) -> Result<&'a [u8], Stop> {
        input.bytes()
    }
}

impl Part for Bytes {
    type Lifted = Vec<u8>;
    fn matches(ty: Option<&Type>) -> bool {
        ty.is_some_and(Type::is_bytes)
    }
    fn put(lifted: Vec<u8>, output: &mut Output<'_>) -> End {
        output.own(lifted)
    }
}

impl Param for Text {
    type Lowered<'a> = &'a str;
    fn matches(ty: &Type) -> bool {
        *ty == Type::String
    }
    fn take<'a>(input: &mut Input<'a>) -> Result<&'a str, Stop> {
        input.text()
    }
}

impl Part for Text {
    type Lifted = String;
    fn matches(ty: Option<&Type>) -> bool {
        ty == Some(&Type::String)
    }
    fn put(lifted: String, output: &mut Output<'_>) -> End {
        output.own(lifted.into_bytes())
    }
}

impl Part for Nothing {
    type Lifted = ();
    fn matches(ty: Option<&Type>) -> bool {
        ty.is_none()
    }
    fn put((): (), _output: &mut Output<'_>) -> End {
        Ok(())
    }
}

impl<T: Part> Part for OrText<T> {
    type Lifted = Result<T::Lifted, String>;
    fn matches(ty: Option<&Type>) -> bool {
        matches!(ty, Some(Type::Result { ok, err })
            if T::matches(ok.as_deref()) && <Text as Part>::matches(err.as_deref()))
    }
    fn put(lifted: Self::Lifted, output: &mut Output<'_>) -> End {
        match lifted {
            Ok(value) => T::put(value, output),
            Err(text) => {
                let mut payload = Vec::new();
                Writer(&mut payload).bytes(text.as_bytes()).map_err(output_error)?;
                Err(Stop::Failed(payload))
            }
        }
    }
}

macro_rules! scalars {
    ($($scalar:ident: $ty:ident),+) => {$(
        impl Param for $scalar {
            type Lowered<'a> = $scalar;
            fn matches(ty: &Type) -> bool {
                *ty == Type::$ty
            }
            fn take(input: &mut Input<'_>) -> Result<$scalar, Stop> {
                Ok(input.binary()?.$scalar()?)
            }
        }

        impl Part for $scalar {
            type Lifted = $scalar;
            fn matches(ty: Option<&Type>) -> bool {
                ty == Some(&Type::$ty)
            }
            fn put(lifted: $scalar, output: &mut Output<'_>) -> End {
                output.binary()?.extend_from_slice(&lifted.to_le_bytes());
                Ok(())
            }
        }

        impl Param for Numbers<$scalar> {
            type Lowered<'a> = Vec<$scalar>;
            fn matches(ty: &Type) -> bool {
                matches!(ty, Type::List(element) if **element == Type::$ty)
            }
            fn take(input: &mut Input<'_>) -> Result<Vec<$scalar>, Stop> {
                let reader = input.binary()?;
                let count = reader.count(&Type::$ty)?;
                let mut list = Vec::with_capacity(count);
                for _ in 0..count {
                    list.push(reader.$scalar()?);
                }
                Ok(list)
            }
        }

        impl Part for Numbers<$scalar> {
            type Lifted = Vec<$scalar>;
            fn matches(ty: Option<&Type>) -> bool {
                ty.is_some_and(|ty| <Self as Param>::matches(ty))
            }
            fn put(lifted: Vec<$scalar>, output: &mut Output<'_>) -> End {
                let out = output.binary()?;
                out.reserve(size_of_val(lifted.as_slice()).saturating_add(4));
                let mut writer = Writer(out);
                let at = writer.open_list();
                writer.close_list(at, lifted.len()).map_err(output_error)?;
                for number in lifted {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                Ok(())
            }
        }
    )+};
}

scalars!(i32: S32, u32: U32, i64: S64, u64: U64, f32: F32, f64: F64);

fn output_error(mismatch: Mismatch) -> Stop {
    Stop::Output(mismatch.to_string())
}

fn call<P, R>(
    func: Func,
    store: &mut Store<State>,
    waiter: Option<&Waiter>,
    mut input: Input<'_>,
    output: &mut Output<'_>,
) -> End
where
    P: Param,
    R: Part,
    for<'a> (P::Lowered<'a>,): ComponentNamedList + Lower,
    (R::Lifted,): ComponentNamedList + Lift,
{
    let param = P::take(&mut input)?;
    input.end()?;
    let typed = func.typed::<(P::Lowered<'_>,), (R::Lifted,)>(&*store)?;
    let (result,) = match waiter {
        None => typed.call(store, (param,))?,
        Some(waiter) => waiter.wait(typed.call_async(store, (param,)))?,
    };
    R::put(result, output)?;
    output.end()
}

/// The compiled-in call for a signature, if there is one. They are for strings and lists of
/// numbers; for single numbers a `Val` is nearly as fast.
pub(super) fn typed(signature: &Signature) -> Option<Typed> {
    let [(_, param)] = signature.params.as_slice() else { return None };
    let result = signature.result.as_ref();
    macro_rules! candidates {
        ($($param:ty => $($result:ty),+;)+) => {$($(
            if <$param as Param>::matches(param) && <$result as Part>::matches(result) {
                return Some(call::<$param, $result>);
            }
        )+)+};
    }
    macro_rules! of_numbers {
        ($($n:ident)+) => {
            candidates!($(
                $n => $n;
                Numbers<$n> => $n, Numbers<$n>, OrText<$n>, OrText<Numbers<$n>>;
            )+);
        };
    }
    candidates!(
        Bytes => Bytes, OrText<Bytes>, Text, OrText<Text>, u32, u64, OrText<u32>, OrText<u64>,
            OrText<Nothing>;
        Text => Text, OrText<Text>, Bytes, OrText<Bytes>, u32, u64, OrText<u32>, OrText<u64>,
            OrText<Nothing>;
    );
    of_numbers!(i32 u32 i64 u64 f32 f64);
    None
}
