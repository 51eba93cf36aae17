//! Joins as web clients do: XMPP over WebSocket, the focus's offer, the bridge channel.

use core::time::Duration;
use std::collections::VecDeque;

use bridge_core::description::{Codec, HeaderExtension, MediaKind};
use bridge_core::id::PayloadType;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use signaling::jingle::session::Jingle;
use signaling::xml::reader::read_document;
use signaling::xml::{Element, XmlLimits, ns, writer};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Ask;
use crate::clock::wall;
use crate::load::http::Url;
use crate::load::leg::{Numbers, Remote};
use crate::load::{Failure, failure};
use crate::udp::v4;

/// Domain of the participants, as it is when nothing is configured.
const DOMAIN: &str = "meet.jitsi";

/// Longest wait for a stanza: the offer comes when a second one is in the room.
const PATIENCE: Duration = Duration::from_secs(60);

const JINGLE: &str = "urn:xmpp:jingle:1";

const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";

const SOURCE: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";

const ICE: &str = "urn:xmpp:jingle:transports:ice-udp:1";

const COLIBRI: &str = "http://jitsi.org/protocol/colibri";

/// What today's clients can do.
const FEATURES: [&str; 6] = [
    "http://jitsi.org/json-encoded-sources",
    "http://jitsi.org/ssrc-rewriting-1",
    "http://jitsi.org/receive-multiple-video-streams",
    "http://jitsi.org/source-name",
    "http://jitsi.org/tcc",
    "urn:ietf:rfc:4588",
];

/// Bounds of a stanza: an offer names everybody's sources.
const LIMITS: XmlLimits = XmlLimits {
    bytes: 4 << 20,
    depth: 64,
    attributes: 100,
    elements: 100_000,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A whole system: rooms, focus, bridge.
pub(crate) struct Xmpp {
    url: Url,
    run: u64,
    /// What keeps sessions open while media is measured.
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

impl Xmpp {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            run: wall(),
            keepers: Mutex::default(),
        }
    }

    pub(crate) async fn join(&self, it: Ask<'_>) -> Result<Remote, Failure> {
        let mut client = Client::open(&self.url).await?;
        client.log_in().await?;
        let room = format!("load-{:x}-{}@muc.{DOMAIN}", self.run, it.member.room);
        let wish = Element::new("conference", ns::FOCUS)
            .with("room", &*room)
            .with("machine-uid", client.nick.clone());
        client.ask(&format!("focus.{DOMAIN}"), wish).await?;
        let presence = Element::new("presence", ns::CLIENT)
            .with("to", format!("{room}/{}", client.nick))
            .child(Element::new("x", ns::MUC));
        client.say(&presence).await?;
        let iq = client.wait(is_offer).await?;
        client.say(&iq.reply("result")).await?;
        let offer = iq
            .payload()
            .ok_or_else(|| Failure("an empty offer".to_owned()))?;
        let (mut remote, channel) = read_offer(offer)?;
        remote.numbers.transport_cc = remote.numbers.transport_cc.filter(|_| it.transport_cc);
        let answer = accept(&client.nick, offer, &remote, &it);
        client.ask(&format!("{room}/focus"), answer).await?;
        let channel = open_channel(&channel, &it).await?;
        let keepers = [tokio::spawn(keep(channel)), tokio::spawn(client.keep())];
        self.keepers.lock().await.extend(keepers);
        Ok(remote)
    }

    /// Ends all sessions.
    pub(crate) async fn leave(&self) {
        for keeper in self.keepers.lock().await.drain(..) {
            keeper.abort();
        }
    }
}

/// One XMPP session.
struct Client {
    socket: Socket,
    nick: String,
    seen: VecDeque<Element>,
    ids: u32,
}

impl Client {
    async fn open(url: &Url) -> Result<Self, Failure> {
        let address = format!("ws://{}{}/xmpp-websocket", url.authority, url.path);
        let mut request = address
            .as_str()
            .into_client_request()
            .map_err(|error| failure(&address, error))?;
        let protocol = HeaderValue::from_static("xmpp");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let opened = connect_async(request).await;
        let (socket, _) = opened.map_err(|error| failure(&address, error))?;
        Ok(Self {
            socket,
            nick: String::new(),
            seen: VecDeque::new(),
            ids: 0,
        })
    }

    /// An anonymous session; its address gives the nick.
    async fn log_in(&mut self) -> Result<(), Failure> {
        let open = Element::new("open", ns::FRAMING)
            .with("to", DOMAIN)
            .with("version", "1.0");
        self.say(&open).await?;
        self.wait(|it| it.name == "features").await?;
        let auth = Element::new("auth", ns::SASL).with("mechanism", "ANONYMOUS");
        self.say(&auth).await?;
        self.wait(|it| it.is("success", ns::SASL)).await?;
        self.say(&open).await?;
        self.wait(|it| it.name == "features").await?;
        let bound = self.ask("", Element::new("bind", ns::BIND)).await?;
        let bind = bound.find("bind", ns::BIND);
        let address = bind.and_then(|bind| bind.find("jid", ns::BIND));
        let address = address.map(Element::own_text).unwrap_or_default();
        self.nick = address.chars().take(8).collect();
        if self.nick.len() == 8 {
            Ok(())
        } else {
            Err(Failure(format!("an address without a nick: {address}")))
        }
    }

    async fn say(&mut self, stanza: &Element) -> Result<(), Failure> {
        let text = Message::text(writer::to_string(stanza));
        let said = self.socket.send(text).await;
        said.map_err(|error| failure("XMPP", error))
    }

    /// A request's good answer. Without an address it is for the server.
    async fn ask(&mut self, to: &str, payload: Element) -> Result<Element, Failure> {
        self.ids += 1;
        let id = format!("load{}", self.ids);
        let mut iq = Element::new("iq", ns::CLIENT)
            .with("type", "set")
            .with("id", &*id)
            .child(payload);
        if !to.is_empty() {
            iq.set("to", to);
        }
        self.say(&iq).await?;
        let is_it =
            |it: &Element| it.name == "iq" && it.attr("id") == Some(&id) && !it.is_request();
        let answer = self.wait(is_it).await?;
        if answer.attr("type") == Some("result") {
            Ok(answer)
        } else {
            let text = writer::to_string(&answer);
            Err(Failure(format!("{to} refuses: {text}")))
        }
    }

    /// The first stanza, heard already or to come, that fits.
    async fn wait(&mut self, fits: impl Fn(&Element) -> bool) -> Result<Element, Failure> {
        let heard = self.seen.iter().position(&fits);
        if let Some(stanza) = heard.and_then(|at| self.seen.remove(at)) {
            return Ok(stanza);
        }
        let waiting = async {
            loop {
                let stanza = self.hear().await?;
                if fits(&stanza) {
                    return Ok(stanza);
                }
                self.answer(stanza).await?;
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .map_err(|_| Failure("the server does not go on".to_owned()))?
    }

    async fn hear(&mut self) -> Result<Element, Failure> {
        loop {
            let message = self.socket.next().await;
            let message = message.ok_or_else(|| Failure("XMPP ended".to_owned()))?;
            if let Message::Text(text) = message.map_err(|error| failure("XMPP", error))? {
                return read_document(text.as_bytes(), LIMITS)
                    .map_err(|error| Failure(format!("XMPP: {error:?} in {text}")));
            }
        }
    }

    /// Answers questions as a client would, and keeps an offer that comes early.
    async fn answer(&mut self, stanza: Element) -> Result<(), Failure> {
        if is_offer(&stanza) {
            self.seen.push_back(stanza);
        } else if stanza.name == "iq" && stanza.is_request() {
            let mut reply = stanza.reply("result");
            let is_question = |it: &Element| it.is("query", ns::DISCO_INFO);
            if stanza.payload().is_some_and(is_question) {
                let features = FEATURES
                    .iter()
                    .map(|var| Element::new("feature", ns::DISCO_INFO).with("var", *var));
                reply = reply.child(Element::new("query", ns::DISCO_INFO).children(features));
            }
            self.say(&reply).await?;
        }
        Ok(())
    }

    /// Goes on until the session ends.
    async fn keep(mut self) {
        while let Ok(stanza) = self.hear().await {
            if self.answer(stanza).await.is_err() {
                return;
            }
            self.seen.clear();
        }
    }
}

fn is_offer(stanza: &Element) -> bool {
    stanza
        .payload()
        .is_some_and(|it| it.is("jingle", JINGLE) && it.attr("action") == Some("session-initiate"))
}

/// The bridge's end of the transport, and the address of the bridge channel.
fn read_offer(offer: &Element) -> Result<(Remote, String), Failure> {
    let wrong = |error| failure("the offer", error);
    let jingle = Jingle::read(offer).map_err(wrong)?;
    let transport = jingle.transport().map_err(wrong)?;
    let transport = transport.ok_or_else(|| Failure("an offer without a transport".to_owned()))?;
    let media = jingle.media().map_err(wrong)?;
    let video = media.iter().find(|media| media.kind == MediaKind::Video);
    let video = video.ok_or_else(|| Failure("an offer without video".to_owned()))?;
    let payload = |is_it: &dyn Fn(&Codec) -> bool| {
        let mut types = video.payload_types.iter();
        types.find(|it| is_it(&it.codec)).map(|it| it.id.0)
    };
    let vp8 = payload(&|codec| *codec == Codec::Vp8);
    let vp8 = vp8.ok_or_else(|| Failure("an offer without VP8".to_owned()))?;
    let is_cc = |(kind, _): &&(HeaderExtension, u8)| *kind == HeaderExtension::TransportSequence;
    let numbers = Numbers {
        vp8,
        rtx: payload(&|codec| {
            *codec
                == Codec::Rtx {
                    of: PayloadType(vp8),
                }
        }),
        transport_cc: video
            .header_extensions
            .iter()
            .find(is_cc)
            .map(|(_, id)| *id),
    };
    let mut candidates = transport.candidates.iter();
    let address = candidates.find_map(|candidate| v4(candidate.address));
    let remote = Remote {
        ufrag: transport.ufrag,
        password: transport.password,
        address: address.ok_or_else(|| Failure("an offer without an address".to_owned()))?,
        // Who offers decides on the path (RFC 8445 section 6.1.1).
        controlling: false,
        dtls_client: true,
        numbers,
    };
    Ok((remote, channel_of(offer)))
}

fn channel_of(offer: &Element) -> String {
    let contents = offer.elements().filter(|it| it.is("content", JINGLE));
    let mut transports = contents.filter_map(|it| it.find("transport", ICE));
    let channel = transports.find_map(|it| it.find("web-socket", COLIBRI)?.attr("url"));
    channel.unwrap_or_default().to_owned()
}

/// The session-accept: our transport, and our camera if we send.
fn accept(nick: &str, offer: &Element, remote: &Remote, it: &Ask<'_>) -> Element {
    let fingerprint = Element::new("fingerprint", "urn:xmpp:jingle:apps:dtls:0")
        .with("hash", "sha-256")
        .with("setup", "active")
        .text(&*it.identity.fingerprint);
    let transport = Element::new("transport", ICE)
        .with("ufrag", &*it.local.ufrag)
        .with("pwd", &*it.local.password)
        .child(fingerprint);
    let mut video = Element::new("description", RTP)
        .with("media", "video")
        .children(payload_types(remote.numbers));
    if let Some(id) = remote.numbers.transport_cc {
        let uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
        let extension = Element::new("rtp-hdrext", "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0")
            .with("id", id.to_string())
            .with("uri", uri);
        video = video.child(extension);
    }
    if it.member.sends {
        video = video.child(
            Element::new("source", SOURCE)
                .with("ssrc", it.local.ssrc.to_string())
                .with("name", format!("{nick}-v0"))
                .with("videoType", "camera")
                .child(
                    Element::new("parameter", SOURCE)
                        .with("name", "msid")
                        .with("value", format!("{nick}-video-0-1 {nick}-track")),
                ),
        );
    }
    let content = Element::new("content", JINGLE)
        .with("name", "video")
        .with("creator", "responder")
        .with("senders", "both")
        .child(video)
        .child(transport);
    Element::new("jingle", JINGLE)
        .with("action", "session-accept")
        .with("sid", offer.attr("sid").unwrap_or_default())
        .child(content)
}

fn payload_types(numbers: Numbers) -> Vec<Element> {
    let payload_type = |id: u8, name: &str| {
        Element::new("payload-type", RTP)
            .with("id", id.to_string())
            .with("name", name)
            .with("clockrate", "90000")
    };
    let feedback = [
        ("ccm", "fir"),
        ("nack", ""),
        ("nack", "pli"),
        ("transport-cc", ""),
    ];
    let last = feedback.len() - usize::from(numbers.transport_cc.is_none());
    let feedback = feedback.map(|(kind, subtype)| {
        let mut element =
            Element::new("rtcp-fb", "urn:xmpp:jingle:apps:rtp:rtcp-fb:0").with("type", kind);
        if !subtype.is_empty() {
            element.set("subtype", subtype);
        }
        element
    });
    let mut all = vec![payload_type(numbers.vp8, "VP8").children(feedback.into_iter().take(last))];
    all.extend(numbers.rtx.map(|rtx| {
        payload_type(rtx, "rtx").child(
            Element::new("parameter", RTP)
                .with("name", "apt")
                .with("value", numbers.vp8.to_string()),
        )
    }));
    all
}

/// Opens the bridge channel and says what we want to see.
async fn open_channel(url: &str, it: &Ask<'_>) -> Result<Socket, Failure> {
    let opened = connect_async(url).await;
    let (mut socket, _) = opened.map_err(|error| failure(&format!("the channel {url}"), error))?;
    let last_n = it
        .member
        .last_n
        .map_or_else(|| json!(-1), |last_n| json!(last_n));
    let wish = json!({
        "colibriClass": "ReceiverVideoConstraints",
        "lastN": last_n,
        "selectedSources": [],
        "onStageSources": [],
        "defaultConstraints": { "maxHeight": 2_160 },
        "constraints": {},
    });
    let said = socket.send(Message::text(wish.to_string())).await;
    said.map_err(|error| failure("the channel", error))?;
    Ok(socket)
}

/// Reads on, so that the other end's pings are answered.
async fn keep(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'>\
        <content creator='initiator' name='video'><description xmlns='urn:xmpp:jingle:apps:rtp:1' \
        media='video'><payload-type id='100' name='VP8' clockrate='90000'/>\
        <payload-type id='96' name='rtx' clockrate='90000'><parameter name='apt' value='100'/>\
        </payload-type><rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='5' \
        uri='http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01'/>\
        </description><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' \
        pwd='0123456789012345678901'><candidate component='1' foundation='1' generation='0' id='a' \
        ip='127.0.0.1' network='0' port='10000' priority='1' protocol='udp' type='host'/>\
        <web-socket xmlns='http://jitsi.org/protocol/colibri' url='ws://h/colibri-ws/x'/>\
        </transport></content></jingle>";

    #[test]
    fn an_offer_of_the_focus_is_read() {
        let offer = read_document(OFFER.as_bytes(), LIMITS).unwrap();
        let (remote, channel) = read_offer(&offer).unwrap();
        assert_eq!(remote.address.to_string(), "127.0.0.1:10000");
        let expected = Numbers {
            vp8: 100,
            rtx: Some(96),
            transport_cc: Some(5),
        };
        assert_eq!(remote.numbers, expected);
        assert_eq!(channel, "ws://h/colibri-ws/x");
    }
}
