//! Runs all legs on one thread: reads what came, sends what is due, rests, over and over.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bridge_core::{KeyingMaterial, SrtpProfile, Time};

use super::histogram::Histogram;
use super::leg::{Delay, Leg, Oddities, Opening};
use super::media::{Frames, SCREEN_INTERVAL};
use super::plan::{Plan, float};
use super::process::own_thread;
use super::voice;
use super::{Failure, failure, options::Options};
use crate::clock::{Clock, rest};
use crate::udp::Socket;

/// Longest rest: what waits at a socket meanwhile fits into its buffer.
const REST: Duration = Duration::from_micros(500);

/// Shortest rest; the system wakes us up so much too late.
const REST_MIN: Duration = Duration::from_micros(60);

/// Time between two looks at what legs have to do besides sending frames.
const TEND_INTERVAL: Duration = Duration::from_millis(5);

/// What the media thread is told to do.
#[derive(Debug)]
enum Order {
    Place(usize, Sender<Option<SocketAddrV4>>),
    Open(usize, Box<Opening>),
    Datagram(usize, Vec<u8>),
    Keys(usize, Box<KeyingMaterial>),
    Send,
    AskForKeyframes,
    ShareScreen(usize),
    Begin(Sender<()>),
    Look(Sender<Look>),
    Stop,
}

/// Tells the media thread what to do.
#[derive(Clone, Debug)]
pub(crate) struct Orders(Sender<Order>);

/// What all legs counted since measuring began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) packets: u64,
    pub(crate) numbered: u64,
    pub(crate) flows: usize,
    pub(crate) bytes: u64,
    /// Times on the way since measuring began, and since the last look.
    pub(crate) latency: Histogram,
    pub(crate) recent: Histogram,
    /// The same of sound, since measuring began.
    pub(crate) sound: Histogram,
    pub(crate) oddities: Oddities,
    /// Datagrams that our own sockets had no room for.
    pub(crate) overruns: u64,
    /// Packets that we sent.
    pub(crate) sent: u64,
    /// Nanoseconds that the media thread was busy.
    pub(crate) busy: u64,
}

impl Orders {
    /// The address from which a leg will send.
    pub(crate) fn place(&self, leg: usize) -> Option<SocketAddrV4> {
        let (answer, answers) = channel();
        self.give(Order::Place(leg, answer));
        answers.recv().ok().flatten()
    }

    pub(crate) fn open(&self, leg: usize, opening: Opening) {
        self.give(Order::Open(leg, Box::new(opening)));
    }

    pub(crate) fn send_datagram(&self, leg: usize, bytes: Vec<u8>) {
        self.give(Order::Datagram(leg, bytes));
    }

    pub(crate) fn set_keys(&self, leg: usize, keys: KeyingMaterial) {
        self.give(Order::Keys(leg, Box::new(keys)));
    }

    /// Lets all cameras run.
    pub(crate) fn start_sending(&self) {
        self.give(Order::Send);
    }

    pub(crate) fn ask_for_keyframes(&self) {
        self.give(Order::AskForKeyframes);
    }

    /// Lets a leg send its screen as well.
    pub(crate) fn share_screen(&self, leg: usize) {
        self.give(Order::ShareScreen(leg));
    }

    /// Begins to measure.
    pub(crate) fn begin(&self) {
        let (answer, answers) = channel();
        self.give(Order::Begin(answer));
        answers.recv().unwrap_or_default();
    }

    /// What was counted since.
    pub(crate) fn look(&self) -> Look {
        let (answer, answers) = channel();
        self.give(Order::Look(answer));
        answers.recv().unwrap_or_default()
    }

    pub(crate) fn stop(&self) {
        self.give(Order::Stop);
    }

    fn give(&self, order: Order) {
        // The media thread is gone only when the run is over.
        drop(self.0.send(order));
    }
}

/// Streams that send at one pace.
#[derive(Debug)]
struct Schedule {
    /// `None` when nothing is sent.
    interval: Option<Duration>,
    /// When each leg's next frame is due, and which of its streams it is. All have the same
    /// interval, so they keep their order.
    due: VecDeque<(Time, usize, usize)>,
}

impl Schedule {
    const fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            due: VecDeque::new(),
        }
    }

    /// Adds streams, spread over a frame's time.
    fn start(&mut self, now: Time, streams: &[(usize, usize)]) {
        let Some(interval) = self.interval else {
            return;
        };
        let (streams, count) = (streams.iter().enumerate(), float(streams.len()));
        for (place, (leg, stream)) in streams {
            let at = now + interval.mul_f64(float(place) / count);
            self.due.push_back((at, *leg, *stream));
        }
    }

    /// A stream whose frame is due; its next one is put down.
    fn next(&mut self, now: Time) -> Option<(usize, usize)> {
        let (due, leg, stream) = self.due.pop_front_if(|(due, ..)| *due <= now)?;
        let next = due + self.interval?;
        self.due.push_back((next, leg, stream));
        Some((leg, stream))
    }
}

/// The media thread.
pub(crate) struct Generator {
    clock: Clock,
    orders: Receiver<Order>,
    sockets: Vec<Socket>,
    host: Ipv4Addr,
    /// One socket plays all, each leg on an address of its own.
    is_shared: bool,
    legs: Vec<Option<Leg>>,
    profile: SrtpProfile,
    check_interval: Duration,
    cameras: Schedule,
    screens: Schedule,
    voices: Schedule,
    /// Those of cameras.
    frames: Frames,
    screen_frames: Frames,
    next_tend: Time,
    bytes: u64,
    sent: u64,
    latency: Histogram,
    recent: Histogram,
    sound: Histogram,
    overruns: u64,
    busy: u64,
}

impl Generator {
    /// Starts the thread. `host` is this machine's address on the way to the server: on the
    /// loopback interface one socket plays all, unless the options say otherwise.
    pub(crate) fn start(
        options: &Options,
        plan: &Plan,
        host: Ipv4Addr,
    ) -> Result<(Orders, JoinHandle<()>), Failure> {
        let (orders, receiver) = channel();
        let per_second = plan.packets_per_second / f64::from(options.burst.max(1));
        let interval = (per_second > 0.0).then(|| Duration::from_secs_f64(1.0 / per_second));
        let profile = options.profile.srtp();
        let check_interval = Duration::try_from_secs_f64(options.check_interval)
            .map_err(|error| failure("read --check-interval", error))?;
        let cameras = (Schedule::new(interval), Frames::of(options));
        // Made where it runs: what batches need may not change threads.
        let is_shared = host.is_loopback() && !options.ports;
        let protocol = (profile, check_interval);
        let run = move || Self::new(receiver, (host, is_shared), protocol, cameras).run();
        let thread = thread::Builder::new()
            .name("media".to_owned())
            .spawn(run)
            .map_err(|error| failure("start the media thread", error))?;
        Ok((Orders(orders), thread))
    }

    fn new(
        orders: Receiver<Order>,
        (host, is_shared): (Ipv4Addr, bool),
        (profile, check_interval): (SrtpProfile, Duration),
        (cameras, frames): (Schedule, Frames),
    ) -> Self {
        let clock = Clock::start();
        Self {
            clock,
            orders,
            sockets: Vec::new(),
            host,
            is_shared,
            legs: Vec::new(),
            profile,
            check_interval,
            cameras,
            screens: Schedule::new(Some(SCREEN_INTERVAL)),
            voices: Schedule::new(Some(voice::INTERVAL)),
            frames,
            screen_frames: Frames::of_screen(),
            next_tend: clock.now(),
            bytes: 0,
            sent: 0,
            latency: Histogram::default(),
            recent: Histogram::default(),
            sound: Histogram::default(),
            overruns: 0,
            busy: 0,
        }
    }

    fn run(mut self) {
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if matches!(order, Order::Stop) {
                    return;
                }
                self.obey(order);
            }
            self.receive();
            let now = self.clock.now();
            self.send_frames(now);
            self.send_sound(now);
            if self.next_tend <= now {
                self.next_tend = now + TEND_INTERVAL;
                let legs = self.legs.iter_mut().enumerate();
                for (at, leg) in legs.filter_map(|(at, leg)| Some((at, leg.as_mut()?))) {
                    if let Some(socket) = socket(&self.sockets, self.is_shared, at) {
                        leg.tend(now, socket);
                    }
                }
            }
            let schedules = [&self.cameras, &self.screens, &self.voices];
            let next = schedules.into_iter().filter_map(|it| it.due.front());
            let next = next.map(|(at, ..)| *at).min();
            let wait = next.map_or(REST, |at| at.since(self.clock.now()).min(REST));
            if wait >= REST_MIN {
                rest(wait.saturating_sub(REST_MIN).max(REST_MIN));
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Place(at, answer) => {
                let place = self.place(at);
                // Whoever asked waits.
                answer.send(place).unwrap_or_default();
            }
            Order::Open(at, opening) => self.open(at, *opening),
            Order::Datagram(at, bytes) => {
                let leg = self.legs.get(at).and_then(Option::as_ref);
                if let (Some(leg), Some(socket)) = (leg, self.socket(at)) {
                    leg.send(socket, &bytes);
                }
            }
            Order::Keys(at, keys) => {
                let profile = self.profile;
                if let Some(leg) = self.legs.get_mut(at).and_then(Option::as_mut) {
                    leg.set_keys(profile, &keys);
                }
            }
            Order::Send => self.start_sending(),
            Order::AskForKeyframes => {
                let legs = self.legs.iter_mut().enumerate();
                for (at, leg) in legs.filter_map(|(at, leg)| Some((at, leg.as_mut()?))) {
                    if let Some(socket) = socket(&self.sockets, self.is_shared, at) {
                        leg.ask_for_keyframes(socket);
                    }
                }
            }
            Order::ShareScreen(at) => {
                if let Some(leg) = self.legs.get_mut(at).and_then(Option::as_mut) {
                    let stream = leg.cameras.len();
                    leg.share_screen();
                    self.screens.start(self.clock.now(), &[(at, stream)]);
                }
            }
            Order::Begin(answer) => {
                self.begin();
                answer.send(()).unwrap_or_default();
            }
            Order::Look(answer) => drop(answer.send(self.look())),
            Order::Stop => {}
        }
    }

    fn place(&mut self, at: usize) -> Option<SocketAddrV4> {
        let number = if self.is_shared { 0 } else { at };
        while self.sockets.len() <= number {
            let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
            self.sockets.push(Socket::bind(any).ok()?);
        }
        let port = self.sockets.get(number)?.port();
        let ip = if self.is_shared {
            own_address(at)
        } else {
            self.host
        };
        Some(SocketAddrV4::new(ip, port))
    }

    fn open(&mut self, at: usize, opening: Opening) {
        if self.legs.len() <= at {
            self.legs.resize_with(at + 1, || None);
        }
        // Elsewhere the system knows which of this machine's addresses leads there.
        let from = if self.is_shared {
            own_address(at)
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        if let Some(place) = self.legs.get_mut(at) {
            *place = Some(Leg::new(
                self.clock.now(),
                from,
                self.check_interval,
                opening,
            ));
        }
    }

    /// Lets all cameras run, also those that ran before.
    fn start_sending(&mut self) {
        let now = self.clock.now();
        let who = |sends: fn(&Leg) -> bool| -> Vec<_> {
            let legs = self.legs.iter().enumerate();
            let senders = legs.filter(|(_, leg)| leg.as_ref().is_some_and(sends));
            senders.map(|(at, _)| (at, 0)).collect()
        };
        let (cameras, voices) = (
            who(|leg| !leg.cameras.is_empty()),
            who(|leg| leg.voice.is_some()),
        );
        for (schedule, streams) in [(&mut self.cameras, cameras), (&mut self.voices, voices)] {
            schedule.due.clear();
            schedule.start(now, &streams);
        }
    }

    fn send_sound(&mut self, now: Time) {
        while let Some((at, _)) = self.voices.next(now) {
            let leg = self.legs.get_mut(at).and_then(Option::as_mut);
            if let Some((leg, socket)) = leg.zip(socket(&self.sockets, self.is_shared, at)) {
                leg.send_sound(socket, now);
            }
        }
    }

    fn send_frames(&mut self, now: Time) {
        for (schedule, frames) in [
            (&mut self.cameras, &self.frames),
            (&mut self.screens, &self.screen_frames),
        ] {
            while let Some((at, stream)) = schedule.next(now) {
                let leg = self.legs.get_mut(at).and_then(Option::as_mut);
                let socket = socket(&self.sockets, self.is_shared, at);
                if let Some((leg, socket)) = leg.zip(socket) {
                    self.sent += leg.send_frame(socket, now, stream, frames);
                }
            }
        }
    }

    fn receive(&mut self) {
        let now = self.clock.now();
        let Self {
            sockets,
            legs,
            is_shared,
            bytes,
            latency,
            recent,
            sound,
            ..
        } = self;
        for (number, socket) in sockets.iter_mut().enumerate() {
            loop {
                let count = socket.receive().unwrap_or(0);
                for it in socket.arrivals() {
                    let at = if *is_shared {
                        leg_of(it.to)
                    } else {
                        Some(number)
                    };
                    let leg = at.and_then(|at| legs.get_mut(at)?.as_mut());
                    let Some(leg) = leg else {
                        continue;
                    };
                    *bytes += u64::try_from(it.bytes.len()).unwrap_or(0);
                    match leg.receive(now, socket, &it) {
                        Some(Delay::Picture(nanos)) => {
                            latency.add(nanos);
                            recent.add(nanos);
                        }
                        Some(Delay::Sound(nanos)) => sound.add(nanos),
                        None => {}
                    }
                }
                if count < crate::udp::BATCH {
                    break;
                }
            }
        }
    }

    fn begin(&mut self) {
        for leg in self.legs.iter_mut().flatten() {
            leg.inbox.begin();
            leg.oddities = Oddities::default();
        }
        self.latency.clear();
        self.recent.clear();
        self.sound.clear();
        self.bytes = 0;
        self.sent = 0;
        self.overruns = self.overruns_so_far();
        self.busy = own_thread();
    }

    fn look(&mut self) -> Look {
        let mut look = Look {
            bytes: self.bytes,
            latency: self.latency.clone(),
            recent: self.recent.clone(),
            sound: self.sound.clone(),
            overruns: self.overruns_so_far() - self.overruns,
            sent: self.sent,
            busy: own_thread() - self.busy,
            ..Look::default()
        };
        self.recent.clear();
        for leg in self.legs.iter().flatten() {
            let totals = leg.inbox.totals();
            look.packets += totals.packets;
            look.numbered += totals.numbered;
            look.flows += totals.flows;
            look.oddities.add(leg.oddities);
        }
        look
    }

    fn overruns_so_far(&self) -> u64 {
        self.sockets.iter().map(Socket::overruns).sum()
    }

    fn socket(&self, leg: usize) -> Option<&Socket> {
        socket(&self.sockets, self.is_shared, leg)
    }
}

fn socket(sockets: &[Socket], is_shared: bool, leg: usize) -> Option<&Socket> {
    sockets.get(if is_shared { 0 } else { leg })
}

/// The loopback address of a leg: 127.64.0.1 and on.
fn own_address(leg: usize) -> Ipv4Addr {
    let number = u32::try_from(leg + 1).unwrap_or(0) & 0x3f_ffff;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) | number)
}

fn leg_of(address: Ipv4Addr) -> Option<usize> {
    let number = u32::from(address) & 0x3f_ffff;
    usize::try_from(number).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_schedule_take_turns_at_an_even_pace() {
        let mut schedule = Schedule::new(Some(Duration::from_millis(100)));
        schedule.start(Time::ZERO, &[(3, 0), (5, 1)]);
        let mut turns = Vec::new();
        for milliseconds in 0..=150 {
            while let Some((leg, stream)) = schedule.next(Time::from_millis(milliseconds)) {
                turns.push((milliseconds, leg, stream));
            }
        }
        assert_eq!(turns, [(0, 3, 0), (50, 5, 1), (100, 3, 0), (150, 5, 1)]);
        let mut silent = Schedule::new(None);
        silent.start(Time::ZERO, &[(3, 0)]);
        assert_eq!(silent.next(Time::from_millis(1)), None);
    }

    #[test]
    fn each_leg_has_an_address_of_its_own() {
        for leg in [0, 1, 254, 255, 256, 70_000] {
            assert!(own_address(leg).is_loopback());
            assert_eq!(leg_of(own_address(leg)), Some(leg));
        }
    }
}
