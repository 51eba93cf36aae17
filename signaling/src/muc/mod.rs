//! Holds the rooms (XEP-0045) as Jitsi uses them: created by the focus, open to see, not listed.

mod admin;

mod affiliation;

mod config;

mod history;

mod occupant;

mod room;

use std::collections::{HashMap, HashSet};

use crate::xml::{Condition, Element, StanzaError, ns};
use crate::xmpp::XmppLimits;
use crate::xmpp::jid::{self, Jid};

use room::Room;

/// Who sends.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// Real full address.
    pub(crate) jid: Jid,
    /// Whether it is a service of ours, as the focus is: it creates rooms and owns all of them.
    pub(crate) is_service: bool,
}

/// What a room has to say, and who is no longer in it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Stanzas, each `to` a real full address.
    pub(crate) stanzas: Vec<Element>,
    /// Real full addresses that have left.
    pub(crate) left: Vec<String>,
}

/// All rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    domain: String,
    limits: XmppLimits,
    rooms: HashMap<String, Room>,
    /// In which rooms a real full address is.
    places: HashMap<String, HashSet<String>>,
    occupants: usize,
}

impl Rooms {
    pub(crate) fn new(domain: String, limits: XmppLimits) -> Self {
        Self {
            domain,
            limits,
            rooms: HashMap::new(),
            places: HashMap::new(),
            occupants: 0,
        }
    }

    /// How many rooms and occupants there are.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.rooms.len(), self.occupants)
    }

    /// A stanza for a room or for an occupant, but not an IQ for an occupant. Gives whether it was
    /// a join that was refused.
    pub(crate) fn handle(
        &mut self,
        now: u64,
        sender: &Sender,
        to: &Jid,
        stanza: &Element,
        out: &mut Vec<Element>,
    ) -> bool {
        if !jid::is_room_node(&to.node) {
            out.extend(stanza.error_reply(Condition::JidMalformed));
            return false;
        }
        let mut outcome = Outcome::default();
        let result = match stanza.name.as_str() {
            "presence" => self.presence(now, sender, to, stanza, &mut outcome),
            name => match self.rooms.get_mut(&to.node) {
                None => Err(Condition::ItemNotFound.into()),
                Some(room) if name == "iq" => room.iq(sender, stanza, &mut outcome),
                Some(room) => room.message(now, sender, to, stanza, &self.limits, &mut outcome),
            },
        };
        if let Err(error) = result {
            outcome.stanzas.extend(stanza.error_reply(error));
        }
        self.settle(&to.node, outcome, out);
        result.is_err() && stanza.name == "presence"
    }

    /// A session ends: it leaves everywhere.
    pub(crate) fn leave_all(&mut self, sender: &Sender, out: &mut Vec<Element>) {
        let address = sender.jid.to_string();
        let Some(nodes) = self.places.get(&address).cloned() else {
            return;
        };
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort();
        for node in nodes {
            let mut outcome = Outcome::default();
            if let Some(room) = self.rooms.get_mut(&node) {
                room.leave(&address, None, &mut outcome);
            }
            self.settle(&node, outcome, out);
        }
    }

    /// An IQ between occupants: as who it comes, and to which real address it goes.
    pub(crate) fn relay(&self, from: &Jid, to: &Jid) -> Result<(String, String), Condition> {
        let room = self.rooms.get(&to.node).ok_or(Condition::ItemNotFound)?;
        let sender = room
            .occupant(&from.to_string())
            .ok_or(Condition::NotAcceptable)?;
        let target = room.by_nick(&to.resource).ok_or(Condition::ItemNotFound)?;
        Ok((room.address_of(&sender.nick), target.address.clone()))
    }

    fn presence(
        &mut self,
        now: u64,
        sender: &Sender,
        to: &Jid,
        stanza: &Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let address = sender.jid.to_string();
        match stanza.attr("type") {
            None => {}
            Some("unavailable") => {
                if let Some(room) = self.rooms.get_mut(&to.node) {
                    room.leave(&address, Some(stanza), outcome);
                }
                return Ok(());
            }
            Some(_) => return Ok(()),
        }
        let entering = stanza.find("x", ns::MUC);
        let known = self
            .rooms
            .get(&to.node)
            .is_some_and(|room| room.occupant(&address).is_some());
        if entering.is_none() && !known {
            return Err(Condition::NotAcceptable.into());
        }
        if stanza.weight() > self.limits.room_stanza_bytes && !sender.is_service {
            return Err(Condition::NotAcceptable.into());
        }
        if !known {
            self.check_places(sender, &address)?;
            if !self.rooms.contains_key(&to.node) {
                self.create(now, sender, to)?;
            }
        }
        let Some(room) = self.rooms.get_mut(&to.node) else {
            return Ok(());
        };
        let result = if known {
            room.update(sender, &to.resource, stanza, outcome)
        } else {
            room.join(sender, &to.resource, stanza, &self.limits, outcome)
        };
        if result.is_ok() && !known {
            self.places
                .entry(address)
                .or_default()
                .insert(to.node.clone());
            self.occupants += 1;
        }
        result
    }

    fn check_places(&self, sender: &Sender, address: &str) -> Result<(), StanzaError> {
        let places = self.places.get(address).map_or(0, HashSet::len);
        if places >= self.limits.rooms_per_session && !sender.is_service {
            return Err(Condition::ResourceConstraint.into());
        }
        Ok(())
    }

    /// Only services create rooms, so that no stranger owns one before the focus is there.
    fn create(&mut self, now: u64, sender: &Sender, to: &Jid) -> Result<(), StanzaError> {
        if !sender.is_service {
            let text = "Room creation is restricted";
            return Err(StanzaError::new(Condition::NotAllowed, text));
        }
        if self.rooms.len() >= self.limits.rooms {
            return Err(Condition::ResourceConstraint.into());
        }
        let room = Room::new(format!("{}@{}", to.node, self.domain), now);
        self.rooms.insert(to.node.clone(), room);
        Ok(())
    }

    /// Books who has left, and forgets a room that is empty.
    fn settle(&mut self, node: &str, outcome: Outcome, out: &mut Vec<Element>) {
        for address in outcome.left {
            self.occupants = self.occupants.saturating_sub(1);
            if let Some(places) = self.places.get_mut(&address) {
                places.remove(node);
                if places.is_empty() {
                    self.places.remove(&address);
                }
            }
        }
        if self.rooms.get(node).is_some_and(Room::is_empty) {
            self.rooms.remove(node);
        }
        out.extend(outcome.stanzas);
    }
}
