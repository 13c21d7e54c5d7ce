//! Workers that seem to be busy, as results of theirs go on coming.

use super::end;
use super::evil::{as_is, found_out, siege};
use super::lab::{SIZES, Site, alone, besiege};
use crate::Function;
use crate::child::evil::Deed;
use std::time::{Duration, Instant};

/// Whoever looks finds new bytes, so that it seems to be about to end, or about to begin.
#[test]
fn d45_a_result_that_goes_on_coming_puts_nothing_off() {
    alone(|| {
        let before = Instant::now();
        let timed = |echo: Function| echo.timeout(Duration::from_millis(500));
        siege(&[Deed::Trickle], as_is, timed, |_, outcome| found_out(outcome, "claim word"));
        for size in SIZES {
            let site = Site::new(&[Deed::Murmur]).tokens(1);
            let pool = site.builder(size).build().unwrap();
            besiege(&pool, 0, true, |echo| echo.chunk_size(1));
            end(&pool);
        }
        // The result alone would take half a minute each time.
        assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    });
}
