//! Loads a bridge and the yardstick in this process for a moment: packets flow, and none is lost.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use bench::ceiling;
use bench::load::options::Options;
use bench::load::run;
use clap::Parser;
use signaling::config::Config;
use signaling::start::{Role, Running, start};
use tokio::runtime::{Builder, Runtime};

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

fn serve(settings: &[(&str, &str)], role: Role) -> (Runtime, Running) {
    let settings = settings.iter();
    let settings = settings.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = Config::load(None, &settings.collect::<Vec<_>>()).unwrap();
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(start(&config, role)).unwrap();
    (runtime, server)
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
    let (runtime, server) = serve(&settings, Role::Bridge);
    let url = format!("http://{}", server.address("bridge.api").unwrap());
    let share = "--scenario share --receivers 4 --rate 400 --seconds 1 --sample 1";
    assert_flows(share, &url, 400.0);
    let room = "--scenario rooms --rooms 1 --members 3 --rate 600 --seconds 1";
    let room = format!("{room} --profile cm80 --feedback none --uneven");
    assert_flows(&room, &url, 600.0);
    runtime.block_on(server.stop());
}

#[test]
fn a_load_by_web_clients_flows_without_loss() {
    let settings = [
        ("web.http", "127.0.0.1:0"),
        ("web.https", ""),
        ("web.bosh", ""),
        ("xmpp.c2s", ""),
        ("focus.api", ""),
        ("bridge.api", ""),
        ("bridge.media", "127.0.0.1:0"),
        ("bridge.shards", "1"),
        ("bridge.trust-no-estimate", "true"),
    ];
    let (runtime, server) = serve(&settings, Role::All);
    let url = format!("http://{}", server.address("web.http").unwrap());
    let share = "--scenario share --receivers 3 --rate 300 --seconds 1 --via xmpp --sample 1";
    assert_flows(share, &url, 300.0);
    runtime.block_on(server.stop());
}

/// A yardstick that runs until this process ends.
fn yardstick() -> SocketAddrV4 {
    let (sender, address) = channel();
    let options = ceiling::Options::parse_from(["ceiling"]);
    thread::Builder::new()
        .spawn(move || ceiling::run(&options, |it| sender.send(it).unwrap()))
        .unwrap();
    address.recv().unwrap()
}

#[test]
fn a_load_of_the_yardstick_flows_without_loss() {
    let url = format!("http://{}", yardstick());
    let words = "--scenario share --receivers 4 --rate 400 --seconds 1 --via sdp-http --sample 1";
    assert_flows(words, &url, 400.0);
}

/// Reads a request, head and body.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 8_192];
    loop {
        let length = stream.read(&mut bytes).unwrap();
        text.push_str(core::str::from_utf8(&bytes[..length]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let expected = head
            .lines()
            .find_map(|it| it.strip_prefix("Content-Length: "));
        if body.len() >= expected.unwrap().parse().unwrap() {
            return text;
        }
    }
}

/// Speaks WHIP and WHEP before a yardstick; `deleted` hears what is deleted.
fn whip_before(yardstick: SocketAddrV4, deleted: Sender<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let text = request(&mut stream);
            let (head, offer) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\nAuthorization: Bearer secret"), "{head}");
            if let Some(rest) = head.strip_prefix("POST /entrance/") {
                let place = rest.split(' ').next().unwrap();
                let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0";
                write!(stream, "{head}\r\nLocation: ../../{place}\r\n\r\n").unwrap();
                continue;
            }
            let mut words = head.split(['/', ' ']).filter(|it| !it.is_empty());
            let (method, action, name) = (words.next(), words.next(), words.next().unwrap());
            if method == Some("DELETE") {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .unwrap();
                deleted.send(name.to_owned()).unwrap();
                continue;
            }
            let join = match action {
                Some("whip") => format!("/join?room=0&ep={name}&send=1&recv="),
                _ => format!("/join?room=0&ep=r{number}&send=0&recv={name}"),
            };
            let mut server = TcpStream::connect(yardstick).unwrap();
            let length = offer.len();
            write!(
                server,
                "POST {join} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{offer}"
            )
            .unwrap();
            let mut answer = String::new();
            server.read_to_string(&mut answer).unwrap();
            let (_, answer) = answer.split_once("\r\n\r\n").unwrap();
            let head = "HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\n";
            write!(
                stream,
                "{head}Location: ../resource/{number}\r\n\r\n{answer}"
            )
            .unwrap();
        }
    };
    thread::Builder::new().spawn(serve).unwrap();
    address
}

#[test]
fn a_load_over_whip_flows_without_loss_and_deletes_what_it_made() {
    let (sender, deleted) = channel();
    let url = format!("http://{}/entrance", whip_before(yardstick(), sender));
    let words = "--scenario rooms --rooms 1 --members 3 --rate 600 --seconds 1 --via whip";
    assert_flows(&format!("{words} --bearer secret"), &url, 600.0);
    assert_eq!(deleted.try_iter().count(), 9, "three are sent, each to two");
}
