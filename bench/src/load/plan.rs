//! Turns a scenario into participants: who is where, who sends, who gets what.

use std::collections::BTreeMap;

use super::options::{Happening, Options, Scenario};

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Counts all participants of the run.
    pub(crate) id: usize,
    pub(crate) room: usize,
    pub(crate) sends: bool,
    /// Whether it sends sound as well.
    pub(crate) talks: bool,
    /// Whose pictures it gets: ids.
    pub(crate) receives: Vec<usize>,
    /// How many of them at a time, when not all.
    pub(crate) last_n: Option<usize>,
    /// Whether it decrypts all that it gets.
    pub(crate) is_sampled: bool,
}

/// What one transport carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transports {
    /// All that a member sends and receives.
    One,
    /// What it sends, or what it receives.
    Two,
    /// One stream.
    EachStream,
}

/// All participants, and what they do together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) members: Vec<Member>,
    /// Members that join while others are measured.
    pub(crate) storm: Vec<Member>,
    /// Streams that the server sends.
    pub(crate) flows: usize,
    /// Packets per second of each sender.
    pub(crate) packets_per_second: f64,
}

impl Plan {
    pub(crate) fn new(options: &Options) -> Self {
        let mut plan = match options.scenario {
            Scenario::Share | Scenario::JoinStorm => share(options.receivers),
            Scenario::Rooms => rooms(options.rooms, options.members, None),
            Scenario::Bigroom => rooms(1, options.members, Some(options.last_n)),
        };
        let first = plan.members.len();
        let late = first..first + options.members;
        if options.scenario == Scenario::JoinStorm {
            plan.storm = late.map(idle).collect();
        } else if options.event == Some(Happening::MassJoin) {
            let senders = plan.members.iter().filter(|it| it.sends && it.room == 0);
            let receives: Vec<usize> = senders.map(|it| it.id).collect();
            let receiver = |id| Member {
                room: 0,
                receives: receives.clone(),
                last_n: plan.members.first().and_then(|it| it.last_n),
                ..idle(id)
            };
            plan.storm = late.map(receiver).collect();
        }
        plan.members = split(plan.members, super::via::transports(options.via));
        let_talk(&mut plan.members, options.voices);
        sample(&mut plan.members, options.sample.max(1));
        let senders = plan.members.iter().filter(|member| member.sends).count();
        let fan_out = float(plan.flows) / float(senders.max(1));
        plan.packets_per_second =
            f64::from(options.rate) / float(senders.max(1)) / fan_out.max(1.0);
        plan
    }
}

fn share(receivers: usize) -> Plan {
    let members = (0..=receivers).map(|id| Member {
        id,
        room: 0,
        sends: id == 0,
        talks: false,
        receives: if id == 0 { Vec::new() } else { vec![0] },
        last_n: None,
        is_sampled: false,
    });
    Plan {
        members: members.collect(),
        storm: Vec::new(),
        flows: receivers,
        packets_per_second: 0.0,
    }
}

fn rooms(rooms: usize, members: usize, last_n: Option<usize>) -> Plan {
    let mut all = Vec::new();
    for room in 0..rooms {
        let ids = room * members..(room + 1) * members;
        all.extend(ids.clone().map(|id| Member {
            id,
            room,
            sends: true,
            talks: false,
            receives: ids.clone().filter(|other| *other != id).collect(),
            last_n,
            is_sampled: false,
        }));
    }
    let others = members.saturating_sub(1);
    Plan {
        members: all,
        storm: Vec::new(),
        flows: rooms * members * last_n.unwrap_or(others).min(others),
        packets_per_second: 0.0,
    }
}

/// Makes a member of each transport. Those that send come first, with new ids that the others name.
fn split(members: Vec<Member>, transports: Transports) -> Vec<Member> {
    if transports == Transports::One {
        return members;
    }
    let mut names = BTreeMap::new();
    let mut all: Vec<Member> = Vec::new();
    for member in members.iter().filter(|member| member.sends) {
        names.insert(member.id, all.len());
        all.push(Member {
            id: all.len(),
            receives: Vec::new(),
            ..member.clone()
        });
    }
    for member in &members {
        let wanted = member
            .receives
            .iter()
            .take(member.last_n.unwrap_or(usize::MAX));
        let streams: Vec<usize> = wanted.filter_map(|id| names.get(id).copied()).collect();
        let size = if transports == Transports::Two {
            streams.len()
        } else {
            1
        };
        for receives in streams.chunks(size.max(1)) {
            all.push(Member {
                id: all.len(),
                room: member.room,
                sends: false,
                talks: false,
                receives: receives.to_vec(),
                last_n: None,
                is_sampled: false,
            });
        }
    }
    all
}

/// Turns on the microphones of the first senders of each room.
fn let_talk(members: &mut [Member], voices: usize) {
    let mut talking = BTreeMap::new();
    for member in members.iter_mut().filter(|member| member.sends) {
        let count: &mut usize = talking.entry(member.room).or_default();
        member.talks = *count < voices;
        *count += 1;
    }
}

/// Chooses one of so many receivers, and one at least, from their middle: servers send to some
/// first and to others last.
fn sample(members: &mut [Member], one_of: usize) {
    let receivers = members.iter().filter(|it| !it.receives.is_empty()).count();
    let first = one_of.min(receivers) / 2;
    let receivers = members.iter_mut().filter(|it| !it.receives.is_empty());
    for (place, member) in receivers.enumerate() {
        member.is_sampled = place % one_of == first;
    }
}

/// Somebody in a room where nobody sends.
fn idle(id: usize) -> Member {
    Member {
        id,
        room: 1,
        sends: false,
        talks: false,
        receives: Vec::new(),
        last_n: None,
        is_sampled: false,
    }
}

/// A count as a fraction; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) const fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn plan(words: &str) -> Plan {
        Plan::new(&Options::parse_from(
            ["load"].into_iter().chain(words.split(' ')),
        ))
    }

    #[test]
    fn the_rate_is_that_of_all_receivers_together() {
        let share = plan("--scenario share --receivers 50 --rate 12000");
        assert_eq!((share.members.len(), share.flows), (51, 50));
        assert!((share.packets_per_second - 240.0).abs() < 1e-9);
        let rooms = plan("--scenario rooms --rooms 10 --members 10 --rate 12000");
        assert_eq!((rooms.members.len(), rooms.flows), (100, 900));
        assert!((rooms.packets_per_second * 900.0 - 12_000.0).abs() < 1e-6);
        assert_eq!(rooms.members[95].receives.len(), 9);
        let big = plan("--scenario bigroom --members 50 --last-n 10 --rate 5000");
        assert_eq!(big.flows, 500);
        assert!((big.packets_per_second - 10.0).abs() < 1e-9);
    }

    #[test]
    fn those_who_come_late_receive_only_in_a_mass_join() {
        let storm = plan("--scenario join-storm --receivers 5 --members 3");
        assert_eq!(storm.storm.len(), 3);
        assert!(
            storm
                .storm
                .iter()
                .all(|it| it.room == 1 && it.receives.is_empty())
        );
        let mass = plan("--scenario share --receivers 5 --members 3 --event mass-join");
        assert_eq!((mass.members.len(), mass.flows), (6, 5));
        let ids: Vec<_> = mass.storm.iter().map(|it| it.id).collect();
        assert_eq!(ids, [6, 7, 8]);
        assert!(
            mass.storm
                .iter()
                .all(|it| it.room == 0 && it.receives == [0] && !it.sends)
        );
    }

    #[test]
    fn members_may_need_several_transports() {
        let words = "--scenario rooms --rooms 2 --members 3 --rate 1200";
        let two = plan(&format!("{words} --via janus"));
        assert_eq!((two.members.len(), two.flows), (12, 12));
        assert_eq!(two.members[6].receives, [1, 2]);
        assert_eq!(two.members[9].receives, [4, 5]);
        let each = plan(&format!("{words} --via whip"));
        assert_eq!((each.members.len(), each.flows), (18, 12));
        assert!(
            each.members[..6]
                .iter()
                .all(|it| it.sends && it.receives.is_empty())
        );
        assert!(
            each.members[6..]
                .iter()
                .all(|it| !it.sends && it.receives.len() == 1)
        );
        assert!((each.packets_per_second - 100.0).abs() < 1e-9);
    }

    #[test]
    fn somebody_is_always_sampled() {
        let sampled = |words: &str| {
            let members = plan(words).members.into_iter();
            members
                .filter(|it| it.is_sampled)
                .map(|it| it.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(sampled("--receivers 50"), [9, 25, 41]);
        assert_eq!(sampled("--receivers 1"), [1]);
        assert_eq!(sampled("--receivers 3 --sample 1"), [1, 2, 3]);
        assert_eq!(sampled("--receivers 3 --via whip"), [2]);
    }

    #[test]
    fn some_of_each_room_talk() {
        let talking = |words: &str| -> Vec<_> {
            let members = plan(words).members.into_iter().filter(|it| it.talks);
            members.map(|it| it.id).collect()
        };
        let rooms = "--scenario rooms --rooms 2 --members 3";
        assert!(talking(rooms).is_empty());
        assert_eq!(talking(&format!("{rooms} --voices 2")), [0, 1, 3, 4]);
        assert_eq!(talking("--scenario share --receivers 3 --voices 2"), [0]);
    }

    #[test]
    fn a_storm_joins_beside() {
        let storm = plan("--scenario join-storm --receivers 5 --members 3");
        assert_eq!((storm.members.len(), storm.flows), (6, 5));
        let ids: Vec<_> = storm.storm.iter().map(|it| (it.id, it.room)).collect();
        assert_eq!(ids, [(6, 1), (7, 1), (8, 1)]);
    }
}
