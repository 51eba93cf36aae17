//! Loads a bridge and the yardstick in this process for a moment: packets flow, and none is lost.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bench::ceiling;
use bench::load::options::Options;
use bench::load::run;
use clap::Parser;
use signaling::config::Config;
use signaling::start::{Role, start};

fn options(words: &str) -> Options {
    Options::parse_from(
        ["load", "--quiet", "--warm-up", "0"]
            .into_iter()
            .chain(words.split(' ')),
    )
}

/// All is counted, all came.
fn assert_flows(words: &str, url: &str, rate: f64) {
    let pid = std::process::id();
    let report = run(&options(&format!("{words} --target {url} --pid {pid}"))).unwrap();
    assert_eq!(report.figure("loss"), Some(0.0), "{}", report.json);
    assert_eq!(
        report.figure("packets_unopened"),
        Some(0.0),
        "{}",
        report.json
    );
    let came = report.figure("packets_per_second").unwrap();
    assert!(came > 0.5 * rate && came < 1.5 * rate, "{came} packets/s");
    assert!(report.figure("cpu_us_per_packet").unwrap() > 0.0);
    assert!(report.figure("latency_us_p50").unwrap() > 0.0);
}

#[test]
fn a_load_over_colibri_flows_without_loss() {
    let settings = [
        ("bridge.api", "127.0.0.1:0"),
        ("bridge.media", "127.0.0.1:0"),
        ("bridge.shards", "1"),
        ("bridge.initial-max-height", "-1"),
        ("bridge.trust-no-estimate", "true"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::load(None, &settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(start(&config, Role::Bridge)).unwrap();
    let url = format!("http://{}", server.address("bridge.api").unwrap());
    let share = "--scenario share --receivers 4 --rate 400 --seconds 1 --sample 1";
    assert_flows(share, &url, 400.0);
    let room =
        "--scenario rooms --rooms 1 --members 3 --rate 600 --seconds 1 --profile cm80 --uneven";
    assert_flows(room, &url, 600.0);
    runtime.block_on(server.stop());
}

#[test]
fn a_load_of_the_yardstick_flows_without_loss() {
    let (sender, address) = std::sync::mpsc::channel();
    let options = ceiling::Options::parse_from(["ceiling"]);
    // It runs until this process ends.
    std::thread::Builder::new()
        .spawn(move || ceiling::run(&options, |it| sender.send(it).unwrap()))
        .unwrap();
    let url = format!("http://{}", address.recv().unwrap());
    let words = "--scenario share --receivers 4 --rate 400 --seconds 1 --via sdp-http --sample 1";
    assert_flows(words, &url, 400.0);
}
