//! What was found, as a table for people and as JSON for programs.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::bench::args::Scenario;
use crate::bench::histogram::Histogram;
use crate::bench::plan::Plan;
use crate::failure::Failure;

/// What one round found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    figures: Vec<Figure>,
    /// What was wrong, such as `3 events lost`.
    faults: Vec<String>,
    /// What has to be known to read the figures.
    notes: Vec<&'static str>,
}

/// A figure, with its unit at the end of its name.
#[derive(Debug, Clone)]
struct Figure {
    name: String,
    label: String,
    unit: &'static str,
    /// Whole, and wrong or right: rounds are added up. Else the median says something.
    is_count: bool,
    /// None when it needs `--pid`, or there was nothing to measure.
    value: Option<f64>,
}

impl Outcome {
    pub(crate) fn count(&mut self, name: &str, label: &str, value: u64) {
        self.push(name, label, "", true, Some(value as f64));
    }

    pub(crate) fn measure(&mut self, name: &str, label: &str, unit: &'static str, value: impl Into<Option<f64>>) {
        self.push(name, label, unit, false, value.into().filter(|value| value.is_finite()));
    }

    /// The percentiles of a histogram; `name` is put before `_p50_ms`.
    pub(crate) fn percentiles(&mut self, name: &str, label: &str, histogram: &Histogram) {
        for (suffix, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9)] {
            let value = histogram.percentile_ms(percent);
            self.measure(&format!("{name}_{suffix}_ms"), &format!("{label} {suffix}"), "ms", value);
        }
        self.measure(&format!("{name}_max_ms"), &format!("{label} max"), "ms", histogram.max_ms());
    }

    /// Counts what must not be: any of it is a fault.
    pub(crate) fn fault(&mut self, name: &str, label: &str, value: u64) {
        self.count(name, label, value);
        if value > 0 {
            self.faults.push(format!("{value} {label}"));
        }
    }

    /// Says more of a fault that was counted.
    pub(crate) fn because(&mut self, why: &str) {
        self.faults.push(why.to_owned());
    }

    pub(crate) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    fn push(&mut self, name: &str, label: &str, unit: &'static str, is_count: bool, value: Option<f64>) {
        self.figures.push(Figure { name: name.to_owned(), label: label.to_owned(), unit, is_count, value });
    }
}

pub(crate) struct Report<'a> {
    scenario: Scenario,
    plan: &'a Plan,
    outcomes: Vec<Outcome>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(scenario: Scenario, plan: &'a Plan, outcomes: Vec<Outcome>) -> Self {
        Self { scenario, plan, outcomes }
    }

    /// Prints, and fails when something was wrong.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        let printed = if json { writeln!(output, "{}", self.json()) } else { self.write_table(&mut output) };
        printed.map_err(|error| Failure::failed(format!("standard output: {error}")))?;
        let faults: Vec<String> = self.outcomes.iter().flat_map(|outcome| outcome.faults.iter().cloned()).collect();
        match faults.as_slice() {
            [] => Ok(()),
            faults => Err(Failure::failed(format!("not right: {}", faults.join(", ")))),
        }
    }

    fn json(&self) -> Value {
        let columns = self.columns();
        let figures: Map<_, _> = columns.iter().map(|column| (column.figure.name.clone(), column.value())).collect();
        let mut report = json!({
            "scenario": self.scenario.name(),
            "correct": self.outcomes.iter().all(|outcome| outcome.faults.is_empty()),
            "parameters": self.plan.parameters,
            "figures": figures,
        });
        if let (Some(report), true) = (report.as_object_mut(), self.outcomes.len() > 1) {
            let spread =
                columns.iter().filter_map(|column| Some((column.figure.name.clone(), json!(column.spread()?))));
            report.insert("spread".to_owned(), Value::Object(spread.collect()));
            let rounds = self.outcomes.iter().map(|outcome| {
                let figures = outcome.figures.iter().map(|figure| (figure.name.clone(), figure.json(figure.value)));
                Value::Object(figures.collect())
            });
            report.insert("rounds".to_owned(), rounds.collect());
        }
        report
    }

    fn write_table(&self, output: &mut impl Write) -> io::Result<()> {
        let columns: Vec<Column> = self.columns().into_iter().filter(|column| column.median().is_some()).collect();
        writeln!(output, "{} {}", self.scenario.name(), self.plan.server.subscribe.url)?;
        for column in &columns {
            let Figure { label, unit, .. } = &column.figure;
            let value = column.median().map(|value| column.figure.text(value)).unwrap_or_default();
            let spread = column.spread().map(|[least, most]| {
                format!("  ({} to {})", column.figure.text(least).trim(), column.figure.text(most).trim())
            });
            let line = format!("  {label:LABEL_WIDTH$} {value:>12} {unit}{}", spread.unwrap_or_default());
            writeln!(output, "{}", line.trim_end())?;
        }
        let notes = self.outcomes.first().map(|outcome| outcome.notes.as_slice()).unwrap_or_default();
        for note in notes {
            writeln!(output, "  {note}")?;
        }
        if self.outcomes.len() > 1 {
            writeln!(
                output,
                "  median (least to most) of {} rounds; what is counted is added up",
                self.outcomes.len()
            )?;
        }
        if self.plan.process.is_none() {
            writeln!(output, "  CPU time and memory of the server: give --pid")?;
        }
        Ok(())
    }

    /// The figures of all rounds, side by side. Every round has the same.
    fn columns(&self) -> Vec<Column> {
        let Some(first) = self.outcomes.first() else { return Vec::new() };
        let of = |name: &str| {
            let figures = self.outcomes.iter().flat_map(|outcome| &outcome.figures);
            figures.filter(|figure| figure.name == name).filter_map(|figure| figure.value).collect()
        };
        first.figures.iter().map(|figure| Column::new(figure.clone(), of(&figure.name))).collect()
    }
}

/// One figure in every round.
struct Column {
    figure: Figure,
    sorted: Vec<f64>,
}

impl Column {
    fn new(figure: Figure, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { figure, sorted: values }
    }

    /// The median of what was measured, the sum of what was counted.
    fn median(&self) -> Option<f64> {
        let middle = self.sorted.len() / 2;
        match self.sorted.as_slice() {
            [] => None,
            counts if self.figure.is_count => Some(counts.iter().sum()),
            sorted if sorted.len() % 2 == 1 => sorted.get(middle).copied(),
            sorted => Some((sorted.get(middle - 1)? + sorted.get(middle)?) / 2.0),
        }
    }

    fn value(&self) -> Value {
        self.figure.json(self.median())
    }

    /// The least and the most of several rounds.
    fn spread(&self) -> Option<[f64; 2]> {
        match self.sorted.as_slice() {
            [least, .., most] if !self.figure.is_count => Some([*least, *most]),
            _ => None,
        }
    }
}

impl Figure {
    fn json(&self, value: Option<f64>) -> Value {
        match value {
            Some(value) if self.is_count => json!(value as u64),
            value => json!(value),
        }
    }

    /// Three digits that count, or all of a whole number.
    fn text(&self, value: f64) -> String {
        let decimals = match value.abs() {
            _ if self.is_count => 0,
            100.0.. => 0,
            10.0.. => 1,
            1.0.. => 2,
            _ => 3,
        };
        grouped(&format!("{value:.decimals$}"))
    }
}

/// `1234567.8` as `1,234,567.8`.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

const LABEL_WIDTH: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(is_count: bool, values: &[f64], median: Option<f64>, spread: Option<[f64; 2]>) {
        let figure = Figure { name: String::new(), label: String::new(), unit: "", is_count, value: None };
        let column = Column::new(figure, values.to_vec());
        assert_eq!((column.median(), column.spread()), (median, spread), "{values:?}");
    }

    #[test]
    fn rounds_are_told_as_median_and_spread() {
        check(false, &[], None, None);
        check(false, &[7.0], Some(7.0), None);
        check(false, &[9.0, 1.0, 2.0], Some(2.0), Some([1.0, 9.0]));
        check(false, &[9.0, 1.0, 2.0, 3.0], Some(2.5), Some([1.0, 9.0]));
    }

    #[test]
    fn a_loss_in_any_round_is_a_loss() {
        check(true, &[0.0, 3.0, 0.0], Some(3.0), None);
    }

    #[test]
    fn numbers_are_grouped_in_thousands() {
        for (number, expected) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.25", "-1,234,567.25")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
