//! Counts the instructions that a packet costs, stage by stage, and holds them to a budget.
//!
//! Times differ from run to run and from machine to machine; counts under callgrind differ by less
//! than a per cent, so a change that costs is seen in the commit that brings it. Fixed work runs
//! under `valgrind --tool=callgrind`, and counts are compared with `bench/instructions.toml`. Three
//! per cent more fail; `--update` writes the file anew, to be committed with the change and its
//! reason.
//!
//! Callgrind shows the program a processor with AES-NI and AVX2 but without SHA, VAES and AVX-512:
//! HMAC-SHA1 is the portable hash here, AES-GCM `ring`'s code for older processors. What crypto
//! costs is judged by time (`cargo bench srtp`), what surrounds it by these counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bridge_core::codec::vp8::Vp8Descriptor;
use bridge_core::id::Ssrc;
use bridge_core::rtcp::{CompoundWriter, RtcpPacket, packets};
use bridge_core::rtp::{RtpHeader, extension};
use bridge_core::sim::{Crowd, Layout, Rig};
use bridge_core::srtp::{GcmBackend, OutboundContext, SrtpProfile};
use bridge_core::{AllocateBench, BoundBench, DemuxBench, EgressBench, IngestBench, Time};
use clap::Parser;

/// Counts instructions for one packet under callgrind and compares them with the budget.
#[derive(Debug, Parser)]
struct Options {
    /// Writes the budget anew from what is measured.
    #[arg(long)]
    update: bool,
    /// Only the work whose name contains this.
    #[arg(default_value = "")]
    filter: String,
    /// Does this work once, measured or not: what runs under callgrind.
    #[arg(long, hide = true)]
    work: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.work {
        Some(name) => work(name).map(|units| {
            tell(&units.to_string());
            true
        }),
        None => compare(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(2)
        }
    }
}

/// Measures, prints the table; `true` if nothing is over its budget.
fn compare(options: &Options) -> Result<bool, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    let budget = read_budget(&std::fs::read_to_string(&file).unwrap_or_default())?;
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is missing: apt-get install valgrind".to_owned());
    }
    let program = build()?;
    let mut counts = BTreeMap::new();
    for work in WORK.iter().filter(|one| one.name.contains(&options.filter)) {
        counts.insert(work.name.to_owned(), count(&program, work.name)?);
    }
    let (table, mut is_kept) = judge(&budget, &counts);
    tell(&table);
    if options.update {
        let mut all = budget;
        all.retain(|name, _| WORK.iter().any(|work| work.name == name));
        all.extend(counts);
        std::fs::write(&file, write_budget(&all)).map_err(|error| error.to_string())?;
        is_kept = true;
    } else if !is_kept {
        complain("more than the budget: save instructions, or run with --update and say why");
    }
    Ok(is_kept || !cfg!(target_arch = "x86_64"))
}

/// Builds this program as it is to be counted, whatever it was built as itself; gives its path.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked"])
        .args(["--bin", "instructions", "--message-format", "json"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        // As `check` builds, which shares it; the engine is one unit in any case.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let mut messages = lines.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    messages.next_back().ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("the program to be counted does not build:\n{errors}")
    })
}

/// Instructions for one unit of the work.
fn count(program: &Path, name: &str) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*measured_pass*"])
        .arg(program)
        .args(["--work", name])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let (out, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let units: Option<u64> = out.trim().parse().ok();
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let collected: Option<u64> = collected.and_then(|(_, number)| number.trim().parse().ok());
    match (collected, units) {
        (Some(collected), Some(units)) if collected > 0 && units > 0 => Ok(collected / units),
        _ => Err(format!("{name}: nothing was counted\n{log}")),
    }
}

/// The table, and whether all counts are within the budget.
fn judge(budget: &BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) -> (String, bool) {
    let mut table = String::from("| work | instructions | budget | change |\n");
    table.push_str("| --- | ---: | ---: | ---: |\n");
    let mut is_kept = true;
    for (name, &count) in counts {
        let known = budget.get(name).copied().filter(|known| *known > 0);
        let (known, change) = match known {
            Some(known) => {
                is_kept &= count * 100 <= known * (100 + PERCENT_MORE);
                let permille = count * 1_000 / known;
                let (sign, off) = match permille.checked_sub(1_000) {
                    Some(more) => ('+', more),
                    None => ('−', 1_000 - permille),
                };
                (
                    known.to_string(),
                    format!("{sign}{}.{} %", off / 10, off % 10),
                )
            }
            None => {
                is_kept = false;
                ("none".to_owned(), "new".to_owned())
            }
        };
        // Writing to a string cannot fail.
        let _written = writeln!(table, "| {name} | {count} | {known} | {change} |");
    }
    (table, is_kept)
}

/// Reads lines of `"name" = number`.
fn read_budget(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries = lines.map(|line| {
        let (name, number) = line.split_once('=')?;
        let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    entries
        .collect::<Option<_>>()
        .ok_or_else(|| "bench/instructions.toml has a line that is no budget".to_owned())
}

fn write_budget(budget: &BTreeMap<String, u64>) -> String {
    let mut text = String::from(
        "# Instructions for one packet, or one decision, under callgrind on x86-64.\n\
         # Three per cent more fail; `--update` writes the file anew.\n",
    );
    for (name, count) in budget {
        let _written = writeln!(text, "\"{name}\" = {count}");
    }
    text
}

/// Work that is counted.
struct Work {
    name: &'static str,
    /// How often it is done.
    passes: u32,
    make: fn() -> Option<Box<dyn Pass>>,
}

/// Fixed work, the same in every run.
trait Pass {
    /// What comes between two passes and is not counted.
    fn prepare(&mut self) {}

    /// Does it; gives the packets or decisions that it stands for.
    fn pass(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Pass for F {
    fn pass(&mut self) -> u64 {
        self()
    }
}

impl Pass for Rig {
    fn prepare(&mut self) {
        Self::prepare(self);
    }

    fn pass(&mut self) -> u64 {
        u64::try_from(Self::pass(self)).unwrap_or(0)
    }
}

/// Does the work of that name; gives the units of all its passes.
fn work(name: &str) -> Result<u64, String> {
    let work = WORK.iter().find(|work| work.name == name);
    let work = work.ok_or_else(|| format!("no work {name}"))?;
    let mut pass = (work.make)().ok_or_else(|| format!("{name} cannot be set up"))?;
    let mut units = 0;
    for _ in 0..work.passes {
        pass.prepare();
        units += measured_pass(&mut *pass);
    }
    Ok(units)
}

/// What callgrind counts, by this name.
#[inline(never)]
fn measured_pass(pass: &mut dyn Pass) -> u64 {
    black_box(pass.pass())
}

const WORK: [Work; 21] = [
    new("parse/rtp_and_vp8", 200, || Some(Box::new(parse_media))),
    new("parse/feedback_on_100_packets", 20, parse_feedback),
    new("demux/endpoints_1000", 100, || {
        let mut bench = DemuxBench::new(1_000);
        Some(Box::new(move || bench.pass()))
    }),
    new("ingest/20_ms_of_one_sender", 50, || {
        let mut bench = IngestBench::new().ok()?;
        warm_up(100, || bench.pass());
        Some(Box::new(move || bench.pass()))
    }),
    new("egress/gcm128/receivers_10", 20, || {
        let mut bench = EgressBench::new(10, SrtpProfile::AeadAes128Gcm)?;
        warm_up(20, || bench.pass());
        Some(Box::new(move || bench.pass()))
    }),
    new("allocate/sources_50", 20, || {
        let mut bench = AllocateBench::new(50);
        Some(Box::new(move || {
            black_box(bench.decide(20_000_000));
            1
        }))
    }),
    new("bwe/feedback_on_100_packets", 20, || {
        let mut bench = BoundBench::new()?;
        Some(Box::new(move || bench.pass()))
    }),
    new("seal/cm80/bytes_1200", 50, || {
        seal(SrtpProfile::Aes128CmSha1_80)
    }),
    new("seal/gcm128/bytes_1200", 50, || {
        seal(SrtpProfile::AeadAes128Gcm)
    }),
    new("seal/gcm256/bytes_1200", 50, || {
        seal(SrtpProfile::AeadAes256Gcm)
    }),
    new("forward/cm80/receivers_10/burst_4", 10, || {
        forward(10, 4, SrtpProfile::Aes128CmSha1_80)
    }),
    new("forward/gcm128/receivers_10/burst_4", 10, || {
        forward(10, 4, SrtpProfile::AeadAes128Gcm)
    }),
    new("forward/gcm256/receivers_10/burst_4", 10, || {
        forward(10, 4, SrtpProfile::AeadAes256Gcm)
    }),
    new("forward/gcm128/receivers_10_of_200/burst_4", 10, || {
        let rig = Rig::with_idle(10, 190, 4, SrtpProfile::AeadAes128Gcm);
        Some(Box::new(rig.ok()?))
    }),
    new("forward/gcm128/receivers_10/burst_1", 10, || {
        forward(10, 1, SrtpProfile::AeadAes128Gcm)
    }),
    new("forward/gcm128/receivers_500/burst_1", 10, || {
        forward(500, 1, SrtpProfile::AeadAes128Gcm)
    }),
    new("growth/rooms_1_of_10", 20, || {
        layout(&Layout::rooms(1, 9, 1))
    }),
    new("growth/rooms_20_of_10", 20, || {
        layout(&Layout::rooms(20, 9, 1))
    }),
    new("growth/change/members_25", 10, || change(25)),
    new("growth/change/members_100", 10, || change(100)),
    new("growth/everybody_50_last_10", 50, || {
        layout(&Layout::everybody(50, 10, 1))
    }),
];

/// What may cost how many per cent of what, by the budget: receivers, rooms and members cost a
/// packet nothing, and a change in a conference costs each member no more in a large one.
#[cfg(test)]
const GROWTH: [(&str, &str, u64); 4] = [
    (
        "forward/gcm128/receivers_500/burst_1",
        "forward/gcm128/receivers_10/burst_1",
        110,
    ),
    ("growth/rooms_20_of_10", "growth/rooms_1_of_10", 105),
    (
        "growth/everybody_50_last_10",
        "forward/gcm128/receivers_10/burst_1",
        105,
    ),
    ("growth/change/members_100", "growth/change/members_25", 150),
];

/// Lets tables grow to their size first.
fn warm_up(passes: u32, mut pass: impl FnMut() -> u64) {
    for _ in 0..passes {
        pass();
    }
}

const fn new(name: &'static str, passes: u32, make: fn() -> Option<Box<dyn Pass>>) -> Work {
    Work { name, passes, make }
}

/// A video packet as Chromium sends it: three one-byte elements, then a VP8 descriptor.
const PACKET: &[u8] = b"\x90\x60\0\x07\0\0\x10\0\0\0\0\x02\
    \xbe\xde\0\x03\x22\x01\x02\x03\x31\x04\x05\x10\x30\0\0\0\
    \x90\xe0\x92\x34\x56\x20\x10\0\0\x9d\x01\x2a\x40\x01\xb4\x00";

fn parse_media() -> u64 {
    let bytes = black_box(PACKET);
    let Ok(header) = RtpHeader::parse(bytes) else {
        return 0;
    };
    let element = extension::find(bytes, &header, 1).map_or(0, <[u8]>::len);
    let vp8 = header.payload(bytes).and_then(Vp8Descriptor::parse);
    u64::from(element > 0 && vp8.is_ok())
}

fn parse_feedback() -> Option<Box<dyn Pass>> {
    let mut out = vec![0; 1_200];
    let arrivals = (0..100).map(|number| (number, Time::from_micros(1_000 * number)));
    let mut writer = CompoundWriter::new(&mut out);
    writer.twcc(Ssrc(1), Ssrc(2), 3, 0, arrivals)?;
    let length = writer.len();
    out.truncate(length);
    Some(Box::new(move || {
        let twcc = packets(black_box(&out)).find_map(|packet| match packet {
            Ok(RtcpPacket::Twcc(twcc)) => Some(twcc),
            _ => None,
        });
        let arrived = twcc.map_or(0, |twcc| twcc.statuses().count());
        u64::try_from(arrived).unwrap_or(0)
    }))
}

fn seal(profile: SrtpProfile) -> Option<Box<dyn Pass>> {
    let (key, salt) = (
        vec![7; profile.key_length()],
        vec![9; profile.salt_length()],
    );
    let context = OutboundContext::new(profile, &key, &salt).ok()?;
    let mut segment = PACKET.to_vec();
    segment.resize(1_200 + profile.rtp_overhead(), 0x5a);
    let header = usize::from(RtpHeader::parse(PACKET).ok()?.length);
    Some(Box::new(move || {
        let sealed = context.seal_rtp(7, black_box(&mut segment), header);
        u64::from(sealed.is_ok())
    }))
}

fn forward(receivers: usize, burst: usize, profile: SrtpProfile) -> Option<Box<dyn Pass>> {
    Some(Box::new(Rig::new(receivers, burst, profile).ok()?))
}

fn layout(layout: &Layout) -> Option<Box<dyn Pass>> {
    let profile = SrtpProfile::AeadAes128Gcm;
    Some(Box::new(
        Rig::of(layout, GcmBackend::default(), profile).ok()?,
    ))
}

/// A change in a conference of so many on two shards, per member.
fn change(members: usize) -> Option<Box<dyn Pass>> {
    let mut crowd = Crowd::new(2, members, 20).ok()?;
    let members = u64::try_from(members).ok()?;
    Some(Box::new(move || {
        black_box(crowd.change());
        members
    }))
}

/// Per cent over the budget that are let pass: what another compiler or library may make of it.
const PERCENT_MORE: u64 = 3;

#[expect(clippy::print_stdout, reason = "the result of a tool")]
fn tell(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the failure of a tool")]
fn complain(text: &str) {
    eprintln!("instructions: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let entries = entries.iter();
        entries
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn three_per_cent_more_pass_and_a_little_more_fails() {
        let budget = counts(&[("a", 1_000)]);
        for (count, is_kept, change) in [
            (900, true, "−10.0 %"),
            (1_000, true, "+0.0 %"),
            (1_030, true, "+3.0 %"),
            (1_031, false, "+3.1 %"),
        ] {
            let (table, kept) = judge(&budget, &counts(&[("a", count)]));
            assert_eq!(kept, is_kept, "{count}");
            assert!(
                table.contains(&format!("| a | {count} | 1000 | {change} |")),
                "{table}"
            );
        }
    }

    #[test]
    fn work_without_a_budget_fails() {
        let (table, is_kept) = judge(&counts(&[]), &counts(&[("a", 1)]));
        assert!(!is_kept && table.contains("| a | 1 | none | new |"));
    }

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        let budget = counts(&[("a/b", 7), ("c", 1_000)]);
        assert_eq!(read_budget(&write_budget(&budget)), Ok(budget));
        assert!(read_budget("a = 1").is_err());
        assert!(read_budget("\"a\" = many").is_err());
    }

    #[test]
    fn the_committed_budget_has_the_work_that_there_is() {
        let budget = read_budget(include_str!("../../instructions.toml")).unwrap();
        let names: Vec<&str> = budget.keys().map(String::as_str).collect();
        let mut work: Vec<&str> = WORK.iter().map(|work| work.name).collect();
        work.sort_unstable();
        assert_eq!(names, work);
    }

    #[test]
    fn what_a_packet_costs_does_not_grow_with_the_conference() {
        let budget = read_budget(include_str!("../../instructions.toml")).unwrap();
        for (more, few, percent) in GROWTH {
            let (cost, least) = (budget[more], budget[few]);
            assert!(
                cost * 100 <= least * percent,
                "{more}: {cost}, {few}: {least}, at most {percent} %"
            );
        }
    }

    #[test]
    fn all_work_can_be_done() {
        for one in &WORK {
            assert!(work(one.name).unwrap() > 0, "{}", one.name);
        }
    }
}
