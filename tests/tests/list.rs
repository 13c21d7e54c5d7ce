//! The list of cases, and the check that each of them is a test.

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
