//! Reads and writes the media description of a content (XEP-0167) with feedback (XEP-0293) and
//! header extensions (XEP-0294).

use bridge_core::description::{
    Codec, Feedback, HeaderExtension, MediaDescription, MediaKind, PayloadTypeDescription,
};
use bridge_core::id::PayloadType;

use super::{Malformed, ns};
use crate::xml::Element;

/// The name of a kind in Jingle and colibri2.
#[must_use]
pub const fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// The kind of that name.
#[must_use]
pub fn kind_from(name: &str) -> Option<MediaKind> {
    match name {
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    }
}

/// A `description` element with `rtcp-mux`, where Jitsi's clients look for it.
#[must_use]
pub fn write(media: &MediaDescription) -> Element {
    let mut description = Element::new("description", ns::RTP).with("media", kind_name(media.kind));
    if media.kind == MediaKind::Audio {
        description.set("maxptime", "60");
    }
    description
        .children(media.payload_types.iter().map(write_payload_type))
        .children(media.header_extensions.iter().map(|(extension, id)| {
            Element::new("rtp-hdrext", ns::EXTENSION)
                .with("id", id.to_string())
                .with("uri", extension.uri())
        }))
        .child(Element::new("extmap-allow-mixed", ns::EXTENSION))
        .child(Element::new("rtcp-mux", ns::RTP))
}

fn write_payload_type(it: &PayloadTypeDescription) -> Element {
    let mut element = Element::new("payload-type", ns::RTP)
        .with("id", it.id.0.to_string())
        .with("name", codec_name(&it.codec))
        .with("clockrate", it.clock_rate.to_string());
    if it.channels != 1 {
        element.set("channels", it.channels.to_string());
    }
    element
        .children(it.parameters.iter().map(|(name, value)| {
            Element::new("parameter", ns::RTP)
                .with("name", &**name)
                .with("value", &**value)
        }))
        .children(it.feedback.iter().map(|feedback| {
            let (kind, subtype) = feedback_name(*feedback);
            let element = Element::new("rtcp-fb", ns::FEEDBACK).with("type", kind);
            if subtype.is_empty() {
                element
            } else {
                element.with("subtype", subtype)
            }
        }))
}

/// What a `description` says of payload types and extensions. Extensions that the engine does not
/// know are left out.
///
/// # Errors
/// [`Malformed`] when a payload type or extension has no number in range, or there are too many.
pub fn read(kind: MediaKind, description: &Element) -> Result<MediaDescription, Malformed> {
    let mut media = MediaDescription {
        kind,
        payload_types: Vec::new(),
        header_extensions: Vec::new(),
    };
    for child in description.elements() {
        match (child.name.as_str(), child.namespace.as_str()) {
            ("payload-type", ns::RTP) => media.payload_types.push(read_payload_type(child)?),
            ("rtp-hdrext", ns::EXTENSION) => {
                let id = number(child, "id")?;
                media
                    .header_extensions
                    .extend(header_extension(child.attr("uri"), id)?);
            }
            _ => {}
        }
    }
    check_counts(&media)?;
    Ok(media)
}

/// Bounds that hold however a description came in.
pub(crate) fn check_counts(media: &MediaDescription) -> Result<(), Malformed> {
    if media.payload_types.len() > 128 || media.header_extensions.len() > 32 {
        return Err(Malformed::because(
            "too many payload types or header extensions",
        ));
    }
    Ok(())
}

/// A header extension that the engine knows, with its id.
pub(crate) fn header_extension(
    uri: Option<&str>,
    id: u8,
) -> Result<Option<(HeaderExtension, u8)>, Malformed> {
    if id == 0 {
        return Err(Malformed::because("rtp-hdrext id is 0"));
    }
    Ok(uri
        .and_then(HeaderExtension::from_uri)
        .map(|extension| (extension, id)))
}

fn read_payload_type(element: &Element) -> Result<PayloadTypeDescription, Malformed> {
    let parameters: Vec<(String, String)> = element
        .elements()
        .filter(|child| child.is("parameter", ns::RTP))
        .map(|child| {
            let text = |name| child.attr(name).unwrap_or_default().to_owned();
            (text("name"), text("value"))
        })
        .collect();
    let feedback = element
        .elements()
        .filter(|child| child.is("rtcp-fb", ns::FEEDBACK))
        .filter_map(|child| feedback_from(child.attr("type")?, child.attr("subtype")))
        .collect();
    let channels = match element.attr("channels") {
        Some(_) => number(element, "channels")?,
        None => 1,
    };
    payload_type(
        number(element, "id")?,
        element.attr("name").unwrap_or_default(),
        element
            .attr("clockrate")
            .and_then(|rate| rate.parse().ok())
            .unwrap_or(0),
        channels,
        parameters,
        feedback,
    )
}

/// A payload type from its parts, as XML and JSON share them.
pub(crate) fn payload_type(
    id: u8,
    name: &str,
    clock_rate: u32,
    channels: u8,
    parameters: Vec<(String, String)>,
    feedback: Vec<Feedback>,
) -> Result<PayloadTypeDescription, Malformed> {
    if id > 127 {
        return Err(Malformed::because("payload type is above 127"));
    }
    let codec = match name.to_ascii_lowercase().as_str() {
        "opus" => Codec::Opus,
        "vp8" => Codec::Vp8,
        "rtx" => {
            let apt = parameters.iter().find(|(name, _)| name == "apt");
            let of = apt.and_then(|(_, value)| value.parse().ok());
            Codec::Rtx {
                of: of
                    .map(PayloadType)
                    .ok_or_else(|| Malformed::because("rtx without apt"))?,
            }
        }
        _ => Codec::Other(name.to_owned()),
    };
    Ok(PayloadTypeDescription {
        id: PayloadType(id),
        codec,
        clock_rate,
        channels,
        parameters,
        feedback,
    })
}

fn number(element: &Element, name: &str) -> Result<u8, Malformed> {
    element
        .attr(name)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Malformed(format!("{} {name} is not a small number", element.name)))
}

pub(crate) fn codec_name(codec: &Codec) -> &str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "VP8",
        Codec::Rtx { .. } => "rtx",
        Codec::Other(name) => name,
        _ => "",
    }
}

/// Type and subtype of a feedback.
pub(crate) const fn feedback_name(feedback: Feedback) -> (&'static str, &'static str) {
    match feedback {
        Feedback::Nack => ("nack", ""),
        Feedback::NackPli => ("nack", "pli"),
        Feedback::CcmFir => ("ccm", "fir"),
        Feedback::TransportCc => ("transport-cc", ""),
        Feedback::Remb => ("goog-remb", ""),
        _ => ("", ""),
    }
}

/// The feedback of that type and subtype, if the engine knows it.
pub(crate) fn feedback_from(kind: &str, subtype: Option<&str>) -> Option<Feedback> {
    [
        Feedback::Nack,
        Feedback::NackPli,
        Feedback::CcmFir,
        Feedback::TransportCc,
        Feedback::Remb,
    ]
    .into_iter()
    .find(|feedback| feedback_name(*feedback) == (kind, subtype.unwrap_or_default()))
}
