//! Turns a scenario into participants: who is where, who sends, who gets what.

use super::options::{Options, Scenario};

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Counts all participants of the run.
    pub(crate) id: usize,
    pub(crate) room: usize,
    pub(crate) sends: bool,
    /// Whose pictures it gets: ids.
    pub(crate) receives: Vec<usize>,
    /// How many of them at a time, when not all.
    pub(crate) last_n: Option<usize>,
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
        if options.scenario == Scenario::JoinStorm {
            let first = plan.members.len();
            plan.storm = (first..first + options.members).map(idle).collect();
        }
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
        receives: if id == 0 { Vec::new() } else { vec![0] },
        last_n: None,
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
            receives: ids.clone().filter(|other| *other != id).collect(),
            last_n,
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

/// Somebody in a room where nobody sends.
fn idle(id: usize) -> Member {
    Member {
        id,
        room: 1,
        sends: false,
        receives: Vec::new(),
        last_n: None,
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
    fn a_storm_joins_beside() {
        let storm = plan("--scenario join-storm --receivers 5 --members 3");
        assert_eq!((storm.members.len(), storm.flows), (6, 5));
        let ids: Vec<_> = storm.storm.iter().map(|it| (it.id, it.room)).collect();
        assert_eq!(ids, [(6, 1), (7, 1), (8, 1)]);
    }
}
