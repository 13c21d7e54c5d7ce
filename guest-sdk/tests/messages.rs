//! What the macros say: every refusal, pinned with the place it points at, and programs that use
//! what is accepted in ways that are easy to break.
//!
//! After a change of the words, `TRYBUILD=overwrite cargo test -p sandpool-guest` writes them anew.

#[test]
fn refusals_point_at_the_type_and_say_what_is_accepted() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}

#[test]
fn accepted_programs_compile_without_warnings() {
    trybuild::TestCases::new().pass("tests/accepted/*.rs");
}
