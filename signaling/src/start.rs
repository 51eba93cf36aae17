//! Puts the parts together: opens every listener, starts server, focus and bridge, and stops them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Authority;
use bridge_core::config::ConnectedSockets as Uses;
use bridge_core::{Bridge, BridgeBuilder, DtlsVersion, GcmBackend};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::channel::{Channels, websocket as channel_websocket};
use crate::colibri::model::Colibri;
use crate::colibri::rest as colibri_rest;
use crate::config::{Config, ConnectedSockets, Dtls, Gcm, Listen, channel_base};
use crate::focus::{Focus, FocusConfig, FocusHandle, FocusLink, Whence};
use crate::http::assets::{self, Site};
use crate::http::{health, metrics, rest, server, tls};
use crate::listen::{bosh, c2s, websocket};
use crate::local_bridge::LocalBridge;
use crate::seam::{MediaEngine, NoBridge, Signaling};
use crate::xmpp::{XmppConfig, XmppHandle, XmppServer};

/// Which parts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the words of the command line")]
pub enum Role {
    /// Everything.
    All,
    /// The bridge with its HTTP API alone.
    Bridge,
}

/// Why it did not start; the text names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A running server.
#[derive(Debug)]
pub struct Running {
    /// One line for each listener: setting and address.
    pub listeners: Vec<String>,
    tasks: JoinSet<()>,
    bridge: Option<Arc<LocalBridge>>,
}

impl Running {
    /// Waits until a part ends that should not.
    pub async fn wait(&mut self) {
        self.tasks.join_next().await;
    }

    /// Takes no more connections, ends the bridge and all else.
    pub async fn stop(mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        if let Some(bridge) = self.bridge.take() {
            let bridge = bridge.bridge().clone();
            if tokio::task::spawn_blocking(move || bridge.shutdown())
                .await
                .is_err()
            {
                tracing::error!("the bridge did not stop well");
            }
        }
    }

    /// Address of a listener by its setting, for instance `web.http`.
    #[must_use]
    pub fn address(&self, setting: &str) -> Option<SocketAddr> {
        let line = self
            .listeners
            .iter()
            .find_map(|line| line.strip_prefix(setting))?;
        let url = line.split_whitespace().next()?;
        url.rsplit_once("://")
            .map_or(url, |(_, address)| address)
            .parse()
            .ok()
    }
}

/// Starts what the role says.
///
/// # Errors
/// [`StartError`] when a port is taken, a certificate is bad or the bridge cannot start.
pub async fn start(config: &Config, role: Role) -> Result<Running, StartError> {
    let running = Running {
        listeners: Vec::new(),
        tasks: JoinSet::new(),
        bridge: None,
    };
    let channels = Arc::new(Channels::new(&config.bridge.id));
    let mut starting = Starting {
        config,
        running,
        channels,
    };
    match role {
        Role::All => starting.all().await?,
        Role::Bridge => {
            let bridge = starting.bridge()?;
            let events = bridge.clone();
            starting
                .running
                .tasks
                .spawn(async move { while events.event().await.is_some() {} });
            let base = starting.channel(bridge.clone()).await?;
            starting.bridge_api(bridge, base).await?;
        }
    }
    Ok(starting.running)
}

struct Starting<'a> {
    config: &'a Config,
    running: Running,
    channels: Arc<Channels>,
}

impl Starting<'_> {
    async fn all(&mut self) -> Result<(), StartError> {
        let tls = self.tls()?;
        let xmpp = XmppServer::start(xmpp_config(self.config));
        let (focus, handle) = self.focus(&xmpp);
        self.focus_api(&handle).await?;
        if self.config.bridge.enabled {
            let bridge = self.bridge()?;
            self.front(focus, handle, xmpp, tls, bridge.clone()).await?;
            let base = self
                .channel_url()
                .unwrap_or_else(|| self.channel_fallback());
            self.bridge_api(bridge, Some(base)).await
        } else {
            self.front(focus, handle, xmpp, tls, Arc::new(NoBridge))
                .await
        }
    }

    /// Starts the focus over a bridge, and everything that people reach.
    async fn front<M: MediaEngine>(
        &mut self,
        focus: Focus,
        handle: FocusHandle,
        xmpp: XmppHandle,
        tls: Option<TlsAcceptor>,
        media: Arc<M>,
    ) -> Result<(), StartError> {
        let site = Site {
            domain: xmpp.config().domain.clone(),
            rooms: xmpp.config().muc_domain(),
            focus: xmpp.config().focus_address(),
            channel: self.channel_url(),
        };
        let stream = websocket::routes(xmpp.clone()).merge(bosh::routes(xmpp.clone()));
        let web = assets::routes(site)
            .merge(stream.clone())
            .merge(rest::conference_request(handle, Some(xmpp.clone())))
            .merge(rest::connection_test(media.clone()))
            .merge(channel_websocket::routes(
                self.channels.clone(),
                media.clone(),
            ));
        let config = &self.config.web;
        self.http("web.http", config.http, None, web.clone())
            .await?;
        self.http("web.https", config.https, tls, web).await?;
        self.http("web.bosh", config.bosh, None, stream).await?;
        self.c2s(xmpp).await?;
        self.running.tasks.spawn(async move {
            if let Err(error) = focus.run(media).await {
                tracing::error!(%error, "the focus ended");
            }
        });
        Ok(())
    }

    fn focus(&self, xmpp: &XmppHandle) -> (Focus, FocusHandle) {
        let names = xmpp.config();
        let user = format!("{}/focus", names.focus_user);
        let link = xmpp.attach(&user);
        let origins = xmpp.clone();
        let link = FocusLink {
            sender: link.sender,
            receiver: link.receiver,
            whence: Arc::new(move |jid| {
                origins
                    .origin(jid)
                    .map_or_else(Whence::default, |origin| Whence {
                        loopback: origin.peer.ip().is_loopback(),
                        url: origin.url,
                    })
            }),
        };
        let focus = &self.config.focus;
        let config = FocusConfig {
            rooms: names.muc_domain(),
            user,
            channel_url: self.channel_url(),
            channel_fallback: self.channel_fallback(),
            min_participants: focus.min_participants,
            single_participant_timeout: Duration::from_secs(focus.single_participant_timeout),
            initial_timeout: INITIAL_TIMEOUT,
            conferences: self.config.limits.conferences,
        };
        Focus::new(config, link)
    }

    fn bridge(&mut self) -> Result<Arc<LocalBridge>, StartError> {
        let media = self.config.bridge.media;
        let bridge = LocalBridge::start(bridge_builder(self.config), self.channels.clone())
            .map_err(|error| {
                StartError(format!("bridge.media {}: {error}", String::from(media)))
            })?;
        let bridge = Arc::new(bridge);
        self.listening("bridge.media", "udp", bridge.bridge().media_address());
        self.running.bridge = Some(bridge.clone());
        Ok(bridge)
    }

    /// The bridge's HTTP API; it announces the bridge channel under `channel_base`.
    async fn bridge_api<M: MediaEngine>(
        &mut self,
        media: Arc<M>,
        channel_base: Option<String>,
    ) -> Result<(), StartError> {
        let colibri = Arc::new(Colibri::new(media.clone(), channel_base));
        let api = health::bridge_routes(media.clone())
            .merge(metrics::routes(media, self.channels.clone()))
            .merge(colibri_rest::routes(colibri));
        self.http(
            "bridge.api",
            self.config.bridge.api,
            None,
            health::private(api),
        )
        .await
    }

    /// Bridge channels on a listener of their own; gives the base of their URLs, `None` when they
    /// are off.
    async fn channel<M: MediaEngine>(
        &mut self,
        media: Arc<M>,
    ) -> Result<Option<String>, StartError> {
        let setting = "bridge.channel";
        let routes = channel_websocket::routes(self.channels.clone(), media);
        self.http(setting, self.config.bridge.channel, None, routes)
            .await?;
        let address = self.running.address(setting);
        Ok(address.map(|address| {
            self.channel_url()
                .unwrap_or_else(|| format!("ws://{address}"))
        }))
    }

    async fn focus_api(&mut self, handle: &FocusHandle) -> Result<(), StartError> {
        let api = health::focus_routes(handle.health.clone())
            .merge(rest::focus_stats(handle.clone()))
            .merge(rest::conference_request(handle.clone(), None));
        self.http(
            "focus.api",
            self.config.focus.api,
            None,
            health::private(api),
        )
        .await
    }

    async fn c2s(&mut self, xmpp: XmppHandle) -> Result<(), StartError> {
        let Some(listener) = listen("xmpp.c2s", self.config.xmpp.c2s)? else {
            return Ok(());
        };
        let address = local("xmpp.c2s", &listener)?;
        if !address.ip().is_loopback() {
            let text = format!("xmpp.c2s {address}: plain XMPP is for loopback addresses only");
            return Err(StartError(text));
        }
        self.listening("xmpp.c2s", "xmpp", address);
        self.running.tasks.spawn(async move {
            if let Err(error) = c2s::serve(listener, xmpp).await {
                tracing::error!(%error, "XMPP over TCP ended");
            }
        });
        Ok(())
    }

    async fn http(
        &mut self,
        setting: &str,
        at: Listen,
        tls: Option<TlsAcceptor>,
        router: Router,
    ) -> Result<(), StartError> {
        let Some(listener) = listen(setting, at)? else {
            return Ok(());
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        self.listening(setting, scheme, local(setting, &listener)?);
        let connections = self.config.limits.http_connections;
        self.running
            .tasks
            .spawn(server::serve(listener, tls, router, connections));
        Ok(())
    }

    fn listening(&mut self, setting: &str, scheme: &str, address: SocketAddr) {
        self.running
            .listeners
            .push(format!("{setting} {scheme}://{address}"));
    }

    fn tls(&self) -> Result<Option<TlsAcceptor>, StartError> {
        let web = &self.config.web;
        if web.https.0.is_none() {
            return Ok(None);
        }
        let made = if web.certificate.as_os_str().is_empty() {
            tls::self_signed(own_names(self.config, &host_name()))
        } else {
            tls::from_files(&web.certificate, &web.key)
        };
        made.map(Some)
            .map_err(|error| StartError(format!("web.certificate: {error}")))
    }

    fn channel_url(&self) -> Option<String> {
        channel_base(&self.config.web.public_url)
    }

    /// For clients that did not come by HTTP.
    fn channel_fallback(&self) -> String {
        let web = &self.config.web;
        match (web.http.0, web.https.0) {
            (Some(address), _) => format!("ws://{address}"),
            (None, Some(address)) => format!("wss://{address}"),
            (None, None) => "ws://localhost".to_owned(),
        }
    }
}

/// By which names and addresses a browser may come to this machine, as far as it knows itself.
fn own_names(config: &Config, host: &str) -> Vec<String> {
    let public = channel_base(&config.web.public_url);
    let public = public.as_deref().and_then(|url| url.split_once("://"));
    let public = public.and_then(|(_, host)| host.parse::<Authority>().ok());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1", host]
        .map(str::to_owned)
        .into();
    names.extend(public.map(|it| it.host().trim_matches(['[', ']']).to_owned()));
    let listener = config.web.https.0.map(|address| address.ip());
    let addresses = listener.iter().chain(&config.bridge.announce);
    names.extend(
        addresses
            .filter(|address| !address.is_unspecified())
            .map(ToString::to_string),
    );
    let good = |it: char| it.is_ascii_alphanumeric() || "-.:".contains(it);
    names.retain(|name| !name.is_empty() && name.chars().all(good));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// What the system calls itself; empty when it does not say.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

fn xmpp_config(config: &Config) -> XmppConfig {
    let mut xmpp = XmppConfig::new(&config.xmpp.domain);
    let limits = &config.limits;
    xmpp.limits.sessions = limits.sessions;
    xmpp.limits.rooms = limits.conferences;
    xmpp.limits.occupants = limits.endpoints_per_conference;
    xmpp.limits.connections_per_address = limits.connections_per_address;
    xmpp.limits.unauthenticated_per_address = limits.unauthenticated_per_address;
    xmpp.limits.bytes_per_second = limits.bytes_per_second;
    xmpp.limits.stanzas_per_second = limits.stanzas_per_second;
    xmpp.limits.joins_per_second = limits.joins_per_second;
    xmpp
}

fn bridge_builder(config: &Config) -> BridgeBuilder {
    let (bridge, limits) = (&config.bridge, &config.limits);
    let bounds = bridge_core::limits::Limits {
        conferences: limits.conferences,
        endpoints: limits.endpoints,
        endpoints_per_conference: limits.endpoints_per_conference,
        packets_per_second: limits.packets_per_second,
        bits_per_second: limits.bits_per_second,
        stun_per_second: limits.stun_per_second,
    };
    let mut builder = Bridge::builder()
        .limits(bounds)
        .dtls(match bridge.dtls {
            Dtls::V1_2 => DtlsVersion::V1_2,
            Dtls::Auto => DtlsVersion::Auto,
        })
        .initial_max_height(bridge.initial_max_height)
        .spread_from(bridge.spread_from)
        .trust_no_estimate(bridge.trust_no_estimate)
        .evens_out(bridge.even_out)
        .hold(Duration::from_micros(bridge.hold_us))
        .connected_sockets(match bridge.connected_sockets {
            ConnectedSockets::Off => Uses::Off,
            ConnectedSockets::Receive => Uses::Receive,
            ConnectedSockets::Both => Uses::Both,
        });
    if let Some(address) = bridge.media.0 {
        builder = builder.udp(address);
    }
    if bridge.shards > 0 {
        builder = builder.shards(bridge.shards);
    }
    builder = match bridge.gcm {
        Gcm::Auto => builder,
        Gcm::Ring => builder.gcm(GcmBackend::Ring),
        Gcm::AwsLc => builder.gcm(GcmBackend::AwsLc),
    };
    bridge
        .announce
        .iter()
        .fold(builder, |builder, address| builder.announce(*address))
}

/// Opens a listener; `None` when it is off. A port that was closed a moment ago can be taken.
fn listen(setting: &str, at: Listen) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = at.0 else {
        return Ok(None);
    };
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map(Some).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
            _ => "",
        };
        StartError(format!("{setting} {address}: {error}{hint}"))
    })
}

fn local(setting: &str, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|error| StartError(format!("{setting}: {error}")))
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// How long a room is kept for the one who asked for it.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_certificate_names_all_that_leads_here() {
        let mut config = Config::default();
        assert_eq!(
            own_names(&config, "box"),
            ["localhost", "127.0.0.1", "::1", "box"]
        );
        config.web.https.0 = Some("[2001:db8::1]:443".parse().unwrap());
        config.web.public_url = "https://meet.example.org:8443/x".to_owned();
        let announced = ["203.0.113.7".parse().unwrap(), "::1".parse().unwrap()];
        config.bridge.announce = announced.to_vec();
        let names = own_names(&config, "no name\u{fc}");
        let further = ["meet.example.org", "2001:db8::1", "203.0.113.7"];
        assert_eq!(names[3..], further);
        assert!(tls::self_signed(names).is_ok());
    }
}
