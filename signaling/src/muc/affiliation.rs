//! Decides who may do what in a room: affiliations, roles, and the checks of XEP-0045, section 5.

use crate::xml::Condition;

/// A lasting tie to a room; ordered by power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Affiliation {
    /// Banned.
    Outcast,
    /// No tie.
    None,
    /// May enter a room for members.
    Member,
    /// May ban and make members.
    Admin,
    /// May do everything.
    Owner,
}

/// What an occupant is now; ordered by power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Not in the room; a change to it is a kick.
    None,
    /// Listens.
    Visitor,
    /// Speaks.
    Participant,
    /// Kicks and mutes.
    Moderator,
}

impl Affiliation {
    /// Its name on the wire.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// By its name on the wire.
    #[must_use]
    pub(super) fn parse(name: &str) -> Option<Self> {
        [
            Self::Outcast,
            Self::None,
            Self::Member,
            Self::Admin,
            Self::Owner,
        ]
        .into_iter()
        .find(|affiliation| affiliation.name() == name)
    }

    /// The role that comes with it on entering.
    #[must_use]
    pub(super) const fn role(self) -> Role {
        match self {
            Self::Owner | Self::Admin => Role::Moderator,
            Self::Member | Self::None => Role::Participant,
            Self::Outcast => Role::None,
        }
    }
}

impl Role {
    /// Its name on the wire.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// By its name on the wire.
    #[must_use]
    pub(super) fn parse(name: &str) -> Option<Self> {
        [
            Self::None,
            Self::Visitor,
            Self::Participant,
            Self::Moderator,
        ]
        .into_iter()
        .find(|role| role.name() == name)
    }
}

/// Whether one with affiliation `actor` may change another's from `old` to `new`. Owners may
/// change owners, as in every Jitsi set-up; administrators only those below themselves.
///
/// # Errors
/// The condition to answer.
pub(super) fn check_affiliation(
    actor: Affiliation,
    old: Affiliation,
    new: Affiliation,
) -> Result<(), Condition> {
    match actor {
        Affiliation::Owner => Ok(()),
        Affiliation::Admin if old < Affiliation::Admin && new < Affiliation::Admin => Ok(()),
        _ => Err(Condition::Forbidden),
    }
}

/// Whether `actor` may change the role of a target: a moderator may, unless the target's
/// affiliation is higher; only administrators and owners make moderators or take that from them.
///
/// # Errors
/// The condition to answer.
pub(super) fn check_role(
    actor: (Affiliation, Role),
    target: (Affiliation, Role),
    new: Role,
) -> Result<(), Condition> {
    if actor.1 < Role::Moderator {
        return Err(Condition::Forbidden);
    }
    if target.0 > actor.0 {
        return Err(Condition::NotAllowed);
    }
    let kick = new == Role::None;
    let moderator = new == Role::Moderator || target.1 == Role::Moderator;
    if moderator && !kick && actor.0 < Affiliation::Admin {
        return Err(Condition::NotAllowed);
    }
    // The role of an owner follows from being one.
    if !kick && target.0 >= Affiliation::Admin && new < Role::Moderator {
        return Err(Condition::NotAllowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["outcast", "none", "member", "admin", "owner"] {
            assert_eq!(Affiliation::parse(name).map(Affiliation::name), Some(name));
        }
        for name in ["none", "visitor", "participant", "moderator"] {
            assert_eq!(Role::parse(name).map(Role::name), Some(name));
        }
        assert_eq!(Affiliation::parse("king"), None);
        assert_eq!(Role::parse(""), None);
    }

    #[test]
    fn affiliations_are_changed_from_above() {
        use Affiliation::{Admin, Member, None, Outcast, Owner};
        for (actor, old, new, allowed) in [
            (Owner, None, Owner, true),
            (Owner, Owner, None, true),
            (Admin, None, Outcast, true),
            (Admin, Member, None, true),
            (Admin, None, Admin, false),
            (Admin, Owner, None, false),
            (Member, None, Member, false),
            (None, None, Owner, false),
            (None, Owner, None, false),
        ] {
            let result = check_affiliation(actor, old, new);
            assert_eq!(result.is_ok(), allowed, "{actor:?} {old:?} {new:?}");
        }
    }

    #[test]
    fn roles_are_changed_by_moderators() {
        use Affiliation::{Admin, None, Owner};
        use Role::{Moderator, Participant, Visitor};
        let kick = Role::None;
        for (actor, target, new, allowed) in [
            ((Owner, Moderator), (None, Participant), kick, true),
            ((Owner, Moderator), (Owner, Moderator), kick, true),
            ((None, Participant), (None, Participant), kick, false),
            ((None, Moderator), (None, Participant), kick, true),
            ((None, Moderator), (Owner, Moderator), kick, false),
            ((None, Moderator), (None, Participant), Moderator, false),
            ((Admin, Moderator), (None, Participant), Moderator, true),
            ((Owner, Moderator), (Owner, Moderator), Participant, false),
            ((None, Moderator), (None, Participant), Visitor, true),
        ] {
            let result = check_role(actor, target, new);
            assert_eq!(result.is_ok(), allowed, "{actor:?} {target:?} {new:?}");
        }
    }
}
