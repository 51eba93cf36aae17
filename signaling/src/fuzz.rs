//! Holds the bodies of the fuzz targets, so that ordinary builds compile them and `cargo test`
//! replays their corpora. Each takes any bytes and must neither panic nor hang.

use std::sync::Arc;

use bridge_core::limits::SOURCES_PER_ENDPOINT_MAX;

use crate::channel::message::{self, FromClient};
use crate::colibri::json;
use crate::config::Config;
use crate::focus::sources::Sources;
use crate::jingle::session::Jingle;
use crate::jingle::{self, source};
use crate::listen::bosh::window::{Arrival, Window};
use crate::xml::reader::read_document;
use crate::xml::{Element, Reader, StreamEvent, XmlError, XmlLimits, ns, writer};
use crate::xmpp::jid::Jid;
use crate::xmpp::router::{Router, SessionKey};
use crate::xmpp::stream::{Action, Stream};
use crate::xmpp::{XmppConfig, XmppStats};

/// A name and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target with its name, as in `fuzz/fuzz_targets/`.
pub const TARGETS: &[Target] = &[
    ("xml", fuzz_xml),
    ("stanza", fuzz_stanza),
    ("bosh", fuzz_bosh),
    ("jingle", fuzz_jingle),
    ("channel_message", fuzz_channel_message),
    ("colibri_json", fuzz_colibri_json),
    ("config", fuzz_config),
];

const LIMITS: XmlLimits = XmlLimits {
    bytes: 2_000,
    depth: 16,
    attributes: 8,
    elements: 100,
};

/// What was written may be longer than what was read, by namespaces and escapes.
const LAX: XmlLimits = XmlLimits {
    bytes: 1 << 20,
    depth: 64,
    attributes: 64,
    elements: 10_000,
};

/// What is read is written and read back the same; a stream is the same however it is cut.
pub fn fuzz_xml(data: &[u8]) {
    if let Ok(element) = read_document(data, LIMITS) {
        let text = writer::to_string(&element);
        assert_eq!(
            read_document(text.as_bytes(), LAX).as_ref(),
            Ok(&element),
            "{text}"
        );
    }
    let whole = events(data, data.len().max(1));
    let step = usize::from(data.first().copied().unwrap_or_default() % 16) + 1;
    assert_eq!(events(data, step), whole);
}

fn events(data: &[u8], step: usize) -> (Vec<StreamEvent>, Option<XmlError>) {
    let mut reader = Reader::new(LIMITS);
    let mut events = Vec::new();
    for mut chunk in data.chunks(step) {
        loop {
            match reader.read(&mut chunk) {
                Ok(Some(StreamEvent::Close)) => return (events, None),
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// Three users of a server, one of them the focus, say one element a line: the first byte of the
/// line is who. What anybody gets can be written and read, and comes from where it should.
pub fn fuzz_stanza(data: &[u8]) {
    let mut router = Router::new(&XmppConfig::default(), Arc::new(XmppStats::default()));
    let users = [
        "11111111@meet.jitsi/a",
        "22222222@meet.jitsi/b",
        "focus@auth.meet.jitsi/focus",
    ];
    let keys = [0, 1, 2].map(SessionKey);
    for (user, key) in users.iter().zip(keys) {
        if let Some(jid) = Jid::parse(user) {
            router.bind(key, jid, key == SessionKey(2));
        }
    }
    let mut stream = Stream::new("meet.jitsi");
    for (now, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let Some((who, text)) = line.split_first() else {
            continue;
        };
        let Ok(element) = read_document(text, LIMITS) else {
            continue;
        };
        drive(&mut stream, &element);
        if !element.is_stanza() {
            continue;
        }
        let key = keys
            .get(usize::from(who % 3))
            .copied()
            .unwrap_or(SessionKey(0));
        router.handle(now as u64, key, element);
        while let Some(delivery) = router.next_delivery() {
            let text = writer::to_string(&delivery.stanza);
            let read = read_document(text.as_bytes(), LAX);
            assert!(
                read.is_ok_and(|stanza| stanza.weight() == delivery.stanza.weight()),
                "{text}"
            );
            assert!(delivery.stanza.is_stanza());
            let session = keys.iter().position(|key| *key == delivery.session);
            let user = session.and_then(|session| users.get(session));
            assert_eq!(delivery.stanza.attr("to"), user.copied());
        }
    }
    for key in keys {
        router.end(key);
    }
    while router.next_delivery().is_some() {}
}

/// A stream gives stanzas on only after a bind, and nothing after its end.
fn drive(stream: &mut Stream, element: &Element) {
    let was_closed = stream.is_closed();
    let actions = if element.is("open", ns::FRAMING) {
        stream.handle_open(element.attr("to"))
    } else {
        stream.handle_element(element.clone())
    };
    assert!(!was_closed || actions.is_empty());
    let given = actions
        .iter()
        .any(|action| matches!(action, Action::Stanza(_)));
    assert!(!given || stream.is_authenticated());
}

/// Requests arrive with any numbers; they are handled in order, each at most once, and a repeated
/// one gets the same answer.
pub fn fuzz_bosh(data: &[u8]) {
    let (numbers, body) = data.split_at(data.len().min(32));
    drop(read_document(body, LIMITS).map(|body| body.attr("rid").map(str::parse::<u64>)));
    let mut window = Window::new(100, 2);
    let mut last = 100;
    for (index, number) in numbers.iter().enumerate() {
        if number % 8 == 0 {
            drop(window.answer(Arc::from(index.to_string())));
            continue;
        }
        let rid = last + u64::from(number % 8).saturating_sub(4);
        let body = Element::new("body", ns::BOSH).with("rid", rid.to_string());
        if let Arrival::Repeat(..) = window.arrive(rid, body, index) {
            assert!(rid <= last);
        }
        while let Some(body) = window.next() {
            last += 1;
            assert_eq!(body.attr("rid"), Some(last.to_string().as_str()));
        }
    }
    assert!(window.waiting() <= numbers.len());
}

/// Whatever Jingle says, a conference's sources stay consistent: what was taken can be described,
/// written, read back and taken away.
pub fn fuzz_jingle(data: &[u8]) {
    let Ok(payload) = read_document(data, LAX) else {
        return;
    };
    if let Ok(jingle) = Jingle::read(&payload) {
        if let Ok(Some(transport)) = jingle.transport() {
            let written = jingle::transport::write(&transport, None);
            assert_eq!(jingle::transport::read(&written).as_ref(), Ok(&transport));
        }
        for media in jingle.media().into_iter().flatten() {
            let written = jingle::content::write(&media);
            assert_eq!(
                jingle::content::read(media.kind, &written).as_ref(),
                Ok(&media)
            );
        }
    }
    let mut sources = Sources::default();
    let Ok(streams) = source::read("aaaa", &payload) else {
        return;
    };
    if let Ok(all) = sources.with("aaaa", &streams) {
        assert!(
            all.describe()
                .is_ok_and(|it| it.len() <= SOURCES_PER_ENDPOINT_MAX)
        );
        sources.set("aaaa", all.clone());
        assert!(all.is_empty() || sources.with("bbbb", &all).is_err());
        assert!(
            sources
                .without("aaaa", &all)
                .is_ok_and(|rest| rest.is_empty())
        );
        sources.set("aaaa", Default::default());
        assert_eq!(sources.all().count(), 0);
    }
}

/// A message that is understood can be passed on.
pub fn fuzz_channel_message(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(FromClient::Relay { fields, .. }) = message::read(text)
    {
        let text = serde_json::Value::Object(fields).to_string();
        assert!(message::read(&text).is_ok(), "{text}");
    }
}

/// A request is read or refused; a transport that is read is written and read back the same.
pub fn fuzz_colibri_json(data: &[u8]) {
    if let Ok(request) = json::read(data, None) {
        assert_eq!(
            json::read(data, Some(request.meeting.as_str())).as_ref(),
            Ok(&request)
        );
    }
    if let Ok(Some(transport)) = json::read_transport(data) {
        let written = json::write_transport(&transport, None).to_string();
        assert_eq!(
            json::read_transport(written.as_bytes()),
            Ok(Some(transport))
        );
    }
}

/// Settings that are read are written and read back the same.
pub fn fuzz_config(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(config) = Config::parse(text)
    {
        let written = toml::to_string(&config).unwrap_or_default();
        assert_eq!(Config::parse(&written).as_ref(), Ok(&config), "{written}");
    }
}
