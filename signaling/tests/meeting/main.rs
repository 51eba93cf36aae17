//! Plays meetings: scripted clients, the XMPP server, the focus and a recorded engine, in virtual
//! time and without sockets.

mod hall;

use std::sync::Arc;
use std::time::Duration;

use bridge_core::Command;
use signaling::focus::{Focus, FocusLink};
use signaling::seam::Signaling;
use signaling::xml::{Element, ns, writer};
use tokio::sync::mpsc;

use hall::*;

#[tokio::test(start_paused = true)]
async fn two_clients_are_brought_together() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    assert!(
        a.is_spared(|it| is_jingle(it, "session-initiate")).await,
        "nobody is there to meet"
    );
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    let offer = a.jingle("session-initiate").await;
    for kind in ["audio", "video"] {
        let content = offer
            .elements()
            .find(|it| it.is("content", JINGLE) && it.attr("name") == Some(kind))
            .expect("a content");
        let description = content.find("description", RTP).unwrap();
        assert!(description.find("rtcp-mux", RTP).is_some());
        let transport = content
            .find("transport", "urn:xmpp:jingle:transports:ice-udp:1")
            .unwrap();
        let url = transport
            .find("web-socket", "http://jitsi.org/protocol/colibri")
            .unwrap();
        assert_eq!(
            url.attr("url"),
            Some("ws://localhost:8000/colibri-ws/b/c/aaaaaaaa?pwd=x")
        );
        let fingerprint = transport
            .find("fingerprint", "urn:xmpp:jingle:apps:dtls:0")
            .unwrap();
        assert_eq!(fingerprint.attr("setup"), Some("actpass"));
    }
    assert!(offer.elements().all(|it| it.attr("name") != Some("data")));
    assert!(
        offer
            .find("group", "urn:xmpp:jingle:apps:grouping:0")
            .is_some()
    );
    assert!(
        offer
            .find("bridge-session", ns::FOCUS)
            .is_some_and(|it| it.attr("id").is_some())
    );
    let sources = json_of(&offer);
    assert_eq!(
        sources["sources"].as_object().unwrap().len(),
        1,
        "SSRCs are rewritten"
    );
    assert_eq!(sources["sources"]["jvb"][0][0]["s"], 102);

    let answer = a.answer(offer.attr("sid").unwrap(), 10);
    assert_eq!(a.ask(FOCUS, answer).await.attr("type"), Some("result"));
    b.accept(20).await;
    let commands = hall.media.take();
    let names: Vec<String> = commands.iter().map(name_of).collect();
    assert_eq!(names[..2], ["CreateConference", "CreateEndpoint"]);
    let media = commands.iter().find_map(|it| match it {
        Command::SetMedia { media, .. } => Some(media),
        _ => None,
    });
    let video = &media.unwrap()[1];
    assert_eq!(
        video.payload_types.len(),
        2,
        "what was not offered is left out"
    );
    let options = commands.iter().find_map(|it| match it {
        Command::CreateEndpoint { options, .. } => Some(options),
        _ => None,
    });
    assert!(options.unwrap().loopback && options.unwrap().ssrc_rewriting);
}

/// Attribute by attribute as Jicofo's offer to the same client in a recorded meeting, but for the
/// codecs that are not forwarded and for what names its own session.
#[tokio::test(start_paused = true)]
async fn the_offer_is_jicofos_to_the_letter() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let _b = hall.join("bbbbbbbb", &MODERN).await;
    let mut offer = a.jingle("session-initiate").await;
    let ours = |it: &Element, name: &str| it.attr(name).unwrap().to_owned();
    let sid = ours(&offer, "sid");
    let session = ours(offer.find("bridge-session", ns::FOCUS).unwrap(), "id");
    assert!(sid.len() >= 16 && session.len() >= 16);
    offer.set("sid", "SID");
    let expected: String = include_str!("session-initiate.xml")
        .lines()
        .map(str::trim_start)
        .collect();
    let written = writer::to_string(&offer).replace(&session, "BRIDGE-SESSION");
    assert_eq!(
        written.replace("><", ">\n<"),
        expected.replace("><", ">\n<")
    );
}

/// Whether a stanza shows that occupant in that role.
fn shows(nick: &str, role: &'static str) -> impl Fn(&Element) -> bool + use<> {
    let from = format!("{ROOM}/{nick}");
    move |it| {
        let item = it
            .find("x", ns::MUC_USER)
            .and_then(|x| x.find("item", ns::MUC_USER));
        it.name == "presence"
            && it.attr("from") == Some(&from)
            && item.is_some_and(|item| item.attr("role") == Some(role))
    }
}

fn is_moderator(nick: &str) -> impl Fn(&Element) -> bool + use<> {
    shows(nick, "moderator")
}

#[tokio::test(start_paused = true)]
async fn the_first_moderates_and_then_the_next() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    a.wait(is_moderator("aaaaaaaa")).await;
    let mut c = hall.join("cccccccc", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    assert!(b.is_spared(is_moderator("cccccccc")).await);
    let gone = Element::new("presence", ns::CLIENT)
        .with("to", format!("{ROOM}/aaaaaaaa"))
        .with("type", "unavailable");
    a.say(gone).await;
    c.wait(is_moderator("cccccccc")).await;
    assert!(
        c.is_spared(is_moderator("bbbbbbbb")).await,
        "the one who came first is next"
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_moderators_are_gone_gets_one_again() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    a.wait(is_moderator("aaaaaaaa")).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    let affiliate = |nick: &str, affiliation: &str| {
        let item = Element::new("item", ns::MUC_ADMIN)
            .with("affiliation", affiliation)
            .with("jid", format!("{nick}-0000@meet.jitsi"));
        Element::new("query", ns::MUC_ADMIN).child(item)
    };
    a.ask(ROOM, affiliate("bbbbbbbb", "owner")).await;
    b.wait(is_moderator("bbbbbbbb")).await;
    b.ask(ROOM, affiliate("aaaaaaaa", "none")).await;
    a.wait(shows("aaaaaaaa", "participant")).await;
    let gone = Element::new("presence", ns::CLIENT)
        .with("to", format!("{ROOM}/bbbbbbbb"))
        .with("type", "unavailable");
    b.say(gone).await;
    a.wait(is_moderator("aaaaaaaa")).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_without_rewriting_is_told_of_everyone() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut p = hall.join("pppppppp", &PLAIN).await;
    p.accept(10).await;
    a.accept(20).await;
    let added = p.jingle("source-add").await;
    let streams: Vec<Element> = added
        .elements()
        .filter_map(|it| it.find("description", RTP))
        .flat_map(|it| it.elements().filter(|it| it.is("source", SOURCE)).cloned())
        .collect();
    let ssrcs: Vec<&str> = streams.iter().filter_map(|it| it.attr("ssrc")).collect();
    assert_eq!(ssrcs, ["20", "21", "22"]);
    let owner = streams[0].find("ssrc-info", ns::JITMEET).unwrap();
    assert_eq!(owner.attr("owner"), Some("aaaaaaaa"));
    assert!(
        a.is_spared(|it| is_jingle(it, "source-add")).await,
        "its SSRCs are rewritten"
    );

    let gone = Element::new("presence", ns::CLIENT)
        .with("to", format!("{ROOM}/aaaaaaaa"))
        .with("type", "unavailable");
    a.say(gone).await;
    let removed = p.jingle("source-remove").await;
    assert!(removed.elements().count() == 2);
}

#[tokio::test(start_paused = true)]
async fn sources_of_another_are_refused_and_own_ones_come_and_go() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    let sid = a.accept(10).await;
    b.accept(20).await;
    hall.media.take();
    let change = |action: &str, name: &str, ssrc: u32, msid: &str| {
        jingle(action, &sid).child(content("video", vec![source(name, ssrc, msid)]))
    };
    for (name, ssrc, msid) in [
        ("aaaaaaaa-v1", 21, "n t"),
        ("bbbbbbbb-v1", 30, "n t"),
        ("aaaaaaaa-v1", 30, "bbbbbbbb-v t"),
        ("aaaaaaaa-v1", 0, "n t"),
        ("aaaaaaaa-v1", 30, ""),
    ] {
        let answer = a.ask(FOCUS, change("source-add", name, ssrc, msid)).await;
        assert!(is_error(&answer, "bad-request"), "{name} {ssrc} {msid}");
    }
    assert!(
        hall.media.take().is_empty(),
        "the bridge hears nothing of what is refused"
    );
    let answer = a
        .ask(FOCUS, change("source-add", "aaaaaaaa-v1", 30, "n t"))
        .await;
    assert_eq!(answer.attr("type"), Some("result"));
    let answer = a
        .ask(FOCUS, change("source-remove", "aaaaaaaa-v1", 31, "n t"))
        .await;
    assert!(is_error(&answer, "bad-request"));
    let answer = a
        .ask(FOCUS, change("source-remove", "aaaaaaaa-v1", 30, "n t"))
        .await;
    assert_eq!(answer.attr("type"), Some("result"));
    let counts: Vec<usize> = hall
        .media
        .take()
        .iter()
        .map(|it| match it {
            Command::SetSources { sources, .. } => sources.len(),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(counts, [3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_moderator_mutes_for_real_and_the_muted_unmutes_itself() {
    let hall = Hall::open();
    let (mut a, mut b) = hall.two().await;
    let mute = |nick: &str, text: &str| {
        Element::new("mute", "http://jitsi.org/jitmeet/audio")
            .with("jid", format!("{ROOM}/{nick}"))
            .text(text)
    };
    assert!(is_error(
        &b.ask(FOCUS, mute("aaaaaaaa", "true")).await,
        "not-allowed"
    ));
    assert!(is_error(
        &a.ask(FOCUS, mute("bbbbbbbb", "false")).await,
        "not-allowed"
    ));
    assert!(is_error(
        &a.ask(FOCUS, mute("nobody", "true")).await,
        "item-not-found"
    ));
    assert!(is_error(
        &a.ask(FOCUS, mute("bbbbbbbb", "maybe")).await,
        "bad-request"
    ));
    assert!(hall.media.take().is_empty());

    assert_eq!(
        a.ask(FOCUS, mute("bbbbbbbb", "true")).await.attr("type"),
        Some("result")
    );
    let notice = b
        .wait(|it| {
            it.payload()
                .is_some_and(|it| it.is("mute", "http://jitsi.org/jitmeet/audio"))
        })
        .await;
    assert_eq!(notice.attr("from"), Some(FOCUS));
    let payload = notice.payload().unwrap();
    assert_eq!(payload.attr("actor"), Some("room@muc.meet.jitsi/aaaaaaaa"));
    assert_eq!(payload.own_text(), "true");
    let held = |commands: Vec<Command>| match &commands[..] {
        [
            Command::ForceMute {
                endpoint, audio, ..
            },
        ] => (endpoint.endpoint.as_str().to_owned(), *audio),
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(held(hall.media.take()), ("bbbbbbbb".to_owned(), Some(true)));
    assert_eq!(
        b.ask(FOCUS, mute("bbbbbbbb", "false")).await.attr("type"),
        Some("result")
    );
    assert_eq!(
        held(hall.media.take()),
        ("bbbbbbbb".to_owned(), Some(false))
    );
}

fn restart(sid: &str) -> Element {
    jingle("session-terminate", sid).child(
        Element::new("bridge-session", ns::FOCUS)
            .with("id", "x")
            .with("restart", "true"),
    )
}

#[tokio::test(start_paused = true)]
async fn a_client_restarts_its_session_but_not_too_often() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    b.accept(20).await;
    let sid = a.accept(10).await;
    assert_eq!(
        a.ask(FOCUS, restart(&sid)).await.attr("type"),
        Some("result")
    );
    let second = a.accept(10).await;
    assert_ne!(second, sid);
    assert!(is_error(
        &a.ask(FOCUS, restart(&second)).await,
        "resource-constraint"
    ));
    hall.media.take();
    assert!(
        a.is_spared(|it| is_jingle(it, "session-terminate")).await,
        "it keeps what it has"
    );
    assert_eq!(
        a.ask(FOCUS, restart(&second)).await.attr("type"),
        Some("result")
    );
    a.accept(10).await;
    let names: Vec<String> = hall.media.take().iter().map(name_of).collect();
    assert_eq!(names[..2], ["ExpireEndpoint", "CreateEndpoint"]);
    assert!(is_error(
        &a.ask(FOCUS, restart("unknown")).await,
        "item-not-found"
    ));
}

#[tokio::test(start_paused = true)]
async fn the_last_one_keeps_the_session_for_twenty_seconds() {
    let hall = Hall::open();
    let (mut a, b) = hall.two().await;
    let begin = tokio::time::Instant::now();
    drop(b);
    let end = a.jingle("session-terminate").await;
    let waited = begin.elapsed();
    assert!(
        waited >= Duration::from_secs(20) && waited < Duration::from_secs(23),
        "{waited:?}"
    );
    assert!(
        end.find("reason", JINGLE)
            .is_some_and(|it| it.find("expired", JINGLE).is_some())
    );
    let names: Vec<String> = hall.media.take().iter().map(name_of).collect();
    assert_eq!(
        names,
        ["ExpireEndpoint", "ExpireEndpoint", "ExpireConference"]
    );
    let mut c = hall.join("cccccccc", &MODERN).await;
    a.accept(10).await;
    c.accept(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_bridge_lost_is_begun_again() {
    let hall = Hall::open();
    let (mut a, mut b) = hall.two().await;
    let wish = Element::new("mute", "http://jitsi.org/jitmeet/audio")
        .with("jid", format!("{ROOM}/bbbbbbbb"))
        .text("true");
    a.ask(FOCUS, wish).await;
    hall.media.take();
    let loss = hall.media.loss_of("bbbbbbbb");
    hall.media.happen.send(loss).await.unwrap();
    b.jingle("session-terminate").await;
    b.accept(20).await;
    let names: Vec<String> = hall.media.take().iter().map(name_of).collect();
    assert_eq!(
        names,
        [
            "ExpireEndpoint",
            "CreateEndpoint",
            "SetTransport",
            "SetMedia",
            "SetSources",
            "ForceMute"
        ],
        "who was muted stays muted"
    );
    assert!(a.is_spared(|it| is_jingle(it, "session-terminate")).await);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_an_earlier_session_ends_no_later_one() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    b.accept(20).await;
    let first = a.accept(10).await;
    let late = hall.media.loss_of("aaaaaaaa");
    assert_eq!(
        a.ask(FOCUS, restart(&first)).await.attr("type"),
        Some("result")
    );
    let second = a.accept(10).await;
    assert_ne!(second, first);
    hall.media.happen.send(late).await.unwrap();
    assert!(a.is_spared(|it| is_jingle(it, "session-terminate")).await);
    let loss = hall.media.loss_of("aaaaaaaa");
    hall.media.happen.send(loss).await.unwrap();
    a.jingle("session-terminate").await;
    assert_ne!(a.accept(10).await, second, "its own loss does");
}

#[tokio::test(start_paused = true)]
async fn a_missing_bridge_is_shown_and_tried_again() {
    let hall = Hall::open();
    *hall.media.failing.lock().unwrap() = true;
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    a.wait(|it| {
        it.attr("from") == Some(FOCUS) && it.find("bridgeNotAvailable", ns::FOCUS).is_some()
    })
    .await;
    *hall.media.failing.lock().unwrap() = false;
    a.accept(10).await;
    b.accept(20).await;
}

#[tokio::test(start_paused = true)]
async fn hostile_jingle_is_refused_and_disturbs_nobody() {
    let hall = Hall::open();
    let mut a = hall.join("aaaaaaaa", &MODERN).await;
    let mut b = hall.join("bbbbbbbb", &MODERN).await;
    let offer = a.jingle("session-initiate").await;
    let sid = offer.attr("sid").unwrap().to_owned();
    let b_sid = b.accept(20).await;
    let without_fingerprint = {
        let mut payload = a.answer(&sid, 10);
        for content in payload.elements_mut() {
            for part in content.elements_mut().filter(|it| it.name == "transport") {
                part.children.clear();
            }
        }
        payload
    };
    let with_foreign_ssrc = a.answer(&sid, 20);
    for (payload, condition) in [
        (Element::new("jingle", JINGLE), "bad-request"),
        (
            Element::new("jingle", JINGLE).with("action", "session-accept"),
            "bad-request",
        ),
        (jingle("session-accept", &b_sid), "item-not-found"),
        (jingle("session-accept", &sid), "bad-request"),
        (without_fingerprint, "bad-request"),
        (with_foreign_ssrc, "bad-request"),
        (
            jingle("source-add", &sid).child(content("video", Vec::new())),
            "bad-request",
        ),
        (jingle("transport-replace", &sid), "feature-not-implemented"),
        (
            Element::new("query", "urn:unknown"),
            "feature-not-implemented",
        ),
    ] {
        let answer = a.ask(FOCUS, payload.clone()).await;
        assert!(is_error(&answer, condition), "{payload:?} gives {answer:?}");
    }
    let answer = a.answer(&sid, 10);
    assert_eq!(a.ask(FOCUS, answer).await.attr("type"), Some("result"));
    let again = a.answer(&sid, 40);
    assert!(is_error(&a.ask(FOCUS, again).await, "bad-request"));
    assert!(b.is_spared(|it| it.name == "iq" && it.is_request()).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_keeps_no_conference_waiting() {
    let (stanzas, mut said) = mpsc::channel(64);
    let (_silent, heard) = mpsc::channel(1);
    let link = FocusLink {
        sender: stanzas,
        receiver: heard,
        whence: Arc::new(|_| Default::default()),
    };
    let (focus, handle) = Focus::new(focus_config(), link);
    tokio::spawn(focus.run(Recorder::new()));
    let refused = tokio::time::timeout(
        Duration::from_secs(20),
        handle.conference(ROOM, Default::default()),
    );
    assert!(refused.await.expect("an answer in time").is_err());
    assert_eq!(said.recv().await.unwrap().attr("to"), Some(FOCUS));
}

#[tokio::test(start_paused = true)]
async fn rooms_that_cannot_be_are_refused() {
    let hall = Hall::open();
    for room in [
        "",
        "room",
        "room@elsewhere",
        "@muc.meet.jitsi",
        "Upper@muc.meet.jitsi",
        "a b@muc.meet.jitsi",
        "\u{ff52}oom@muc.meet.jitsi",
        "\u{fc}@muc.meet.jitsi",
        "room@MUC.meet.jitsi",
        "room@muc.meet.jitsi/focus",
    ] {
        assert!(
            hall.focus
                .conference(room, Default::default())
                .await
                .is_err(),
            "{room}"
        );
    }
    for at in 0..10 {
        let room = format!("r{at}@muc.meet.jitsi");
        hall.focus
            .conference(&room, Default::default())
            .await
            .unwrap();
    }
    let refused = hall
        .focus
        .conference("r10@muc.meet.jitsi", Default::default())
        .await;
    assert!(refused.is_err(), "there is a bound");
    tokio::time::sleep(Duration::from_secs(20)).await;
    hall.focus
        .conference("r10@muc.meet.jitsi", Default::default())
        .await
        .unwrap();
}
