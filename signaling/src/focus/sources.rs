//! Keeps who sends what in a conference, and lets nobody take what is another's.
//!
//! An SSRC is used once in a conference, a media stream id by one source, and a source carries its
//! owner's id in its name. A change is checked as a whole before any of it holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use bridge_core::description::{GroupSemantics, SsrcGroup};
use bridge_core::{id::Ssrc, limits};

use crate::jingle::Malformed;
use crate::jingle::source::{Stream, Streams};

/// The sources of a conference.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    owned: BTreeMap<String, Streams>,
    ssrcs: HashMap<Ssrc, String>,
    /// Media stream id to source name.
    msids: HashMap<String, String>,
}

impl Sources {
    /// What everyone sends, by owner.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Streams)> {
        self.owned
            .iter()
            .map(|(owner, streams)| (owner.as_str(), streams))
    }

    /// What one sends.
    pub(crate) fn of(&self, owner: &str) -> Option<&Streams> {
        self.owned.get(owner)
    }

    /// What `owner` would send with `more`.
    pub(crate) fn with(&self, owner: &str, more: &Streams) -> Result<Streams, Malformed> {
        let mut all = self.of(owner).cloned().unwrap_or_default();
        for stream in &more.streams {
            self.check_stream(owner, stream, &all)?;
            all.streams.push(stream.clone());
        }
        for group in &more.groups {
            check_group(group, &all)?;
            if !all.groups.contains(group) {
                all.groups.push(group.clone());
            }
        }
        check_total(&all)?;
        Ok(all)
    }

    /// What `owner` would send without `less`.
    pub(crate) fn without(&self, owner: &str, less: &Streams) -> Result<Streams, Malformed> {
        let mut all = self.of(owner).cloned().unwrap_or_default();
        for stream in &less.streams {
            if all.stream(stream.ssrc).is_none() {
                return Err(Malformed(format!(
                    "Source does not exist or is not owned by endpoint (ssrc={}).",
                    stream.ssrc
                )));
            }
        }
        all.streams.retain(|it| less.stream(it.ssrc).is_none());
        all.groups.retain(|group| {
            !less.groups.contains(group) && group.ssrcs.iter().all(|it| less.stream(*it).is_none())
        });
        Ok(all)
    }

    /// Lets `owner` send exactly `streams` from now on, as checked before.
    pub(crate) fn set(&mut self, owner: &str, streams: Streams) {
        if let Some(old) = self.owned.remove(owner) {
            for stream in &old.streams {
                self.ssrcs.remove(&stream.ssrc);
                self.msids.remove(&stream.msid);
            }
        }
        if streams.is_empty() {
            return;
        }
        for stream in &streams.streams {
            self.ssrcs.insert(stream.ssrc, owner.to_owned());
            self.msids.insert(stream.msid.clone(), stream.name.clone());
        }
        self.owned.insert(owner.to_owned(), streams);
    }

    fn check_stream(&self, owner: &str, stream: &Stream, own: &Streams) -> Result<(), Malformed> {
        if self.ssrcs.contains_key(&stream.ssrc) || own.stream(stream.ssrc).is_some() {
            return Err(Malformed(format!("SSRC is already used: {}.", stream.ssrc)));
        }
        let own_name = stream
            .name
            .strip_prefix(owner)
            .is_some_and(|rest| rest.starts_with('-'));
        if !own_name {
            return Err(Malformed::because(
                "Source name does not begin with the endpoint's id.",
            ));
        }
        if stream.msid.is_empty() {
            return Err(Malformed(format!(
                "Source has no msid (ssrc={}).",
                stream.ssrc
            )));
        }
        let here = own
            .streams
            .iter()
            .find(|it| it.msid == stream.msid)
            .map(|it| &it.name);
        let user = here.or_else(|| self.msids.get(&stream.msid));
        if user.is_some_and(|user| *user != stream.name) {
            return Err(Malformed(format!(
                "MSID is already used: {}.",
                clip(&stream.msid)
            )));
        }
        let kind = own
            .streams
            .iter()
            .find(|it| it.name == stream.name)
            .map(|it| it.kind);
        if kind.is_some_and(|kind| kind != stream.kind) {
            return Err(Malformed::because("Source is both audio and video."));
        }
        Ok(())
    }
}

/// What a receiver without SSRC rewriting is told: of a simulcast source only the first stream,
/// with its retransmissions, since the bridge folds all qualities into that one.
pub(crate) fn visible(streams: &Streams) -> Streams {
    let simulcast = |group: &&SsrcGroup| group.semantics == GroupSemantics::Simulcast;
    let mut hidden: HashSet<Ssrc> = streams
        .groups
        .iter()
        .filter(simulcast)
        .flat_map(|group| group.ssrcs.iter().skip(1).copied())
        .collect();
    for group in streams.groups.iter().filter(|group| !simulcast(group)) {
        if group
            .ssrcs
            .first()
            .is_some_and(|ssrc| hidden.contains(ssrc))
        {
            hidden.extend(group.ssrcs.iter().skip(1).copied());
        }
    }
    let shown = |ssrc: &Ssrc| !hidden.contains(ssrc);
    Streams {
        streams: streams
            .streams
            .iter()
            .filter(|it| shown(&it.ssrc))
            .cloned()
            .collect(),
        groups: streams
            .groups
            .iter()
            .filter(|group| !simulcast(group) && group.ssrcs.iter().all(shown))
            .cloned()
            .collect(),
    }
}

/// What is in `one` and not in `other`.
pub(crate) fn difference(one: &Streams, other: &Streams) -> Streams {
    let streams = one
        .streams
        .iter()
        .filter(|it| !other.streams.contains(it))
        .cloned();
    let groups = one
        .groups
        .iter()
        .filter(|it| !other.groups.contains(it))
        .cloned();
    Streams {
        streams: streams.collect(),
        groups: groups.collect(),
    }
}

/// A group joins streams of one source; `FID` exactly two, `SIM` as many as there are encodings.
fn check_group(group: &SsrcGroup, all: &Streams) -> Result<(), Malformed> {
    let fits = match group.semantics {
        GroupSemantics::Simulcast => (1..=limits::ENCODINGS_MAX).contains(&group.ssrcs.len()),
        _ => group.ssrcs.len() == 2,
    };
    let distinct: HashSet<Ssrc> = group.ssrcs.iter().copied().collect();
    if !fits || distinct.len() != group.ssrcs.len() {
        return Err(Malformed::because("SSRC group of a wrong size."));
    }
    let mut members = group.ssrcs.iter().map(|ssrc| all.stream(*ssrc));
    let first = members.next().flatten();
    let same = |it: Option<&Stream>| {
        it.zip(first)
            .is_some_and(|(it, first)| it.name == first.name && it.msid == first.msid)
    };
    if first.is_none() || !members.all(same) {
        return Err(Malformed::because(
            "SSRC group does not join streams of one source.",
        ));
    }
    let taken = all.groups.iter().any(|other| {
        other != group
            && other.semantics == group.semantics
            && other.ssrcs.iter().any(|ssrc| distinct.contains(ssrc))
    });
    if taken {
        return Err(Malformed::because("SSRC is in two groups of one kind."));
    }
    Ok(())
}

fn check_total(all: &Streams) -> Result<(), Malformed> {
    let names: HashSet<&str> = all.streams.iter().map(|it| it.name.as_str()).collect();
    if all.streams.len() > limits::SSRCS_PER_ENDPOINT_MAX
        || names.len() > limits::SOURCES_PER_ENDPOINT_MAX
        || all.groups.len() > limits::SSRCS_PER_ENDPOINT_MAX
    {
        return Err(Malformed::because("Too many sources."));
    }
    Ok(())
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use bridge_core::description::{MediaKind, VideoType};

    use super::*;

    fn stream(name: &str, ssrc: u32, msid: &str) -> Stream {
        Stream {
            kind: MediaKind::Video,
            ssrc: Ssrc(ssrc),
            name: name.into(),
            msid: msid.into(),
            video_type: VideoType::Camera,
        }
    }

    fn set(streams: &[Stream], groups: &[(GroupSemantics, &[u32])]) -> Streams {
        Streams {
            streams: streams.to_vec(),
            groups: groups
                .iter()
                .map(|(semantics, ssrcs)| SsrcGroup {
                    semantics: *semantics,
                    ssrcs: ssrcs.iter().copied().map(Ssrc).collect(),
                })
                .collect(),
        }
    }

    fn with_one() -> Sources {
        let mut sources = Sources::default();
        let camera = set(
            &[stream("aa-v0", 1, "m"), stream("aa-v0", 2, "m")],
            &[(GroupSemantics::FlowIdentification, &[1, 2])],
        );
        let all = sources.with("aa", &camera).unwrap();
        sources.set("aa", all);
        sources
    }

    #[test]
    fn nobody_takes_what_is_anothers() {
        let sources = with_one();
        for (owner, taken) in [
            ("bb", stream("bb-v0", 1, "n")),
            ("bb", stream("aa-v1", 5, "n")),
            ("bb", stream("bb-v0", 5, "m")),
            ("aa", stream("aa-v1", 5, "m")),
            ("aa", stream("aa-v0", 2, "m")),
            ("bb", stream("bb-v0", 5, "")),
            ("b", stream("bb-v0", 5, "n")),
        ] {
            assert!(
                sources
                    .with(owner, &set(std::slice::from_ref(&taken), &[]))
                    .is_err(),
                "{taken:?}"
            );
        }
        assert!(
            sources
                .with("bb", &set(&[stream("bb-v0", 5, "n")], &[]))
                .is_ok()
        );
    }

    #[test]
    fn groups_join_streams_of_one_source_only() {
        use GroupSemantics::{FlowIdentification as Fid, Simulcast as Sim};
        let sources = Sources::default();
        let streams = [
            stream("aa-v0", 1, "m"),
            stream("aa-v0", 2, "m"),
            stream("aa-v0", 3, "m"),
            stream("aa-v1", 4, "n"),
        ];
        let refused: [&[(GroupSemantics, &[u32])]; 7] = [
            &[(Fid, &[1])],
            &[(Fid, &[1, 2, 3])],
            &[(Fid, &[1, 1])],
            &[(Fid, &[1, 4])],
            &[(Fid, &[1, 9])],
            &[(Sim, &[])],
            &[(Fid, &[1, 2]), (Fid, &[1, 3])],
        ];
        for groups in refused {
            assert!(
                sources.with("aa", &set(&streams, groups)).is_err(),
                "{groups:?}"
            );
        }
        assert!(
            sources
                .with("aa", &set(&streams, &[(Sim, &[1, 2]), (Fid, &[1, 3])]))
                .is_ok()
        );
    }

    #[test]
    fn of_simulcast_only_the_first_quality_is_shown() {
        use GroupSemantics::{FlowIdentification as Fid, Simulcast as Sim};
        let streams: Vec<Stream> = (1..=4).map(|ssrc| stream("aa-v0", ssrc, "m")).collect();
        let all = set(&streams, &[(Fid, &[1, 3]), (Sim, &[1, 2]), (Fid, &[2, 4])]);
        let expected = set(
            &[stream("aa-v0", 1, "m"), stream("aa-v0", 3, "m")],
            &[(Fid, &[1, 3])],
        );
        assert_eq!(visible(&all), expected);
    }

    #[test]
    fn what_is_removed_must_be_there_and_takes_its_groups_along() {
        let mut sources = with_one();
        assert!(
            sources
                .without("aa", &set(&[stream("", 9, "")], &[]))
                .is_err()
        );
        assert!(
            sources
                .without("bb", &set(&[stream("", 1, "")], &[]))
                .is_err()
        );
        let rest = sources
            .without("aa", &set(&[stream("", 2, "")], &[]))
            .unwrap();
        assert!(rest.groups.is_empty());
        assert_eq!(rest.streams.len(), 1);
        sources.set("aa", Streams::default());
        assert!(sources.of("aa").is_none());
        assert!(
            sources
                .with("bb", &set(&[stream("bb-v0", 1, "m")], &[]))
                .is_ok()
        );
    }
}
