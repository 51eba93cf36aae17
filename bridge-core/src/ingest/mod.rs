//! Takes in what one endpoint sends: each packet goes through the stages of [`Ingest::take`], in
//! that order, and waits under its source for egress. What the sender must know goes back through
//! [`Ingest::poll_feedback`].
//!
//! | stage | file | does |
//! |---|---|---|
//! | arrival | `arrival.rs`, `report.rs` | notes when it came, extends its number |
//! | rtx | `rtx.rs` | makes the original out of a retransmission |
//! | duplicate | `duplicate.rs` | lets each number through once |
//! | loss | `loss.rs` | notices what is missing |
//! | layers | `layers.rs` | measures the encoding |
//! | level | `level.rs` | tells the speaker detection, ends silence |
//! | keyframe | `keyframe.rs` | reads the facts, fulfils wishes for keyframes |
//!
//! What has passed them is also noted for other shards that hold receivers; there `mirror.rs` takes
//! it in.
//!
//! A packet that came and goes no further (padding, silence, muted, malformed payload) is noted in
//! the store as skipped, so that egress can close the gap in its numbers.

pub(crate) mod source;

pub(crate) mod store;

mod arrival;

mod duplicate;

mod feedback;

mod keyframe;

mod layers;

mod level;

mod loss;

mod media;

pub(crate) mod mirror;

mod report;

mod rtx;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod bench;

#[cfg(any(test, feature = "unstable-toolbox"))]
mod scene;

#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::codec::vp8::Vp8Descriptor;
use crate::description::{MediaDescription, SourceDescription};
use crate::error::{Discard, Result};
use crate::id::{EndpointId, EndpointKey, SourceKey, Ssrc};
use crate::packet::{Packet, Pool};
use crate::route::conference::{Conference, Owner, Relay, StreamKey};
use crate::route::mute::ForceMute;
use crate::route::speaker::DominantSpeaker;
use crate::rtcp::{Bye, RtcpPacket, SenderInfo};
use crate::rtp::{RtpHeader, extension};
use crate::time::Time;

use arrival::Arrivals;
use feedback::Schedule;
use media::{Format, Media, Payload};
use source::{Encoding, Facts, MediaPacket, Pending, SenderClock, Source};

/// Plays timed packets of one sender; see `scene.rs`.
#[cfg(feature = "unstable-toolbox")]
pub(crate) fn play(script: &[u8]) -> Result<()> {
    scene::play(script)
}

/// What one endpoint sends.
#[derive(Debug)]
pub(crate) struct Ingest {
    owner: Owner,
    media: Media,
    sources: Vec<SourceKey>,
    arrivals: Arrivals,
    schedule: Schedule,
    counters: IngestCounters,
}

/// What was done about the packets of one sender, for the bridge's statistics; never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IngestCounters {
    /// Packets asked for again.
    pub(crate) packets_nacked: u64,
    /// Packets that came by retransmission.
    pub(crate) packets_recovered: u64,
    /// Keyframe requests sent.
    pub(crate) keyframe_requests_sent: u64,
}

/// A packet on its way through the stages.
#[derive(Debug)]
struct Arrived<'a> {
    now: Time,
    packet: &'a mut Packet,
    header: RtpHeader,
    stream: StreamKey,
    payload: Payload,
    payload_length: u16,
    /// Extended number in its encoding, once it is known.
    sequence: Option<u64>,
    /// Routes may have to be decided anew.
    has_changed: bool,
}

/// A packet that has passed all stages.
#[derive(Debug)]
struct Accepted {
    stream: StreamKey,
    header: RtpHeader,
    payload_length: u16,
    sequence: u64,
    facts: Facts,
}

impl Ingest {
    /// A sender of which nothing is known yet; `bitrate_max` in bits per second is what it is told
    /// by REMB where transport-cc is not negotiated.
    pub(crate) fn new(key: EndpointKey, id: EndpointId, bitrate_max: u64) -> Self {
        Self {
            owner: Owner {
                key,
                id,
                mute: ForceMute::default(),
            },
            media: Media::new(),
            sources: Vec::new(),
            arrivals: Arrivals::new(),
            schedule: Schedule::new(bitrate_max),
            counters: IngestCounters::default(),
        }
    }

    /// Adds what the endpoint can send.
    ///
    /// # Errors
    /// [`crate::Error::Misuse`] for numbers that cannot be.
    pub(crate) fn set_media(&mut self, description: &MediaDescription) -> Result<()> {
        self.media.add(description)
    }

    /// Replaces what the endpoint sends.
    ///
    /// # Errors
    /// Those of [`Conference::set_sources`]; nothing is changed then.
    pub(crate) fn set_sources(
        &mut self,
        conference: &mut Conference,
        descriptions: &[SourceDescription],
        pool: &mut Pool,
    ) -> Result<()> {
        self.sources = conference.set_sources(&self.owner, descriptions, pool)?;
        Ok(())
    }

    /// Takes over what the home shard has announced for the endpoint.
    pub(crate) fn adopt_sources(&mut self, conference: &Conference) {
        self.sources.clear();
        self.sources.extend(conference.sources_of(self.owner.key));
    }

    /// Stops or lets through what the endpoint sends; `None` leaves a kind as it is.
    pub(crate) fn force_mute(
        &mut self,
        conference: &mut Conference,
        audio: Option<bool>,
        video: Option<bool>,
    ) {
        if self.owner.mute.set(audio, video) {
            conference.apply_mute(self.owner.key, self.owner.mute);
        }
    }

    /// Takes over the endpoint's round trip time, which paces repeated requests.
    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.schedule.set_rtt(rtt);
    }

    /// What was done so far.
    pub(crate) const fn counters(&self) -> IngestCounters {
        self.counters
    }

    /// Takes a decrypted RTP packet. What is to be forwarded is pending under its source then.
    ///
    /// # Errors
    /// Why it goes no further; the packet is back in the pool.
    pub(crate) fn handle_rtp(
        &mut self,
        now: Time,
        mut packet: Packet,
        header: &RtpHeader,
        conference: &mut Conference,
        pool: &mut Pool,
    ) -> Result<(), Discard> {
        match self.take(now, &mut packet, header, conference, pool) {
            Ok(accepted) => {
                let (stream, packet) = accepted.seal(now, packet);
                let pending = file(stream.source, stream.encoding, packet, conference, pool)?;
                conference.pass_on(Relay::Packet(stream.source, pending));
                Ok(())
            }
            Err(reason) => {
                pool.give(packet);
                Err(reason)
            }
        }
    }

    /// Takes an RTCP packet that concerns a sender; others are none of ingest's business.
    ///
    /// # Errors
    /// [`Discard::UnknownSsrc`] for a stream that the endpoint has not announced.
    pub(crate) fn handle_rtcp(
        &mut self,
        now: Time,
        packet: &RtcpPacket<'_>,
        conference: &mut Conference,
    ) -> Result<(), Discard> {
        match packet {
            RtcpPacket::SenderReport(report) => {
                self.handle_sender_report(now, &report.info, conference)
            }
            RtcpPacket::Bye(bye) => self.handle_bye(now, bye, conference),
            _ => Ok(()),
        }
    }

    fn handle_sender_report(
        &self,
        now: Time,
        info: &SenderInfo,
        conference: &mut Conference,
    ) -> Result<(), Discard> {
        let stream = self.stream(info.ssrc, conference)?;
        let encoding = encoding_of(stream, conference)?;
        if stream.is_rtx {
            encoding.rtx_reception.note_sender_report(now, info.ntp);
            return Ok(());
        }
        encoding.reception.note_sender_report(now, info.ntp);
        let clock = SenderClock {
            ntp: info.ntp,
            rtp: info.rtp_timestamp,
            arrival: now,
        };
        if encoding.is_plausible(&clock) {
            encoding.sender_report = Some(clock);
            conference.pass_on(Relay::Vitals(stream.source));
        }
        Ok(())
    }

    /// A stream that ends is looked at with the next report, which is due then; what was announced
    /// stays announced, since only signaling withdraws it.
    fn handle_bye(
        &mut self,
        now: Time,
        bye: &Bye<'_>,
        conference: &mut Conference,
    ) -> Result<(), Discard> {
        let mut result = Ok(());
        for ssrc in bye.ssrcs() {
            match self.stream(ssrc, conference) {
                Ok(stream) if !stream.is_rtx => {
                    encoding_of(stream, conference)?.newest = None;
                    self.schedule.report(now);
                }
                Ok(_) => {}
                Err(reason) => result = Err(reason),
            }
        }
        result
    }

    fn stream(&self, ssrc: Ssrc, conference: &Conference) -> Result<StreamKey, Discard> {
        conference
            .stream(self.owner.key, ssrc)
            .ok_or(Discard::UnknownSsrc)
    }

    fn take(
        &mut self,
        now: Time,
        packet: &mut Packet,
        header: &RtpHeader,
        conference: &mut Conference,
        pool: &mut Pool,
    ) -> Result<Accepted, Discard> {
        self.note_transport_arrival(now, packet.bytes(), header);
        let stream = self.stream(header.ssrc, conference)?;
        let payload = self.media.payload(header.payload_type);
        let source = conference
            .sources
            .get_mut(stream.source)
            .ok_or(Discard::UnknownSsrc)?;
        let payload = payload
            .filter(|payload| payload.kind == source.kind)
            .filter(|payload| matches!(payload.format, Format::Rtx { .. }) == stream.is_rtx)
            .ok_or(Discard::UnknownPayloadType)?;
        let payload_length = header.payload(packet.bytes())?.len();
        let mut arrived = Arrived {
            now,
            packet,
            header: *header,
            stream,
            payload,
            payload_length: u16::try_from(payload_length).map_err(|_| Discard::Oversized)?,
            sequence: None,
            has_changed: false,
        };
        let facts = self.run_stages(&mut arrived, source, &mut conference.speaker);
        let skipped = match &facts {
            Err(reason) => arrived.skip(source, *reason, pool),
            Ok(_) => None,
        };
        if arrived.has_changed {
            conference.changes += 1;
            conference.pass_on(Relay::Vitals(stream.source));
        }
        if let Some(skipped) = skipped {
            conference.pass_on(skipped);
        }
        self.schedule.expect_report(now);
        let facts = facts?;
        Ok(Accepted {
            stream,
            header: arrived.header,
            payload_length: arrived.payload_length,
            sequence: arrived.sequence.ok_or(Discard::Duplicate)?,
            facts,
        })
    }

    /// The way of a packet through ingest.
    fn run_stages(
        &mut self,
        arrived: &mut Arrived<'_>,
        source: &mut Source,
        speaker: &mut DominantSpeaker,
    ) -> Result<Facts, Discard> {
        let encoding = source
            .encodings
            .get_mut(usize::from(arrived.stream.encoding))
            .ok_or(Discard::UnknownSsrc)?;
        let mut sequence = report::record(arrived, encoding);
        if arrived.stream.is_rtx {
            sequence = rtx::unwrap(arrived, encoding, &self.media)?;
        }
        duplicate::check(&encoding.store, sequence)?;
        arrived.sequence = Some(sequence);
        if source.muted {
            return Err(Discard::Muted);
        }
        loss::note(arrived, sequence, source, &mut self.schedule);
        layers::note(arrived, source)?;
        let facts = self.read_facts(arrived)?;
        match facts {
            Facts::Audio { level, .. } => level::note(arrived.now, level, source, speaker)?,
            Facts::Vp8(descriptor) => keyframe::note(arrived, sequence, &descriptor, source),
        }
        self.counters.packets_recovered += u64::from(arrived.stream.is_rtx);
        Ok(facts)
    }

    fn read_facts(&self, arrived: &Arrived<'_>) -> Result<Facts, Discard> {
        let bytes = arrived.packet.bytes();
        match arrived.payload.format {
            Format::Opus => Ok(level::read(bytes, &arrived.header, self.media.audio_level)),
            Format::Vp8 => Vp8Descriptor::parse(arrived.header.payload(bytes)?).map(Facts::Vp8),
            Format::Rtx { .. } => Err(Discard::RtxUnexpected),
        }
    }

    fn note_transport_arrival(&mut self, now: Time, bytes: &[u8], header: &RtpHeader) {
        let sequence = self
            .media
            .transport_sequence()
            .and_then(|id| extension::find(bytes, header, id))
            .and_then(extension::transport_sequence);
        if let Some(sequence) = sequence {
            self.arrivals.record(now, sequence, header.ssrc);
        }
    }
}

impl Arrived<'_> {
    /// Notes in the store that a packet came and is never forwarded, for `reason`.
    fn skip(&self, source: &mut Source, reason: Discard, pool: &mut Pool) -> Option<Relay> {
        let StreamKey {
            source: key,
            encoding,
            ..
        } = self.stream;
        let sequence = self.sequence?;
        let store = &mut source.encodings.get_mut(usize::from(encoding))?.store;
        store.skip(sequence, self.now, pool);
        let pending = Pending { encoding, sequence };
        Some(Relay::Skipped(key, pending, reason == Discard::Silence))
    }
}

impl Accepted {
    /// What forwarding gets to see.
    fn seal(self, now: Time, packet: Packet) -> (StreamKey, MediaPacket) {
        let packet = MediaPacket {
            packet: packet.share(),
            header: self.header,
            payload_length: self.payload_length,
            sequence: self.sequence,
            arrival: now,
            facts: self.facts,
        };
        (self.stream, packet)
    }
}

/// Puts a packet into the store of its encoding, and lets it wait for egress.
///
/// # Errors
/// [`Discard::Duplicate`] for one that has become too late for anybody, [`Discard::UnknownSsrc`]
/// when there is no such encoding.
fn file(
    key: SourceKey,
    encoding: u8,
    packet: MediaPacket,
    conference: &mut Conference,
    pool: &mut Pool,
) -> Result<Pending, Discard> {
    let source = conference.sources.get_mut(key);
    let source = source.ok_or(Discard::UnknownSsrc)?;
    let place = source.encodings.get_mut(usize::from(encoding));
    let sequence = packet.sequence;
    if !place
        .ok_or(Discard::UnknownSsrc)?
        .store
        .insert(packet, pool)
    {
        return Err(Discard::Duplicate);
    }
    if source.pending.is_empty() {
        conference.active.push(key);
    }
    let pending = Pending { encoding, sequence };
    source.pending.push(pending);
    Ok(pending)
}

fn encoding_of(stream: StreamKey, conference: &mut Conference) -> Result<&mut Encoding, Discard> {
    conference
        .sources
        .get_mut(stream.source)
        .and_then(|source| source.encodings.get_mut(usize::from(stream.encoding)))
        .ok_or(Discard::UnknownSsrc)
}
