//! Reads and writes the JSON form of colibri2.

use std::collections::BTreeMap;

use bridge_core::description::{
    MediaDescription, SourceDescription, SsrcGroup, TransportDescription, VideoType,
};
use bridge_core::id::Ssrc;
use bridge_core::{ConferenceId, EndpointId, SourceName, limits};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{
    ConferenceModified, ConferenceModify, EndpointModified, EndpointModify, TransportModify,
};
use crate::jingle::source::{semantics_from, video_type_from};
use crate::jingle::{Malformed, content, transport};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Conference {
    meeting_id: Option<String>,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    expire: bool,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
    #[serde(default)]
    relays: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Endpoint {
    id: String,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    expire: bool,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    medias: Vec<Media>,
    transport: Option<Transport>,
    sources: Option<Vec<MediaSource>>,
    force_mute: Option<ForceMute>,
    initial_last_n: Option<LastN>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Media {
    r#type: String,
    #[serde(default)]
    payload_types: Vec<PayloadType>,
    #[serde(default)]
    rtp_hdrexts: Vec<HeaderExtension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PayloadType {
    id: u8,
    #[serde(default)]
    name: String,
    #[serde(default)]
    clockrate: u32,
    #[serde(default = "one")]
    channels: u8,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    #[serde(default)]
    rtcp_fbs: Vec<Feedback>,
}

const fn one() -> u8 {
    1
}

#[derive(Deserialize)]
struct Feedback {
    r#type: String,
    subtype: Option<String>,
}

#[derive(Deserialize)]
struct HeaderExtension {
    id: u8,
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Transport {
    #[serde(default)]
    ice_controlling: bool,
    sctp: Option<Value>,
    transport: Option<Ice>,
}

#[derive(Deserialize)]
struct Ice {
    #[serde(default)]
    ufrag: String,
    #[serde(default)]
    pwd: String,
    #[serde(default)]
    fingerprints: Vec<Fingerprint>,
    #[serde(default)]
    candidates: Vec<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Fingerprint {
    fingerprint: String,
    hash: String,
    setup: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MediaSource {
    r#type: String,
    id: String,
    #[serde(default)]
    sources: Vec<Source>,
    #[serde(default)]
    ssrc_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    ssrc: u32,
    video_type: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    semantics: String,
    sources: Vec<u32>,
}

#[derive(Deserialize)]
struct ForceMute {
    #[serde(default)]
    audio: bool,
    #[serde(default)]
    video: bool,
}

#[derive(Deserialize)]
struct LastN {
    value: i32,
}

/// Reads a request. `meeting` is the id when it stands in the address instead.
///
/// # Errors
/// [`Malformed`] when it is not JSON of that shape or a value is out of bounds.
pub fn read(bytes: &[u8], meeting: Option<&str>) -> Result<ConferenceModify, Malformed> {
    let read: Conference = serde_json::from_slice(bytes)
        .map_err(|error| Malformed(format!("not colibri2: {error}")))?;
    if !read.relays.is_empty() {
        return Err(Malformed::because("Octo is disabled in configuration."));
    }
    let meeting = meeting.or(read.meeting_id.as_deref()).unwrap_or_default();
    Ok(ConferenceModify {
        meeting: ConferenceId::new(meeting).map_err(named("meeting-id"))?,
        create: read.create,
        expire: read.expire,
        endpoints: read
            .endpoints
            .into_iter()
            .map(endpoint)
            .collect::<Result<_, _>>()?,
    })
}

fn named(what: &'static str) -> impl Fn(bridge_core::Error) -> Malformed {
    move |error| Malformed(format!("{what}: {error}"))
}

fn endpoint(read: Endpoint) -> Result<EndpointModify, Malformed> {
    let can = |name: &str| read.capabilities.iter().any(|it| it == name);
    Ok(EndpointModify {
        id: EndpointId::new(&read.id).map_err(named("endpoint id"))?,
        create: read.create,
        expire: read.expire,
        source_names: can("source-names"),
        ssrc_rewriting: can("ssrc-rewriting"),
        media: read
            .medias
            .into_iter()
            .map(media)
            .collect::<Result<_, _>>()?,
        transport: read.transport.map(transport_modify).transpose()?,
        sources: read
            .sources
            .map(|sources| sources.into_iter().map(source).collect::<Result<_, _>>())
            .transpose()?,
        force_mute: read.force_mute.map(|it| (it.audio, it.video)),
        initial_last_n: read.initial_last_n.map(|it| it.value.max(-1)),
    })
}

fn media(read: Media) -> Result<MediaDescription, Malformed> {
    let kind = content::kind_from(&read.r#type)
        .ok_or_else(|| Malformed::because("media type is not audio or video"))?;
    let mut media = MediaDescription {
        kind,
        payload_types: Vec::new(),
        header_extensions: Vec::new(),
    };
    for it in read.payload_types {
        let parameters = it
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), text(value)));
        let feedback = it
            .rtcp_fbs
            .iter()
            .filter_map(|fb| content::feedback_from(&fb.r#type, fb.subtype.as_deref()));
        media.payload_types.push(content::payload_type(
            it.id,
            &it.name,
            it.clockrate,
            it.channels,
            parameters.collect(),
            feedback.collect(),
        )?);
    }
    for it in read.rtp_hdrexts {
        media
            .header_extensions
            .extend(content::header_extension(Some(&it.uri), it.id)?);
    }
    content::check_counts(&media)?;
    Ok(media)
}

/// A value as the text that XML would have.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn transport_modify(read: Transport) -> Result<TransportModify, Malformed> {
    Ok(TransportModify {
        controlling: read.ice_controlling,
        sctp: read.sctp.is_some_and(|sctp| !sctp.is_null()),
        remote: read.transport.map(ice).transpose()?,
    })
}

/// Reads the peer's end of a transport alone; `None` when there is nothing.
///
/// # Errors
/// [`Malformed`] when it is not JSON of that shape or a value is out of bounds.
pub fn read_transport(bytes: &[u8]) -> Result<Option<TransportDescription>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let read = serde_json::from_slice(bytes)
        .map_err(|error| Malformed(format!("not a transport: {error}")))?;
    ice(read).map(Some)
}

fn ice(read: Ice) -> Result<TransportDescription, Malformed> {
    if !transport::is_credential(&read.ufrag, 4) || !transport::is_credential(&read.pwd, 22) {
        return Err(Malformed::because(
            "ufrag or pwd is missing or not an ICE credential",
        ));
    }
    if read.candidates.len() > limits::REMOTE_CANDIDATES_MAX {
        return Err(Malformed::because("too many candidates"));
    }
    let mut description = TransportDescription {
        ufrag: read.ufrag,
        password: read.pwd,
        ..TransportDescription::default()
    };
    for it in read.fingerprints {
        if let Some(fingerprint) = transport::fingerprint(&it.hash, &it.fingerprint)? {
            description.fingerprints.push(fingerprint);
            if let Some(setup) = it.setup {
                description.setup = transport::setup_from(&setup)?;
            }
        }
    }
    for it in read.candidates {
        let texts: BTreeMap<String, String> = it
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let attr = |name: &str| texts.get(name).map(String::as_str);
        description.candidates.extend(transport::candidate(attr));
    }
    Ok(description)
}

fn source(read: MediaSource) -> Result<SourceDescription, Malformed> {
    let kind = content::kind_from(&read.r#type)
        .ok_or_else(|| Malformed::because("source type is not audio or video"))?;
    let video_type = read
        .sources
        .iter()
        .find_map(|it| video_type_from(it.video_type.as_deref()?));
    let groups = read.ssrc_groups.into_iter().filter_map(|group| {
        let semantics = semantics_from(&group.semantics)?;
        Some(SsrcGroup {
            semantics,
            ssrcs: group.sources.into_iter().map(Ssrc).collect(),
        })
    });
    if read.sources.len() > limits::SSRCS_PER_ENDPOINT_MAX {
        return Err(Malformed::because("too many sources"));
    }
    Ok(SourceDescription {
        name: SourceName::new(&read.id).map_err(named("source id"))?,
        kind,
        video_type: video_type.unwrap_or(VideoType::Camera),
        ssrcs: read.sources.iter().map(|it| Ssrc(it.ssrc)).collect(),
        groups: groups.collect(),
    })
}

/// The answer to a request.
#[must_use]
pub fn write(answer: &ConferenceModified) -> Value {
    let endpoints: Vec<Value> = answer.endpoints.iter().map(write_endpoint).collect();
    let mut value = json!({ "endpoints": endpoints });
    if let (Some((audio, video)), Value::Object(fields)) = (answer.feedback, &mut value) {
        let source = |kind: &str, name: &str, ssrc: Ssrc| {
            let stream = json!({ "ssrc": ssrc.0, "name": name });
            json!({ "type": kind, "id": name, "sources": [stream] })
        };
        let sources = json!([
            source("audio", "jvb-a0", audio),
            source("video", "jvb-v0", video)
        ]);
        fields.insert("sources".to_owned(), sources);
    }
    value
}

fn write_endpoint(endpoint: &EndpointModified) -> Value {
    let mut value = json!({ "id": endpoint.id.as_str() });
    if let Value::Object(fields) = &mut value {
        if endpoint.expired {
            fields.insert("expire".to_owned(), json!(true));
        }
        if let Some(transport) = &endpoint.transport {
            let ice = write_transport(transport, endpoint.channel.as_deref());
            fields.insert("transport".to_owned(), json!({ "transport": ice }));
        }
    }
    value
}

/// Our end of a transport. Clients of JVB expect the numbers of candidates as texts.
#[must_use]
pub fn write_transport(it: &TransportDescription, channel: Option<&str>) -> Value {
    let setup = transport::setup_name(it.setup);
    let fingerprints: Vec<Value> = it
        .fingerprints
        .iter()
        .map(|fingerprint| {
            json!({
                "fingerprint": fingerprint.to_string(),
                "setup": setup,
                "hash": fingerprint.hash.name(),
            })
        })
        .collect();
    let candidates: Vec<BTreeMap<&str, String>> = it
        .candidates
        .iter()
        .enumerate()
        .map(|(at, candidate)| transport::candidate_attributes(at, candidate).into())
        .collect();
    json!({
        "xmlns": "urn:xmpp:jingle:transports:ice-udp:1",
        "ufrag": it.ufrag,
        "pwd": it.password,
        "fingerprints": fingerprints,
        "candidates": candidates,
        "web-sockets": channel.into_iter().collect::<Vec<_>>(),
        "rtcp-mux": true,
    })
}

#[cfg(test)]
mod tests {
    use bridge_core::description::{Codec, GroupSemantics, HeaderExtension};

    use super::*;

    const CREATE: &str = r#"{"meeting-id":"m1","name":"room1@conf.example","create":true,
        "endpoints":[{"id":"aaaa1111","create":true,"stats-id":"Zoe-x",
        "capabilities":["source-names","ssrc-rewriting"],
        "medias":[{"type":"audio","payload-types":[{"id":111,"name":"opus","clockrate":48000,
        "channels":2,"parameters":{"minptime":"10"},"rtcp-fbs":[{"type":"transport-cc"}]}],
        "rtp-hdrexts":[{"id":1,"uri":"urn:ietf:params:rtp-hdrext:ssrc-audio-level"}],
        "extmap-allow-mixed":true}],"transport":{"ice-controlling":true}}]}"#;

    #[test]
    fn a_create_request_of_jicofos_form_is_read() {
        let read = read(CREATE.as_bytes(), None).unwrap();
        assert!(read.create);
        let endpoint = &read.endpoints[0];
        assert!(endpoint.source_names && endpoint.ssrc_rewriting);
        assert_eq!(endpoint.media[0].payload_types[0].codec, Codec::Opus);
        assert_eq!(
            endpoint.media[0].header_extensions,
            [(HeaderExtension::AudioLevel, 1)]
        );
        assert!(endpoint.transport.as_ref().unwrap().controlling);
    }

    #[test]
    fn an_update_is_read_with_the_id_of_the_address() {
        let text = r#"{"endpoints":[{"id":"a","transport":{"transport":{"ufrag":"cuuu",
            "pwd":"cpcpcpcpcpcpcpcpcpcpcp","candidates":[{"component":1,"foundation":"1","ip":"::1",
            "port":"9","priority":1,"protocol":"udp","type":"host"}]}},
            "sources":[{"type":"video","id":"a-v0","sources":[{"ssrc":1},{"ssrc":2}],
            "ssrc-groups":[{"semantics":"FID","sources":[1,2]}]}],"initial-last-n":{"value":5}}]}"#;
        let read = read(text.as_bytes(), Some("m1")).unwrap();
        assert_eq!(read.meeting.as_str(), "m1");
        let endpoint = &read.endpoints[0];
        let sources = endpoint.sources.as_ref().unwrap();
        assert_eq!(
            sources[0].groups[0].semantics,
            GroupSemantics::FlowIdentification
        );
        assert_eq!(endpoint.initial_last_n, Some(5));
        let remote = endpoint
            .transport
            .as_ref()
            .unwrap()
            .remote
            .as_ref()
            .unwrap();
        assert_eq!(remote.candidates.len(), 1);
    }

    #[test]
    fn hostile_requests_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"meeting-id":""}"#,
            r#"{"meeting-id":"a","meeting-id":"a"}"#,
            r#"{"meeting-id":"a","endpoints":[{}]}"#,
            r#"{"meeting-id":"a","relays":[{}]}"#,
            r#"{"meeting-id":"a","endpoints":[{"id":"e","medias":[{"type":"data"}]}]}"#,
            r#"{"meeting-id":"a","endpoints":[{"id":"e",
                "sources":[{"type":"audio","id":"x","sources":[{"ssrc":"1"}]}]}]}"#,
            r#"{"meeting-id":"a","endpoints":[{"id":"e",
                "transport":{"transport":{"ufrag":"a"}}}]}"#,
            r#"{"meeting-id":"a","endpoints":[{"id":"e",
                "medias":[{"type":"video","payload-types":[{"id":96,"name":"rtx"}]}]}]}"#,
        ] {
            assert!(read(text.as_bytes(), None).is_err(), "{text}");
        }
    }
}
