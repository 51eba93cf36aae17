//! Holds one room: who enters, who leaves, and what is said in it.
//!
//! The order of a join is what lib-jitsi-meet counts on: the presence of those who are there in the
//! order they came (the focus first), the own presence with status 110, messages said before, the
//! subject. Real addresses are visible to all: the client ignores members without one.

use std::collections::HashMap;

use uuid::Uuid;

use super::affiliation::{Affiliation, Role};
use super::config::{RoomConfig, field};
use super::history::History;
use super::occupant::{Notice, Occupant, sanitize_presence};
use super::{Outcome, Sender};
use crate::auth::anonymous;
use crate::xml::{Condition, Element, StanzaError, ns};
use crate::xmpp::XmppLimits;
use crate::xmpp::jid::Jid;

/// A room.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its bare address.
    pub(super) jid: String,
    pub(super) config: RoomConfig,
    /// In the order they came.
    pub(super) occupants: Vec<Occupant>,
    affiliations: HashMap<String, Affiliation>,
    subject: Element,
    history: History,
    created: u64,
    meeting_id: String,
}

impl Room {
    /// An empty room; `created` in Unix milliseconds.
    pub(crate) fn new(jid: String, created: u64) -> Self {
        Self {
            subject: Element::new("message", ns::CLIENT)
                .with("from", jid.clone())
                .with("type", "groupchat")
                .child(Element::new("subject", ns::CLIENT)),
            jid,
            config: RoomConfig::default(),
            occupants: Vec::new(),
            affiliations: HashMap::new(),
            history: History::default(),
            created,
            meeting_id: Uuid::new_v4().to_string(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.occupants.is_empty()
    }

    /// The occupant with this real full address.
    pub(crate) fn occupant(&self, address: &str) -> Option<&Occupant> {
        self.occupants
            .iter()
            .find(|occupant| occupant.address == address)
    }

    /// The occupant with this nick.
    pub(crate) fn by_nick(&self, nick: &str) -> Option<&Occupant> {
        self.occupants.iter().find(|occupant| occupant.nick == nick)
    }

    /// The address of an occupant in the room.
    pub(crate) fn address_of(&self, nick: &str) -> String {
        format!("{}/{nick}", self.jid)
    }

    /// The affiliation of somebody, in the room or not.
    pub(super) fn affiliation(&self, bare: &str, is_service: bool) -> Affiliation {
        if is_service {
            return Affiliation::Owner;
        }
        self.affiliations
            .get(bare)
            .copied()
            .unwrap_or(Affiliation::None)
    }

    /// The affiliation of an occupant.
    pub(super) fn affiliation_of(&self, occupant: &Occupant) -> Affiliation {
        self.affiliation(&occupant.bare, occupant.is_service)
    }

    /// All affiliations that are not none, but not those of services.
    pub(super) fn affiliations(&self) -> Vec<(String, Affiliation)> {
        let mut all: Vec<_> = self
            .affiliations
            .iter()
            .map(|(j, a)| (j.clone(), *a))
            .collect();
        all.sort();
        all
    }

    /// Sets an affiliation; false when there are too many.
    pub(super) fn affiliate(&mut self, bare: &str, affiliation: Affiliation) -> bool {
        if affiliation == Affiliation::None {
            self.affiliations.remove(bare);
            return true;
        }
        let place =
            self.affiliations.len() < MAX_AFFILIATIONS || self.affiliations.contains_key(bare);
        if place {
            self.affiliations.insert(bare.to_owned(), affiliation);
        }
        place
    }

    /// Lets somebody in, or not.
    pub(crate) fn join(
        &mut self,
        sender: &Sender,
        nick: &str,
        stanza: &Element,
        limits: &XmppLimits,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let entering = stanza.find("x", ns::MUC);
        self.check_join(sender, nick, entering, limits)?;
        let bare = sender.jid.bare();
        let occupant = Occupant {
            nick: nick.to_owned(),
            address: sender.jid.to_string(),
            role: self.affiliation(&bare, sender.is_service).role(),
            bare,
            is_service: sender.is_service,
            presence: sanitize_presence(stanza, sender.is_service),
        };
        self.show_others(&occupant, outcome);
        let codes: &[&str] = if self.occupants.is_empty() {
            &["100", "201"]
        } else {
            &["100"]
        };
        self.occupants.push(occupant);
        self.announce(
            nick,
            Notice {
                codes,
                ..Notice::default()
            },
            outcome,
        );
        let history = entering.and_then(|entering| entering.find("history", ns::MUC));
        self.tell_past(&sender.jid.to_string(), history, outcome);
        Ok(())
    }

    fn check_join(
        &self,
        sender: &Sender,
        nick: &str,
        entering: Option<&Element>,
        limits: &XmppLimits,
    ) -> Result<(), StanzaError> {
        check_nick(sender, nick)?;
        if self.by_nick(nick).is_some() {
            return Err(Condition::Conflict.into());
        }
        if sender.is_service {
            return Ok(());
        }
        let affiliation = self.affiliation(&sender.jid.bare(), false);
        if affiliation == Affiliation::Outcast {
            return Err(Condition::Forbidden.into());
        }
        if self.config.members_only && affiliation < Affiliation::Member {
            return Err(Condition::RegistrationRequired.into());
        }
        let given = entering.and_then(|entering| entering.find("password", ns::MUC));
        let given = given.map(Element::own_text).unwrap_or_default();
        if !self.config.secret.is_empty() && given != self.config.secret {
            return Err(Condition::NotAuthorized.into());
        }
        if self.occupants.len() >= limits.occupants {
            return Err(Condition::ServiceUnavailable.into());
        }
        Ok(())
    }

    /// Those who are there, for one who comes.
    fn show_others(&self, newcomer: &Occupant, outcome: &mut Outcome) {
        for other in &self.occupants {
            let affiliation = self.affiliation_of(other);
            let presence = other.presence_to(&self.jid, newcomer, affiliation, Notice::default());
            outcome.stanzas.push(presence);
        }
    }

    /// Messages said before, and the subject.
    fn tell_past(&self, address: &str, wish: Option<&Element>, outcome: &mut Outcome) {
        let past = self
            .history
            .replay(&self.jid, wish)
            .chain([self.subject.clone()]);
        outcome
            .stanzas
            .extend(past.map(|message| message.with("to", address)));
    }

    /// The presence of an occupant, for everybody; for itself last.
    pub(super) fn announce(&self, nick: &str, notice: Notice<'_>, outcome: &mut Outcome) {
        let Some(occupant) = self.by_nick(nick) else {
            return;
        };
        let affiliation = self.affiliation_of(occupant);
        let public = Notice {
            codes: &[],
            ..notice
        };
        for receiver in self
            .occupants
            .iter()
            .filter(|r| r.address != occupant.address)
        {
            let presence = occupant.presence_to(&self.jid, receiver, affiliation, public);
            outcome.stanzas.push(presence);
        }
        outcome
            .stanzas
            .push(occupant.presence_to(&self.jid, occupant, affiliation, notice));
    }

    /// A new presence of one who is in the room. With `<x/>` it is one who has lost track and is
    /// shown everything again.
    pub(crate) fn update(
        &mut self,
        sender: &Sender,
        nick: &str,
        stanza: &Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let address = sender.jid.to_string();
        let Some(occupant) = self.occupants.iter_mut().find(|o| o.address == address) else {
            return Ok(());
        };
        if occupant.nick != nick {
            return Err(StanzaError::new(
                Condition::NotAcceptable,
                "Nicks do not change",
            ));
        }
        occupant.presence = sanitize_presence(stanza, sender.is_service);
        if let Some(entering) = stanza.find("x", ns::MUC) {
            let again = occupant.clone();
            for other in self
                .occupants
                .iter()
                .filter(|other| other.address != address)
            {
                let affiliation = self.affiliation_of(other);
                let presence = other.presence_to(&self.jid, &again, affiliation, Notice::default());
                outcome.stanzas.push(presence);
            }
            self.announce(
                nick,
                Notice {
                    codes: &["100"],
                    ..Notice::default()
                },
                outcome,
            );
            self.tell_past(&address, entering.find("history", ns::MUC), outcome);
        } else {
            self.announce(nick, Notice::default(), outcome);
        }
        Ok(())
    }

    /// Somebody goes; `stanza` is their last presence, if they sent one.
    pub(crate) fn leave(&mut self, address: &str, stanza: Option<&Element>, outcome: &mut Outcome) {
        if let Some(stanza) = stanza
            && let Some(occupant) = self.occupants.iter_mut().find(|o| o.address == address)
        {
            occupant.presence = sanitize_presence(stanza, occupant.is_service);
        }
        self.remove(address, Notice::default(), &[], outcome);
    }

    /// Takes an occupant out and tells everybody. `extra` goes into what the room says.
    pub(super) fn remove(
        &mut self,
        address: &str,
        notice: Notice<'_>,
        extra: &[Element],
        outcome: &mut Outcome,
    ) {
        let Some(index) = self.occupants.iter().position(|o| o.address == address) else {
            return;
        };
        let mut gone = self.occupants.remove(index);
        gone.role = Role::None;
        let affiliation = self.affiliation_of(&gone);
        for receiver in self.occupants.iter().chain([&gone]) {
            let presence = gone.leave_to(&self.jid, receiver, affiliation, notice, extra);
            outcome.stanzas.push(presence);
        }
        outcome.left.push(gone.address);
    }

    /// A message to the room or to an occupant.
    pub(crate) fn message(
        &mut self,
        now: u64,
        sender: &Sender,
        to: &Jid,
        stanza: &Element,
        limits: &XmppLimits,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let kind = stanza.attr("type").unwrap_or("normal");
        if kind == "error" {
            return Ok(());
        }
        let Some(author) = self.occupant(&sender.jid.to_string()) else {
            return Err(Condition::NotAcceptable.into());
        };
        if stanza.weight() > limits.room_stanza_bytes && !sender.is_service {
            return Err(Condition::NotAcceptable.into());
        }
        let mut message = stanza.clone();
        message.set("from", self.address_of(&author.nick));
        // Only the room says who is who and when something was said.
        message.retain_elements(|child| {
            !matches!(
                child.namespace.as_str(),
                ns::MUC_USER | ns::DELAY | ns::OCCUPANT_ID
            ) && !child.is("nick", ns::NICK)
        });
        match (to.resource.as_str(), kind) {
            ("", "groupchat") => {
                if author.role < Role::Participant {
                    return Err(Condition::Forbidden.into());
                }
                let is_moderator = author.role == Role::Moderator;
                self.say(now, is_moderator, message, outcome)
            }
            ("", _) => Err(Condition::FeatureNotImplemented.into()),
            (_, "groupchat") => Err(Condition::BadRequest.into()),
            (nick, _) => {
                let target = self.by_nick(nick).ok_or(Condition::ItemNotFound)?;
                message.set("to", target.address.clone());
                outcome
                    .stanzas
                    .push(message.child(Element::new("x", ns::MUC_USER)));
                Ok(())
            }
        }
    }

    /// A message to everybody; a subject alone is kept, and only moderators set it.
    fn say(
        &mut self,
        now: u64,
        is_moderator: bool,
        message: Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let has_body = message.find("body", ns::CLIENT).is_some();
        let is_subject = message.find("subject", ns::CLIENT).is_some() && !has_body;
        if is_subject && !is_moderator {
            return Err(Condition::Forbidden.into());
        }
        for receiver in &self.occupants {
            outcome
                .stanzas
                .push(message.clone().with("to", receiver.address.clone()));
        }
        if is_subject {
            self.subject = message;
        } else if has_body {
            self.history.push(now, message);
        }
        Ok(())
    }

    /// An IQ to the room itself.
    pub(crate) fn iq(
        &mut self,
        sender: &Sender,
        stanza: &Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let Some(payload) = stanza.payload() else {
            return Err(Condition::BadRequest.into());
        };
        match payload.namespace.as_str() {
            ns::MUC_ADMIN => self.admin(sender, stanza, payload, outcome),
            ns::MUC_OWNER => self.owner(sender, stanza, payload, outcome),
            _ => {
                let answer = crate::feature::ping::answer(stanza)
                    .or_else(|| self.info(stanza))
                    .or_else(|| crate::xmpp::disco::items(stanza, &[]));
                outcome
                    .stanzas
                    .push(answer.ok_or(Condition::ServiceUnavailable)?);
                Ok(())
            }
        }
    }

    /// The answer to disco#info: what kind of room it is.
    fn info(&self, request: &Element) -> Option<Element> {
        let either = |is, yes, no| if is { yes } else { no };
        let features = [
            ns::MUC,
            ns::DISCO_INFO,
            ns::PING,
            "muc_temporary",
            "muc_hidden",
            "muc_nonanonymous",
            "muc_unmoderated",
            either(self.config.members_only, "muc_membersonly", "muc_open"),
            either(
                self.config.secret.is_empty(),
                "muc_unsecured",
                "muc_passwordprotected",
            ),
        ];
        let identity = ("conference", "text", self.config.name.as_str());
        let mut answer = crate::xmpp::disco::info(request, identity, features)?;
        let occupants = self.occupants.len().to_string();
        let created = self.created.to_string();
        let form = Element::new("x", ns::DATA_FORM)
            .with("type", "result")
            .child(field("FORM_TYPE", "hidden", "", ns::MUC_INFO))
            .child(field(
                "muc#roominfo_occupants",
                "text-single",
                "",
                &occupants,
            ))
            .child(field(
                "muc#roominfo_meetingId",
                "text-single",
                "",
                &self.meeting_id,
            ))
            .child(field(
                "muc#roominfo_created_timestamp",
                "text-single",
                "",
                &created,
            ));
        if let Some(query) = answer.elements_mut().next() {
            query.children.push(form.into());
        }
        Some(answer)
    }
}

/// Nicks are endpoint ids: a guest's is the first eight characters of its user name, so nobody can
/// take another's, and `focus` is the focus.
fn check_nick(sender: &Sender, nick: &str) -> Result<(), StanzaError> {
    if nick.is_empty() {
        return Err(Condition::JidMalformed.into());
    }
    let own = sender.is_service || anonymous::nick_of(&sender.jid.node) == Some(nick);
    let good = nick.len() <= MAX_NICK
        && nick.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !nick.starts_with('_');
    if own && good {
        return Ok(());
    }
    Err(StanzaError::new(
        Condition::NotAcceptable,
        "The nick is the first part of the user name",
    ))
}

/// Affiliations of a room: no more than it may have occupants.
const MAX_AFFILIATIONS: usize = 1000;

/// Bytes of a nick.
const MAX_NICK: usize = 64;
