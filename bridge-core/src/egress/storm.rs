//! Leads one receiver through any order of packets, wishes and feedback, for fuzzing.

use std::collections::BTreeMap;

use super::ReceiverOptions;
use super::script::{FIRST_SEQUENCE, Script, Vp8, media};
use crate::description::{MediaKind, ReceiverConstraints};
use crate::id::{SourceKey, Ssrc};
use crate::rtp::RtpHeader;
use crate::rtp::sequence;

/// Runs the steps that `data` spells, and checks that what leaves is sealed and that no number of
/// an SSRC is used for two packets.
pub(crate) fn run(data: &[u8]) {
    let options = ReceiverOptions {
        ssrc_rewriting: data.first().is_some_and(|byte| byte & 1 == 0),
        initial_max_height: -1,
        trust_no_estimate: data.first().is_some_and(|byte| byte & 2 == 0),
        evens_out: data.first().is_some_and(|byte| byte & 4 == 0),
    };
    let Some(mut storm) = Storm::new(options) else {
        return;
    };
    let (steps, _) = data.get(1..).unwrap_or_default().as_chunks();
    for step in steps.iter().take(STEPS_MAX) {
        storm.step(*step);
    }
}

/// A script that follows any bytes.
struct Storm {
    script: Script,
    sources: Vec<SourceKey>,
    /// The last numbers of each encoding: sequence, timestamp, picture.
    last: [[(u64, u32, u16); 3]; 4],
    /// Segments by SSRC and sequence number.
    sent: BTreeMap<(Ssrc, u16), Vec<u8>>,
}

impl Storm {
    fn new(options: ReceiverOptions) -> Option<Self> {
        let mut script = Script::new(options)?;
        let cameras = [3, 1, 2].map(|encodings| script.announce(MediaKind::Video, encodings));
        let mut sources: Vec<SourceKey> = cameras.into_iter().collect::<Option<_>>()?;
        sources.push(script.announce(MediaKind::Audio, 1)?);
        script.route();
        Some(Self {
            script,
            sources,
            last: [[(FIRST_SEQUENCE, 0, 0); 3]; 4],
            sent: BTreeMap::new(),
        })
    }

    fn step(&mut self, [what, a, b, c, d]: [u8; 5]) {
        let script = &mut self.script;
        let at = usize::from(a % 4);
        let Some(source) = self.sources.get(at).copied() else {
            return;
        };
        match what % 16 {
            0..=7 => self.media(at, source, [a, b, c, d]),
            8 => script.wait_millis(u64::from(b)),
            9 => {
                let height = i32::from(b) * 8 - 1;
                let wishes = ReceiverConstraints {
                    default_max_height: Some(height),
                    last_n: (c < 8).then_some(i32::from(c)),
                    ..ReceiverConstraints::default()
                };
                script.receiver.set_constraints(script.now, &wishes);
                script.route();
            }
            10 if c < 64 => self.replace(at, source, b),
            10 => self.skip(at, source, b),
            11 => self.nack(source, [b, c, d]),
            12 => self
                .script
                .feedback(&[0x81, 206, 0, 2, 0, 0, 0, 1, a, b, c, d]),
            13 => script.has_room = b % 8 != 0,
            14 if c < 64 => {
                let media = media(MediaKind::Video, b % 2 == 0);
                script.receiver.set_media(script.now, &[media]);
            }
            _ => self.flush(),
        }
    }

    fn media(&mut self, at: usize, source: SourceKey, [a, b, c, d]: [u8; 4]) {
        let encoding = (a >> 2) % 3;
        let Some(last) = self
            .last
            .get_mut(at)
            .and_then(|last| last.get_mut(usize::from(encoding)))
        else {
            return;
        };
        let step = match b {
            0x80 => 20_000,
            0xe0.. => i64::from(b.cast_signed()),
            0xc0.. => i64::from(b & 0x1f),
            _ => 1,
        };
        last.0 = last.0.saturating_add_signed(step);
        last.1 = last.1.wrapping_add(u32::from(c) * 999);
        last.2 = last.2.wrapping_add(u16::from(c));
        let (sequence, timestamp, picture_id) = *last;
        if at == 3 {
            self.script.audio(source, sequence, timestamp, c & 0x7f);
            return;
        }
        let frame = if d & 16 == 0 {
            Vp8::frame(0)
        } else {
            Vp8::keyframe(0)
        };
        let packet = Vp8 {
            sequence,
            timestamp,
            picture_id: picture_id & 0x7fff,
            is_15_bit: d & 1 == 0,
            tl0_index: c,
            layer: (d >> 1) & 3,
            is_layer_sync: d & 8 != 0,
            starts_frame: d & 32 != 0,
            marker: d & 64 != 0,
            length: usize::from(d),
            ..frame
        };
        self.script.video(source, encoding, packet);
    }

    /// The next packet of an encoding is one that is never forwarded.
    fn skip(&mut self, at: usize, source: SourceKey, encoding: u8) {
        let encoding = encoding % 3;
        let last = self.last.get_mut(at);
        if let Some(last) = last.and_then(|last| last.get_mut(usize::from(encoding))) {
            last.0 += 1;
            self.script.skip(source, encoding, last.0);
        }
    }

    /// Mutes a source, or takes it away and announces it again.
    fn replace(&mut self, at: usize, source: SourceKey, how: u8) {
        let sources = &mut self.script.sources;
        if how.is_multiple_of(2) {
            if let Some(source) = sources.get_mut(source) {
                source.muted = !source.muted;
            }
        } else if let Some(removed) = sources.remove(source) {
            self.script.route();
            let again = self.script.sources.insert_with(|_| removed);
            if let Some(place) = self.sources.get_mut(at) {
                *place = again;
            }
        }
        self.script.route();
    }

    fn nack(&mut self, source: SourceKey, [b, c, d]: [u8; 3]) {
        let slots = &self.script.receiver.slots;
        let slot = slots.place_of(source).and_then(|place| slots.get(place));
        let Some(slot) = slot else {
            return;
        };
        let latest = sequence::wire(slot.rewriter.highest_out());
        let ssrc = slot.ssrc.0.to_be_bytes();
        let [high, low] = latest.wrapping_sub(u16::from(b % 16)).to_be_bytes();
        let head = [0x81, 205, 0, 3, 0, 0, 0, 1];
        let nack = [&head[..], &ssrc, &[high, low, c, d]].concat();
        self.script.feedback(&nack);
    }

    fn flush(&mut self) {
        for received in self.script.flush() {
            assert_eq!(sequence::wire(received.index), received.header.sequence);
            let is_vp8 = received.header.payload_type.0 == 100 && !received.header.has_padding;
            assert!(
                !is_vp8 || received.vp8().is_some(),
                "the payload was changed"
            );
        }
        self.script.report();
        self.script.wishes();
        self.script.wait_millis(5);
        let runs = self.script.runs.iter();
        for segment in runs.flat_map(|(run, bytes)| bytes.chunks(run.segment)) {
            let header = RtpHeader::parse(segment);
            assert!(header.is_ok(), "something that is no RTP left");
            let Ok(header) = header else {
                return;
            };
            let key = (header.ssrc, header.sequence);
            let earlier = self.sent.entry(key).or_insert_with(|| segment.to_vec());
            assert!(earlier == segment, "{key:?} was used for two packets");
        }
    }
}

/// So many steps cannot wrap the sequence numbers, which the check of [`Storm::flush`] rests on.
const STEPS_MAX: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn random_storms_break_nothing() {
        let mut random = Random::new([3; 32]);
        for _ in 0..300 {
            let mut data = [0; 5 * STEPS_MAX + 1];
            random.fill(&mut data);
            run(&data);
        }
    }
}
