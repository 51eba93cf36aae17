//! Writes what a sender must know into compounds (RFC 3550 section 6.1, RFC 4585): reports on
//! reception, transport-cc feedback, missing packets, wished keyframes, or a bound by REMB.
//!
//! Every compound begins with a receiver report and our name, so that no reduced size has to be
//! negotiated. The reporter is the feedback source that signaling announces (`jvb-v0`).

use core::time::Duration;

use crate::id::Ssrc;
use crate::limits::{FEEDBACK_BYTES_MAX, SSRCS_PER_ENDPOINT_MAX};
use crate::packet::Pool;
use crate::route::conference::{Conference, Relay};
use crate::rtcp::{CompoundWriter, FullIntraEntry, ReportBlock, draw, next_report};
use crate::rtp::sequence;
use crate::time::Time;

use super::Ingest;
use super::source::Source;

/// When a sender is to be told something.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The next report on reception; `None` while nothing comes.
    report: Option<Time>,
    /// The next request for packets or keyframes.
    request: Option<Time>,
    /// Time between two requests for one packet.
    rtt: Duration,
    /// Bits per second told by REMB.
    bitrate_max: u64,
}

impl Schedule {
    pub(super) const fn new(bitrate_max: u64) -> Self {
        Self {
            report: None,
            request: None,
            rtt: RTT_UNKNOWN,
            bitrate_max,
        }
    }

    /// Something came: it will be reported on.
    pub(super) fn expect_report(&mut self, now: Time) {
        self.report.get_or_insert_with(|| next_report(now));
    }

    /// A report is due now.
    pub(super) fn report(&mut self, now: Time) {
        self.report = Some(now);
    }

    /// A request is due at `time` at the latest.
    pub(super) fn hurry(&mut self, time: Time) {
        self.request = Some(self.request.map_or(time, |request| request.min(time)));
    }

    pub(super) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.clamp(RTT_MIN, RTT_MAX);
    }
}

impl Ingest {
    /// When [`Ingest::poll_feedback`] has something to say.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [
            self.schedule.report,
            self.schedule.request,
            self.arrivals.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Says that a receiver's wish made feedback due ([`Conference::urgent`]).
    pub(crate) fn wake(&mut self, now: Time) {
        self.schedule.hurry(now);
    }

    /// Something goes to the sender anyway: a report that is due soon goes with it.
    pub(crate) fn draw_report(&mut self, now: Time) {
        draw(&mut self.schedule.report, now);
    }

    /// Writes the next compound into `out`, which takes at least [`FEEDBACK_BYTES_MAX`] bytes;
    /// gives its length. To be called until there is nothing more.
    pub(crate) fn poll_feedback(
        &mut self,
        now: Time,
        conference: &mut Conference,
        pool: &mut Pool,
        out: &mut [u8],
    ) -> Option<usize> {
        debug_assert!(
            out.len() >= FEEDBACK_BYTES_MAX,
            "too little room for feedback"
        );
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let mut writer = CompoundWriter::new(out);
        let is_written = self.write(now, conference, pool, &mut writer);
        is_written.then_some(writer.len())
    }

    /// `false` when it turned out that there is nothing to say.
    fn write(
        &mut self,
        now: Time,
        conference: &mut Conference,
        pool: &mut Pool,
        writer: &mut CompoundWriter<'_>,
    ) -> bool {
        let reporter = conference.feedback.video;
        self.draw_report(now);
        let is_report = self.schedule.report == Some(now);
        let mut blocks = Blocks::new();
        if is_report {
            self.gather(now, conference, pool, &mut blocks);
        }
        let mut written = writer.receiver_report(reporter, blocks.as_slice())
            && writer.cname(reporter, CNAME)
            && !blocks.as_slice().is_empty();
        if is_report && self.media.wants_remb() {
            written |= self.write_remb(conference, reporter, writer);
        }
        if self.schedule.request.is_some_and(|request| request <= now) {
            written |= self.write_requests(now, conference, reporter, writer);
        }
        if self.arrivals.due().is_some_and(|due| due <= now) {
            written |= self.write_arrivals(now, reporter, writer);
        }
        written
    }

    /// Gathers the blocks of a report, and looks which encodings fell silent. The schedule goes on
    /// while any is live; what did not fit is due at once.
    fn gather(
        &mut self,
        now: Time,
        conference: &mut Conference,
        pool: &mut Pool,
        blocks: &mut Blocks,
    ) {
        let mut is_live = false;
        let mut is_full = false;
        for key in &self.sources {
            let Some(source) = conference.sources.get_mut(*key) else {
                continue;
            };
            let has_fallen_silent = source.look_for_silence(now, pool);
            for encoding in &mut source.encodings {
                is_live |= encoding.live;
                is_full |= !blocks.push(|| encoding.reception.take_block(now, encoding.ssrc));
                if let Some(rtx) = encoding.rtx {
                    is_full |= !blocks.push(|| encoding.rtx_reception.take_block(now, rtx));
                }
            }
            if has_fallen_silent {
                conference.changes += 1;
                conference.pass_on(Relay::Vitals(*key));
            }
        }
        self.schedule.report = match (is_full, is_live || !blocks.as_slice().is_empty()) {
            (true, _) => Some(now),
            (false, true) => Some(next_report(now)),
            (false, false) => None,
        };
    }

    fn write_remb(
        &self,
        conference: &Conference,
        reporter: Ssrc,
        writer: &mut CompoundWriter<'_>,
    ) -> bool {
        let mut ssrcs = [Ssrc(0); SSRCS_PER_ENDPOINT_MAX];
        let sources = self
            .sources
            .iter()
            .filter_map(|key| conference.sources.get(*key));
        let encodings = sources.flat_map(|source| &source.encodings);
        let mut count = 0;
        for (place, encoding) in ssrcs.iter_mut().zip(encodings) {
            *place = encoding.ssrc;
            count += 1;
        }
        let ssrcs = ssrcs.get(..count).unwrap_or_default();
        writer.remb(reporter, self.schedule.bitrate_max, ssrcs)
    }

    /// Asks for keyframes and missing packets; what has no room is due again at once.
    fn write_requests(
        &mut self,
        now: Time,
        conference: &mut Conference,
        reporter: Ssrc,
        writer: &mut CompoundWriter<'_>,
    ) -> bool {
        let start = writer.len();
        self.schedule.request = None;
        for key in &self.sources {
            let Some(source) = conference.sources.get_mut(*key) else {
                continue;
            };
            if has_room(writer) {
                let asked = ask_for_packets(now, self.schedule.rtt, source, reporter, writer);
                self.counters.packets_nacked += asked;
                let is_fir = self.media.wants_fir();
                let asked = ask_for_keyframes(now, source, is_fir, reporter, writer);
                self.counters.keyframe_requests_sent += asked;
            }
            let missing = source.encodings.iter().filter_map(|one| one.missing.due());
            if let Some(due) = missing.chain(source.keyframes.due()).min() {
                self.schedule.hurry(due);
            }
        }
        writer.len() > start
    }

    fn write_arrivals(
        &mut self,
        now: Time,
        reporter: Ssrc,
        writer: &mut CompoundWriter<'_>,
    ) -> bool {
        let arrivals = &mut self.arrivals;
        let end = writer.twcc(
            reporter,
            arrivals.ssrc(),
            arrivals.report_count(),
            arrivals.start(),
            arrivals.unreported(),
        );
        if let Some(end) = end {
            arrivals.report(now, end);
        }
        end.is_some()
    }
}

/// Asks for what is missing of a source; gives how many packets.
fn ask_for_packets(
    now: Time,
    rtt: Duration,
    source: &mut Source,
    reporter: Ssrc,
    writer: &mut CompoundWriter<'_>,
) -> u64 {
    let mut asked = 0;
    for index in 0..source.encodings.len() {
        let Some(encoding) = source.encodings.get_mut(index).filter(|_| has_room(writer)) else {
            break;
        };
        let mut numbers = [0; NACK_NUMBERS];
        let mut count = 0;
        for (number, missing) in numbers.iter_mut().zip(encoding.missing.take_due(now, rtt)) {
            *number = sequence::wire(missing);
            count += 1;
        }
        let numbers = numbers.get(..count).unwrap_or_default();
        if writer.nack(reporter, encoding.ssrc, numbers) {
            asked += count as u64;
        }
        if encoding.missing.take_hopeless() {
            source.wish_keyframe(now, index);
        }
    }
    asked
}

/// Asks for the keyframes of a source that are due; gives how many.
fn ask_for_keyframes(
    now: Time,
    source: &mut Source,
    is_fir: bool,
    reporter: Ssrc,
    writer: &mut CompoundWriter<'_>,
) -> u64 {
    let mut asked = 0;
    let due = source.keyframes.take_due(now);
    for (encoding, command) in source.encodings.iter().zip(due) {
        let Some(command) = command else {
            continue;
        };
        let entry = FullIntraEntry {
            ssrc: encoding.ssrc,
            sequence: command,
        };
        let is_written = if is_fir {
            writer.full_intra(reporter, entry)
        } else {
            writer.picture_loss(reporter, encoding.ssrc)
        };
        asked += u64::from(is_written);
    }
    asked
}

/// Whether the requests about one source, at their longest, still fit.
fn has_room(writer: &CompoundWriter<'_>) -> bool {
    writer.len() + SOURCE_REQUESTS_MAX <= FEEDBACK_BYTES_MAX
}

/// The blocks of one report.
struct Blocks {
    blocks: [ReportBlock; BLOCKS_MAX],
    count: usize,
}

impl Blocks {
    const fn new() -> Self {
        Self {
            blocks: [ReportBlock {
                ssrc: Ssrc(0),
                fraction_lost: 0,
                cumulative_lost: 0,
                highest_sequence: 0,
                jitter: 0,
                last_sender_report: 0,
                delay_since_last: 0,
            }; BLOCKS_MAX],
            count: 0,
        }
    }

    /// Takes a block, if there is one, when there is room for it.
    fn push(&mut self, take: impl FnOnce() -> Option<ReportBlock>) -> bool {
        let Some(place) = self.blocks.get_mut(self.count) else {
            return false;
        };
        if let Some(block) = take() {
            *place = block;
            self.count += 1;
        }
        true
    }

    fn as_slice(&self) -> &[ReportBlock] {
        self.blocks.get(..self.count).unwrap_or_default()
    }
}

/// Our canonical name (RFC 3550 section 6.5.1).
const CNAME: &[u8] = b"trestle";

/// Blocks of one report (RFC 3550 section 6.4.2: five bits).
const BLOCKS_MAX: usize = 31;

/// Round trip time until it is measured.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);

const RTT_MIN: Duration = Duration::from_millis(10);

const RTT_MAX: Duration = Duration::from_secs(1);

/// Numbers of one NACK.
const NACK_NUMBERS: usize = 64;

/// Bytes of a NACK at its longest, and of a FIR, of one source.
const SOURCE_REQUESTS_MAX: usize = 12 + 4 * NACK_NUMBERS + 3 * 20;
