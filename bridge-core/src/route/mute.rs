//! Stops what an endpoint sends when a moderator wants it, by kind.
//!
//! The sources of a muted kind stay announced; what comes of them is not forwarded, does not count
//! as speech and is not asked for again. A source that is announced later is muted from the start.

use crate::description::MediaKind;

/// What of an endpoint is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForceMute {
    audio: bool,
    video: bool,
}

impl ForceMute {
    /// Takes over what is given; `true` when something changed.
    pub(crate) fn set(&mut self, audio: Option<bool>, video: Option<bool>) -> bool {
        let before = *self;
        self.audio = audio.unwrap_or(self.audio);
        self.video = video.unwrap_or(self.video);
        *self != before
    }

    /// Whether sources of that kind are stopped.
    pub(crate) const fn covers(self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_named_stays_as_it_is() {
        let mut mute = ForceMute::default();
        assert!(mute.set(Some(true), None));
        assert!(!mute.set(None, Some(false)));
        assert!(mute.covers(MediaKind::Audio));
        assert!(!mute.covers(MediaKind::Video));
        assert!(mute.set(Some(false), Some(true)));
        assert!(!mute.covers(MediaKind::Audio));
        assert!(mute.covers(MediaKind::Video));
    }
}
