//! The chart: for each row, how many times as fast sandpool is as the best of each kind of rival.
//!
//! It stands in a page whose colours nobody knows, so it has no background, and all of its colours
//! can be read on white and on black.

use crate::report::short;
use crate::row::{Goal, Kind, Row, Verdict, median, quotients};
use std::fmt::Write as _;

const WIDTH: f64 = 940.0;
/// Where the axis begins and ends.
const LEFT: f64 = 450.0;
const RIGHT: f64 = 860.0;
/// Where the words for the work begin.
const WORK: f64 = 60.0;
const BAR: f64 = 10.0;
const STEP: f64 = 13.0;
/// Between rows.
const GAP: f64 = 7.0;
const TOP: f64 = 58.0;
const TEXT: &str = "#808890";

const KINDS: [Kind; 5] = [Kind::Python, Kind::Command, Kind::InProcess, Kind::Floor, Kind::Itself];

const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Sandpool => "#2f9ea5",
        Kind::Python => "#4c8fd0",
        Kind::Command => "#c77b30",
        Kind::InProcess => "#9a6fd0",
        Kind::Floor => "#8a9299",
        Kind::Itself => "#3fa06a",
    }
}

/// One bar: a ratio, and where the promise is, if there is one.
struct Bar {
    kind: Kind,
    ratio: f64,
    promised: Option<(f64, bool)>,
}

/// How many times as fast the goal wants it.
fn wanted(verdict: &Verdict) -> f64 {
    match verdict.target.goal {
        Goal::AtLeast(least, _) => least,
        Goal::AtMost(most, _) => 1.0 / most,
        Goal::Within(..) => 1.0,
    }
}

fn bars(row: &Row) -> Vec<Bar> {
    let Some(ours) = row.sandpool() else { return Vec::new() };
    let verdicts = row.verdicts();
    let promised = |kind: Option<Kind>| {
        let verdict = verdicts.iter().find(|verdict| verdict.target.against == kind)?;
        Some((wanted(verdict), verdict.held()?))
    };
    // What is no time has a limit and no rival.
    let timed = verdicts.is_empty() || verdicts.iter().any(|it| it.target.against.is_some());
    let rivals = KINDS.into_iter().filter(|_| timed).filter_map(|kind| {
        let ratio = median(&quotients(&row.best(kind)?.values, &ours.values));
        Some(Bar { kind, ratio, promised: promised(Some(kind)) })
    });
    // What has no rival is compared with what was promised.
    let limits = verdicts.iter().filter_map(|verdict| match verdict.target.goal {
        Goal::Within(most, _) => {
            let ratio = most / verdict.ratio();
            Some(Bar { kind: Kind::Sandpool, ratio, promised: promised(None) })
        }
        _ => None,
    });
    limits.chain(rivals).filter(|bar| bar.ratio.is_finite() && bar.ratio > 0.0).collect()
}

/// The axis, in powers of ten.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (mut from, mut to) = (-1, 1);
        for power in values.map(f64::log10) {
            from = from.min(power.floor() as i32);
            to = to.max(power.ceil() as i32);
        }
        Self { from, to }
    }

    fn at(&self, ratio: f64) -> f64 {
        let share = (ratio.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        LEFT + share * (RIGHT - LEFT)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

/// The chart as SVG.
pub(crate) fn draw(rows: &[Row]) -> String {
    let rows: Vec<(&Row, Vec<Bar>)> =
        rows.iter().map(|row| (row, bars(row))).filter(|(_, bars)| !bars.is_empty()).collect();
    let all = rows.iter().flat_map(|(_, bars)| bars);
    let axis =
        Axis::over(all.flat_map(|bar| [Some(bar.ratio), bar.promised.map(|it| it.0)]).flatten());
    let height = rows.iter().map(|(_, bars)| bars.len() as f64 * STEP + GAP).sum::<f64>();
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}" font-family="sans-serif" font-size="11" fill="{TEXT}" role="img">
<title>How many times as fast sandpool is</title>"#,
        total = TOP + height + 4.0,
    );
    legend(&mut out);
    grid(&mut out, &axis, TOP + height);
    let mut y = TOP;
    for (row, bars) in &rows {
        let base = y + BAR - 1.0;
        let (number, work) = (escaped(row.number), escaped(row.work));
        let _ = writeln!(
            out,
            r#"<text x="8" y="{base:.1}" font-weight="bold">{number}</text><text x="{WORK}" y="{base:.1}">{work}</text>"#
        );
        for bar in bars {
            draw_bar(&mut out, &axis, bar, y);
            y += STEP;
        }
        y += GAP;
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String) {
    let _ = writeln!(
        out,
        r#"<text x="8" y="14">How many times as fast sandpool is as the best of (right is better; a line marks what was promised):</text>"#
    );
    let mut x = 8.0;
    for (kind, name) in
        KINDS.map(|kind| (kind, kind.name())).into_iter().chain([(Kind::Sandpool, "a fixed limit")])
    {
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="24" width="{BAR}" height="{BAR}" fill="{}"/><text x="{}" y="33">{name}</text>"#,
            colour(kind),
            x + BAR + 5.0,
        );
        x += BAR + 26.0 + name.len() as f64 * 5.8;
    }
}

fn grid(out: &mut String, axis: &Axis, bottom: f64) {
    for power in axis.from..=axis.to {
        let value = 10_f64.powi(power);
        let x = axis.at(value);
        let (width, opacity) = if power == 0 { (1.2, 0.9) } else { (0.6, 0.4) };
        let _ = writeln!(
            out,
            r#"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom:.1}" stroke="{TEXT}" stroke-width="{width}" stroke-opacity="{opacity}"/><text x="{x:.1}" y="{}" text-anchor="middle">{value}</text>"#,
            TOP - 4.0,
            TOP - 7.0,
        );
    }
}

fn draw_bar(out: &mut String, axis: &Axis, bar: &Bar, y: f64) {
    let (one, end) = (axis.at(1.0), axis.at(bar.ratio));
    let (from, width) = (one.min(end), (end - one).abs().max(1.0));
    let fill = colour(bar.kind);
    let _ = writeln!(
        out,
        r#"<rect x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" fill="{fill}"/>"#
    );
    let (mut tip, mut met) = (one.max(end), "");
    if let Some((wanted, held)) = bar.promised {
        let x = axis.at(wanted);
        let _ = writeln!(
            out,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}" stroke="#d05555" stroke-width="2"/>"##,
            y - 1.5,
            y + BAR + 1.5,
        );
        tip = tip.max(x);
        met = if held { " ✓" } else { " ✗" };
    }
    let (x, base) = (tip + 5.0, y + BAR - 1.0);
    let ratio = short(bar.ratio);
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{base:.1}">{ratio}{met}</text>"#);
}
