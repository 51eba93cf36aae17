//! Starts `trestle` from the command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use signaling::config::{Config, EXPLAINED};
use signaling::start::{Role, start};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Video meetings on your own server: web client, XMPP rooms, focus and videobridge in one.
///
/// Without anything, `trestle` starts everything with its defaults: open http://localhost:8000/
/// and name a room. `trestle print-config` shows every setting.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, subcommand_negates_reqs = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything (the default)
    All(Settings),
    /// Start only the bridge, to be driven over its HTTP API
    Bridge(Settings),
    /// Say whether a settings file can be used
    CheckConfig {
        /// TOML file
        file: PathBuf,
    },
    /// Print every setting with its default and what it is for
    PrintConfig,
}

#[derive(Args, Default)]
struct Settings {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Another value for any setting, for instance --set web.http=127.0.0.1:9000
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Plain HTTP listener [web.http]
    #[arg(long, value_name = "ADDRESS:PORT")]
    web_http: Option<String>,
    /// HTTPS listener [web.https]
    #[arg(long, value_name = "ADDRESS:PORT")]
    web_https: Option<String>,
    /// URL by which clients reach this server [web.public-url]
    #[arg(long, value_name = "URL")]
    web_public_url: Option<String>,
    /// Certificate chain, PEM [web.certificate]
    #[arg(long, value_name = "FILE")]
    web_certificate: Option<String>,
    /// Key of the certificate, PEM [web.key]
    #[arg(long, value_name = "FILE")]
    web_key: Option<String>,
    /// UDP listener for sound and pictures [bridge.media]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bridge_media: Option<String>,
    /// HTTP API of the bridge [bridge.api]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bridge_api: Option<String>,
    /// Public addresses of the media port, separated by commas [bridge.announce]
    #[arg(long, value_name = "ADDRESSES")]
    bridge_announce: Option<String>,
    /// Threads that forward media [bridge.shards]
    #[arg(long, value_name = "COUNT")]
    shards: Option<String>,
    /// What is logged to standard error [log.level]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

const EXAMPLES: &str = "Examples:
  trestle                                   everything; meet on http://localhost:8000/
  trestle --config trestle.toml             with settings of your own
  trestle --bridge-announce 203.0.113.7     behind a router that maps 10000/udp
  trestle bridge --set bridge.trust-no-estimate=true    a bridge for a load generator
  trestle print-config > trestle.toml       begin a settings file";

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match line.command {
        None => run(&line.settings, Role::All),
        Some(Command::All(settings)) => run(&settings.or(line.settings), Role::All),
        Some(Command::Bridge(settings)) => run(&settings.or(line.settings), Role::Bridge),
        Some(Command::CheckConfig { file }) => Config::load(Some(&file), &[])
            .map(|_| say(&format!("{}: good", file.display())))
            .map_err(|error| error.to_string()),
        Some(Command::PrintConfig) => {
            say(EXPLAINED.trim_end());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings, role: Role) -> Result<(), String> {
    let changes = settings.changes()?;
    let config =
        Config::load(settings.config.as_deref(), &changes).map_err(|error| error.to_string())?;
    let filter = EnvFilter::try_new(&config.log.level)
        .map_err(|error| format!("log.level {:?}: {error}", config.log.level))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?
        .block_on(serve(&config, role))
}

async fn serve(config: &Config, role: Role) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot take signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut running = start(config, role)
        .await
        .map_err(|error| error.to_string())?;
    for line in &running.listeners {
        say(line);
    }
    say("ready");
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = running.wait() => Err("a part of the server ended; the log says why".to_owned()),
    };
    tracing::info!("stopping");
    running.stop().await;
    outcome
}

impl Settings {
    /// The same, and where nothing is said, what `other` says.
    fn or(mut self, other: Self) -> Self {
        self.set.splice(0..0, other.set);
        Self {
            config: self.config.or(other.config),
            set: self.set,
            web_http: self.web_http.or(other.web_http),
            web_https: self.web_https.or(other.web_https),
            web_public_url: self.web_public_url.or(other.web_public_url),
            web_certificate: self.web_certificate.or(other.web_certificate),
            web_key: self.web_key.or(other.web_key),
            bridge_media: self.bridge_media.or(other.bridge_media),
            bridge_api: self.bridge_api.or(other.bridge_api),
            bridge_announce: self.bridge_announce.or(other.bridge_announce),
            shards: self.shards.or(other.shards),
            log: self.log.or(other.log),
        }
    }

    /// What the command line says, by key.
    fn changes(&self) -> Result<Vec<(String, String)>, String> {
        let flags = [
            ("web.http", &self.web_http),
            ("web.https", &self.web_https),
            ("web.public-url", &self.web_public_url),
            ("web.certificate", &self.web_certificate),
            ("web.key", &self.web_key),
            ("bridge.media", &self.bridge_media),
            ("bridge.api", &self.bridge_api),
            ("bridge.announce", &self.bridge_announce),
            ("bridge.shards", &self.shards),
            ("log.level", &self.log),
        ];
        let named = flags
            .into_iter()
            .filter_map(|(key, value)| Some(Ok((key.to_owned(), value.clone()?))));
        let set = self.set.iter().map(|text| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| format!("--set {text}: a setting is KEY=VALUE"))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        });
        set.chain(named).collect()
    }
}

#[expect(clippy::print_stdout, reason = "what the command was asked to say")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
fn complain(text: &str) {
    eprintln!("trestle: {text}");
}
