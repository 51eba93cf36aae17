//! Counts what a bridge does; snapshots in plain data, units in the names.

use crate::error::DiscardCounters;

/// Counters and gauges of a whole bridge, or of one shard of it. Counters never go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeStats {
    /// Conferences now.
    pub conferences: u64,
    /// Endpoints now.
    pub endpoints: u64,
    /// Endpoints now whose transport is up.
    pub endpoints_connected: u64,
    /// Endpoints in the largest conference.
    pub largest_conference: u64,
    /// Conferences ever made.
    pub conferences_created: u64,
    /// Endpoints ever made.
    pub endpoints_created: u64,
    /// Endpoints whose ICE failed.
    pub ice_failed: u64,
    /// Endpoints whose DTLS failed.
    pub dtls_failed: u64,
    /// Datagrams received.
    pub packets_received: u64,
    /// Bytes received, without IP and UDP headers.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub packets_sent: u64,
    /// Bytes sent, without IP and UDP headers.
    pub bytes_sent: u64,
    /// Media packets sent to receivers.
    pub packets_forwarded: u64,
    /// Packets sent again on request of a receiver.
    pub packets_retransmitted: u64,
    /// Packets asked of senders again.
    pub packets_nacked: u64,
    /// Packets that came by retransmission.
    pub packets_recovered: u64,
    /// Keyframe requests of receivers.
    pub keyframe_requests_received: u64,
    /// Keyframe requests sent to senders.
    pub keyframe_requests_sent: u64,
    /// Changes of the dominant speaker.
    pub dominant_speaker_changes: u64,
    /// Datagrams that came to another shard first.
    pub packets_handed_over: u64,
    /// Decrypted packets that were given to other shards, once for each.
    pub packets_fanned_out: u64,
    /// System calls that received datagrams; each takes many.
    pub calls_receive: u64,
    /// System calls that sent datagrams; each takes many.
    pub calls_send: u64,
    /// Peers whose routes refused segmented messages: their datagrams go singly.
    pub peers_unsegmented: u64,
    /// Peers now that have a socket of their own, if that is asked for.
    pub peers_connected: u64,
    /// Peers that got none: too many have one, or the system refused it.
    pub peers_unconnected: u64,
    /// Errors of these sockets: what did not leave by them left by the shared one.
    pub connected_errors: u64,
    /// Packets that went no further, by reason.
    pub discarded: DiscardCounters,
}

impl BridgeStats {
    /// Adds another shard's numbers; gauges add too, but for the largest conference.
    pub fn add(&mut self, other: &Self) {
        self.conferences += other.conferences;
        self.endpoints += other.endpoints;
        self.endpoints_connected += other.endpoints_connected;
        self.largest_conference = self.largest_conference.max(other.largest_conference);
        self.conferences_created += other.conferences_created;
        self.endpoints_created += other.endpoints_created;
        self.ice_failed += other.ice_failed;
        self.dtls_failed += other.dtls_failed;
        self.packets_received += other.packets_received;
        self.bytes_received += other.bytes_received;
        self.packets_sent += other.packets_sent;
        self.bytes_sent += other.bytes_sent;
        self.packets_forwarded += other.packets_forwarded;
        self.packets_retransmitted += other.packets_retransmitted;
        self.packets_nacked += other.packets_nacked;
        self.packets_recovered += other.packets_recovered;
        self.keyframe_requests_received += other.keyframe_requests_received;
        self.keyframe_requests_sent += other.keyframe_requests_sent;
        self.dominant_speaker_changes += other.dominant_speaker_changes;
        self.packets_handed_over += other.packets_handed_over;
        self.packets_fanned_out += other.packets_fanned_out;
        self.calls_receive += other.calls_receive;
        self.calls_send += other.calls_send;
        self.peers_unsegmented += other.peers_unsegmented;
        self.peers_connected += other.peers_connected;
        self.peers_unconnected += other.peers_unconnected;
        self.connected_errors += other.connected_errors;
        self.discarded.add(&other.discarded);
    }
}
