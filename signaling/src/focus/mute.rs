//! Decides who may mute whom, and what the bridge then holds back.
//!
//! A moderator may mute others; nobody may unmute them. Whoever was muted may speak again after
//! saying so to the focus, which then lets the bridge forward again.

use crate::xml::{Condition, Element, StanzaError};

/// What the `mute` element is about, by its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MuteKind {
    /// Microphone.
    Audio,
    /// Camera.
    Video,
    /// Screen.
    Desktop,
}

impl MuteKind {
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::Audio => "http://jitsi.org/jitmeet/audio",
            Self::Video => "http://jitsi.org/jitmeet/video",
            Self::Desktop => "http://jitsi.org/jitmeet/desktop",
        }
    }
}

/// A wish to mute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mute<'a> {
    pub(crate) kind: MuteKind,
    /// Occupant that it concerns.
    pub(crate) target: &'a str,
    pub(crate) muted: bool,
}

impl<'a> Mute<'a> {
    /// Reads a payload; `None` when it is something else.
    pub(crate) fn read(payload: &'a Element) -> Option<Result<Self, StanzaError>> {
        let kind = [MuteKind::Audio, MuteKind::Video, MuteKind::Desktop]
            .into_iter()
            .find(|kind| payload.is("mute", kind.namespace()))?;
        let muted = match payload.own_text().trim() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let read = payload.attr("jid").zip(muted);
        Some(match read {
            Some((target, muted)) => Ok(Self {
                kind,
                target,
                muted,
            }),
            None => Err(StanzaError::new(
                Condition::BadRequest,
                "mute without jid or truth value",
            )),
        })
    }

    /// What the muted participant is told.
    pub(crate) fn notice(self, actor: &str) -> Element {
        Element::new("mute", self.kind.namespace())
            .with("actor", actor)
            .text("true")
    }
}

/// Whether the one may do that to the other.
pub(crate) fn permit(moderator: bool, oneself: bool, muted: bool) -> Result<(), StanzaError> {
    if oneself || (moderator && muted) {
        Ok(())
    } else if moderator {
        Err(StanzaError::new(
            Condition::NotAllowed,
            "nobody unmutes another",
        ))
    } else {
        Err(StanzaError::new(
            Condition::NotAllowed,
            "only a moderator mutes another",
        ))
    }
}

/// What of a participant is muted by a moderator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Muted {
    audio: bool,
    video: bool,
    desktop: bool,
}

impl Muted {
    /// Notes a change.
    pub(crate) const fn set(&mut self, kind: MuteKind, muted: bool) {
        match kind {
            MuteKind::Audio => self.audio = muted,
            MuteKind::Video => self.video = muted,
            MuteKind::Desktop => self.desktop = muted,
        }
    }

    /// What the bridge shall hold back: sound, pictures. The bridge knows one switch for all
    /// pictures, so it is used only when nothing is left that may be shown.
    pub(crate) const fn at_bridge(self, shares_screen: bool, has_camera: bool) -> (bool, bool) {
        let screen_held = self.desktop || !shares_screen;
        let camera_held = self.video || !has_camera;
        (
            self.audio,
            (self.video || self.desktop) && screen_held && camera_held,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moderators_mute_and_nobody_unmutes_others() {
        for (moderator, oneself, muted, allowed) in [
            (true, false, true, true),
            (true, false, false, false),
            (false, false, true, false),
            (false, false, false, false),
            (false, true, false, true),
            (true, true, false, true),
        ] {
            assert_eq!(permit(moderator, oneself, muted).is_ok(), allowed);
        }
    }

    #[test]
    fn a_muted_camera_does_not_hold_back_a_shared_screen() {
        let mut muted = Muted::default();
        muted.set(MuteKind::Video, true);
        assert_eq!(muted.at_bridge(true, true), (false, false));
        assert_eq!(muted.at_bridge(false, true), (false, true));
        muted.set(MuteKind::Video, false);
        assert_eq!(muted.at_bridge(false, true), (false, false));
    }

    #[test]
    fn payloads_are_told_apart_by_namespace() {
        let payload = Element::new("mute", MuteKind::Desktop.namespace()).with("jid", "r@m/n");
        assert!(Mute::read(&payload).unwrap().is_err());
        let payload = payload.text("true");
        let read = Mute::read(&payload).unwrap().unwrap();
        assert_eq!(
            (read.kind, read.target, read.muted),
            (MuteKind::Desktop, "r@m/n", true)
        );
        assert!(Mute::read(&Element::new("mute", "urn:x")).is_none());
    }
}
