//! Starts the server under test with settings for a load, and stops it.

use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::generator::Orders;
use super::options::{Options, Via};
use super::process::Usage;
use super::report::number;
use super::{Failure, failure};
use crate::clock::rest;

/// Longest wait until it is up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command that gets a signal when its parent ends (util-linux).
const SETPRIV: &str = "/usr/bin/setpriv";

/// Settings of a trestle that serves a load: everything on free ports of this machine, and bounds
/// that a load does not meet.
const SETTINGS: &str = r#"# Written by the load generator.
[web]
http = "127.0.0.1:0"
https = ""
bosh = ""

[xmpp]
c2s = ""

[focus]
api = ""

[bridge]
api = "127.0.0.1:0"
media = "127.0.0.1:0"
initial-max-height = -1
trust-no-estimate = true

[limits]
conferences = 100000
endpoints = 100000
endpoints-per-conference = 100000
packets-per-second = 1000000
bits-per-second = 10000000000
stun-per-second = 1000000
sessions = 100000
connections-per-address = 100000
unauthenticated-per-address = 100000
bytes-per-second = 10000000
stanzas-per-second = 100000
joins-per-second = 10000
http-connections = 100000

[log]
level = "warn"
"#;

/// A server under test.
#[derive(Debug)]
pub(crate) struct Server {
    /// What `--via` speaks to.
    pub(crate) url: String,
    /// Whose CPU time counts.
    pub(crate) pid: Option<u32>,
    child: Option<Child>,
    settings: Option<PathBuf>,
}

impl Server {
    /// The server that the options name, or one that is started.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn of(options: &Options) -> Result<Self, Failure> {
        match &options.target {
            Some(url) => Ok(Self {
                url: url.clone(),
                pid: options.pid,
                child: None,
                settings: None,
            }),
            None => Self::start(options),
        }
    }

    /// What its process has used so far, if it is known.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn usage(&self) -> Result<Option<Usage>, Failure> {
        let usage = self.pid.map(Usage::of).transpose();
        usage.map_err(|error| failure("the server's process", error))
    }

    fn start(options: &Options) -> Result<Self, Failure> {
        let command = options.command()?;
        let port = command.contains("{port}").then(free_port).transpose()?;
        let number = port.map(|port| port.to_string()).unwrap_or_default();
        let command = command.replace("{port}", &number);
        let mut words = command.split_whitespace();
        let program = beside(words.next().unwrap_or_default());
        let mut settings = None;
        let mut all: Vec<String> = Vec::new();
        if let Some(cores) = &options.server_cores {
            all.extend(["taskset", "-c", cores].map(str::to_owned));
        }
        // It ends with us, also when we are killed.
        if Path::new(SETPRIV).exists() {
            all.extend([SETPRIV, "--pdeathsig", "TERM"].map(str::to_owned));
        }
        all.push(program.clone());
        all.extend(words.map(str::to_owned));
        if program.ends_with("trestle") {
            let file = write_settings()?;
            all.extend(["--config".to_owned(), file.display().to_string()]);
            all.extend(
                options
                    .set
                    .iter()
                    .flat_map(|it| ["--set".to_owned(), it.clone()]),
            );
            settings = Some(file);
        }
        let (first, rest) = all.split_first().ok_or_else(|| Failure(command.clone()))?;
        let mut child = Command::new(first)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failure(&format!("start {program}"), error))?;
        let lines = lines_of(&mut child)?;
        let mut server = Self {
            url: port.map_or(String::new(), |port| format!("http://127.0.0.1:{port}")),
            pid: Some(child.id()),
            child: Some(child),
            settings,
        };
        match port {
            Some(port) => server.wait_for_port(port)?,
            None => server.wait_for_lines(&lines, options.via)?,
        }
        Ok(server)
    }

    /// Until it listens.
    fn wait_for_port(&mut self, port: u16) -> Result<(), Failure> {
        let step = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if listens(port) {
                return Ok(());
            }
            self.check()?;
            rest(step);
        }
        Err(Failure(format!(
            "the server does not listen on port {port}"
        )))
    }

    /// Until it says that it is ready; before, it says where it listens.
    fn wait_for_lines(&mut self, lines: &Receiver<String>, via: Via) -> Result<(), Failure> {
        let setting = match via {
            Via::Colibri => "bridge.api",
            Via::Xmpp => "web.http",
            Via::SdpHttp | Via::Whip | Via::Janus => "http",
        };
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if line == "ready" && !self.url.is_empty() {
                return Ok(());
            }
            let told = line.split_once(' ').filter(|(name, _)| *name == setting);
            if let Some((_, url)) = told {
                self.url = url.trim().to_owned();
            }
        }
        self.check()?;
        Err(Failure(format!("the server never said where {setting} is")))
    }

    fn check(&mut self) -> Result<(), Failure> {
        let ended = self
            .child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten());
        ended.map_or(Ok(()), |status| {
            Err(Failure(format!("the server ended: {status}")))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            stop(&mut child);
        }
        if let Some(settings) = self.settings.take() {
            drop(fs::remove_file(settings));
        }
    }
}

/// Asks the child to end, and makes it end when it does not.
fn stop(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().map(Pid::from_raw);
    if let Some(pid) = pid
        && kill(pid, Signal::SIGTERM).is_ok()
    {
        for _ in 0..100 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            rest(Duration::from_millis(20));
        }
    }
    // It may have ended by itself.
    drop(child.kill());
    drop(child.wait());
}

/// System calls of a process per packet that comes meanwhile, over a second; `None` when strace is
/// not there or not permitted.
pub(crate) async fn count_calls(pid: u32, orders: &Orders) -> Option<f64> {
    let mut tracer = Command::new("strace")
        .args(["-c", "-f", "-qq", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // Attaching to all threads takes a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = orders.look().packets;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let packets = orders.look().packets.saturating_sub(before);
    let tracing = Pid::from_raw(i32::try_from(tracer.id()).ok()?);
    kill(tracing, Signal::SIGINT).ok()?;
    let mut table = String::new();
    tracer.stderr.take()?.read_to_string(&mut table).ok()?;
    tracer.wait().ok()?;
    let calls = calls_in(&table)?;
    // What was counted while it attached counts for as long.
    (packets > 0).then(|| number(calls) / number(packets) / 1.3)
}

/// The sum in strace's table: `100.00 seconds usecs/call calls errors total`.
fn calls_in(table: &str) -> Option<u64> {
    let line = table
        .lines()
        .rev()
        .find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Keeps a process, by default this one with all its threads, on some processors.
pub(crate) fn pin(cores: &str) -> Result<(), Failure> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", cores, &pid])
        .stdout(Stdio::null())
        .status()
        .map_err(|error| failure("taskset", error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("taskset refuses processors {cores}")))
    }
}

/// The program in the folder of this one, if it is there, or by its name.
fn beside(program: &str) -> String {
    let own = std::env::current_exe().unwrap_or_default();
    let file = own.with_file_name(program);
    if !program.contains('/') && file.exists() {
        file.display().to_string()
    } else {
        program.to_owned()
    }
}

fn write_settings() -> Result<PathBuf, Failure> {
    let name = format!("trestle-load-{}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    fs::write(&file, SETTINGS).map_err(|error| failure("write settings", error))?;
    Ok(file)
}

/// Whether somebody listens there. It is looked up, not tried: some servers take one connection at
/// a time, and wait for what it says.
fn listens(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|it| it.ends_with(&local)) && words.nth(1) == Some("0A")
    })
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| failure("find a free port", error))
}

/// What the child prints, line by line; read on, so that it never waits for us.
fn lines_of(child: &mut Child) -> Result<Receiver<String>, Failure> {
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Failure("no output of the server".to_owned()))?;
    let (sender, lines) = channel();
    thread::Builder::new()
        .name("output".to_owned())
        .spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody listens once it is ready.
                drop(sender.send(line));
            }
        })
        .map_err(|error| failure("start a thread", error))?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_settings_of_trestle() {
        let file = write_settings().unwrap();
        let config = signaling::config::Config::load(Some(&file), &[]).unwrap();
        assert!(config.bridge.trust_no_estimate);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_listener_is_seen_without_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(port));
        drop(listener);
        assert!(!listens(port));
    }

    #[test]
    fn the_sum_of_system_calls_is_found() {
        let table = "  0.10    0.000023           1        17           recvmmsg\n\
                     100.00    0.022318          11      1997       412 total\n";
        assert_eq!(calls_in(table), Some(1_997));
        assert_eq!(calls_in("strace: Operation not permitted"), None);
    }
}
