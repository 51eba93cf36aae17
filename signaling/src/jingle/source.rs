//! Reads and writes sources: SSRCs with names and groups (XEP-0339, Jitsi's `ssrc-info`), and
//! Jitsi's compact JSON form of them.

use bridge_core::description::{
    GroupSemantics, MediaKind, SourceDescription, SsrcGroup, VideoType,
};
use bridge_core::{SourceName, id::Ssrc, limits};
use serde_json::{Value, json};

use super::content::{kind_from, kind_name};
use super::{Malformed, ns};
use crate::xml::Element;

/// One SSRC as it is signaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Kind.
    pub kind: MediaKind,
    /// Number on the wire.
    pub ssrc: Ssrc,
    /// Name of the source that it belongs to.
    pub name: String,
    /// Media stream and track; empty when it was not given.
    pub msid: String,
    /// What it shows.
    pub video_type: VideoType,
}

/// The streams of one owner and how they belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Each SSRC, retransmissions included.
    pub streams: Vec<Stream>,
    /// `SIM` and `FID` groups, in order.
    pub groups: Vec<SsrcGroup>,
}

impl Streams {
    /// The stream of that SSRC.
    #[must_use]
    pub fn stream(&self, ssrc: Ssrc) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.ssrc == ssrc)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The same as sources of the bridge: SSRCs and groups gathered by name.
    ///
    /// # Errors
    /// [`Malformed`] when a name is not one.
    pub fn describe(&self) -> Result<Vec<SourceDescription>, Malformed> {
        let mut sources: Vec<SourceDescription> = Vec::new();
        for stream in &self.streams {
            match sources
                .iter_mut()
                .find(|source| source.name.as_str() == stream.name)
            {
                Some(source) => source.ssrcs.push(stream.ssrc),
                None => sources.push(SourceDescription {
                    name: SourceName::new(&stream.name)
                        .map_err(|error| Malformed(error.to_string()))?,
                    kind: stream.kind,
                    video_type: stream.video_type,
                    ssrcs: vec![stream.ssrc],
                    groups: Vec::new(),
                }),
            }
        }
        for group in &self.groups {
            let owner = group.ssrcs.first();
            let source = sources
                .iter_mut()
                .find(|it| owner.is_some_and(|s| it.ssrcs.contains(s)));
            if let Some(source) = source {
                source.groups.push(group.clone());
            }
        }
        Ok(sources)
    }

    /// The part of one kind.
    fn of_kind(&self, kind: MediaKind) -> (Vec<&Stream>, Vec<&SsrcGroup>) {
        let streams: Vec<&Stream> = self.streams.iter().filter(|it| it.kind == kind).collect();
        let groups = self
            .groups
            .iter()
            .filter(|group| {
                group
                    .ssrcs
                    .iter()
                    .any(|ssrc| streams.iter().any(|s| s.ssrc == *ssrc))
            })
            .collect();
        (streams, groups)
    }
}

/// The sources of every content of a payload. A source without a name gets the one that Jitsi's
/// clients would have given the first of its kind.
///
/// # Errors
/// [`Malformed`] when an SSRC is not a number, a group is empty, or there are too many.
pub fn read(owner: &str, payload: &Element) -> Result<Streams, Malformed> {
    let mut all = Streams::default();
    for content in payload.elements().filter(|it| it.is("content", ns::JINGLE)) {
        let Some(description) = content.find("description", ns::RTP) else {
            continue;
        };
        let media = description.attr("media").or_else(|| content.attr("name"));
        let kind = media.and_then(kind_from);
        for child in description
            .elements()
            .filter(|it| it.namespace == ns::SOURCE)
        {
            let kind = kind.ok_or_else(|| Malformed::because("sources of an unknown medium"))?;
            match child.name.as_str() {
                "source" => all.streams.push(read_stream(kind, owner, child)?),
                "ssrc-group" => all.groups.extend(read_group(child)?),
                _ => {}
            }
            let most = limits::SSRCS_PER_ENDPOINT_MAX;
            if all.streams.len() > most || all.groups.len() > most {
                return Err(Malformed::because("too many sources"));
            }
        }
    }
    Ok(all)
}

fn read_stream(kind: MediaKind, owner: &str, element: &Element) -> Result<Stream, Malformed> {
    let name = element.attr("name").filter(|name| !name.is_empty());
    let first = match kind {
        MediaKind::Audio => "a0",
        MediaKind::Video => "v0",
    };
    let msid = element
        .elements()
        .find(|it| it.is("parameter", ns::SOURCE) && it.attr("name") == Some("msid"))
        .and_then(|it| it.attr("value"));
    Ok(Stream {
        kind,
        ssrc: read_ssrc(element)?,
        name: name.map_or_else(|| format!("{owner}-{first}"), str::to_owned),
        msid: msid.unwrap_or_default().to_owned(),
        video_type: element
            .attr("videoType")
            .and_then(video_type_from)
            .unwrap_or_default(),
    })
}

fn read_ssrc(element: &Element) -> Result<Ssrc, Malformed> {
    let text = element.attr("ssrc").unwrap_or_default();
    match text.parse::<u32>() {
        Ok(number) if number != 0 => Ok(Ssrc(number)),
        _ => Err(Malformed(format!(
            "Invalid SSRC: {}.",
            text.chars().take(20).collect::<String>()
        ))),
    }
}

/// A group; `None` when its semantics is one that nobody here uses.
fn read_group(element: &Element) -> Result<Option<SsrcGroup>, Malformed> {
    let Some(semantics) = element.attr("semantics").and_then(semantics_from) else {
        return Ok(None);
    };
    let ssrcs: Vec<Ssrc> = element
        .elements()
        .filter(|child| child.is("source", ns::SOURCE))
        .take(limits::ENCODINGS_MAX + 1)
        .map(read_ssrc)
        .collect::<Result<_, _>>()?;
    Ok(Some(SsrcGroup { semantics, ssrcs }))
}

/// The name of a group's semantics (RFC 5576).
pub(crate) const fn semantics_name(semantics: GroupSemantics) -> &'static str {
    match semantics {
        GroupSemantics::Simulcast => "SIM",
        _ => "FID",
    }
}

pub(crate) fn semantics_from(name: &str) -> Option<GroupSemantics> {
    match name {
        "SIM" => Some(GroupSemantics::Simulcast),
        "FID" => Some(GroupSemantics::FlowIdentification),
        _ => None,
    }
}

/// The video type of that name, whatever its case.
#[must_use]
pub fn video_type_from(name: &str) -> Option<VideoType> {
    Some(match name.to_ascii_lowercase().as_str() {
        "camera" => VideoType::Camera,
        "desktop" => VideoType::Desktop,
        "desktop_high_fps" => VideoType::DesktopHighFps,
        "none" | "disabled" => VideoType::None,
        _ => return None,
    })
}

/// The name of a video type as the bridge writes it.
#[must_use]
pub const fn video_type_name(video_type: VideoType) -> &'static str {
    match video_type {
        VideoType::Desktop => "DESKTOP",
        VideoType::DesktopHighFps => "DESKTOP_HIGH_FPS",
        VideoType::None => "NONE",
        _ => "CAMERA",
    }
}

/// Contents `audio` and `video` that hold the owner's streams; a kind without any is left out.
#[must_use]
pub fn write(owned: &[(&str, &Streams)]) -> Vec<Element> {
    by_kind(owned)
        .into_iter()
        .filter(|(_, elements)| !elements.is_empty())
        .map(|(kind, elements)| {
            let description = Element::new("description", ns::RTP)
                .with("media", kind_name(kind))
                .children(elements);
            Element::new("content", ns::JINGLE)
                .with("creator", "initiator")
                .with("name", kind_name(kind))
                .with("senders", "both")
                .child(description)
        })
        .collect()
}

/// The elements that belong into the descriptions of an offer, by kind.
#[must_use]
pub fn by_kind(owned: &[(&str, &Streams)]) -> Vec<(MediaKind, Vec<Element>)> {
    [MediaKind::Audio, MediaKind::Video]
        .map(|kind| {
            let mut elements = Vec::new();
            for (owner, streams) in owned {
                let (streams, groups) = streams.of_kind(kind);
                elements.extend(
                    streams
                        .into_iter()
                        .map(|stream| write_stream(owner, stream)),
                );
                elements.extend(groups.into_iter().map(write_group));
            }
            (kind, elements)
        })
        .into()
}

/// A `source` element with its owner.
pub(crate) fn write_stream(owner: &str, stream: &Stream) -> Element {
    let mut element = Element::new("source", ns::SOURCE)
        .with("ssrc", stream.ssrc.to_string())
        .with("name", &*stream.name);
    if stream.video_type == VideoType::Desktop {
        element.set("videoType", "desktop");
    } else if stream.kind == MediaKind::Video {
        element.set("videoType", "camera");
    }
    element
        .child(Element::new("ssrc-info", ns::JITMEET).with("owner", owner))
        .child(
            Element::new("parameter", ns::SOURCE)
                .with("name", "msid")
                .with("value", &*stream.msid),
        )
}

pub(crate) fn write_group(group: &SsrcGroup) -> Element {
    Element::new("ssrc-group", ns::SOURCE)
        .with("semantics", semantics_name(group.semantics))
        .children(
            group
                .ssrcs
                .iter()
                .map(|it| Element::new("source", ns::SOURCE).with("ssrc", it.to_string())),
        )
}

/// The same as a `json-message`: `{"sources":{owner:[[video],[groups],[audio],[groups]]}}` with
/// empty arrays left off at the end.
#[must_use]
pub fn write_json(owned: &[(&str, &Streams)]) -> Element {
    let sources: serde_json::Map<String, Value> = owned
        .iter()
        .map(|(owner, streams)| ((*owner).to_owned(), compact(streams)))
        .collect();
    Element::new("json-message", ns::JITMEET).text(json!({ "sources": sources }).to_string())
}

fn compact(streams: &Streams) -> Value {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let (streams, groups) = streams.of_kind(kind);
        parts.push(streams.iter().map(|it| compact_stream(it)).collect());
        parts.push(groups.iter().map(|it| compact_group(it)).collect());
    }
    while parts.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    json!(parts)
}

fn compact_stream(stream: &Stream) -> Value {
    let mut value = json!({ "s": stream.ssrc.0, "n": stream.name, "m": stream.msid });
    if let (Value::Object(fields), VideoType::Desktop) = (&mut value, stream.video_type) {
        fields.insert("v".to_owned(), json!("d"));
    }
    value
}

fn compact_group(group: &SsrcGroup) -> Value {
    let letter = match group.semantics {
        GroupSemantics::Simulcast => "s",
        _ => "f",
    };
    let members = group.ssrcs.iter().map(|ssrc| json!(ssrc.0));
    Value::Array(core::iter::once(json!(letter)).chain(members).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Streams {
        let stream = |ssrc| Stream {
            kind: MediaKind::Video,
            ssrc: Ssrc(ssrc),
            name: "aaaa-v0".into(),
            msid: "s t".into(),
            video_type: VideoType::Camera,
        };
        Streams {
            streams: vec![stream(1), stream(2)],
            groups: vec![SsrcGroup {
                semantics: GroupSemantics::FlowIdentification,
                ssrcs: vec![Ssrc(1), Ssrc(2)],
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let payload = Element::new("jingle", ns::JINGLE).children(write(&[("aaaa", &camera())]));
        assert_eq!(read("aaaa", &payload).unwrap(), camera());
    }

    #[test]
    fn compact_json_has_jicofos_form() {
        let element = write_json(&[("aaaa", &camera())]);
        assert_eq!(
            element.own_text(),
            concat!(
                r#"{"sources":{"aaaa":[[{"m":"s t","n":"aaaa-v0","s":1},"#,
                r#"{"m":"s t","n":"aaaa-v0","s":2}],[["f",1,2]]]}}"#
            )
        );
    }

    #[test]
    fn a_source_without_a_name_gets_the_usual_one() {
        let mut payload =
            Element::new("jingle", ns::JINGLE).children(write(&[("aaaa", &camera())]));
        fn strip(element: &mut Element) {
            element.unset("name");
            for child in &mut element.children {
                if let crate::xml::Node::Element(child) = child {
                    strip(child);
                }
            }
        }
        strip(&mut payload);
        assert_eq!(read("bbbb", &payload).unwrap().streams[0].name, "bbbb-v0");
    }

    #[test]
    fn bad_numbers_and_floods_are_refused() {
        let with = |sources: Vec<Element>| {
            Element::new("jingle", ns::JINGLE).child(
                Element::new("content", ns::JINGLE)
                    .with("name", "audio")
                    .child(
                        Element::new("description", ns::RTP)
                            .with("media", "audio")
                            .children(sources),
                    ),
            )
        };
        for ssrc in ["0", "-1", "4294967296", "x", ""] {
            let payload = with(vec![Element::new("source", ns::SOURCE).with("ssrc", ssrc)]);
            assert!(read("a", &payload).is_err(), "{ssrc}");
        }
        let many = (1..=61).map(|n| Element::new("source", ns::SOURCE).with("ssrc", n.to_string()));
        assert!(read("a", &with(many.collect())).is_err());
    }
}
