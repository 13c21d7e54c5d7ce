//! The lists of cases and of faults, and the check that each of them is a test.

/// Numbers of cases, the module that has their tests, and its text.
const CASES: &[(&str, &str, &[u32])] = &[
    ("apply", include_str!("apply.rs"), &[1, 2, 3, 4, 5, 7, 8, 10]),
    (
        "map",
        include_str!("map.rs"),
        &[11, 12, 13, 14, 15, 16, 18, 19, 21, 22, 23, 24, 25, 26, 28, 29],
    ),
    ("imap", include_str!("imap.rs"), &[31, 32, 33, 34, 35, 37, 39, 40, 41, 43, 45, 46, 47, 49]),
    ("callbacks", include_str!("callbacks.rs"), &[51, 52, 53, 54, 55, 57, 59]),
    ("workers", include_str!("workers.rs"), &[60, 61, 62, 63, 66, 69, 71, 73]),
    ("faults", include_str!("faults.rs"), &[78, 79, 83, 84, 85, 86, 88, 89, 91, 93]),
    ("lifecycle", include_str!("lifecycle.rs"), &[98, 100, 101, 102, 104]),
    ("alone", include_str!("alone.rs"), &[95]),
];

/// The numbers of the cases that a text has tests for.
fn numbers(text: &str) -> Vec<u32> {
    let after_test = |part: &str| {
        let name = part.trim_start().strip_prefix("fn case_")?.split_once('_')?.0;
        name.parse().ok()
    };
    let mut numbers: Vec<u32> = text.split("\n#[test]\n").skip(1).filter_map(after_test).collect();
    numbers.dedup();
    numbers
}

#[test]
fn every_case_of_the_list_is_a_test_of_its_module_and_no_other_is() {
    for (module, text, cases) in CASES {
        assert_eq!(numbers(text), *cases, "module `{module}`");
        assert!(!text.contains("#[ignore"), "module `{module}` leaves tests out");
    }
}

/// Numbers of the faults that must be on the page.
const FAULTS: [u32; 73] = [
    1, 3, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 24, 25, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 41, 42, 43, 44, 45, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 62,
    64, 65, 66, 67, 68, 69, 71, 72, 74, 75, 76, 78, 79, 80, 81, 83, 84, 86, 87, 88, 90, 92, 93, 97,
];

const PAGE: &str = include_str!("../../docs/faults.md");

/// Where the tests of faults are.
const SOURCES: [&str; 21] = [
    include_str!("alone.rs"),
    include_str!("caching.rs"),
    include_str!("compiling.rs"),
    include_str!("corpus.rs"),
    include_str!("embedding.rs"),
    include_str!("hostile.rs"),
    include_str!("killed.rs"),
    include_str!("machine.rs"),
    include_str!("refused.rs"),
    include_str!("walls.rs"),
    include_str!("../../host/src/cache/tests.rs"),
    include_str!("../../host/src/cache/tests/processes.rs"),
    include_str!("../../host/src/doctor/tests.rs"),
    include_str!("../../host/src/guest/tests/refusals.rs"),
    include_str!("../../host/src/keeper/tests/busy.rs"),
    include_str!("../../host/src/keeper/tests/deaths.rs"),
    include_str!("../../host/src/keeper/tests/evil.rs"),
    include_str!("../../host/src/keeper/tests/starting.rs"),
    include_str!("../../host/tests/cli/cache.rs"),
    include_str!("../../host/tests/cli/listed.rs"),
    include_str!("../../host/tests/cli/stops.rs"),
];

#[test]
fn every_fault_of_the_page_has_its_tests_and_every_such_test_is_on_the_page() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| "));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    let rows = rows.iter().filter(|row| row[0] != "no.");
    let numbers: Vec<u32> = rows.clone().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, FAULTS);
    let tests: Vec<&str> = SOURCES.iter().flat_map(|text| tests_of(text)).collect();
    for row in rows {
        for name in row[2].split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
            assert!(tests.contains(&name), "{}: {name}", row[0]);
        }
    }
    let of_fault = |name: &&&str| name.starts_with('d') && name.as_bytes()[1].is_ascii_digit();
    for name in tests.iter().filter(of_fault) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
}

/// Names of the tests in a text.
fn tests_of(text: &str) -> Vec<&str> {
    let after = text.split("#[test]\n").skip(1);
    after
        .filter_map(|part| part.trim_start().strip_prefix("fn ")?.split_once('('))
        .map(|s| s.0)
        .collect()
}
