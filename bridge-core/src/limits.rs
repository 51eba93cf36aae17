//! Bounds every queue, table and cache. Defaults are those of docs/operating/hardening.md.

use core::time::Duration;

/// Bytes of a conference, endpoint or source name.
pub const NAME_BYTES_MAX: usize = 256;

/// Bytes of the largest datagram taken from the network. Larger ones are cut by the kernel and
/// discarded. A browser's ClientHello comes in datagrams of up to 1,408 bytes.
pub const DATAGRAM_BYTES_MAX: usize = 1_600;

/// Bytes kept free behind a datagram for a tag and padding.
pub const TAILROOM_BYTES: usize = 64;

/// Bytes of a packet buffer.
pub const PACKET_BYTES: usize = DATAGRAM_BYTES_MAX + TAILROOM_BYTES;

/// Bytes of the longest RTP packet that is forwarded; longer ones are discarded (they would be
/// fragmented on the way).
pub const RTP_BYTES_MAX: usize = 1_460;

/// Sources of one endpoint.
pub const SOURCES_PER_ENDPOINT_MAX: usize = 20;

/// SSRCs of one endpoint, retransmission streams included.
pub const SSRCS_PER_ENDPOINT_MAX: usize = 60;

/// SSRCs that one peer may use over the life of its keys: a replay window is kept of each, since
/// one that was forgotten would let its packets in again.
pub const SRTP_STREAMS_MAX: usize = 256;

/// Simulcast encodings of one source.
pub const ENCODINGS_MAX: usize = 3;

/// Remote candidates of one endpoint.
pub const REMOTE_CANDIDATES_MAX: usize = 40;

/// Paths of one endpoint that only its own checks revealed.
pub const PEER_REFLEXIVE_MAX: usize = 16;

/// Bytes of a peer's ICE ufrag or password (RFC 8445 section 5.3).
pub const ICE_STRING_BYTES_MAX: usize = 256;

/// Bytes of the longest STUN message of ours: a check of a peer with the longest ufrag.
pub const STUN_BYTES_MAX: usize = 400;

/// STUN messages of one endpoint that wait to be sent.
pub const ICE_QUEUE_MAX: usize = 64;

/// DTLS handshakes of a process that have no keys yet.
pub const HALF_OPEN_HANDSHAKES_MAX: usize = 1_000;

/// Time for a DTLS handshake.
pub const HANDSHAKE_DURATION_MAX: Duration = Duration::from_secs(30);

/// Datagrams taken from the peer of one handshake.
pub const HANDSHAKE_DATAGRAMS_MAX: usize = 256;

/// Bytes taken from the peer of one handshake; a browser's is below 4 KiB, without repeats.
pub const HANDSHAKE_BYTES_MAX: usize = 64 * 1_024;

/// DTLS datagrams of all shards that wait for the handshake thread.
pub const HANDSHAKE_QUEUE_MAX: usize = 4_096;

/// DTLS datagrams of one endpoint that wait to be sent.
pub const DTLS_QUEUE_MAX: usize = 32;

/// DTLS datagrams that wait for their path to be validated.
pub const EARLY_DTLS_MAX: usize = 4;

/// Video slots (rewritten SSRCs) of one receiver.
pub const VIDEO_SLOTS_MAX: usize = 50;

/// Audio slots (rewritten SSRCs) of one receiver.
pub const AUDIO_SLOTS_MAX: usize = 50;

/// Packets kept of one encoding for retransmission: a second of 4 Mbit/s and more.
pub const HISTORY_PACKETS_MAX: usize = 512;

/// Age beyond which a packet is not retransmitted.
pub const HISTORY_AGE_MAX: Duration = Duration::from_secs(1);

/// Bytes that one receiver may be sent again in a burst.
pub const RETRANSMISSION_BYTES_MAX: u64 = 256 * 1_024;

/// Places where outgoing sequence numbers closed over left-out packets, remembered of one stream:
/// two seconds of a stream whose upper temporal layers are left out.
pub const SEQUENCE_PIECES_MAX: usize = 32;

/// Packets of one run of the send arena. The kernel takes 64 segments and 65,507 bytes; beyond 16
/// nothing is gained.
pub const RUN_SEGMENTS_MAX: usize = 32;

/// Longest time that pictures may wait for others.
pub const HOLD_MAX: Duration = Duration::from_millis(20);

/// Sources that a receiver may name in each of its wishes.
pub const CONSTRAINED_SOURCES_MAX: usize = 1_000;

/// SSRCs of former sources whose last number one receiver without SSRC rewriting remembers.
pub const RETIRED_SSRCS_MAX: usize = 4_096;

/// Sequence numbers that one NACK may name.
pub const NACK_ENTRIES_MAX: usize = 512;

/// Packets that one transport-wide feedback may report on: as many as the history of sent ones
/// holds. A packet of 20 bytes could otherwise make us walk 65,535.
pub const TWCC_STATUSES_MAX: usize = 8_192;

/// Missing sequence numbers remembered of one stream.
pub const MISSING_MAX: usize = 256;

/// Times a missing packet is asked for again.
pub const NACK_TRIES_MAX: u8 = 10;

/// Age beyond which a missing packet is given up.
pub const MISSING_AGE_MAX: Duration = Duration::from_secs(1);

/// Shortest time between two keyframe requests to one source.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(200);

/// Longest time between two keyframe requests while none comes.
pub const KEYFRAME_REPEAT_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Keyframe requests sent for one wish.
pub const KEYFRAME_TRIES_MAX: u8 = 10;

/// Packets kept of a sound: a second at 20 ms and more.
pub const AUDIO_HISTORY_PACKETS_MAX: usize = 64;

/// Arrival times kept of one endpoint for transport-cc feedback: a third of a second at the
/// largest rate, three feedback intervals.
pub const ARRIVALS_MAX: usize = 2_048;

/// Silent packets in a row that are forwarded before silence is discarded.
pub const SILENT_PACKETS_MAX: u8 = 3;

/// Bytes of one compound of feedback to a sender.
pub const FEEDBACK_BYTES_MAX: usize = 1_200;

/// Shards of a bridge: each has a character of its own at the front of its ufrags.
pub const SHARDS_MAX: usize = 64;

/// Sockets of peers' own of a bridge, if that is asked for: every datagram of a stranger walks
/// past all of one port in some kernels. Half of the descriptors of the process is a bound as well.
pub const CONNECTED_SOCKETS_MAX: usize = 2_048;

/// Paths that one shard remembers, its own endpoints' and other shards'.
pub const PATHS_MAX: usize = 65_536;

/// Packets that a shard keeps to use them again: 14 MB.
pub const POOL_PACKETS_MAX: usize = 8_192;

/// Commands that wait at one shard.
pub const COMMANDS_MAX: usize = 4_096;

/// Events that wait for whoever runs the bridge; later ones are lost and counted.
pub const EVENTS_MAX: usize = 16_384;

/// News of handshakes that wait at one shard; the handshake thread waits for room.
pub const HANDSHAKE_ANSWERS_MAX: usize = 4_096;

/// Messages that wait between two shards: 20 ms of a busy publisher's shard.
pub const HANDOFF_MAX: usize = 1_024;

/// Messages of one shard that must reach another and wait for room. Only a shard that does not
/// work any more lets so many gather; later ones are lost and counted.
pub const BACKLOG_MAX: usize = 65_536;

/// Endpoints of a conference from which on others join the shard that has the fewest. Below it a
/// conference stays on one shard and no packet crosses.
pub const SPREAD_FROM: usize = 32;

/// Counts that an operator may change; all have a counter of what was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conferences of a bridge.
    pub conferences: usize,
    /// Endpoints of a bridge.
    pub endpoints: usize,
    /// Endpoints of one conference.
    pub endpoints_per_conference: usize,
    /// Datagrams per second accepted from one endpoint.
    pub packets_per_second: u32,
    /// Bits per second accepted from one endpoint.
    pub bits_per_second: u64,
    /// STUN requests per second from one source address that belong to no validated pair.
    pub stun_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            conferences: 2_000,
            endpoints: 5_000,
            endpoints_per_conference: 1_000,
            packets_per_second: 6_000,
            bits_per_second: 30_000_000,
            stun_per_second: 50,
        }
    }
}

const _: () = assert!(RTP_BYTES_MAX + TAILROOM_BYTES <= PACKET_BYTES);
const _: () = assert!(SSRCS_PER_ENDPOINT_MAX >= 2 * ENCODINGS_MAX);
const _: () = assert!(SRTP_STREAMS_MAX >= SSRCS_PER_ENDPOINT_MAX);
const _: () = assert!(HISTORY_PACKETS_MAX.is_power_of_two());
const _: () = assert!(AUDIO_HISTORY_PACKETS_MAX.is_power_of_two());
const _: () = assert!(ARRIVALS_MAX.is_power_of_two());
const _: () = assert!(NACK_TRIES_MAX > 0 && KEYFRAME_TRIES_MAX > 0);
const _: () = assert!(FEEDBACK_BYTES_MAX <= RTP_BYTES_MAX);
