//! Counts of a run, and what is said of them at its end.
//!
//! This module must not print.

use crate::event::PoolStats;
use crate::outcome::TaskErrorKind;
use std::fmt::Write as _;
use std::time::Duration;

/// What items came to, as printed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    values: u64,
    errors: Vec<(TaskErrorKind, u64)>,
    unfinished: u64,
}

impl Tally {
    pub(super) fn value(&mut self) {
        self.values += 1;
    }

    pub(super) fn error(&mut self, kind: TaskErrorKind) {
        match self.errors.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.errors.push((kind, 1)),
        }
    }

    /// An item that was ended because the run was.
    pub(super) fn unfinished(&mut self) {
        self.unfinished += 1;
    }

    /// Items without a value.
    pub(super) fn failed(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }

    fn items(&self) -> u64 {
        self.values + self.failed()
    }

    /// One line: `1000 items, 3 failed (2 trapped, 1 timed_out)`.
    pub(super) fn summary(&self) -> String {
        let items = self.items();
        let mut line = format!("{items} item{}", if items == 1 { "" } else { "s" });
        if self.failed() > 0 {
            let _ = write!(line, ", {} failed ({})", self.failed(), self.kinds());
        }
        if self.unfinished > 0 {
            let _ = write!(line, ", {} not finished", self.unfinished);
        }
        line
    }

    fn kinds(&self) -> String {
        let kinds = self.errors.iter().map(|(kind, count)| format!("{count} {}", kind.name()));
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// Several lines, for `--stats`.
    pub(super) fn block(&self, pool: &PoolStats, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let items = self.items();
        // Counts of items are far below what a float holds exactly.
        let rate = if seconds > 0.0 { items as f64 / seconds } else { 0.0 };
        let failed = match self.failed() {
            0 => "0".to_owned(),
            failed => format!("{failed} ({})", self.kinds()),
        };
        format!(
            "items    {items}, {rate:.0} a second\n\
             values   {}\n\
             failed   {failed}\n\
             retries  {}\n\
             elapsed  {seconds:.3} s, {:.3} s of them in workers\n\
             workers  {} started, {} ended\n",
            self.values,
            pool.retries,
            pool.busy.as_secs_f64(),
            pool.workers_started,
            pool.workers_ended,
        )
    }
}
