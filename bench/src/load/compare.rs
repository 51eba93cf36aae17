//! Measures two servers in turns, so that a busy neighbour harms both alike; minima count.

use serde_json::{Value, json};

use super::options::Options;
use super::report::Report;
use super::run::{run, say};
use super::{Failure, plan::float};

/// What two servers cost beside each other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Comparison {
    first: Vec<Report>,
    second: Vec<Report>,
}

/// Figures that are compared, with what people call them.
const FIGURES: [(&str, &str); 6] = [
    ("cpu_us_per_packet", "server CPU µs/packet"),
    ("latency_us_p50", "added latency p50, µs"),
    ("latency_us_p99", "added latency p99, µs"),
    ("switches_per_packet", "context switches/packet"),
    ("rss_kib_per_endpoint", "memory per endpoint, KiB"),
    ("loss", "loss"),
];

/// Runs the options' server and the one to compare it with in turns.
///
/// # Errors
/// When one of the runs comes to nothing.
pub fn compare(options: &Options, command: &str) -> Result<Comparison, Failure> {
    let mut other = options.clone();
    other.server = Some(command.to_owned());
    other.via = options.compare_via;
    other.target = None;
    let mut comparison = Comparison {
        first: Vec::new(),
        second: Vec::new(),
    };
    for turn in 1..=options.runs.max(1) {
        let (one, two) = (run(options)?, run(&other)?);
        say(
            options,
            &format!(
                "turn {turn}: {:.3} and {:.3} µs/packet",
                one.figure("cpu_us_per_packet").unwrap_or(f64::NAN),
                two.figure("cpu_us_per_packet").unwrap_or(f64::NAN),
            ),
        );
        comparison.first.push(one);
        comparison.second.push(two);
    }
    Ok(comparison)
}

impl Comparison {
    /// Minima side by side, with their ratio.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:28} {:>12} {:>12} {:>8}\n",
            format!("minima of {} runs each", self.first.len()),
            "first",
            "second",
            "ratio"
        );
        for (name, label) in FIGURES {
            let (one, two) = (least(&self.first, name), least(&self.second, name));
            let shown =
                |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.3}"));
            let ratio = shown(ratio(one, two));
            let (one, two) = (shown(one), shown(two));
            table.push_str(&format!("{label:28} {one:>12} {two:>12} {ratio:>8}\n"));
        }
        table
    }

    /// Minima, their ratios, and every run.
    #[must_use]
    pub fn json(&self) -> Value {
        let minima = |runs: &[Report]| {
            let each = FIGURES
                .iter()
                .map(|(name, _)| ((*name).to_owned(), json!(least(runs, name))));
            Value::Object(each.collect())
        };
        let ratios = FIGURES.iter().map(|(name, _)| {
            let ratio = ratio(least(&self.first, name), least(&self.second, name));
            ((*name).to_owned(), json!(ratio))
        });
        let medians = FIGURES.iter().map(|(name, _)| {
            let ratio = ratio(median(&self.first, name), median(&self.second, name));
            ((*name).to_owned(), json!(ratio))
        });
        let runs = |runs: &[Report]| runs.iter().map(|it| it.json.clone()).collect::<Vec<_>>();
        json!({
            "turns": float(self.first.len()),
            "first": minima(&self.first),
            "second": minima(&self.second),
            "ratio": Value::Object(ratios.collect()),
            "ratio_of_medians": Value::Object(medians.collect()),
            "runs_first": runs(&self.first),
            "runs_second": runs(&self.second),
        })
    }
}

fn least(runs: &[Report], name: &str) -> Option<f64> {
    let figures = runs.iter().filter_map(|report| report.figure(name));
    figures.reduce(f64::min)
}

fn median(runs: &[Report], name: &str) -> Option<f64> {
    let mut figures: Vec<f64> = runs
        .iter()
        .filter_map(|report| report.figure(name))
        .collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

fn ratio(one: Option<f64>, two: Option<f64>) -> Option<f64> {
    let (one, two) = one.zip(two)?;
    (two > 0.0).then_some(one / two)
}
