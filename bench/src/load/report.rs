//! Says what was measured: as a table, and as one JSON object.

use core::time::Duration;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::generator::Look;
use super::histogram::Histogram;
use super::options::{Options, word};
use super::plan::{Plan, float};
use super::process::Usage;
use super::svg;
use super::{Failure, failure};

/// One second of the measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    pub(crate) packets: f64,
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) recent: Histogram,
    pub(crate) is_storm: bool,
}

/// A storm of joins.
#[derive(Clone, Debug)]
pub(crate) struct Storm {
    pub(crate) joins: Vec<Duration>,
}

/// What came of the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) look: Look,
    pub(crate) lasted: Duration,
    /// What the server had used before anybody joined, when measuring began, and when it ended.
    pub(crate) idle: Option<Usage>,
    pub(crate) before: Option<Usage>,
    pub(crate) after: Option<Usage>,
    /// How long each join took.
    pub(crate) joins: Histogram,
    pub(crate) seconds: Vec<Second>,
    pub(crate) storm: Option<Storm>,
    /// System calls per packet.
    pub(crate) syscalls: Option<f64>,
    pub(crate) endpoints: usize,
}

/// What a run found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// All figures, by the names that the documentation explains.
    pub json: Value,
    plot: String,
}

impl Second {
    pub(crate) fn between(
        from: &Look,
        to: &Look,
        used: Option<Usage>,
        since: Option<Usage>,
        is_storm: bool,
    ) -> Self {
        let cpu = used
            .zip(since)
            .map(|(from, to)| to.cpu.saturating_sub(from.cpu));
        Self {
            packets: number(to.packets.saturating_sub(from.packets)),
            cpu_us: cpu.map(|nanos| number(nanos) / 1_000.0),
            p50: to.recent.quantile(0.5),
            p99: to.recent.quantile(0.99),
            recent: to.recent.clone(),
            is_storm,
        }
    }

    pub(crate) fn line(&self, second: u32) -> String {
        let (packets, p50, p99) = (self.packets, text(self.p50), text(self.p99));
        let core = text(self.cpu_us.map(|us| us / 10_000.0));
        let each = self.cpu_us.filter(|_| packets > 0.0).map(|us| us / packets);
        format!(
            "{second:4} s  {packets:8.0} packets  {:>6} µs each  {core:>6} % of a core  \
             p50 {p50:>7} µs  p99 {p99:>8} µs",
            text2(each)
        )
    }
}

impl Report {
    pub(crate) fn new(options: &Options, plan: &Plan, it: Measured) -> Self {
        let (look, lasted) = (&it.look, it.lasted.as_secs_f64());
        let packets = number(look.packets);
        let used = it.before.zip(it.after);
        let cpu = used.map(|(from, to)| number(to.cpu.saturating_sub(from.cpu)) / 1_000.0);
        let switches = used.map(|(from, to)| number(to.switches.saturating_sub(from.switches)));
        let each = |sum: Option<f64>| sum.filter(|_| packets > 0.0).map(|sum| sum / packets);
        let rss = it.idle.zip(it.after).map(|(idle, loaded)| {
            number(loaded.rss.saturating_sub(idle.rss)) / float(it.endpoints.max(1))
        });
        // A stream of which nothing came has lost what one of the others got.
        let silent = float(plan.flows.saturating_sub(look.flows));
        let flowing = float(look.flows.max(1));
        let numbered = number(look.numbered) * (1.0 + silent / flowing);
        let lost = (numbered - packets).max(0.0);
        let quantile = |share| it.look.latency.quantile(share);
        let mut json = json!({
            "load": options.name,
            "server": options.measured(),
            "scenario": word(options.scenario),
            "via": word(options.via),
            "profile": word(options.profile),
            "endpoints": it.endpoints,
            "streams": plan.flows,
            "rate": options.rate,
            "burst": options.burst,
            "size": options.size,
            "uneven": options.uneven,
            "seconds": lasted,
            "packets_sent": look.sent,
            "packets_forwarded": look.packets,
            "packets_per_second": packets / lasted,
            "forwarded_of_asked": (options.rate > 0)
                .then(|| packets / lasted / f64::from(options.rate)),
            "feedback": word(options.feedback),
            "bits_per_second": number(look.bytes) * 8.0 / lasted,
            "loss": if numbered > 0.0 { lost / numbered } else { 0.0 },
            "latency_us_p50": quantile(0.5),
            "latency_us_p99": quantile(0.99),
            "latency_us_p999": quantile(0.999),
            "cpu_us_per_packet": each(cpu),
            "cpu_cores": cpu.map(|us| us / 1e6 / lasted),
            "cpu_us_per_endpoint_second": cpu.map(|us| us / float(it.endpoints.max(1)) / lasted),
            "switches_per_packet": each(switches),
            "syscalls_per_packet": it.syscalls,
            "rss_kib": it.after.map(|usage| usage.rss),
            "rss_kib_idle": it.idle.map(|usage| usage.rss),
            "rss_kib_per_endpoint": rss,
            "join_ms_p50": it.joins.quantile(0.5).map(|us| us / 1_000.0),
            "join_ms_p99": it.joins.quantile(0.99).map(|us| us / 1_000.0),
            "keyframe_requests": look.oddities.keyframe_requests,
            "packets_repeated": look.oddities.repeated,
            "packets_of_padding": look.oddities.padding,
            "packets_unopened": look.oddities.unopened,
            "control_packets": look.oddities.control,
            "generator_overruns": look.overruns,
            "generator_cores": number(look.busy) / 1e9 / lasted,
            "cpu_us_by_second": it.seconds.iter().map(|it| it.cpu_us).collect::<Vec<_>>(),
        });
        if let (Some(storm), Value::Object(fields)) = (&it.storm, &mut json) {
            fields.extend(of_storm(storm, &it.seconds));
        }
        Self {
            plot: svg::plot(options, &it.seconds),
            json,
        }
    }

    /// A figure by its name; `None` when it is not there.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.json.get(name)?.as_f64()
    }

    /// The main figures, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = String::new();
        let rows = [
            ("packets_per_second", "packets/s forwarded", 1.0, 0),
            ("forwarded_of_asked", "of what was asked, %", 100.0, 1),
            ("bits_per_second", "Mbit/s", 1e-6, 1),
            ("loss", "loss, %", 100.0, 3),
            ("latency_us_p50", "added latency p50, µs", 1.0, 0),
            ("latency_us_p99", "added latency p99, µs", 1.0, 0),
            ("latency_us_p999", "added latency p99.9, µs", 1.0, 0),
            ("cpu_us_per_packet", "server CPU µs/packet", 1.0, 3),
            ("cpu_cores", "server CPU, % of a core", 100.0, 1),
            ("switches_per_packet", "context switches/packet", 1.0, 4),
            ("syscalls_per_packet", "system calls/packet", 1.0, 4),
            ("rss_kib_per_endpoint", "memory per endpoint, KiB", 1.0, 1),
            ("join_ms_p50", "join p50, ms", 1.0, 1),
            ("cpu_us_per_join", "server CPU µs/join", 1.0, 0),
            ("storm_latency_us_p99", "p99 during joins, µs", 1.0, 0),
            ("generator_cores", "generator, % of a core", 100.0, 1),
            ("generator_overruns", "lost by the generator", 1.0, 0),
        ];
        for (name, label, unit, digits) in rows {
            let Some(value) = self.json.get(name) else {
                continue;
            };
            let shown = value.as_f64().map_or_else(
                || "not available".to_owned(),
                |it| format!("{:.digits$}", it * unit),
            );
            table.push_str(&format!("{label:28} {shown:>14}\n"));
        }
        table
    }

    /// Adds the run to the file that the options name, as one line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn keep(&self, options: &Options) -> Result<(), Failure> {
        let Some(file) = &options.append else {
            return Ok(());
        };
        let open = OpenOptions::new().create(true).append(true).open(file);
        open.and_then(|mut file| writeln!(file, "{}", self.json))
            .map_err(|error| failure(&file.display().to_string(), error))
    }

    /// Writes the run as a picture.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_svg(&self, file: &Path) -> Result<(), Failure> {
        fs::write(file, &self.plot).map_err(|error| failure(&file.display().to_string(), error))
    }
}

/// The joins of a storm beside the quiet half before it.
fn of_storm(storm: &Storm, seconds: &[Second]) -> serde_json::Map<String, Value> {
    let sum = |is_storm| {
        let (mut latency, mut cpu, mut count) = (Histogram::default(), 0.0, 0);
        for second in seconds.iter().filter(|second| second.is_storm == is_storm) {
            latency.merge(&second.recent);
            cpu += second.cpu_us.unwrap_or(0.0);
            count += 1;
        }
        (latency, cpu / float(count.max(1)), float(count))
    };
    let ((quiet, calm, _), (loud, busy, lasted)) = (sum(false), sum(true));
    let joins = float(storm.joins.len());
    let mut times = Histogram::default();
    for join in &storm.joins {
        times.add(u64::try_from(join.as_nanos()).unwrap_or(u64::MAX));
    }
    let has_cpu = seconds.iter().all(|second| second.cpu_us.is_some());
    let each = has_cpu.then(|| (busy - calm).max(0.0) * lasted / joins.max(1.0));
    let fields = json!({
        "joins": storm.joins.len(),
        "cpu_us_per_join": each,
        "calm_latency_us_p99": quiet.quantile(0.99),
        "storm_latency_us_p99": loud.quantile(0.99),
        "storm_join_ms_p50": times.quantile(0.5).map(|us| us / 1_000.0),
        "storm_join_ms_p99": times.quantile(0.99).map(|us| us / 1_000.0),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

/// A count as a fraction.
pub(crate) fn number(count: u64) -> f64 {
    float(usize::try_from(count).unwrap_or(usize::MAX))
}

fn text(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

fn text2(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}
