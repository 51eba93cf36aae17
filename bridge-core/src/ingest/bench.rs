//! Repeats a browser's media through ingest, for benches.

use core::fmt;
use core::time::Duration;

use crate::error::Result;
use crate::id::{PayloadType, Ssrc};
use crate::limits::FEEDBACK_BYTES_MAX;
use crate::rtp::extension::{self, ExtensionWriter};
use crate::rtp::packet::{set_extension, set_sequence, set_timestamp};
use crate::rtp::{RtpHeader, sequence};

use super::scene::{AUDIO, FEEDBACK, LEVEL_ID, OPUS, Scene, TRANSPORT_ID, VIDEO, VP8};

/// One sender with sound and three encodings of a picture.
pub struct IngestBench {
    scene: Scene,
    streams: Vec<Stream>,
    transport: u64,
}

/// A stream that sends one packet again and again, with other numbers.
struct Stream {
    packet: Vec<u8>,
    /// Packets of each pass.
    each: u64,
    sent: u64,
}

impl IngestBench {
    /// A sender that has not sent anything.
    ///
    /// # Errors
    /// None in practice: the scene is fixed.
    pub fn new() -> Result<Self> {
        let picture = |ssrc, each, length| Stream::new(VP8, ssrc, each, length);
        let [small, middle, large] = VIDEO;
        Ok(Self {
            scene: Scene::with_feedback(FEEDBACK)?,
            streams: vec![
                Stream::new(OPUS, AUDIO, 1, 100),
                picture(small, 1, 400),
                picture(middle, 2, 900),
                picture(large, 5, 1_100),
            ],
            transport: 0,
        })
    }

    /// Takes what the sender sends in 20 ms and writes the feedback that is due; gives the number
    /// of packets that were let through.
    pub fn pass(&mut self) -> u64 {
        let mut accepted = 0;
        for stream in &mut self.streams {
            for _ in 0..stream.each {
                let number = sequence::wire(self.transport);
                self.transport += 1;
                let result = self.scene.send_bytes(stream.next(number));
                accepted += u64::from(result.is_ok());
            }
        }
        self.scene.conference.clear_pending();
        let mut out = [0; FEEDBACK_BYTES_MAX];
        while self.scene.poll(&mut out).is_some() {}
        self.scene.now = self.scene.now + Duration::from_millis(20);
        accepted
    }

    /// Packets that had to be allocated so far.
    #[must_use]
    pub const fn packets_made(&self) -> u64 {
        self.scene.pool.made()
    }
}

impl Stream {
    fn new(payload_type: u8, ssrc: Ssrc, each: u64, length: usize) -> Self {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType(payload_type),
            sequence: 0,
            timestamp: 0,
            ssrc,
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 12,
        };
        // A delta frame: a first packet without picture id, whose data is anything.
        let mut packet = vec![0x11; length];
        let mut start = header.emit_fixed(&mut packet).unwrap_or(0);
        if let Some(block) = packet.get_mut(start..) {
            let mut writer = ExtensionWriter::new(block);
            let is_written = writer.push(LEVEL_ID, &[30]) && writer.push(TRANSPORT_ID, &[0, 0]);
            debug_assert!(is_written, "there is room");
            start += writer.finish();
        }
        set_extension(&mut packet, true);
        debug_assert!(start < length, "there is a payload");
        Self {
            packet,
            each,
            sent: 0,
        }
    }

    fn next(&mut self, transport: u16) -> &[u8] {
        set_sequence(&mut self.packet, sequence::wire(self.sent));
        let frame = self.sent / self.each;
        set_timestamp(&mut self.packet, u32::try_from(frame).unwrap_or(0));
        self.sent += 1;
        if let Ok(header) = RtpHeader::parse(&self.packet)
            && let Some(place) = extension::find_mut(&mut self.packet, &header, TRANSPORT_ID)
        {
            place.copy_from_slice(&transport.to_be_bytes());
        }
        &self.packet
    }
}

impl fmt::Debug for IngestBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IngestBench")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_is_let_through_and_none_is_allocated_after_a_while() {
        let mut bench = IngestBench::new().unwrap();
        let mut made = 0;
        for pass in 0..500 {
            assert_eq!(bench.pass(), 9);
            if pass == 100 {
                made = bench.packets_made();
            }
        }
        assert_eq!(bench.packets_made(), made);
    }
}
