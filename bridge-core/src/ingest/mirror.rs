//! Takes in what the shard of a sender has passed on: packets that went through its ingest already,
//! so that receivers of this shard find them as if they had come here.
//!
//! A mirrored source has the same key as the original, and a store of its own that holds the same
//! packets by reference: a receiver is answered its NACKs here. What a mirror cannot see, or not
//! before somebody here wants it, comes as [`Vitals`].

use crate::error::Discard;
use crate::id::SourceKey;
use crate::packet::Pool;
use crate::route::conference::Conference;
use crate::time::Time;

use super::layers::Rate;
use super::level::SILENCE;
use super::source::{Encoding, Facts, MediaPacket, Pending, SenderClock, Source};

/// What the sender's shard knows of an encoding beside its packets.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    sender_report: Option<SenderClock>,
    height: Option<u16>,
    live: bool,
    clock_rate: u32,
    newest: Option<(u32, Time)>,
    rate: Rate,
}

impl Vitals {
    /// Those of all encodings of a source, in their order.
    pub(crate) fn of(source: &Source) -> Box<[Self]> {
        let encodings = source.encodings.iter();
        encodings
            .map(|encoding| Self {
                sender_report: encoding.sender_report,
                height: encoding.height,
                live: encoding.live,
                clock_rate: encoding.clock_rate,
                newest: encoding.newest,
                rate: encoding.rate.clone(),
            })
            .collect()
    }

    /// Takes them over; `true` when routes may have to be decided anew.
    fn apply(&self, encoding: &mut Encoding, pool: &mut Pool) -> bool {
        let changed = (encoding.live, encoding.height) != (self.live, self.height);
        encoding.sender_report = self.sender_report;
        encoding.height = self.height;
        encoding.live = self.live;
        encoding.clock_rate = self.clock_rate;
        encoding.newest = self.newest;
        encoding.rate = self.rate.clone();
        if !self.live {
            encoding.store.clear(pool);
        }
        changed
    }
}

/// Takes over what the sender's shard knows of a source.
pub(crate) fn handle_vitals(
    key: SourceKey,
    vitals: &[Vitals],
    conference: &mut Conference,
    pool: &mut Pool,
) {
    let source = conference.sources.get_mut(key);
    let encodings = source.into_iter().flat_map(|source| &mut source.encodings);
    let changes = encodings
        .zip(vitals)
        .filter_map(|(encoding, vitals)| vitals.apply(encoding, pool).then_some(()));
    conference.changes += u64::from(changes.count() > 0);
}

/// Takes in a packet that passed the ingest of its sender's shard.
///
/// # Errors
/// [`Discard::UnknownSsrc`] when the source is not announced here, or no more;
/// [`Discard::Duplicate`] when the packet is too late for anybody.
pub(crate) fn handle_packet(
    now: Time,
    key: SourceKey,
    encoding: u8,
    clock_rate: u32,
    packet: MediaPacket,
    conference: &mut Conference,
    pool: &mut Pool,
) -> Result<(), Discard> {
    let place = conference.sources.get_mut(key);
    let source = place.ok_or(Discard::UnknownSsrc)?;
    let mirrored = source.encodings.get_mut(usize::from(encoding));
    let mirrored = mirrored.ok_or(Discard::UnknownSsrc)?;
    let has_changed = mirrored.measure(clock_rate, &packet);
    conference.changes += u64::from(has_changed);
    if let Facts::Audio {
        level: Some(level), ..
    } = packet.facts
    {
        conference.speaker.level(now, source.owner, level);
    }
    if source.muted {
        // It was under way when a moderator stopped the source.
        mirrored.store.skip(packet.sequence, packet.arrival, pool);
        return Ok(());
    }
    super::file(key, encoding, packet, conference, pool).map(|_| ())
}

/// Notes a number that closes without a packet, and whether that was silence.
///
/// # Errors
/// [`Discard::UnknownSsrc`] when the source is not announced here, or no more.
pub(crate) fn handle_skipped(
    now: Time,
    key: SourceKey,
    skipped: Pending,
    is_silence: bool,
    conference: &mut Conference,
    pool: &mut Pool,
) -> Result<(), Discard> {
    let place = conference.sources.get_mut(key);
    let source = place.ok_or(Discard::UnknownSsrc)?;
    let mirrored = source.encodings.get_mut(usize::from(skipped.encoding));
    let store = &mut mirrored.ok_or(Discard::UnknownSsrc)?.store;
    store.skip(skipped.sequence, now, pool);
    if is_silence {
        conference.speaker.level(now, source.owner, SILENCE);
    }
    Ok(())
}

/// Lets go of the packets of a source that nobody here wants any more.
pub(crate) fn let_go(source: &mut Source, pool: &mut Pool) {
    for encoding in &mut source.encodings {
        encoding.store.clear(pool);
    }
}

impl Encoding {
    /// Notes what the packet tells of the encoding; `true` when routes may have to be decided anew.
    fn measure(&mut self, clock_rate: u32, packet: &MediaPacket) -> bool {
        self.rate.add(packet.arrival, packet.packet.bytes().len());
        self.newest = Some((packet.header.timestamp, packet.arrival));
        self.clock_rate = clock_rate;
        let mut has_changed = !core::mem::replace(&mut self.live, true);
        if let Facts::Vp8(descriptor) = packet.facts
            && let Some((width, height)) = descriptor.frame_size
        {
            let lines = Some(width.min(height));
            has_changed |= core::mem::replace(&mut self.height, lines) != lines;
        }
        has_changed
    }
}
