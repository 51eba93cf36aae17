//! Reads the audio level (RFC 6464), tells it to the speaker detection, and lets silence end here.
//!
//! A muted client goes on sending packets of level 127. The first few are forwarded, so that
//! receivers hear the end of the sound; the rest would be decoded by everybody to nothing.

use crate::error::Discard;
use crate::limits::SILENT_PACKETS_MAX;
use crate::route::speaker::DominantSpeaker;
use crate::rtp::{RtpHeader, extension};
use crate::time::Time;

use super::source::{Facts, Source};

/// The level of a sound packet, if its sender tells it.
pub(super) fn read(bytes: &[u8], header: &RtpHeader, id: Option<u8>) -> Facts {
    let told = id
        .and_then(|id| extension::find(bytes, header, id))
        .and_then(extension::audio_level);
    Facts::Audio {
        level: told.map(|(level, _)| level),
        voice: told.is_some_and(|(_, voice)| voice),
    }
}

/// Tells the level to the speaker detection, and lets only the first silent packets in a row
/// through.
pub(super) fn note(
    now: Time,
    level: Option<u8>,
    source: &mut Source,
    speaker: &mut DominantSpeaker,
) -> Result<(), Discard> {
    let Some(level) = level else {
        return Ok(());
    };
    speaker.level(now, source.owner, level);
    if level != SILENCE {
        source.silent_packets = 0;
    } else if source.silent_packets < SILENT_PACKETS_MAX {
        source.silent_packets += 1;
    } else {
        return Err(Discard::Silence);
    }
    Ok(())
}

/// Quietest level, in −dBov: digital silence.
pub(super) const SILENCE: u8 = 127;
