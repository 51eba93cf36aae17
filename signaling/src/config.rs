//! Reads the settings: a TOML file, then what the command line says otherwise.
//!
//! Every key has a default; `trestle.toml` beside the sources shows and explains them all, and a
//! test keeps it equal to the defaults here. An unknown key is an error.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

/// All settings, with every default explained.
pub const EXPLAINED: &str = include_str!("../trestle.toml");

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::exhaustive_structs, reason = "the sections of the file")]
pub struct Config {
    /// Listeners for people.
    pub web: Web,
    /// The XMPP server.
    pub xmpp: Xmpp,
    /// The focus.
    pub focus: Focus,
    /// The bridge.
    pub bridge: Bridge,
    /// Bounds.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
}

/// A listener: an address with a port, or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Listen(pub Option<SocketAddr>);

impl Listen {
    const fn v4(ip: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = ip;
        let ip = IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d));
        Self(Some(SocketAddr::new(ip, port)))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        match text.parse() {
            Ok(address) => Ok(Self(Some(address))),
            Err(_) => Err(format!(
                "{text:?} is no ADDRESS:PORT, for instance \"127.0.0.1:8000\""
            )),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen
            .0
            .map(|address| address.to_string())
            .unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        #[expect(clippy::exhaustive_structs, reason = "the keys of a section")]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section!(
    /// Listeners for people.
    Web {
        /// Plain HTTP.
        http: Listen = Listen::v4([127, 0, 0, 1], 8000),
        /// HTTPS.
        https: Listen = Listen::v4([0, 0, 0, 0], 8443),
        /// BOSH and WebSocket for a reverse proxy.
        bosh: Listen = Listen::v4([127, 0, 0, 1], 5280),
        /// How clients reach us, when not by the host that they use.
        public_url: String = String::new(),
        /// Certificate chain, PEM.
        certificate: PathBuf = PathBuf::new(),
        /// Key of the certificate, PEM.
        key: PathBuf = PathBuf::new(),
    }
);

section!(
    /// The XMPP server.
    Xmpp {
        /// Domain of the participants.
        domain: String = "meet.jitsi".to_owned(),
        /// XMPP over TCP.
        c2s: Listen = Listen::v4([127, 0, 0, 1], 5222),
    }
);

section!(
    /// The focus.
    Focus {
        /// Its HTTP API.
        api: Listen = Listen::v4([127, 0, 0, 1], 8888),
        /// Participants that it takes to begin.
        min_participants: usize = 2,
        /// Seconds for which the last participant keeps a session.
        single_participant_timeout: u64 = 20,
    }
);

section!(
    /// The bridge.
    Bridge {
        /// Whether there is one.
        enabled: bool = true,
        /// Its name.
        id: String = "trestle".to_owned(),
        /// Its HTTP API.
        api: Listen = Listen::v4([127, 0, 0, 1], 8080),
        /// Bridge channels of a bridge that runs alone.
        channel: Listen = Listen(None),
        /// Media, UDP.
        media: Listen = Listen::v4([0, 0, 0, 0], 10_000),
        /// Further addresses of the media port.
        announce: Vec<IpAddr> = Vec::new(),
        /// Threads that forward media; 0 for one per processor.
        shards: usize = 0,
        /// Endpoints of a conference from which on others join the least used thread.
        spread_from: usize = bridge_core::limits::SPREAD_FROM,
        /// Versions of DTLS.
        dtls: Dtls = Dtls::V1_2,
        /// Library that computes AES-GCM.
        gcm: Gcm = Gcm::Auto,
        /// Lines of every video before a receiver says what it wants.
        initial_max_height: i32 = 0,
        /// Whether receivers without feedback get everything.
        trust_no_estimate: bool = false,
        /// Whether packets of a picture are padded to equal lengths.
        even_out: bool = true,
        /// Microseconds that pictures may wait for others, and a busy shard may rest.
        hold_us: u64 = 1_000,
        /// What peers have connected sockets of their own for.
        connected_sockets: ConnectedSockets = ConnectedSockets::Off,
    }
);

section!(
    /// Bounds.
    Limits {
        /// Conferences at a time.
        conferences: usize = 2_000,
        /// Endpoints at a time.
        endpoints: usize = 5_000,
        /// Endpoints of one conference.
        endpoints_per_conference: usize = 1_000,
        /// Datagrams of one endpoint.
        packets_per_second: u32 = 6_000,
        /// Bits of one endpoint.
        bits_per_second: u64 = 30_000_000,
        /// STUN requests of one address.
        stun_per_second: u32 = 50,
        /// XMPP sessions.
        sessions: usize = 10_000,
        /// XMPP connections of one address.
        connections_per_address: usize = 200,
        /// Those that have not logged in.
        unauthenticated_per_address: usize = 20,
        /// Bytes of one XMPP client.
        bytes_per_second: u32 = 10_000,
        /// Stanzas of one XMPP client.
        stanzas_per_second: u32 = 50,
        /// Joins of one address.
        joins_per_second: u32 = 3,
        /// Open HTTP connections of one listener.
        http_connections: usize = 10_000,
    }
);

section!(
    /// What is logged.
    Log {
        /// Level, also by part.
        level: String = "info".to_owned(),
    }
);

/// Versions of DTLS that the bridge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "the values of a key")]
pub enum Dtls {
    /// 1.2 alone.
    #[serde(rename = "1.2")]
    V1_2,
    /// 1.3 where the peer has it.
    #[serde(rename = "auto")]
    Auto,
}

/// Library that computes AES-GCM for media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "the values of a key")]
pub enum Gcm {
    /// The faster one, by a measurement at the start.
    Auto,
    /// `ring`.
    Ring,
    /// AWS-LC.
    AwsLc,
}

/// What peers have connected sockets of their own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "the values of a key")]
pub enum ConnectedSockets {
    /// They have none.
    Off,
    /// Their datagrams come to the right thread.
    Receive,
    /// They are sent to by them as well.
    Both,
}

/// Settings that cannot be used; the text names file and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a file, then takes `changes` over it: a key with its section, and a value in TOML or
    /// as plain text.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, a key is unknown or a value is wrong.
    pub fn load(file: Option<&Path>, changes: &[(String, String)]) -> Result<Self, ConfigError> {
        let (name, text) = match file {
            None => ("settings".to_owned(), String::new()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError(format!("{name}: {error}")))?;
                (name, text)
            }
        };
        let mut config =
            Self::parse(&text).map_err(|error| ConfigError(format!("{name}: {error}")))?;
        for (key, value) in changes {
            config = config
                .change(key, value)
                .map_err(|error| ConfigError(format!("{key} = {value}: {error}")))?;
        }
        config.check()?;
        Ok(config)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`ConfigError`] with line and key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError(error.to_string().trim_end().to_owned()))
    }

    /// The same with another value of one key.
    fn change(&self, key: &str, value: &str) -> Result<Self, ConfigError> {
        let wrong = |error: &dyn fmt::Display| ConfigError(error.to_string());
        let mut table = toml::Table::try_from(self).map_err(|error| wrong(&error))?;
        let (section, name) = key
            .split_once('.')
            .ok_or_else(|| wrong(&"a key has a section"))?;
        let Some(toml::Value::Table(section)) = table.get_mut(section) else {
            return Err(wrong(&"there is no such section"));
        };
        let as_text = || toml::Value::String(value.to_owned());
        let value = match section.get(name) {
            Some(toml::Value::String(_)) => as_text(),
            Some(toml::Value::Array(_)) if !value.trim_start().starts_with('[') => {
                let items = value
                    .split(',')
                    .map(|it| toml::Value::String(it.trim().to_owned()));
                toml::Value::Array(items.collect())
            }
            Some(_) => toml::from_str::<toml::Table>(&format!("value = {value}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(as_text),
            None => return Err(wrong(&"there is no such key")),
        };
        section.insert(name.to_owned(), value);
        table
            .try_into()
            .map_err(|error: toml::de::Error| wrong(&error.message()))
    }

    /// What no single key shows.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError(text.to_owned()));
        let web = &self.web;
        if web.certificate.as_os_str().is_empty() != web.key.as_os_str().is_empty() {
            return wrong("web.certificate and web.key belong together: give both or none");
        }
        if !web.public_url.is_empty() && channel_base(&web.public_url).is_none() {
            return wrong("web.public-url is no URL such as https://meet.example.org");
        }
        let plain = |it: char| it.is_ascii_alphanumeric() || "-._".contains(it);
        if self.xmpp.domain.is_empty() || !self.xmpp.domain.chars().all(plain) {
            return wrong("xmpp.domain is no domain");
        }
        if self.bridge.id.is_empty() || !self.bridge.id.chars().all(plain) {
            return wrong("bridge.id has characters other than letters, digits, '-', '.' and '_'");
        }
        if self.bridge.enabled && self.bridge.media.0.is_none() {
            return wrong(
                "bridge.media is off; set bridge.enabled = false to run without a bridge",
            );
        }
        let channel = self.bridge.channel.0;
        if channel.is_some_and(|at| at.ip().is_unspecified()) && web.public_url.is_empty() {
            return wrong("bridge.channel on all addresses takes web.public-url, for its URLs");
        }
        if self.bridge.shards > 64 {
            return wrong("bridge.shards is at most 64");
        }
        let connected = self.bridge.connected_sockets != ConnectedSockets::Off;
        if connected && !cfg!(target_os = "linux") {
            return wrong("bridge.connected-sockets needs Linux; other kernels mix the peers up");
        }
        if self.focus.min_participants == 0 {
            return wrong("focus.min-participants is at least 1");
        }
        Ok(())
    }
}

/// Scheme and host for WebSockets below a web address: `https://host/x` gives `wss://host`.
#[must_use]
pub fn channel_base(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "https" | "wss" => "wss",
        "http" | "ws" => "ws",
        _ => return None,
    };
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let plain = |it: char| it.is_ascii_alphanumeric() || "-._:[]".contains(it);
    host.chars()
        .all(plain)
        .then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explained_file_shows_every_default() {
        assert_eq!(Config::parse(EXPLAINED).unwrap(), Config::default());
        let table: toml::Table = EXPLAINED.parse().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        for (section, keys) in &defaults {
            for key in keys.as_table().unwrap().keys() {
                assert!(
                    table[section].get(key).is_some(),
                    "{section}.{key} is not explained"
                );
            }
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Config::parse("[web]\nhtp = \"\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("htp"), "{error}");
        assert!(
            Config::parse("[wed]\n")
                .unwrap_err()
                .to_string()
                .contains("wed")
        );
    }

    #[test]
    fn a_wrong_address_is_named() {
        let error = Config::parse("[web]\nhttp = \"8000\"\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("8000") && error.contains("ADDRESS:PORT"),
            "{error}"
        );
    }

    #[test]
    fn the_command_line_wins() {
        let change = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let changes = [
            change("web.http", "127.0.0.1:0"),
            change("bridge.shards", "3"),
            change("bridge.spread-from", "8"),
            change("bridge.enabled", "false"),
            change("bridge.dtls", "auto"),
            change("bridge.gcm", "aws-lc"),
            change("bridge.announce", "203.0.113.7,203.0.113.8"),
        ];
        let config = Config::load(None, &changes).unwrap();
        assert_eq!(config.web.http.0, Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!((config.bridge.shards, config.bridge.enabled), (3, false));
        assert_eq!(config.bridge.announce.len(), 2);
        assert_eq!(config.bridge.spread_from, 8);
        assert_eq!(config.bridge.gcm, Gcm::AwsLc);
        for (key, value) in [
            ("web.nothing", "1"),
            ("x", "1"),
            ("bridge.shards", "many"),
            ("bridge.spread-from", "-1"),
            ("bridge.dtls", "1.1"),
            ("bridge.gcm", "openssl"),
        ] {
            assert!(Config::load(None, &[change(key, value)]).is_err(), "{key}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for text in [
            "[web]\ncertificate = \"a.pem\"",
            "[web]\npublic-url = \"meet.example.org\"",
            "[bridge]\nchannel = \"0.0.0.0:9090\"",
            "[bridge]\nmedia = \"\"",
            "[bridge]\nshards = 65",
            "[xmpp]\ndomain = \"\"",
            "[focus]\nmin-participants = 0",
        ] {
            assert!(Config::parse(text).unwrap().check().is_err(), "{text}");
        }
    }

    #[test]
    fn the_channel_is_reached_as_the_page_is() {
        assert_eq!(
            channel_base("https://a.b:1/x").as_deref(),
            Some("wss://a.b:1")
        );
        assert_eq!(
            channel_base("http://[::1]:8000").as_deref(),
            Some("ws://[::1]:8000")
        );
        for text in ["a.b", "ftp://a", "https://", "https://a b"] {
            assert_eq!(channel_base(text), None);
        }
    }
}
