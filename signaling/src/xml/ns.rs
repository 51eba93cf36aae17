//! Names the XML namespaces that the server itself reads or writes.

/// Stanzas of a client (RFC 6120).
pub const CLIENT: &str = "jabber:client";
/// Stream header, features and errors (RFC 6120).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Conditions of stream errors (RFC 6120).
pub const STREAM_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120).
pub const STANZA_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// SASL (RFC 6120).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The obsolete session request (RFC 3921): answered, not offered.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// `open` and `close` of a WebSocket (RFC 7395).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// The body of BOSH (XEP-0124).
pub const BOSH: &str = "http://jabber.org/protocol/httpbind";
/// XMPP over BOSH (XEP-0206).
pub const XBOSH: &str = "urn:xmpp:xbosh";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// What an address is and can (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// What an address holds (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// STUN and TURN servers (XEP-0215).
pub const EXTDISCO_2: &str = "urn:xmpp:extdisco:2";
/// The same, older (XEP-0215).
pub const EXTDISCO_1: &str = "urn:xmpp:extdisco:1";
/// Rooms: joining (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Rooms: what occupants see (XEP-0045).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Rooms: roles and affiliations (XEP-0045).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Rooms: configuration (XEP-0045).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Form type of a room's configuration (XEP-0045).
pub const MUC_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// Form type of a room's description (XEP-0045).
pub const MUC_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// Forms (XEP-0004).
pub const DATA_FORM: &str = "jabber:x:data";
/// A stable id of an occupant (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// When a delayed message was sent (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// A display name (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// Jitsi's own extensions.
pub const JITMEET: &str = "http://jitsi.org/jitmeet";
/// Conference request and bridge session.
pub const FOCUS: &str = "http://jitsi.org/protocol/focus";
