//! What a row of the table is: the same work by several sides, and what of it was promised.
//!
//! This module must not know what is measured.

use crate::Result;
use crate::setting::Setting;

/// Measures once: what an item (or whatever the row's unit names) costs. Less is better.
pub(crate) type Measure = Box<dyn FnMut(&mut Setting) -> Result<f64>>;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sandpool,
    /// `multiprocessing` and `concurrent.futures`.
    Python,
    /// wasmtime in this process: the limit.
    InProcess,
    /// Programs that are started: `wasmtime`, `xargs`.
    Command,
    /// What the hardware and the kernel allow: pipes, memory.
    Floor,
    /// sandpool again, under other circumstances.
    Itself,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sandpool => "sandpool",
            Self::Python => "CPython",
            Self::InProcess => "wasmtime in the process",
            Self::Command => "commands",
            Self::Floor => "pipes and memory",
            Self::Itself => "sandpool, otherwise",
        }
    }
}

/// One side of a row, with what it took in each round.
pub(crate) struct Side {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    measure: Measure,
    pub(crate) values: Vec<f64>,
}

/// What is promised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many times as fast as the other side, and what would be better still.
    AtLeast(f64, Option<f64>),
    /// No more than so many times what the other side takes.
    AtMost(f64, Option<f64>),
    /// No more than so much, in the unit of the row.
    Within(f64, Option<f64>),
}

/// A promise about sandpool's side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) goal: Goal,
    /// Against the best side of this kind; without one, against the goal itself.
    pub(crate) against: Option<Kind>,
}

/// What became of a promise.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) target: Target,
    /// The side it was measured against, with its median.
    pub(crate) rival: Option<(String, f64)>,
    /// In the sense of the goal, one for each round, in rising order. Empty if nothing was measured.
    pub(crate) ratios: Vec<f64>,
}

impl Verdict {
    pub(crate) fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// `None` if it was not measured.
    pub(crate) fn held(&self) -> Option<bool> {
        let ratio = self.ratio();
        (!ratio.is_nan()).then_some(match self.target.goal {
            Goal::AtLeast(least, _) => ratio >= least,
            Goal::AtMost(most, _) | Goal::Within(most, _) => ratio <= most,
        })
    }
}

/// What is compared: sandpool's side comes first.
pub(crate) struct Row {
    /// Where it stands in the table of promises; several rows may share a number.
    pub(crate) number: &'static str,
    pub(crate) work: &'static str,
    pub(crate) unit: &'static str,
    /// The most rounds that are worth their time.
    pub(crate) rounds: usize,
    pub(crate) sides: Vec<Side>,
    pub(crate) targets: Vec<Target>,
    /// Why something of it is missing.
    pub(crate) missing: Option<String>,
}

impl Row {
    pub(crate) fn new(number: &'static str, work: &'static str) -> Self {
        let (sides, targets) = (Vec::new(), Vec::new());
        Self { number, work, unit: "µs per item", rounds: 5, sides, targets, missing: None }
    }

    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Names why sides of it are left out.
    pub(crate) fn without(mut self, missing: &str) -> Self {
        self.missing = Some(missing.to_owned());
        self
    }

    pub(crate) fn side(
        mut self,
        kind: Kind,
        name: impl Into<String>,
        measure: impl FnMut(&mut Setting) -> Result<f64> + 'static,
    ) -> Self {
        let (name, measure) = (name.into(), Box::new(measure));
        self.sides.push(Side { kind, name, measure, values: Vec::new() });
        self
    }

    pub(crate) fn ours(self, measure: impl FnMut(&mut Setting) -> Result<f64> + 'static) -> Self {
        self.side(Kind::Sandpool, "sandpool", measure)
    }

    pub(crate) fn target(mut self, goal: Goal, against: impl Into<Option<Kind>>) -> Self {
        self.targets.push(Target { goal, against: against.into() });
        self
    }

    /// One round: each side once, in turns from the front and from the back, so that none always
    /// comes after the same other.
    pub(crate) fn measure(&mut self, round: usize, setting: &mut Setting) -> Result<()> {
        if round >= self.rounds {
            return Ok(());
        }
        let mut order: Vec<&mut Side> = self.sides.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for side in order {
            let value = (side.measure)(setting)
                .map_err(|error| format!("row {}, {}: {error}", self.number, side.name))?;
            side.values.push(value);
        }
        Ok(())
    }

    pub(crate) fn sandpool(&self) -> Option<&Side> {
        self.sides.iter().find(|side| side.kind == Kind::Sandpool)
    }

    /// The quickest side of a kind.
    pub(crate) fn best(&self, kind: Kind) -> Option<&Side> {
        let sides = self.sides.iter().filter(|side| side.kind == kind);
        sides.min_by(|a, b| median(&a.values).total_cmp(&median(&b.values)))
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        self.targets.iter().map(|target| self.verdict(*target)).collect()
    }

    fn verdict(&self, target: Target) -> Verdict {
        let ours = self.sandpool().map_or(&[][..], |side| &side.values);
        let rival = target.against.and_then(|kind| self.best(kind));
        let mut ratios: Vec<f64> = match (target.goal, rival) {
            (Goal::Within(..), _) => ours.to_vec(),
            (Goal::AtLeast(..), Some(rival)) => quotients(&rival.values, ours),
            (Goal::AtMost(..), Some(rival)) => quotients(ours, &rival.values),
            (_, None) => Vec::new(),
        };
        ratios.sort_by(f64::total_cmp);
        let rival = rival.map(|side| (side.name.clone(), median(&side.values)));
        Verdict { target, rival, ratios }
    }
}

/// Of the two sides of each round: what both met then is not in it.
pub(crate) fn quotients(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
