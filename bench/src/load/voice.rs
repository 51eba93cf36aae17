//! Makes the packets of a microphone: as long and as often as those of a browser, and they say when
//! they left.

use core::time::Duration;

use bridge_core::Time;
use bridge_core::id::{PayloadType, Ssrc};
use bridge_core::rtp::RtpHeader;
use bridge_core::rtp::packet::FIXED_HEADER_LENGTH;

/// Payload type of Opus, as Jitsi's focus gives it.
pub(crate) const OPUS: u8 = 111;

/// Time between two packets.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// Bytes of a packet: Opus at 32 kbit/s.
pub(crate) const SIZE: usize = FIXED_HEADER_LENGTH + 80;

/// What stands before the time, so that nothing else is taken for one.
const MAGIC: [u8; 4] = *b"said";

/// A stream of sound.
#[derive(Debug)]
pub(crate) struct Voice {
    ssrc: u32,
    /// Roll-over counter and sequence number of the next packet.
    index: u64,
}

impl Voice {
    pub(crate) const fn new(ssrc: u32) -> Self {
        Self { ssrc, index: 0 }
    }

    /// Writes the next packet; gives its index and the bytes of its header.
    pub(crate) fn packet(
        &mut self,
        out: &mut [u8; SIZE],
        now: Time,
        stamp: u64,
    ) -> Option<(u64, usize)> {
        let index = self.index;
        self.index += 1;
        let [.., high, low] = index.to_be_bytes();
        let header = RtpHeader {
            marker: index == 0,
            payload_type: PayloadType(OPUS),
            sequence: u16::from_be_bytes([high, low]),
            timestamp: timestamp(now),
            ssrc: Ssrc(self.ssrc),
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 0,
        };
        let length = header.emit_fixed(out)?;
        let (magic, rest) = out.get_mut(length..)?.split_first_chunk_mut()?;
        *magic = MAGIC;
        *rest.first_chunk_mut()? = stamp.to_be_bytes();
        Some((index, length))
    }
}

/// When the packet with that payload left, if it is one of ours.
pub(crate) fn stamp(payload: &[u8]) -> Option<u64> {
    let (magic, rest) = payload.split_first_chunk::<4>()?;
    (*magic == MAGIC).then_some(u64::from_be_bytes(*rest.first_chunk()?))
}

/// The clock of Opus: 48 kHz.
fn timestamp(now: Time) -> u32 {
    let ticks = u128::from(now.as_nanos()) * 48_000 / 1_000_000_000;
    let [.., a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_sound_follow_each_other_and_say_when_they_left() {
        let mut voice = Voice::new(7);
        let mut out = [0; SIZE];
        for at in 0..3u16 {
            let now = Time::ZERO + INTERVAL * at.into();
            let (index, length) = voice.packet(&mut out, now, 4_711).unwrap();
            let header = RtpHeader::parse(&out).unwrap();
            assert_eq!((index, header.sequence), (at.into(), at));
            assert_eq!(usize::from(header.length), length);
            assert_eq!(header.timestamp, 960 * u32::from(at));
            assert_eq!(stamp(header.payload(&out).unwrap()), Some(4_711));
        }
        assert_eq!(stamp(&[0; 80]), None);
        assert_eq!(stamp(&MAGIC), None);
    }
}
