//! Runs a load from the first join to the report.

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::net::UdpSocket;
use std::sync::Arc;

use bridge_core::Time;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::generator::{Generator, Look, Orders};
use super::handshake::{Association, Identity};
use super::histogram::Histogram;
use super::http::Url;
use super::leg::{Local, Opening};
use super::options::{Feedback, Happening, Options, Scenario, Via};
use super::plan::{Member, Plan, Transports};
use super::process::Usage;
use super::report::{Measured, Report, Second, Storm};
use super::server::{Server, count_calls, pin};
use super::timeline::Watch;
use super::via::{Ask, Joining, transports};
use super::{Failure, failure};
use crate::clock::Clock;

/// Joins at a time before the measurement: more only wait in line at the server.
const JOINS_AT_ONCE: usize = 16;

/// Longest wait for a path and a handshake.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait until every stream flows.
const FLOW_PATIENCE: Duration = Duration::from_secs(10);

/// Seconds that an event takes at least: before it, and after it.
const EVENT_SECONDS: u32 = 4;

/// How often each receiver asks for a keyframe when all do, and the time between two requests.
const KEYFRAME_ROUNDS: u32 = 10;

const KEYFRAME_PAUSE: Duration = Duration::from_millis(100);

/// Everything that a join needs.
struct Session {
    options: Options,
    joining: Joining,
    identity: Identity,
    orders: Orders,
    clock: Clock,
}

/// Runs one load.
///
/// # Errors
/// When the server does not come up, nobody can join or nothing flows.
pub fn run(options: &Options) -> Result<Report, Failure> {
    if let Some(cores) = &options.cores {
        pin(cores)?;
    }
    check(options)?;
    let plan = Plan::new(options);
    let server = Server::of(options)?;
    let idle = server.usage()?;
    let host = host(&server.url)?;
    let (orders, media) = Generator::start(options, &plan, host)?;
    let session = Session {
        joining: Joining::new(options, &server.url)?,
        identity: Identity::new(options.profile.srtp())?,
        orders: orders.clone(),
        clock: Clock::start(),
        options: options.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure("start a runtime", error))?;
    let report = runtime.block_on(measure(Arc::new(session), &plan, &server, idle));
    orders.stop();
    if media.join().is_err() {
        return Err(Failure("the media thread panicked".to_owned()));
    }
    let report = report?;
    report.keep(options)?;
    Ok(report)
}

/// Refuses what goes together only on the command line.
fn check(options: &Options) -> Result<(), Failure> {
    let comes_late = options.event.is_some() || options.scenario == Scenario::JoinStorm;
    let refusal = if comes_late && transports(options.via) != Transports::One {
        "events and storms need --via colibri, xmpp or sdp-http"
    } else if options.event.is_some() && options.seconds < EVENT_SECONDS {
        "an event needs 4 seconds at least: half before it, half after it"
    } else if options.event.is_some() && options.scenario == Scenario::JoinStorm {
        "one thing at a time: an event or a join-storm"
    } else if options.voices > 0 && options.via != Via::Colibri {
        "voices need --via colibri"
    } else if options.keep_ssrcs && options.via == Via::Xmpp {
        "clients that join by xmpp take slots: leave out --keep-ssrcs"
    } else {
        return Ok(());
    };
    Err(Failure(refusal.to_owned()))
}

async fn measure(
    session: Arc<Session>,
    plan: &Plan,
    server: &Server,
    idle: Option<Usage>,
) -> Result<Report, Failure> {
    let options = &session.options;
    let started = session.clock.now();
    let (joins, held) = join_all(&session, &plan.members).await?;
    say(
        options,
        &format!(
            "{} endpoints in {:.1} s",
            plan.members.len(),
            session.clock.now().since(started).as_secs_f64()
        ),
    );
    session.orders.start_sending();
    sleep(Duration::from_secs(u64::from(options.warm_up))).await;
    wait_for_flows(&session, plan).await?;

    let mut window = Window::open(&session, server)?;
    for second in 1..=options.seconds {
        if second == options.seconds.div_ceil(2) + 1 {
            window.let_happen(&session, plan);
        }
        window.watch(&session, server, second).await?;
    }
    let lasted = session.clock.now().since(window.begun);
    if options.rate > 0 && window.look.packets == 0 {
        let text = "all streams flowed, then nothing came: the server stalls, or holds them back";
        return Err(Failure(text.to_owned()));
    }
    let timeline = window.timeline.take().map(Watch::finish);
    let stormed = match window.late.take() {
        Some(late) => late.await.map_err(|error| failure("joins", error))??,
        None => Stormed::default(),
    };
    let syscalls = match server.pid.filter(|_| options.syscalls) {
        Some(pid) => count_calls(pid, &session.orders).await,
        None => None,
    };
    let (late, held_late) = stormed;
    let measured = Measured {
        look: window.look,
        lasted,
        idle,
        before: window.before,
        after: window.after,
        joins,
        seconds: window.seconds,
        endpoints: plan.members.len() + late.len(),
        storm: (!plan.storm.is_empty()).then_some(Storm { joins: late }),
        timeline: timeline.unwrap_or_default(),
        event: window.event,
        syscalls,
    };
    session.joining.leave().await?;
    drop((held, held_late));
    Ok(Report::new(options, plan, measured))
}

/// The time that is measured.
struct Window {
    begun: Time,
    before: Option<Usage>,
    after: Option<Usage>,
    look: Look,
    seconds: Vec<Second>,
    timeline: Option<Watch>,
    /// When something happened, if it did.
    event: Option<Duration>,
    late: Option<JoinHandle<Result<Stormed, Failure>>>,
}

/// How long those took that joined late, and what keeps them in.
type Stormed = (Vec<Duration>, Vec<Association>);

impl Window {
    fn open(session: &Session, server: &Server) -> Result<Self, Failure> {
        session.orders.begin();
        let before = server.usage()?;
        let begun = session.clock.now();
        let timeline = server.pid.map(Watch::start).transpose()?;
        if session.options.ask_keyframes {
            session.orders.ask_for_keyframes();
        }
        Ok(Self {
            begun,
            before,
            after: before,
            look: Look::default(),
            seconds: Vec::new(),
            timeline,
            event: session.options.ask_keyframes.then_some(Duration::ZERO),
            late: None,
        })
    }

    /// Begins what is to happen in the middle.
    fn let_happen(&mut self, session: &Arc<Session>, plan: &Plan) {
        let (options, started) = (&session.options, session.clone());
        let members = plan.storm.clone();
        self.late = match options.event {
            _ if options.scenario == Scenario::JoinStorm => {
                let pace = Duration::from_secs_f64(1.0 / f64::from(options.join_rate.max(1)));
                Some(tokio::spawn(join_late(started, members, pace)))
            }
            Some(Happening::MassJoin) => {
                Some(tokio::spawn(join_late(started, members, Duration::ZERO)))
            }
            Some(Happening::Keyframes) => Some(tokio::spawn(ask_for_keyframes(started))),
            Some(Happening::ScreenShare) => {
                let sender = plan.members.iter().find(|member| member.sends).cloned();
                Some(tokio::spawn(share_screen(started, sender)))
            }
            None => return,
        };
        self.event = Some(session.clock.now().since(self.begun));
    }

    /// Waits for the end of a second, and looks.
    async fn watch(
        &mut self,
        session: &Session,
        server: &Server,
        second: u32,
    ) -> Result<(), Failure> {
        let end = self.begun.since(Time::ZERO) + Duration::from_secs(u64::from(second));
        sleep_until(Instant::from_std(session.clock.base()) + end).await;
        let (look, used) = (session.orders.look(), server.usage()?);
        let is_late = self.late.is_some();
        let it = Second::between(&self.look, &look, self.after, used, is_late);
        say(&session.options, &it.line(second));
        self.seconds.push(it);
        (self.look, self.after) = (look, used);
        Ok(())
    }
}

async fn ask_for_keyframes(session: Arc<Session>) -> Result<Stormed, Failure> {
    for _ in 0..KEYFRAME_ROUNDS {
        session.orders.ask_for_keyframes();
        sleep(KEYFRAME_PAUSE).await;
    }
    Ok(Stormed::default())
}

async fn share_screen(session: Arc<Session>, sender: Option<Member>) -> Result<Stormed, Failure> {
    let sender = sender.ok_or_else(|| Failure("nobody sends".to_owned()))?;
    let address = session.orders.place(sender.id);
    let address = address.ok_or_else(|| Failure("no socket for a client".to_owned()))?;
    let local = local(sender.id, address);
    session.joining.share_screen(&sender, &local).await?;
    session.orders.share_screen(sender.id);
    Ok(Stormed::default())
}

/// Until every stream that the plan has is seen.
async fn wait_for_flows(session: &Session, plan: &Plan) -> Result<(), Failure> {
    if session.options.rate == 0 {
        return Ok(());
    }
    let step = Duration::from_millis(500);
    let mut flows = 0;
    for _ in 0..FLOW_PATIENCE.as_millis() / step.as_millis() {
        session.orders.begin();
        sleep(step.max(Duration::from_secs_f64(
            3.0 * f64::from(session.options.burst) / plan.packets_per_second.max(0.1),
        )))
        .await;
        flows = session.orders.look().flows;
        if flows >= plan.flows {
            return Ok(());
        }
    }
    Err(Failure(format!("{flows} of {} streams flow", plan.flows)))
}

type Joins = (Histogram, Vec<Association>);

/// Lets all join, those that send before the others where each transport is a member of its own.
async fn join_all(session: &Arc<Session>, members: &[Member]) -> Result<Joins, Failure> {
    let first = match transports(session.options.via) {
        Transports::One => members.len(),
        Transports::Two | Transports::EachStream => members.iter().filter(|it| it.sends).count(),
    };
    let (first, others) = members.split_at_checked(first).unwrap_or((members, &[]));
    let mut all: Joins = (Histogram::default(), Vec::new());
    join_some(session, first, &mut all).await?;
    if !others.is_empty() {
        // Such a server makes a stream known when something has come of it.
        session.orders.start_sending();
    }
    join_some(session, others, &mut all).await?;
    Ok(all)
}

async fn join_some(
    session: &Arc<Session>,
    members: &[Member],
    (times, held): &mut Joins,
) -> Result<(), Failure> {
    let places = Arc::new(Semaphore::new(JOINS_AT_ONCE));
    let mut joins = JoinSet::new();
    for member in members {
        let (session, places, member) = (session.clone(), places.clone(), member.clone());
        joins.spawn(async move {
            let _place = places.acquire_owned().await;
            session.join(&member).await
        });
    }
    while let Some(joined) = joins.join_next().await {
        let (took, association) = joined.map_err(|error| failure("a join", error))??;
        times.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        held.push(association);
        if held.len() % 50 == 0 {
            say(&session.options, &format!("{} joined", held.len()));
        }
    }
    Ok(())
}

/// Joins at an even pace, whether those before are in or not.
async fn join_late(
    session: Arc<Session>,
    members: Vec<Member>,
    pace: Duration,
) -> Result<Stormed, Failure> {
    let mut joins = JoinSet::new();
    for member in members {
        let session = session.clone();
        joins.spawn(async move { session.join(&member).await });
        if !pace.is_zero() {
            sleep(pace).await;
        }
    }
    let (mut times, mut held) = (Vec::new(), Vec::new());
    while let Some(joined) = joins.join_next().await {
        let (took, association) = joined.map_err(|error| failure("a join", error))??;
        times.push(took);
        held.push(association);
    }
    Ok((times, held))
}

impl Session {
    /// Joins one member: signaling, a path, keys. Gives how long it took.
    async fn join(&self, member: &Member) -> Result<(Duration, Association), Failure> {
        let started = self.clock.now();
        let address = self.orders.place(member.id);
        let address = address.ok_or_else(|| Failure("no socket for a client".to_owned()))?;
        let local = local(member.id, address);
        let (identity, id) = (&self.identity, member.id);
        let transport_cc = self.options.feedback == Feedback::TransportCc;
        let ask = Ask {
            member,
            local: &local,
            identity,
            transport_cc,
            keep_ssrcs: self.options.keep_ssrcs,
        };
        let mut remote = self.joining.join(ask).await?;
        if !transport_cc {
            remote.numbers.transport_cc = None;
        }
        let client = remote.dtls_client;
        let address: SocketAddrV4 = remote.address;
        let (stands, standing) = oneshot::channel();
        let (datagrams, incoming) = unbounded_channel();
        self.orders.open(
            id,
            Opening {
                local,
                remote,
                is_sampled: member.is_sampled,
                sends: member.sends,
                talks: member.talks,
                stands,
                datagrams,
            },
        );
        let path = timeout(PATIENCE, standing).await;
        if !matches!(path, Ok(Ok(()))) {
            return Err(Failure(format!("endpoint {id}: no path to {address}")));
        }
        let shaking = identity.shake(id, client, self.orders.clone(), incoming);
        let (association, keys) = timeout(PATIENCE, shaking)
            .await
            .map_err(|_| Failure(format!("endpoint {id}: no end of the handshake")))??;
        self.orders.set_keys(id, keys);
        Ok((self.clock.now().since(started), association))
    }
}

/// This machine's address on the way to a server.
fn host(url: &str) -> Result<Ipv4Addr, Failure> {
    let wrong = |error| failure(url, error);
    let authority = Url::parse(url)?.authority;
    // Nothing is sent: the system only looks for the way.
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(wrong)?;
    socket.connect(authority).map_err(wrong)?;
    match socket.local_addr().map_err(wrong)?.ip() {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(_) => Err(Failure("only IPv4 is spoken".to_owned())),
    }
}

/// Our end of a member's transport: names that nobody else in this run has.
fn local(id: usize, address: SocketAddrV4) -> Local {
    let number = u32::try_from(id).unwrap_or(0);
    Local {
        ufrag: format!("ld{id:06}"),
        password: format!("load0generator0password{id:08}"),
        ssrc: 0x1000_0000 + number.wrapping_mul(0x9e37) % 0x0fff_ffff,
        screen_ssrc: 0x2000_0000 + number,
        voice_ssrc: 0x3000_0000 + number,
        address,
    }
}

#[expect(clippy::print_stderr, reason = "progress of a tool")]
pub(super) fn say(options: &Options, text: &str) {
    if !options.quiet {
        eprintln!("{text}");
    }
}
