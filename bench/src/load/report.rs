//! Says what was measured: as a table, and as one JSON object.

use core::time::Duration;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::generator::Look;
use super::histogram::Histogram;
use super::leg::Oddities;
use super::options::{Options, Scenario, word};
use super::plan::{Plan, float};
use super::process::Usage;
use super::svg;
use super::timeline::{STEP, Spike, Timeline};
use super::{Failure, failure};

/// One second of the measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    pub(crate) packets: f64,
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) recent: Histogram,
    /// Whether what was to happen in the middle has begun.
    pub(crate) is_late: bool,
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
    /// Processors that the server kept busy, and when something happened, after the beginning.
    pub(crate) timeline: Timeline,
    pub(crate) event: Option<Duration>,
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
        is_late: bool,
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
            is_late,
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
            "generator_overruns": look.overruns,
            "generator_cores": number(look.busy) / 1e9 / lasted,
        });
        if let Value::Object(fields) = &mut json {
            fields.extend(of_oddities(look.oddities));
            if options.voices > 0 {
                fields.extend(of_sound(look, lasted));
            }
            fields.extend(of_happenings(options, &it));
        }
        Self {
            plot: svg::plot(options, &it.seconds, &it.timeline, it.event),
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
            ("sound_packets_per_second", "sound, packets/s", 1.0, 0),
            ("sound_latency_us_p50", "its latency p50, µs", 1.0, 0),
            ("sound_latency_us_p99", "its latency p99, µs", 1.0, 0),
            ("cpu_us_per_packet", "server CPU µs/packet", 1.0, 3),
            ("cpu_cores", "server CPU, % of a core", 100.0, 1),
            ("switches_per_packet", "context switches/packet", 1.0, 4),
            ("syscalls_per_packet", "system calls/packet", 1.0, 4),
            ("rss_kib_per_endpoint", "memory per endpoint, KiB", 1.0, 1),
            ("join_ms_p50", "join p50, ms", 1.0, 1),
            ("cpu_us_per_join", "server CPU µs/join", 1.0, 0),
            ("calm_latency_us_p99", "p99 before the event, µs", 1.0, 0),
            ("storm_latency_us_p99", "p99 from then on, µs", 1.0, 0),
            ("spike_ratio", "busiest second over steady", 1.0, 2),
            ("spike_ms", "above twice steady, ms", 1.0, 0),
            ("settle_ms", "until steady again, ms", 1.0, 0),
            (
                "keyframe_interval_ms_min",
                "between keyframe requests, ms",
                1.0,
                1,
            ),
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

type Fields = serde_json::Map<String, Value>;

fn named<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    fields.into_iter().collect()
}

/// What came besides packets of streams.
fn of_oddities(it: Oddities) -> Fields {
    let interval = it.keyframe_interval.map(|nanos| number(nanos) / 1e6);
    named([
        ("keyframe_requests", json!(it.keyframe_requests)),
        ("keyframe_interval_ms_min", json!(interval)),
        ("packets_repeated", json!(it.repeated)),
        ("packets_of_padding", json!(it.padding)),
        ("packets_unopened", json!(it.unopened)),
        ("control_packets", json!(it.control)),
    ])
}

/// How sound came, which is no part of `packets_forwarded`.
fn of_sound(look: &Look, seconds: f64) -> Fields {
    let quantile = |share| json!(look.sound.quantile(share));
    let each_second = number(look.oddities.sound) / seconds;
    named([
        ("sound_packets_per_second", json!(each_second)),
        ("sound_latency_us_p50", quantile(0.5)),
        ("sound_latency_us_p99", quantile(0.99)),
    ])
}

/// How the time went, and what there is to say of what happened in it.
fn of_happenings(options: &Options, it: &Measured) -> Fields {
    let cpu: Vec<_> = it.seconds.iter().map(|it| it.cpu_us).collect();
    let p99: Vec<_> = it.seconds.iter().map(|it| it.p99).collect();
    let mut fields = named([
        ("cpu_us_by_second", json!(cpu)),
        ("latency_us_p99_by_second", json!(p99)),
    ]);
    fields.extend(of_timeline(&it.timeline, it.event));
    if it.event.is_some() {
        fields.insert("event".to_owned(), json!(options.event.map(word)));
        fields.extend(of_event(&it.seconds));
    }
    if let Some(storm) = &it.storm {
        fields.extend(of_storm(storm));
    }
    if let (Scenario::JoinStorm, Some(storm)) = (options.scenario, &it.storm) {
        let each = of_joins(storm, &it.seconds);
        fields.insert("cpu_us_per_join".to_owned(), json!(each));
    }
    fields
}

/// How busy the server was, and the spike that an event made.
fn of_timeline(timeline: &Timeline, event: Option<Duration>) -> Fields {
    let spike = event.and_then(|event| timeline.spike(event));
    let milliseconds = |it: Duration| it.as_secs_f64() * 1_000.0;
    let cores = timeline.0.iter().map(|it| (it * 1_000.0).round() / 1_000.0);
    let mut fields = Fields::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put(
        "cpu_timeline",
        json!({
            "unit": "cores",
            "step_ms": milliseconds(STEP),
            "event_ms": event.map(milliseconds),
            "values": cores.collect::<Vec<_>>(),
        }),
    );
    if let Some(Spike {
        before,
        after,
        ratio,
        lasted,
        settled,
    }) = spike
    {
        put("steady_cores_before", json!(before));
        put("steady_cores_after", json!(after));
        put("spike_ratio", json!(ratio));
        put("spike_ms", json!(milliseconds(lasted)));
        put("settle_ms", json!(settled.map(milliseconds)));
    }
    fields
}

/// Latency before an event, and from it on.
fn of_event(seconds: &[Second]) -> Fields {
    let p99 = |is_late| {
        let mut latency = Histogram::default();
        for second in seconds.iter().filter(|second| second.is_late == is_late) {
            latency.merge(&second.recent);
        }
        json!(latency.quantile(0.99))
    };
    named([
        ("calm_latency_us_p99", p99(false)),
        ("storm_latency_us_p99", p99(true)),
    ])
}

/// CPU time of a join: what the seconds of the storm took beyond the others. Only where those who
/// join get nothing.
fn of_joins(storm: &Storm, seconds: &[Second]) -> Option<f64> {
    let sum = |is_late| {
        let mut seconds = seconds.iter().filter(|second| second.is_late == is_late);
        let sum = seconds.try_fold((0.0, 0), |(sum, count), second| {
            Some((sum + second.cpu_us?, count + 1))
        })?;
        Some((sum.0 / float(sum.1.max(1)), float(sum.1)))
    };
    let ((calm, _), (busy, lasted)) = (sum(false)?, sum(true)?);
    Some((busy - calm).max(0.0) * lasted / float(storm.joins.len().max(1)))
}

fn of_storm(storm: &Storm) -> Fields {
    let mut times = Histogram::default();
    for join in &storm.joins {
        times.add(u64::try_from(join.as_nanos()).unwrap_or(u64::MAX));
    }
    let milliseconds = |share| times.quantile(share).map(|us| us / 1_000.0);
    named([
        ("joins", json!(storm.joins.len())),
        ("storm_join_ms_p50", json!(milliseconds(0.5))),
        ("storm_join_ms_p99", json!(milliseconds(0.99))),
    ])
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

#[cfg(test)]
mod tests {
    use super::*;

    fn second(cpu_us: f64, micros: u64, is_late: bool) -> Second {
        let mut recent = Histogram::default();
        recent.add(micros * 1_000);
        Second {
            cpu_us: Some(cpu_us),
            recent,
            is_late,
            ..Second::default()
        }
    }

    #[test]
    fn a_join_costs_what_the_seconds_of_the_storm_take_beyond_the_others() {
        let seconds = [
            second(100_000.0, 100, false),
            second(120_000.0, 100, false),
            second(160_000.0, 500, true),
            second(180_000.0, 500, true),
        ];
        let storm = Storm {
            joins: vec![Duration::from_millis(20); 100],
        };
        let each = of_joins(&storm, &seconds).unwrap();
        assert!((each - 1_200.0).abs() < 1e-6, "{each}");
        let unknown = [seconds[0].clone(), Second::default()];
        assert_eq!(of_joins(&storm, &unknown), None);
        let halves = of_event(&seconds);
        let p99 = |name: &str| halves.get(name).and_then(Value::as_f64).unwrap();
        assert!((p99("calm_latency_us_p99") - 100.0).abs() < 2.0);
        assert!((p99("storm_latency_us_p99") - 500.0).abs() < 8.0);
        assert_eq!(of_storm(&storm).get("joins"), Some(&json!(100)));
    }

    #[test]
    fn a_timeline_says_what_an_event_did() {
        let timeline = Timeline([[0.1; 10], [0.2; 10]].concat());
        let fields = of_timeline(&timeline, Some(Duration::from_secs(1)));
        assert_eq!(fields.get("spike_ms"), Some(&json!(0.0)));
        assert_eq!(fields.get("settle_ms"), Some(&json!(0.0)));
        let drawn = fields.get("cpu_timeline").unwrap();
        assert_eq!(drawn.get("event_ms"), Some(&json!(1_000.0)));
        assert_eq!(drawn.get("unit"), Some(&json!("cores")));
        let quiet = of_timeline(&timeline, None);
        assert!(!quiet.contains_key("spike_ratio") && quiet.contains_key("cpu_timeline"));
    }
}
