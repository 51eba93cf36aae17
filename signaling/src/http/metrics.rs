//! Shows what bridge and channels count: Prometheus text, and the flat JSON of Jitsi's bridge.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bridge_core::error::Discard;
use bridge_core::stats::BridgeStats;
use bridge_core::{Command, Reply};
use serde_json::{Value, json};

use crate::channel::{ChannelStats, Channels};
use crate::seam::MediaEngine;

/// The routes `/metrics` and `/colibri/stats`.
pub fn routes<M: MediaEngine>(media: Arc<M>, channels: Arc<Channels>) -> Router {
    Router::new()
        .route("/metrics", get(metrics::<M>))
        .route("/colibri/stats", get(colibri_stats::<M>))
        .with_state(Source { media, channels })
}

struct Source<M> {
    media: Arc<M>,
    channels: Arc<Channels>,
}

impl<M> Clone for Source<M> {
    fn clone(&self) -> Self {
        Self {
            media: self.media.clone(),
            channels: self.channels.clone(),
        }
    }
}

async fn metrics<M: MediaEngine>(State(source): State<Source<M>>) -> Response {
    match stats(&*source.media).await {
        Ok(stats) => {
            let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
            (kind, prometheus(&stats, source.channels.stats())).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error).into_response(),
    }
}

async fn colibri_stats<M: MediaEngine>(State(source): State<Source<M>>) -> Response {
    match stats(&*source.media).await {
        Ok(stats) => Json(flat(&stats, source.channels.stats())).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error).into_response(),
    }
}

async fn stats<M: MediaEngine>(media: &M) -> Result<BridgeStats, String> {
    match media.request(Command::Stats).await {
        Ok(Reply::Stats(stats)) => Ok(*stats),
        Ok(_) => Err("the bridge answers something else".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Names and values: JVB's name where JVB counts the same, else our own.
type Family = (&'static str, u64);

fn gauges(stats: &BridgeStats) -> [Family; 5] {
    [
        ("jitsi_jvb_conferences", stats.conferences),
        ("jitsi_jvb_local_endpoints", stats.endpoints),
        ("jitsi_jvb_endpoints_connected", stats.endpoints_connected),
        ("jitsi_jvb_largest_conference", stats.largest_conference),
        ("trestle_peers_connected", stats.peers_connected),
    ]
}

fn counters(stats: &BridgeStats) -> [Family; 22] {
    [
        ("jitsi_jvb_conferences_created", stats.conferences_created),
        ("jitsi_jvb_endpoints", stats.endpoints_created),
        ("jitsi_jvb_endpoints_ice_failed", stats.ice_failed),
        ("jitsi_jvb_endpoints_dtls_failed", stats.dtls_failed),
        ("jitsi_jvb_packets_received", stats.packets_received),
        ("jitsi_jvb_bytes_received", stats.bytes_received),
        ("jitsi_jvb_packets_sent", stats.packets_sent),
        ("jitsi_jvb_bytes_sent", stats.bytes_sent),
        (
            "jitsi_jvb_dominant_speaker_changes",
            stats.dominant_speaker_changes,
        ),
        ("trestle_packets_forwarded", stats.packets_forwarded),
        ("trestle_packets_retransmitted", stats.packets_retransmitted),
        ("trestle_packets_nacked", stats.packets_nacked),
        ("trestle_packets_recovered", stats.packets_recovered),
        (
            "trestle_keyframe_requests_received",
            stats.keyframe_requests_received,
        ),
        (
            "trestle_keyframe_requests_sent",
            stats.keyframe_requests_sent,
        ),
        ("trestle_packets_handed_over", stats.packets_handed_over),
        ("trestle_packets_fanned_out", stats.packets_fanned_out),
        ("trestle_calls_receive", stats.calls_receive),
        ("trestle_calls_send", stats.calls_send),
        ("trestle_peers_unsegmented", stats.peers_unsegmented),
        ("trestle_peers_unconnected", stats.peers_unconnected),
        ("trestle_connected_errors", stats.connected_errors),
    ]
}

fn channel_counters(stats: ChannelStats) -> [Family; 4] {
    [
        (
            "jitsi_jvb_colibri_web_socket_messages_received",
            stats.received,
        ),
        ("jitsi_jvb_colibri_web_socket_messages_sent", stats.sent),
        ("trestle_channel_messages_malformed", stats.malformed),
        ("trestle_channel_sockets_overflowed", stats.overflowed),
    ]
}

fn prometheus(stats: &BridgeStats, channels: ChannelStats) -> String {
    let mut text = String::new();
    for (name, value) in gauges(stats) {
        put(
            &mut text,
            format_args!("# TYPE {name} gauge\n{name} {value}\n"),
        );
    }
    for (name, value) in counters(stats)
        .into_iter()
        .chain(channel_counters(channels))
    {
        put(
            &mut text,
            format_args!("# TYPE {name}_total counter\n{name}_total {value}\n"),
        );
    }
    put(
        &mut text,
        format_args!("# TYPE trestle_packets_discarded_total counter\n"),
    );
    for reason in Discard::ALL {
        let (label, count) = (reason.label(), stats.discarded.get(*reason));
        let line = format_args!("trestle_packets_discarded_total{{reason=\"{label}\"}} {count}\n");
        put(&mut text, line);
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _infallible = text.write_fmt(line);
}

/// The keys of `/colibri/stats` that this bridge can fill.
fn flat(stats: &BridgeStats, channels: ChannelStats) -> Value {
    json!({
        "conferences": stats.conferences,
        "endpoints": stats.endpoints,
        "local_endpoints": stats.endpoints,
        "participants": stats.endpoints,
        "local_active_endpoints": stats.endpoints_connected,
        "largest_conference": stats.largest_conference,
        "total_conferences_created": stats.conferences_created,
        "total_participants": stats.endpoints_created,
        "endpoints_ice_failed": stats.ice_failed,
        "dtls_failed_endpoints": stats.dtls_failed,
        "total_packets_received": stats.packets_received,
        "total_bytes_received": stats.bytes_received,
        "total_packets_sent": stats.packets_sent,
        "total_bytes_sent": stats.bytes_sent,
        "total_dominant_speaker_changes": stats.dominant_speaker_changes,
        "total_colibri_web_socket_messages_received": channels.received,
        "total_colibri_web_socket_messages_sent": channels.sent,
        "graceful_shutdown": false,
        "shutting_down": false,
        "drain": false,
        "healthy": true,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_discard_reason_is_shown() {
        let text = prometheus(&BridgeStats::default(), ChannelStats::default());
        for reason in Discard::ALL {
            assert!(text.contains(&format!("reason=\"{}\"", reason.label())));
        }
        assert!(text.contains("jitsi_jvb_conferences 0\n"));
        assert!(text.contains("# TYPE trestle_peers_connected gauge\n"));
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') || line.split(' ').count() == 2)
        );
    }
}
