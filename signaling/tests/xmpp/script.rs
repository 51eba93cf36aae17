//! Plays the scenarios of `tests/script/*.txt`: clients that send stanzas and expect others.
//!
//! A scenario names its clients (`[Client] alice` over WebSocket, `[Service] focus` in process) and
//! then says line by line what happens: `alice connects`, `alice sends:`, `alice sends raw:`,
//! `alice receives:` (exactly these, in this order), `alice disconnects`, `alice is disconnected`.
//! XML is indented below. `${alice.jid}` and `${alice.nick}` stand for what the server gave. An
//! expected element must be there with its attributes, its text and all its children and no others;
//! an attribute or a text `*` may be anything, a child `<etc/>` allows for more children.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{Client, PATIENCE, Server, stanzas, write};
use signaling::xml::Element;
use signaling::xmpp::{Link, XmppConfig};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/script");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        println!("{}", path.display());
        play(&path.file_name().unwrap().to_string_lossy(), &text).await;
    }
}

enum Actor {
    Absent,
    Client(Box<Client>),
    Service(Link),
}

struct Stage {
    server: Server,
    actors: BTreeMap<String, Actor>,
    words: BTreeMap<String, String>,
}

async fn play(name: &str, text: &str) {
    let server = Server::start(XmppConfig::default()).await;
    let mut stage = Stage {
        server,
        actors: BTreeMap::new(),
        words: BTreeMap::new(),
    };
    let lines: Vec<&str> = text.lines().collect();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        let place = format!("{name}:{}", index + 1);
        index += 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut body = String::new();
        while let Some(more) = lines
            .get(index)
            .filter(|l| l.starts_with(' ') || l.is_empty())
        {
            body.push_str(more.trim());
            index += 1;
        }
        stage.step(&place, line.trim(), &body).await;
    }
}

impl Stage {
    async fn step(&mut self, place: &str, line: &str, body: &str) {
        let body = self
            .words
            .iter()
            .fold(body.to_owned(), |t, (k, v)| t.replace(k.as_str(), v));
        if let Some(name) = line.strip_prefix("[Client] ") {
            self.actors.insert(name.to_owned(), Actor::Absent);
            return;
        }
        if let Some(name) = line.strip_prefix("[Service] ") {
            let link = self.server.handle.attach("focus@auth.meet.jitsi/focus");
            self.actors.insert(name.to_owned(), Actor::Service(link));
            return;
        }
        let (name, verb) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("{place}: {line}"));
        let actor = self
            .actors
            .get_mut(name)
            .unwrap_or_else(|| panic!("{place}: who is {name}"));
        match verb {
            "connects" => {
                let client = self.server.client().await;
                self.words
                    .insert(format!("${{{name}.jid}}"), client.jid.clone());
                self.words
                    .insert(format!("${{{name}.nick}}"), client.nick().to_owned());
                *actor = Actor::Client(Box::new(client));
            }
            "sends:" => {
                for stanza in stanzas(&body) {
                    actor.send(&stanza).await;
                }
            }
            "sends raw:" => match actor {
                Actor::Client(client) => client.send(&body).await,
                _ => panic!("{place}: no raw bytes there"),
            },
            "receives:" => {
                for expected in stanzas(&body) {
                    let got = timeout(PATIENCE, actor.receive()).await;
                    let got = got.unwrap_or_else(|_| panic!("{place}: nothing comes"));
                    let got = got.unwrap_or_else(|| panic!("{place}: {name} is disconnected"));
                    if let Err(why) = matches(&expected, &got) {
                        panic!("{place}: {why}\n  got {}", write(&got));
                    }
                }
            }
            "disconnects" => *actor = Actor::Absent,
            "is disconnected" => {
                let got = timeout(PATIENCE, actor.receive()).await.expect("an end");
                assert_eq!(got, None, "{place}");
            }
            _ => panic!("{place}: {line}"),
        }
    }
}

impl Actor {
    async fn send(&mut self, stanza: &Element) {
        match self {
            Self::Client(client) => client.send(&write(stanza)).await,
            Self::Service(link) => link.sender.send(stanza.clone()).await.unwrap(),
            Self::Absent => panic!("not connected"),
        }
    }

    async fn receive(&mut self) -> Option<Element> {
        match self {
            Self::Client(client) => client.element().await,
            Self::Service(link) => link.receiver.recv().await,
            Self::Absent => panic!("not connected"),
        }
    }
}

/// Whether an element is as expected, and if not, why.
fn matches(expected: &Element, got: &Element) -> Result<(), String> {
    if expected.name != got.name || expected.namespace != got.namespace {
        return Err(format!(
            "expected <{} xmlns={}>",
            expected.name, expected.namespace
        ));
    }
    for (name, value) in &expected.attributes {
        let is = got.attr(name);
        if is.is_none() || (value != "*" && is != Some(value)) {
            return Err(format!("<{}> expected {name}={value}, is {is:?}", got.name));
        }
    }
    let text = expected.own_text();
    if text != "*" && text.trim() != got.own_text().trim() {
        return Err(format!("<{}> expected text {text:?}", got.name));
    }
    let open = expected.elements().any(|child| child.name == "etc");
    let mut rest: Vec<_> = got.elements().collect();
    for child in expected.elements().filter(|child| child.name != "etc") {
        let found = rest
            .iter()
            .position(|candidate| matches(child, candidate).is_ok());
        match found {
            Some(index) => drop(rest.remove(index)),
            None => return Err(format!("in <{}> not found: {}", got.name, write(child))),
        }
    }
    if open || rest.is_empty() {
        return Ok(());
    }
    Err(format!(
        "in <{}> not expected: {}",
        got.name,
        write(rest[0])
    ))
}
