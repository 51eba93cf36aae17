//! Keeps the last messages of a room for those who come later (XEP-0045, section 7.2.13).

use std::collections::VecDeque;

use crate::xml::{Element, ns};

/// The last messages, bounded in number and bytes.
#[derive(Debug, Default)]
pub(crate) struct History {
    messages: VecDeque<(u64, Element)>,
    weight: usize,
}

impl History {
    /// Keeps a message as it was sent to the room, without `to`; `now` in Unix milliseconds.
    pub(crate) fn push(&mut self, now: u64, message: Element) {
        self.weight += message.weight();
        self.messages.push_back((now, message));
        while self.messages.len() > MAX_MESSAGES || self.weight > MAX_WEIGHT {
            let Some((_, oldest)) = self.messages.pop_front() else {
                break;
            };
            self.weight = self.weight.saturating_sub(oldest.weight());
        }
    }

    /// The messages for somebody who joins, marked as delayed; `wish` is their `<history/>`.
    pub(crate) fn replay<'a>(
        &'a self,
        room: &'a str,
        wish: Option<&Element>,
    ) -> impl Iterator<Item = Element> + 'a {
        let number = |name| wish.and_then(|wish| wish.attr(name)?.parse::<usize>().ok());
        let most = match number("maxchars") {
            Some(0) => 0,
            _ => number("maxstanzas").unwrap_or(MAX_MESSAGES),
        };
        let skip = self.messages.len().saturating_sub(most);
        self.messages.iter().skip(skip).map(move |(sent, message)| {
            let delay = Element::new("delay", ns::DELAY)
                .with("from", room)
                .with("stamp", timestamp(*sent));
            message.clone().child(delay)
        })
    }
}

/// A time in the profile of XEP-0082: `2026-11-25T18:04:46.000Z`.
pub(crate) fn timestamp(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        era * 400 + year + carry,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Messages kept.
const MAX_MESSAGES: usize = 20;

/// Their bytes.
const MAX_WEIGHT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Element {
        Element::new("message", ns::CLIENT).child(Element::new("body", ns::CLIENT).text(text))
    }

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_795_629_886_007), "2026-11-25T18:04:46.007Z");
    }

    #[test]
    fn the_last_twenty_are_kept_and_fewer_can_be_asked_for() {
        let mut history = History::default();
        for index in 0..30 {
            history.push(index, message("x"));
        }
        assert_eq!(history.replay("r", None).count(), 20);
        let wish = Element::new("history", ns::MUC).with("maxstanzas", "3");
        assert_eq!(history.replay("r", Some(&wish)).count(), 3);
        let wish = Element::new("history", ns::MUC).with("maxchars", "0");
        assert_eq!(history.replay("r", Some(&wish)).count(), 0);
        history.push(31, message(&"x".repeat(MAX_WEIGHT)));
        assert_eq!(history.replay("r", None).count(), 0);
    }
}
