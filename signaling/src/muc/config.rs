//! Reads and writes a room's settings as forms (XEP-0004, XEP-0045 section 10.2).

use crate::xml::{Element, ns};

/// The settings of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomConfig {
    /// The title.
    pub(crate) name: String,
    /// The password; empty for none.
    pub(crate) secret: String,
    /// Whether only members may enter.
    pub(crate) members_only: bool,
}

impl RoomConfig {
    /// The form that an owner fills in.
    pub(crate) fn form(&self) -> Element {
        let locked = if self.secret.is_empty() { "0" } else { "1" };
        let members = if self.members_only { "1" } else { "0" };
        let whois = field(
            "muc#roomconfig_whois",
            "list-single",
            "Who sees real addresses",
            "anyone",
        )
        .child(
            Element::new("option", ns::DATA_FORM)
                .with("label", "Anyone")
                .child(Element::new("value", ns::DATA_FORM).text("anyone")),
        );
        Element::new("x", ns::DATA_FORM)
            .with("type", "form")
            .child(field("FORM_TYPE", "hidden", "", ns::MUC_CONFIG))
            .child(field(
                "muc#roomconfig_roomname",
                "text-single",
                "Title",
                &self.name,
            ))
            .child(field(
                "muc#roomconfig_passwordprotectedroom",
                "boolean",
                "Locked",
                locked,
            ))
            .child(field(
                "muc#roomconfig_roomsecret",
                "text-private",
                "Password",
                &self.secret,
            ))
            .child(field(
                "muc#roomconfig_membersonly",
                "boolean",
                "Members only",
                members,
            ))
            .child(whois)
    }

    /// The settings after a submitted form; `None` when the form is of another kind or a value is
    /// not possible. Unknown fields are left alone: clients submit what other servers know.
    pub(crate) fn submitted(&self, form: &Element) -> Option<Self> {
        let mut config = self.clone();
        let mut locked = None;
        for field in form
            .elements()
            .filter(|field| field.is("field", ns::DATA_FORM))
        {
            let value = field.find("value", ns::DATA_FORM).map(Element::own_text);
            let value = value.unwrap_or_default();
            if value.len() > MAX_VALUE {
                return None;
            }
            match field.attr("var")? {
                "FORM_TYPE" if value != ns::MUC_CONFIG => return None,
                "muc#roomconfig_roomname" => config.name = value,
                "muc#roomconfig_roomsecret" => config.secret = value,
                "muc#roomconfig_passwordprotectedroom" => locked = Some(boolean(&value)?),
                "muc#roomconfig_membersonly" => config.members_only = boolean(&value)?,
                "muc#roomconfig_whois" if value != "anyone" => return None,
                _ => {}
            }
        }
        match locked {
            Some(false) => config.secret.clear(),
            Some(true) if config.secret.is_empty() => return None,
            _ => {}
        }
        Some(config)
    }
}

/// A field of a form with one value.
pub(crate) fn field(name: &str, kind: &str, label: &str, value: &str) -> Element {
    let mut field = Element::new("field", ns::DATA_FORM)
        .with("var", name)
        .with("type", kind);
    if !label.is_empty() {
        field.set("label", label);
    }
    field.child(Element::new("value", ns::DATA_FORM).text(value))
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Bytes of one value.
const MAX_VALUE: usize = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(fields: &[(&str, &str)]) -> Element {
        Element::new("x", ns::DATA_FORM)
            .with("type", "submit")
            .children(
                fields
                    .iter()
                    .map(|(name, value)| field(name, "text-single", "", value)),
            )
    }

    #[test]
    fn a_form_that_is_submitted_unchanged_changes_nothing() {
        for secret in ["", "geheim"] {
            let config = RoomConfig {
                secret: secret.to_owned(),
                ..RoomConfig::default()
            };
            assert_eq!(config.submitted(&config.form()), Some(config));
        }
    }

    #[test]
    fn a_room_is_locked_and_unlocked() {
        let open = RoomConfig::default();
        let lock = [
            ("muc#roomconfig_roomsecret", "s"),
            ("muc#roomconfig_passwordprotectedroom", "1"),
            ("muc#roomconfig_whois", "anyone"),
        ];
        let locked = open.submitted(&submit(&lock)).unwrap();
        assert_eq!(locked.secret, "s");
        let unlock = submit(&[("muc#roomconfig_passwordprotectedroom", "0")]);
        assert_eq!(locked.submitted(&unlock), Some(open));
    }

    #[test]
    fn impossible_values_are_refused() {
        let long = "x".repeat(MAX_VALUE + 1);
        for fields in [
            [("FORM_TYPE", "other")],
            [("muc#roomconfig_membersonly", "maybe")],
            [("muc#roomconfig_whois", "moderators")],
            [("muc#roomconfig_passwordprotectedroom", "1")],
            [("muc#roomconfig_roomsecret", long.as_str())],
        ] {
            assert_eq!(
                RoomConfig::default().submitted(&submit(&fields)),
                None,
                "{fields:?}"
            );
        }
    }
}
