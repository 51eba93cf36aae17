//! Carries out what moderators and owners ask of a room: kick, roles, affiliations, settings, end.

use super::affiliation::{Affiliation, Role, check_affiliation, check_role};
use super::occupant::{Notice, Occupant};
use super::room::Room;
use super::{Outcome, Sender};
use crate::xml::{Condition, Element, StanzaError, ns};
use crate::xmpp::jid::Jid;

/// One change that a moderator asks for, checked.
enum Change {
    Role {
        address: String,
        role: Role,
    },
    Affiliation {
        bare: String,
        affiliation: Affiliation,
    },
}

impl Room {
    /// A request about roles and affiliations (XEP-0045, sections 8 and 9).
    pub(super) fn admin(
        &mut self,
        sender: &Sender,
        stanza: &Element,
        query: &Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        let actor = self.occupant(&sender.jid.to_string()).cloned();
        let affiliation = self.affiliation(&sender.jid.bare(), sender.is_service);
        let role = actor.as_ref().map_or(Role::None, |actor| actor.role);
        if stanza.attr("type") == Some("get") {
            let may = role == Role::Moderator || affiliation >= Affiliation::Admin;
            let item = query
                .find("item", ns::MUC_ADMIN)
                .ok_or(Condition::BadRequest)?;
            let items = self
                .list(item)
                .filter(|_| may)
                .ok_or(Condition::Forbidden)?;
            let list = Element::new("query", ns::MUC_ADMIN).children(items);
            outcome.stanzas.push(stanza.reply("result").child(list));
            return Ok(());
        }
        // All items are checked before the first is carried out.
        let items = query
            .elements()
            .filter(|item| item.is("item", ns::MUC_ADMIN));
        let changes = items
            .map(|item| Ok((self.check(affiliation, role, item)?, item)))
            .collect::<Result<Vec<_>, StanzaError>>()?;
        if changes.is_empty() {
            return Err(Condition::BadRequest.into());
        }
        let nick = actor.map(|actor| actor.nick);
        for (change, item) in changes {
            let reason = item.find("reason", ns::MUC_ADMIN).map(Element::own_text);
            let reason = reason.filter(|reason| !reason.is_empty());
            let notice = Notice {
                codes: &[],
                actor: nick.as_deref(),
                reason: reason.as_deref(),
            };
            match change {
                Change::Role { address, role } => self.set_role(&address, role, notice, outcome),
                Change::Affiliation { bare, affiliation } => {
                    self.set_affiliation(&bare, affiliation, notice, outcome)?;
                }
            }
        }
        outcome.stanzas.push(stanza.reply("result"));
        Ok(())
    }

    fn check(
        &self,
        affiliation: Affiliation,
        role: Role,
        item: &Element,
    ) -> Result<Change, StanzaError> {
        let target = item
            .attr("nick")
            .map(|nick| self.by_nick(nick).ok_or(Condition::ItemNotFound));
        let target = target.transpose()?;
        if let Some(new) = item.attr("role") {
            let new = Role::parse(new).ok_or(Condition::BadRequest)?;
            let target = target.ok_or(Condition::BadRequest)?;
            check_role(
                (affiliation, role),
                (self.affiliation_of(target), target.role),
                new,
            )?;
            if target.is_service {
                return Err(Condition::NotAllowed.into());
            }
            return Ok(Change::Role {
                address: target.address.clone(),
                role: new,
            });
        }
        let new = item.attr("affiliation").and_then(Affiliation::parse);
        let new = new.ok_or(Condition::BadRequest)?;
        let named = item.attr("jid").and_then(Jid::parse).map(|jid| jid.bare());
        let bare = named.or_else(|| target.map(|target| target.bare.clone()));
        let bare = bare.ok_or(Condition::BadRequest)?;
        check_affiliation(affiliation, self.affiliation(&bare, false), new)?;
        if self
            .occupants
            .iter()
            .any(|occupant| occupant.is_service && occupant.bare == bare)
        {
            return Err(Condition::NotAllowed.into());
        }
        Ok(Change::Affiliation {
            bare,
            affiliation: new,
        })
    }

    /// Those with an affiliation or a role.
    fn list(&self, item: &Element) -> Option<Vec<Element>> {
        let with = |occupant: &Occupant| {
            Element::new("item", ns::MUC_ADMIN)
                .with("affiliation", self.affiliation_of(occupant).name())
                .with("role", occupant.role.name())
                .with("nick", occupant.nick.clone())
                .with("jid", occupant.address.clone())
        };
        if let Some(role) = item.attr("role").and_then(Role::parse) {
            let chosen = self
                .occupants
                .iter()
                .filter(|occupant| occupant.role == role);
            return Some(chosen.map(with).collect());
        }
        let wanted = item.attr("affiliation").and_then(Affiliation::parse)?;
        let chosen = self
            .affiliations()
            .into_iter()
            .filter(|(_, a)| *a == wanted);
        let entry = |(bare, affiliation): (String, Affiliation)| {
            Element::new("item", ns::MUC_ADMIN)
                .with("affiliation", affiliation.name())
                .with("jid", bare)
        };
        Some(chosen.map(entry).collect())
    }

    /// A kick takes the affiliation away too, or a kicked owner would come back as one.
    fn set_role(&mut self, address: &str, role: Role, notice: Notice<'_>, outcome: &mut Outcome) {
        let Some(occupant) = self.occupants.iter_mut().find(|o| o.address == address) else {
            return;
        };
        occupant.role = role;
        let (nick, bare) = (occupant.nick.clone(), occupant.bare.clone());
        if role == Role::None {
            self.affiliate(&bare, Affiliation::None);
            self.remove(
                address,
                Notice {
                    codes: &["307"],
                    ..notice
                },
                &[],
                outcome,
            );
        } else {
            self.announce(&nick, notice, outcome);
        }
    }

    fn set_affiliation(
        &mut self,
        bare: &str,
        affiliation: Affiliation,
        notice: Notice<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        if !self.affiliate(bare, affiliation) {
            return Err(Condition::ResourceConstraint.into());
        }
        let theirs = self
            .occupants
            .iter_mut()
            .filter(|occupant| occupant.bare == bare);
        let theirs: Vec<_> = theirs
            .map(|occupant| {
                occupant.role = affiliation.role();
                (occupant.nick.clone(), occupant.address.clone())
            })
            .collect();
        let excluded = self.config.members_only && affiliation < Affiliation::Member;
        for (nick, address) in theirs {
            if affiliation == Affiliation::Outcast {
                self.remove(
                    &address,
                    Notice {
                        codes: &["301"],
                        ..notice
                    },
                    &[],
                    outcome,
                );
            } else if excluded {
                self.remove(
                    &address,
                    Notice {
                        codes: &["321"],
                        ..notice
                    },
                    &[],
                    outcome,
                );
            } else {
                self.announce(&nick, notice, outcome);
            }
        }
        Ok(())
    }

    /// A request about the settings or the end of the room (XEP-0045, section 10).
    pub(super) fn owner(
        &mut self,
        sender: &Sender,
        stanza: &Element,
        query: &Element,
        outcome: &mut Outcome,
    ) -> Result<(), StanzaError> {
        if self.affiliation(&sender.jid.bare(), sender.is_service) < Affiliation::Owner {
            return Err(Condition::Forbidden.into());
        }
        // lib-jitsi-meet puts an empty submit into its get; what it wants is the form.
        if stanza.attr("type") == Some("get") {
            let form = Element::new("query", ns::MUC_OWNER).child(self.config.form());
            outcome.stanzas.push(stanza.reply("result").child(form));
            return Ok(());
        }
        if let Some(destroy) = query.find("destroy", ns::MUC_OWNER) {
            self.destroy(destroy, outcome);
        } else {
            let form = query
                .find("x", ns::DATA_FORM)
                .ok_or(Condition::BadRequest)?;
            if form.attr("type") == Some("submit") {
                let config = self
                    .config
                    .submitted(form)
                    .ok_or(Condition::NotAcceptable)?;
                self.configure(config, outcome);
            }
        }
        outcome.stanzas.push(stanza.reply("result"));
        Ok(())
    }

    fn configure(&mut self, config: super::config::RoomConfig, outcome: &mut Outcome) {
        if config == self.config {
            return;
        }
        self.config = config;
        let changed = Element::new("x", ns::MUC_USER)
            .child(Element::new("status", ns::MUC_USER).with("code", "104"));
        let message = Element::new("message", ns::CLIENT)
            .with("from", self.jid.clone())
            .with("type", "groupchat")
            .child(changed);
        for receiver in &self.occupants {
            outcome
                .stanzas
                .push(message.clone().with("to", receiver.address.clone()));
        }
    }

    /// Everybody goes, and is told where else the meeting may be.
    fn destroy(&mut self, request: &Element, outcome: &mut Outcome) {
        let mut destroy = Element::new("destroy", ns::MUC_USER);
        if let Some(venue) = request.attr("jid") {
            destroy.set("jid", venue);
        }
        if let Some(reason) = request.find("reason", ns::MUC_OWNER) {
            destroy = destroy.child(Element::new("reason", ns::MUC_USER).text(reason.own_text()));
        }
        let extra = [destroy];
        for mut occupant in std::mem::take(&mut self.occupants) {
            occupant.role = Role::None;
            let notice = Notice::default();
            let none = Affiliation::None;
            let presence = occupant.leave_to(&self.jid, &occupant, none, notice, &extra);
            outcome.stanzas.push(presence);
            outcome.left.push(occupant.address);
        }
    }
}
