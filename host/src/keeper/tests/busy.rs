//! Workers that seem to be busy, as results of theirs go on coming.

use super::end;
use super::evil::{as_is, found_out, siege};
use super::lab::{SIZES, Site, alone, besiege};
use crate::child::evil::Deed;
use crate::{Function, PoolBuilder, PoolEvent, WorkerEnd};
use std::time::{Duration, Instant};

/// Whoever looks finds new bytes, so that it seems to be about to end, or about to begin.
#[test]
fn d45_a_result_that_goes_on_coming_puts_nothing_off() {
    alone(|| {
        let before = Instant::now();
        let large = |builder: PoolBuilder| builder.max_output(1 << 30);
        let timed = |echo: Function| echo.timeout(Duration::from_millis(500));
        siege(&[Deed::Trickle], large, timed, |_, outcome| found_out(outcome, "claim word"));
        for size in SIZES {
            let site = Site::new(&[Deed::Murmur]).tokens(1);
            let pool = site.builder(size).build().unwrap();
            let events = pool.events();
            besiege(&pool, 0, true, |echo| echo.chunk_size(1));
            end(&pool);
            let found = events.filter(|event| match event {
                PoolEvent::WorkerEnded { reason: WorkerEnd::Broken(why), .. } => {
                    assert!(why.contains("belongs to no item"), "{why}");
                    true
                }
                _ => false,
            });
            assert_eq!(found.count(), 1, "it was found out, and not waited for");
        }
        // The result alone would take longer each time.
        assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    });
}

/// No time is given, so that nothing else would end it.
#[test]
fn d50_an_item_that_is_said_to_have_ended_without_a_result() {
    alone(|| siege(&[Deed::Shirk], as_is, as_is, |_, outcome| found_out(outcome, "claim word")));
}
