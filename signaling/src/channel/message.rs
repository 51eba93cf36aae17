//! Reads and writes the messages of the bridge channel: JSON objects told apart by `colibriClass`.
//!
//! Keys may stand only once in an object: two parsers that choose different ones would disagree
//! about what was said.

use bridge_core::description::{ReceiverConstraints, VideoConstraints, VideoType};
use bridge_core::event::MappedSource;
use bridge_core::{EndpointId, SourceName};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

use crate::jingle::Malformed;
use crate::jingle::source::{video_type_from, video_type_name};

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FromClient {
    /// It greets and wants our greeting.
    Hello,
    /// What it wants to see; also how many (`LastNChangedEvent`).
    Constraints(ReceiverConstraints),
    /// What one of its own sources shows.
    VideoType {
        /// Which.
        source: SourceName,
        /// What.
        video_type: VideoType,
    },
    /// Something for others, with all of its fields.
    Relay {
        /// For whom; `None` is everybody.
        to: Option<String>,
        /// The message; `from` is ours to set.
        fields: Map<String, Value>,
    },
    /// A class that this bridge does nothing with.
    Ignored,
}

/// Reads a message.
///
/// # Errors
/// [`Malformed`] when it is not a JSON object with a class, a key stands twice, or a field is not
/// of its type.
pub fn read(text: &str) -> Result<FromClient, Malformed> {
    let Strict(value) =
        serde_json::from_str(text).map_err(|error| Malformed(format!("not JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(Malformed::because("not an object"));
    };
    let class = fields
        .get("colibriClass")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match class {
        "ClientHello" => Ok(FromClient::Hello),
        "ReceiverVideoConstraints" => constraints(&fields).map(FromClient::Constraints),
        "LastNChangedEvent" => Ok(FromClient::Constraints(ReceiverConstraints {
            last_n: Some(lines(fields.get("lastN").unwrap_or(&Value::Null), "lastN")?),
            ..ReceiverConstraints::default()
        })),
        "SourceVideoTypeMessage" => Ok(FromClient::VideoType {
            source: source(fields.get("sourceName").unwrap_or(&Value::Null))?,
            video_type: fields
                .get("videoType")
                .and_then(Value::as_str)
                .and_then(video_type_from)
                .ok_or_else(|| Malformed::because("videoType is not one"))?,
        }),
        "EndpointMessage" => {
            let to = match fields.get("to") {
                Some(Value::String(to)) if !to.is_empty() => Some(to.clone()),
                Some(Value::String(_) | Value::Null) | None => None,
                Some(_) => return Err(Malformed::because("to is not a text")),
            };
            Ok(FromClient::Relay { to, fields })
        }
        "EndpointStats" => {
            fields.remove("to");
            Ok(FromClient::Relay { to: None, fields })
        }
        "" => Err(Malformed::because("no colibriClass")),
        _ => Ok(FromClient::Ignored),
    }
}

fn constraints(fields: &Map<String, Value>) -> Result<ReceiverConstraints, Malformed> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let names = |name: &str| given(name).map(|value| sources(value, name)).transpose();
    Ok(ReceiverConstraints {
        last_n: given("lastN")
            .map(|value| lines(value, "lastN"))
            .transpose()?,
        selected_sources: names("selectedSources")?,
        on_stage_sources: names("onStageSources")?,
        default_max_height: given("defaultConstraints")
            .map(|value| lines(value.get("maxHeight").unwrap_or(&Value::Null), "maxHeight"))
            .transpose()?,
        constraints: given("constraints").map(per_source).transpose()?,
        assumed_bandwidth: given("assumedBandwidthBps")
            .map(|value| integer(value, "assumedBandwidthBps"))
            .transpose()?,
    })
}

fn per_source(value: &Value) -> Result<Vec<(SourceName, VideoConstraints)>, Malformed> {
    let Value::Object(wishes) = value else {
        return Err(Malformed::because("constraints is not an object"));
    };
    wishes
        .iter()
        .map(|(name, wish)| {
            let field = |name: &str| match wish.get(name) {
                None | Some(Value::Null) => Ok(-1),
                Some(value) => lines(value, name),
            };
            let name = SourceName::new(name).map_err(|error| Malformed(error.to_string()))?;
            let max_height = field("maxHeight")?;
            Ok((
                name,
                VideoConstraints {
                    max_height,
                    max_frame_rate: field("maxFrameRate")?,
                },
            ))
        })
        .collect()
}

fn sources(value: &Value, what: &str) -> Result<Vec<SourceName>, Malformed> {
    let Value::Array(names) = value else {
        return Err(Malformed(format!("{what} is not an array")));
    };
    names.iter().map(source).collect()
}

fn source(value: &Value) -> Result<SourceName, Malformed> {
    value
        .as_str()
        .and_then(|name| SourceName::new(name).ok())
        .ok_or_else(|| Malformed::because("a source name is not one"))
}

/// A count or height; what is below −1 is −1.
fn lines(value: &Value, what: &str) -> Result<i32, Malformed> {
    let number = integer(value, what)?.max(-1);
    Ok(i32::try_from(number).unwrap_or(i32::MAX))
}

/// An integer; JavaScript may write it as a fraction.
fn integer(value: &Value, what: &str) -> Result<i64, Malformed> {
    value
        .as_i64()
        .or_else(|| {
            value
                .as_f64()
                .and_then(|it| format!("{it:.0}").parse().ok())
        })
        .ok_or_else(|| Malformed(format!("{what} is not a number")))
}

/// A JSON value whose objects hold each key once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if fields.insert(key, value).is_some() {
                return Err(de::Error::custom("a key stands twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

/// Our greeting.
#[must_use]
pub fn hello() -> String {
    json!({ "colibriClass": "ServerHello" }).to_string()
}

/// Who speaks, and who spoke before, latest first.
#[must_use]
pub fn dominant_speaker(speaker: &EndpointId, previous: &[EndpointId]) -> String {
    let previous: Vec<&str> = previous.iter().map(EndpointId::as_str).collect();
    json!({
        "colibriClass": "DominantSpeakerEndpointChangeEvent",
        "dominantSpeakerEndpoint": speaker.as_str(),
        "previousSpeakers": previous,
        "silence": false,
    })
    .to_string()
}

/// Whether packets of an endpoint come. Clients expect the truth value as a text.
#[must_use]
pub fn connectivity(endpoint: &EndpointId, active: bool) -> String {
    json!({
        "colibriClass": "EndpointConnectivityStatusChangeEvent",
        "endpoint": endpoint.as_str(),
        "active": active.to_string(),
    })
    .to_string()
}

/// All videos that the receiver gets now.
#[must_use]
pub fn forwarded_sources(sources: &[SourceName]) -> String {
    let sources: Vec<&str> = sources.iter().map(SourceName::as_str).collect();
    json!({ "colibriClass": "ForwardedSources", "forwardedSources": sources }).to_string()
}

/// Video slots that are new or changed. SSRCs are numbers; clients fail on texts.
#[must_use]
pub fn video_sources<'a>(mapped: impl Iterator<Item = &'a MappedSource>) -> String {
    let mapped: Vec<Value> = mapped
        .map(|it| {
            json!({
                "source": it.source.as_str(),
                "owner": it.owner.as_str(),
                "ssrc": it.ssrc.0,
                "rtx": it.rtx.map_or_else(|| json!("-1"), |rtx| json!(rtx.0)),
                "videoType": video_type_name(it.video_type),
            })
        })
        .collect();
    json!({ "colibriClass": "VideoSourcesMap", "mappedSources": mapped }).to_string()
}

/// Audio slots that are new or changed.
#[must_use]
pub fn audio_sources<'a>(mapped: impl Iterator<Item = &'a MappedSource>) -> String {
    let mapped: Vec<Value> = mapped
        .map(|it| {
            json!({ "source": it.source.as_str(), "owner": it.owner.as_str(), "ssrc": it.ssrc.0 })
        })
        .collect();
    json!({ "colibriClass": "AudioSourcesMap", "mappedSources": mapped }).to_string()
}

/// The largest height that anybody wants of one of the receiver's own sources.
#[must_use]
pub fn sender_constraints(source: &SourceName, max_height: i32) -> String {
    json!({
        "colibriClass": "SenderSourceConstraints",
        "sourceName": source.as_str(),
        "maxHeight": max_height,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use bridge_core::id::Ssrc;

    use super::*;

    fn name(name: &str) -> SourceName {
        SourceName::new(name).unwrap()
    }

    #[test]
    fn absent_wishes_stay_and_given_ones_are_read() {
        let text = r#"{"colibriClass":"ReceiverVideoConstraints","lastN":5,"selectedSources":[],
            "onStageSources":["a-v0"],"defaultConstraints":{"maxHeight":180},
            "constraints":{"a-v0":{"maxHeight":720.0,"maxFrameRate":30}}}"#;
        let FromClient::Constraints(read) = read(text).unwrap() else {
            panic!("another class")
        };
        assert_eq!(read.last_n, Some(5));
        assert_eq!(read.on_stage_sources, Some(vec![name("a-v0")]));
        assert_eq!(read.default_max_height, Some(180));
        assert_eq!(read.assumed_bandwidth, None);
        let wish = VideoConstraints {
            max_height: 720,
            max_frame_rate: 30,
        };
        assert_eq!(read.constraints, Some(vec![(name("a-v0"), wish)]));
    }

    #[test]
    fn a_first_message_of_a_current_client_is_read() {
        let text =
            r#"{"colibriClass":"ReceiverVideoConstraints","assumedBandwidthBps":-1,"lastN":-1}"#;
        let FromClient::Constraints(read) = read(text).unwrap() else {
            panic!("another class")
        };
        assert_eq!((read.last_n, read.assumed_bandwidth), (Some(-1), Some(-1)));
    }

    #[test]
    fn video_types_are_read_whatever_their_case() {
        for text in ["desktop", "DESKTOP"] {
            let text = format!(
                r#"{{"colibriClass":"SourceVideoTypeMessage","sourceName":"a-v1",
                "videoType":"{text}"}}"#
            );
            let expected = FromClient::VideoType {
                source: name("a-v1"),
                video_type: VideoType::Desktop,
            };
            assert_eq!(read(&text).unwrap(), expected);
        }
    }

    #[test]
    fn hostile_messages_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"colibriClass":5}"#,
            r#"{"colibriClass":"ClientHello","colibriClass":"ClientHello"}"#,
            r#"{"colibriClass":"ReceiverVideoConstraints","constraints":{"a":{},"a":{}}}"#,
            r#"{"colibriClass":"ReceiverVideoConstraints","constraints":{"":{}}}"#,
            r#"{"colibriClass":"ReceiverVideoConstraints","lastN":"5"}"#,
            r#"{"colibriClass":"ReceiverVideoConstraints","selectedSources":"a"}"#,
            r#"{"colibriClass":"LastNChangedEvent"}"#,
            r#"{"colibriClass":"EndpointMessage","to":7}"#,
            r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a","videoType":"x"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn an_unknown_class_is_ignored() {
        assert_eq!(
            read(r#"{"colibriClass":"PinnedEndpointChangedEvent"}"#),
            Ok(FromClient::Ignored)
        );
    }

    #[test]
    fn maps_have_numbers_and_connectivity_has_a_text() {
        let mapped = MappedSource {
            source: name("a-v0"),
            owner: EndpointId::new("a").unwrap(),
            ssrc: Ssrc(7),
            rtx: Some(Ssrc(8)),
            video_type: VideoType::Camera,
        };
        let value: Value = serde_json::from_str(&video_sources(core::iter::once(&mapped))).unwrap();
        assert_eq!(value["mappedSources"][0]["ssrc"], json!(7));
        assert_eq!(value["mappedSources"][0]["videoType"], json!("CAMERA"));
        assert!(connectivity(&mapped.owner, true).contains(r#""active":"true""#));
    }
}
