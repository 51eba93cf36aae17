//! Holds who is in a room and what the others see of them.

use super::affiliation::{Affiliation, Role};
use crate::xml::{Element, ns};

/// Somebody in a room.
#[derive(Clone, Debug)]
pub(crate) struct Occupant {
    /// Their name in the room.
    pub(crate) nick: String,
    /// Their real bare address, to which affiliations belong.
    pub(crate) bare: String,
    /// Their real full address, to which stanzas go.
    pub(crate) address: String,
    /// What they may do now.
    pub(crate) role: Role,
    /// Whether they are a service of ours (the focus), which nobody removes.
    pub(crate) is_service: bool,
    /// Their last presence: what they sent, without what only the room may say.
    pub(crate) presence: Element,
}

/// What the room adds to a presence.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notice<'a> {
    /// Status codes, without 110.
    pub(crate) codes: &'a [&'static str],
    /// Nick of who did it.
    pub(crate) actor: Option<&'a str>,
    /// Why.
    pub(crate) reason: Option<&'a str>,
}

impl Occupant {
    /// The presence as `receiver` gets it. `affiliation` is the occupant's.
    pub(crate) fn presence_to(
        &self,
        room: &str,
        receiver: &Self,
        affiliation: Affiliation,
        notice: Notice<'_>,
    ) -> Element {
        let mut presence = self.presence.clone();
        let itself = receiver.address == self.address;
        presence
            .children
            .push(self.room_says(affiliation, notice, itself).into());
        self.address(presence, room, receiver)
    }

    /// The presence of leaving as `receiver` gets it; `self.role` is none by then.
    pub(crate) fn leave_to(
        &self,
        room: &str,
        receiver: &Self,
        affiliation: Affiliation,
        notice: Notice<'_>,
        extra: &[Element],
    ) -> Element {
        let itself = receiver.address == self.address;
        let mut says = self.room_says(affiliation, notice, itself);
        says.children.extend(extra.iter().cloned().map(Into::into));
        let status = self.presence.find("status", ns::CLIENT).cloned();
        let presence = Element::new("presence", ns::CLIENT)
            .with("type", "unavailable")
            .children(status)
            .child(says);
        self.address(presence, room, receiver)
    }

    fn address(&self, mut presence: Element, room: &str, receiver: &Self) -> Element {
        presence.set("from", format!("{room}/{}", self.nick));
        presence.set("to", receiver.address.clone());
        presence
    }

    fn room_says(&self, affiliation: Affiliation, notice: Notice<'_>, itself: bool) -> Element {
        let mut item = Element::new("item", ns::MUC_USER)
            .with("affiliation", affiliation.name())
            .with("role", self.role.name())
            .with("jid", self.address.clone());
        if let Some(actor) = notice.actor {
            item = item.child(Element::new("actor", ns::MUC_USER).with("nick", actor));
        }
        if let Some(reason) = notice.reason {
            item = item.child(Element::new("reason", ns::MUC_USER).text(reason));
        }
        let own = itself.then_some("110");
        let codes = notice.codes.iter().copied().chain(own);
        Element::new("x", ns::MUC_USER)
            .child(item)
            .children(codes.map(|code| Element::new("status", ns::MUC_USER).with("code", code)))
    }
}

/// What a client says of itself, without what only the room or the focus may say. Unknown children
/// stay, those without a namespace too.
pub(crate) fn sanitize_presence(stanza: &Element, is_service: bool) -> Element {
    let mut presence = Element::new("presence", ns::CLIENT);
    presence.children.clone_from(&stanza.children);
    presence.retain_elements(|child| is_own_word(child) && (is_service || !is_focus_word(child)));
    if let Some(lang) = stanza.attr("xml:lang") {
        presence.set("xml:lang", lang);
    }
    presence
}

fn is_own_word(child: &Element) -> bool {
    !matches!(
        child.namespace.as_str(),
        ns::MUC | ns::MUC_USER | ns::OCCUPANT_ID | ns::DELAY
    )
}

/// Names that clients believe when they come from a room, a token, the focus or a recorder.
fn is_focus_word(child: &Element) -> bool {
    const WORDS: [&str; 9] = [
        "bridgeNotAvailable",
        "conference-properties",
        "etherpad",
        "identity",
        "jibri-recording-status",
        "jibri-sip-call-state",
        "permissions",
        "transcription-status",
        "versions",
    ];
    WORDS.contains(&child.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_words_of_the_room_are_dropped_and_unknown_ones_kept() {
        let forged = Element::new("x", ns::MUC_USER)
            .child(Element::new("item", ns::MUC_USER).with("affiliation", "owner"));
        let stanza = Element::new("presence", ns::CLIENT)
            .child(Element::new("x", ns::MUC))
            .child(forged)
            .child(Element::new("occupant-id", ns::OCCUPANT_ID).with("id", "1"))
            .child(Element::new("identity", ns::CLIENT))
            .child(Element::new("jibri-recording-status", "").with("status", "on"))
            .child(Element::new("versions", ns::JITMEET))
            .child(Element::new("bare", ""))
            .child(Element::new("SourceInfo", ns::CLIENT).text("{}"));
        let kept = sanitize_presence(&stanza, false);
        let names: Vec<_> = kept.elements().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["bare", "SourceInfo"]);
        let focus = sanitize_presence(&stanza, true);
        assert!(focus.find("versions", ns::JITMEET).is_some());
    }
}
