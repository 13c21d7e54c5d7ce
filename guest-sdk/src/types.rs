//! The trait of types that can cross, and what the macros need of them.
//!
//! This module must not convert anything: the expansions do, where the types are known.

/// A type that can be an input or an output of a [task](crate::task).
///
/// It is implemented for the types of the [table](crate#types). For structs and enums, derive it:
///
/// ```
/// #[derive(sandpool_guest::TaskType)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
/// ```
///
/// Implementing it by hand does not help: tasks also need the definition, which only the derive
/// leaves behind.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an input or an output of a task: it has no `#[derive(TaskType)]`",
    label = "not a task type",
    note = "write `#[derive(sandpool_guest::TaskType)]` before its definition; of a type of another \
            crate, copy what is needed to a struct of this one"
)]
pub trait TaskType: Sized {
    /// How many types there are in it. Its name is what the compiler says of types that contain
    /// each other.
    #[doc(hidden)]
    const A_TYPE_THAT_CONTAINS_ITSELF_CANNOT_BE_EXPRESSED_IN_WIT: usize = 1;
}

macro_rules! plain {
    ($($name:ty),*) => { $( impl TaskType for $name {} )* };
}

plain!(bool, char, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, String);

impl<T: TaskType> TaskType for Vec<T> {}
impl<T: TaskType> TaskType for Option<T> {}
impl<T: TaskType, E: TaskType> TaskType for Result<T, E> {}

/// The parts of a struct, whatever its fields are called and whether they are public.
#[doc(hidden)]
pub trait Record: Sized {
    /// The types of the fields, in order.
    type Parts;
    /// Takes the struct apart.
    fn into_parts(self) -> Self::Parts;
    /// Puts it together.
    fn from_parts(parts: Self::Parts) -> Self;
}

/// The cases of an enum. Natively, where nothing is converted, this keeps the compiler from
/// calling a case that only the host constructs dead.
#[doc(hidden)]
pub trait Cases: Sized {
    /// Gives the same value.
    fn rebuild(self) -> Self;
}

/// The `N`th type that a definition mentions, for tasks that cannot name it where they stand.
#[doc(hidden)]
pub trait Nested<const N: usize> {
    /// The type that is mentioned.
    type Type;
}
