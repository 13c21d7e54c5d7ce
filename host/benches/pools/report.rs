//! What was measured, as Markdown and as JSON.

use crate::Result;
use crate::row::{Goal, Row, Verdict, median, quotients};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A number with three digits that mean something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Goal {
    fn promised(self, unit: &str) -> String {
        let aim = |aim: Option<f64>| aim.map(|aim| format!(" (aim {aim})")).unwrap_or_default();
        match self {
            Self::AtLeast(least, better) => format!("≥ {least} × its speed{}", aim(better)),
            Self::AtMost(most, better) => format!("≤ {most} × its time{}", aim(better)),
            Self::Within(most, better) => format!("≤ {most} {unit}{}", aim(better)),
        }
    }
}

/// The table of what was promised.
pub(crate) fn promises(rows: &[Row]) -> String {
    let mut out = String::from(
        "| # | work | sandpool | against | promised | measured | held |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let ours = row.sandpool().map_or(f64::NAN, |side| median(&side.values));
        for verdict in row.verdicts() {
            let Row { number, work, unit, .. } = row;
            let against = match &verdict.rival {
                Some((name, value)) => format!("{name}: {}", short(*value)),
                None => row.missing.clone().unwrap_or("–".into()),
            };
            let (ours, measured) = match verdict.held() {
                Some(_) => (format!("{} {unit}", short(ours)), short(verdict.ratio())),
                None => ("–".into(), "–".into()),
            };
            let (promised, held) = (verdict.target.goal.promised(unit), held(&verdict));
            let _ = writeln!(
                out,
                "| {number} | {work} | {ours} | {against} | {promised} | {measured} | {held} |"
            );
        }
    }
    out
}

fn held(verdict: &Verdict) -> &'static str {
    match verdict.held() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "not measured",
    }
}

/// The table of all sides.
pub(crate) fn sides(rows: &[Row]) -> String {
    let mut out = String::from(
        "| # | work | side | median | sandpool is so many times as fast |\n|---|---|---|---|---|\n",
    );
    for row in rows {
        let ours = row.sandpool().map_or(&[][..], |side| &side.values);
        for side in &row.sides {
            let ratio = median(&quotients(&side.values, ours));
            let ratio = if side.values == ours { "–".into() } else { short(ratio) };
            let Row { number, work, unit, .. } = row;
            let value = short(median(&side.values));
            let _ =
                writeln!(out, "| {number} | {work} | {} | {value} {unit} | {ratio} |", side.name);
        }
        if let Some(missing) = &row.missing {
            let _ = writeln!(out, "| {} | {} | {missing} | – | – |", row.number, row.work);
        }
    }
    out
}

/// All that was measured.
pub(crate) fn json(machine: &str, rows: &[Row]) -> Result<Vec<u8>> {
    let rows: Vec<Value> = rows.iter().map(one).collect();
    Ok(serde_json::to_vec_pretty(&json!({ "machine": machine, "rows": rows }))?)
}

fn one(row: &Row) -> Value {
    let sides = row.sides.iter().map(|side| {
        json!({
            "name": side.name,
            "kind": side.kind.name(),
            "median": median(&side.values),
            "rounds": side.values,
        })
    });
    let promises = row.verdicts().into_iter().map(|verdict| {
        let (goal, value, aim) = match verdict.target.goal {
            Goal::AtLeast(value, aim) => ("times its speed, at least", value, aim),
            Goal::AtMost(value, aim) => ("times its time, at most", value, aim),
            Goal::Within(value, aim) => ("at most", value, aim),
        };
        let measured = Some(verdict.ratio()).filter(|ratio| !ratio.is_nan());
        json!({
            "goal": goal,
            "promised": value,
            "aim": aim,
            "against": verdict.rival.as_ref().map(|(name, _)| name),
            "measured": measured,
            "rounds": verdict.ratios,
            "held": verdict.held(),
        })
    });
    json!({
        "number": row.number,
        "work": row.work,
        "unit": row.unit,
        "sides": sides.collect::<Vec<_>>(),
        "promises": promises.collect::<Vec<_>>(),
        "missing": row.missing,
    })
}
