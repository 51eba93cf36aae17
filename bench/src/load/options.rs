//! Says what can be asked of the load generator.

use std::path::PathBuf;

use bridge_core::SrtpProfile;
use clap::{Parser, ValueEnum};

use super::Failure;

/// Plays the clients of a conference server, and says what it costs to serve them.
///
/// ICE, DTLS and SRTP are real. The server is started beside (a release build of `trestle` in the
/// same folder), or is one that runs already: --target URL --pid PID.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", version, after_help = EXAMPLES)]
#[non_exhaustive]
pub struct Options {
    /// Who sends to whom
    #[arg(long, value_enum, default_value_t = Scenario::Share)]
    pub scenario: Scenario,
    /// Receivers of the one sender (share, join-storm)
    #[arg(long, default_value_t = 50)]
    pub receivers: usize,
    /// Rooms (rooms)
    #[arg(long, default_value_t = 10)]
    pub rooms: usize,
    /// Members of each room (rooms, bigroom), or how many join later (join-storm, mass-join)
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Pictures that each member gets (bigroom)
    #[arg(long, default_value_t = 10)]
    pub last_n: usize,
    /// Packets per second that the server has to send, all receivers together; 0 is silence
    #[arg(long, default_value_t = 12_000)]
    pub rate: u32,
    /// Packets of a frame, sent at once; 1 is a paced sender
    #[arg(long, default_value_t = 4)]
    pub burst: u32,
    /// Senders of each room who talk as well: a packet of sound every 20 ms, beside the rate
    /// (colibri)
    #[arg(long, default_value_t = 0)]
    pub voices: usize,
    /// Bytes of an RTP packet, without the tag
    #[arg(long, default_value_t = 1_150)]
    pub size: usize,
    /// Packets of a frame differ by a byte, as those of browsers do
    #[arg(long)]
    pub uneven: bool,
    /// Joins per second (join-storm)
    #[arg(long, default_value_t = 50)]
    pub join_rate: u32,
    /// Every receiver asks for a keyframe when measuring starts
    #[arg(long)]
    pub ask_keyframes: bool,
    /// What happens in the middle of the time measured, all at once (colibri, xmpp and sdp-http)
    #[arg(long, value_enum)]
    pub event: Option<Happening>,
    /// Packets of a keyframe, when they are more than those of other frames
    #[arg(long)]
    pub keyframe_burst: Option<u32>,
    /// Protection that the clients offer
    #[arg(long, value_enum, default_value_t = Profile::Gcm128)]
    pub profile: Profile,
    /// What receivers report. Held to an estimate, a server holds back streams that are larger than
    /// it: for more than some 2 Mbit/s a receiver, take none, and trestle trusts that
    #[arg(long, value_enum, default_value_t = Feedback::TransportCc)]
    pub feedback: Feedback,
    /// Streams keep their senders' SSRCs; otherwise a receiver gets the server's, in 50 slots at
    /// most (colibri; of the other ways only xmpp has slots)
    #[arg(long)]
    pub keep_ssrcs: bool,
    /// Seconds between two checks by which a client keeps its path, a fifth more or less by chance:
    /// 5 as the RFC and Firefox have it, 2.5 in Chrome
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = interval)]
    pub check_interval: f64,
    /// How clients join
    #[arg(long, value_enum, default_value_t = Via::Colibri)]
    pub via: Via,
    /// Server that runs already: URL of what --via speaks to
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Token that WHIP and WHEP servers may want
    #[arg(long, value_name = "TOKEN")]
    pub bearer: Option<String>,
    /// Process of that server, for its CPU time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// Command that starts the server; {port} becomes a free port, and then it is up when it
    /// listens there. The default is `trestle`, or `ceiling` for --via sdp-http
    #[arg(long, value_name = "COMMAND")]
    pub server: Option<String>,
    /// A second command, measured in turns with the first; the table shows the ratios
    #[arg(long, value_name = "COMMAND")]
    pub compare: Option<String>,
    /// How clients of the second server join
    #[arg(long, value_enum, default_value_t = Via::SdpHttp)]
    pub compare_via: Via,
    /// Runs of each server when comparing; the minimum counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// More settings for a trestle that is started: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Processors of the server, for instance 0 or 0-3 (taskset)
    #[arg(long, value_name = "LIST")]
    pub server_cores: Option<String>,
    /// Processors of the generator (taskset)
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// Seconds between the last join and the measurement
    #[arg(long, default_value_t = 2)]
    pub warm_up: u32,
    /// Play each client on a port of its own instead of a loopback address of its own, as it is
    /// done for servers on other machines
    #[arg(long)]
    pub ports: bool,
    /// One of so many receivers decrypts all that it gets
    #[arg(long, default_value_t = 16)]
    pub sample: usize,
    /// Count system calls for one more second, with strace: slows the server down in that second
    #[arg(long)]
    pub syscalls: bool,
    /// Print one JSON object to standard output
    #[arg(long)]
    pub json: bool,
    /// Add each run to a file, as one line of JSON with the load's name and the server's command
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
    /// What the load is called there
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Write a plot of the run
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Say nothing on the way
    #[arg(long)]
    pub quiet: bool,
}

const EXAMPLES: &str = "Examples:
  load --scenario share --receivers 200 --rate 40000 --json
  load --scenario rooms --rooms 1 --members 10 --server-cores 0 --cores 1
  load --compare \"ceiling --mode gso\" --runs 5            trestle and the yardstick in turns
  load --target http://127.0.0.1:8080 --pid 4711           a bridge that runs already
  load --via whip --target \"http://127.0.0.1:8889/{stream}/{action}\" --pid 4711
  load --via janus --target http://127.0.0.1:8088/janus --ports --pid 4711";

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Scenario {
    /// One sends to all others.
    Share,
    /// In each of many rooms everybody sends to everybody.
    Rooms,
    /// One room, in which everybody gets the last-n pictures.
    Bigroom,
    /// One sends to all others, and in the second half of the time many join a second room.
    JoinStorm,
}

/// What happens in the middle of the time measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Happening {
    /// Every receiver asks for a keyframe, ten times in a second.
    Keyframes,
    /// The first sender shares its screen as well: a second stream (colibri).
    ScreenShare,
    /// Many join the first room at once, and receive what is sent there.
    MassJoin,
}

/// How clients join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Via {
    /// colibri2 over HTTP: trestle, Jitsi's bridge.
    Colibri,
    /// XMPP over WebSocket, as web clients do: trestle.
    Xmpp,
    /// One HTTP call with an offer: the yardstick.
    SdpHttp,
    /// WHIP and WHEP: a transport for each stream.
    Whip,
    /// Janus's VideoRoom over HTTP: a transport to send, one to receive.
    Janus,
}

/// What receivers report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Feedback {
    /// Arrival times every 100 ms, as browsers do.
    TransportCc,
    /// Receiver reports alone.
    None,
}

/// Protection of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Profile {
    /// AES-128-GCM.
    Gcm128,
    /// AES-256-GCM.
    Gcm256,
    /// AES-128 in counter mode with HMAC-SHA1 cut to 80 bits.
    Cm80,
}

impl Options {
    /// The command of the server that is started.
    ///
    /// # Errors
    /// When the way of joining has no server of its own.
    pub(crate) fn command(&self) -> Result<String, Failure> {
        if let Some(command) = &self.server {
            return Ok(command.clone());
        }
        match self.via {
            Via::Colibri => Ok("trestle bridge".to_owned()),
            Via::Xmpp => Ok("trestle".to_owned()),
            Via::SdpHttp => Ok("ceiling".to_owned()),
            Via::Whip | Via::Janus => {
                let text = "name the server: --target URL --pid PID";
                Err(Failure(text.to_owned()))
            }
        }
    }

    /// What is measured: a command, or an address.
    pub(crate) fn measured(&self) -> String {
        let target = self.target.clone();
        target.unwrap_or_else(|| self.command().unwrap_or_default())
    }
}

impl Profile {
    pub(crate) const fn srtp(self) -> SrtpProfile {
        match self {
            Self::Gcm128 => SrtpProfile::AeadAes128Gcm,
            Self::Gcm256 => SrtpProfile::AeadAes256Gcm,
            Self::Cm80 => SrtpProfile::Aes128CmSha1_80,
        }
    }
}

/// Reads the seconds between two checks.
fn interval(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.05..=3_600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("from 0.05 to 3600".to_owned())
    }
}

/// The word of the command line.
pub(crate) fn word(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}
