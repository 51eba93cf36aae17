//! Reads and writes the STUN messages of ICE (RFC 8489, RFC 8445 section 7) with `stun-rs`.
//!
//! [`peek`] is our own: it checks the frame of a datagram and finds out whose it is, without
//! allocating, so that bytes of strangers meet no decoder and make no state. Only what is addressed
//! to an agent is decoded, and only what carries a fitting MESSAGE-INTEGRITY is returned.
//! Attributes behind MESSAGE-INTEGRITY are ignored, except FINGERPRINT, which must fit when it is
//! there. Deliberately absent: long-term credentials, SHA-256 integrity, SOFTWARE.

use core::fmt;
use core::net::SocketAddr;

use stun_rs::attributes::ice::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_rs::attributes::stun::{
    ErrorCode, Fingerprint, MessageIntegrity, UnknownAttributes, UserName, XorMappedAddress,
};
use stun_rs::methods::BINDING;
use stun_rs::{
    DecoderContextBuilder, HMACKey, MessageClass, MessageDecoderBuilder, MessageEncoderBuilder,
    StunAttribute, StunMessageBuilder,
};

use crate::description::IceRole;
use crate::error::{Discard, Error, Result};
use crate::limits::{ICE_STRING_BYTES_MAX, STUN_BYTES_MAX};

/// Ties a response to its request.
pub(crate) type TransactionId = [u8; 12];

/// A message of ours, ready to be sent.
#[derive(Clone)]
pub(crate) struct StunMessage {
    bytes: [u8; STUN_BYTES_MAX],
    length: usize,
}

impl StunMessage {
    /// The datagram.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for StunMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StunMessage({} bytes)", self.length)
    }
}

/// A ufrag with its password, as key of MESSAGE-INTEGRITY.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    key: HMACKey,
}

impl Credentials {
    /// Takes a ufrag of 4 and a password of 22 characters or more, at most 256 each. Beyond the
    /// characters of RFC 8445 section 5.3 any visible ASCII is taken, but no colon, which would
    /// cut the ufrag in USERNAME.
    pub(crate) fn new(ufrag: String, password: String) -> Result<Self> {
        let is_fit = |text: &str, least: usize| {
            (least..=ICE_STRING_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|c| c.is_ascii_graphic() && c != b':')
        };
        if !is_fit(&ufrag, 4) || !is_fit(&password, 22) {
            return Err(Error::Misbehaved("ICE ufrag or password"));
        }
        let key = HMACKey::new_short_term(&password)
            .map_err(|_| Error::Misbehaved("ICE ufrag or password"))?;
        Ok(Self {
            ufrag,
            password,
            key,
        })
    }

    pub(crate) fn is(&self, ufrag: &str, password: &str) -> bool {
        self.ufrag == ufrag && self.password == password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.ufrag)
    }
}

/// Whom a STUN datagram is for, before anything of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek<'a> {
    /// A check for the agent with this ufrag.
    Request {
        /// Ours.
        local_ufrag: &'a str,
        /// The peer's.
        remote_ufrag: &'a str,
    },
    /// An answer, a success or an error, to a check of ours.
    Response(TransactionId),
}

/// Checks the frame of a datagram whose first byte is 0 to 3 and says whom it is for.
pub(crate) fn peek(bytes: &[u8]) -> Result<Peek<'_>, Discard> {
    let (header, mut rest) = bytes
        .split_first_chunk::<20>()
        .ok_or(Discard::StunMalformed)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
    if usize::from(u16::from_be_bytes([l0, l1])) != rest.len()
        || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE
    {
        return Err(Discard::StunMalformed);
    }
    let mut username = None;
    while let Some((header, behind)) = rest.split_first_chunk::<4>() {
        let [t0, t1, l0, l1] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = behind.get(..length).ok_or(Discard::StunMalformed)?;
        if u16::from_be_bytes([t0, t1]) == USERNAME {
            username = username.or(Some(value));
        }
        rest = behind
            .get(length.next_multiple_of(4)..)
            .ok_or(Discard::StunMalformed)?;
    }
    match u16::from_be_bytes([t0, t1]) {
        _ if !rest.is_empty() => Err(Discard::StunMalformed),
        REQUEST => username
            .and_then(|name| core::str::from_utf8(name).ok()?.split_once(':'))
            .map(|(local_ufrag, remote_ufrag)| Peek::Request {
                local_ufrag,
                remote_ufrag,
            })
            .ok_or(Discard::StunMalformed),
        SUCCESS | ERROR => Ok(Peek::Response(transaction)),
        _ => Err(Discard::StunMalformed),
    }
}

/// A connectivity check that carries the right integrity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) transaction: TransactionId,
    /// Priority of the peer-reflexive candidate that the check may reveal.
    pub(crate) priority: u32,
    /// Role that the peer believes it has, with its tie-breaker.
    pub(crate) role: Option<(IceRole, u64)>,
    pub(crate) use_candidate: bool,
    /// Attributes that had to be understood and were not.
    pub(crate) unknown: Vec<u16>,
}

/// An answer that carries the right integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Success,
    RoleConflict,
    Refused,
}

/// Reads a request that is signed with `local`'s password.
pub(crate) fn decode_request(bytes: &[u8], local: &Credentials) -> Result<Request, Discard> {
    let (message, transaction) = decode(bytes, local)?;
    let mut request = Request {
        transaction,
        priority: 0,
        role: None,
        use_candidate: false,
        unknown: Vec::new(),
    };
    for attribute in message.attributes() {
        match attribute {
            StunAttribute::Priority(priority) => request.priority = priority.as_u32(),
            StunAttribute::UseCandidate(_) => request.use_candidate = true,
            StunAttribute::IceControlling(tie) => {
                request.role = Some((IceRole::Controlling, tie.as_u64()));
            }
            StunAttribute::IceControlled(tie) => {
                request.role = Some((IceRole::Controlled, tie.as_u64()));
            }
            StunAttribute::Unknown(unknown) => {
                let number = unknown.attribute_type().as_u16();
                if number < 0x8000 {
                    request.unknown.push(number);
                }
            }
            _ => {}
        }
    }
    request.unknown.truncate(UNKNOWN_MAX);
    Ok(request)
}

/// Reads an answer that is signed with `remote`'s password. The address that the peer saw is not
/// read: all our candidates share a socket, so nothing would follow from it.
pub(crate) fn decode_response(bytes: &[u8], remote: &Credentials) -> Result<Response, Discard> {
    let (message, _) = decode(bytes, remote)?;
    if message.class() == MessageClass::SuccessResponse {
        return Ok(Response::Success);
    }
    let code = message
        .get::<ErrorCode>()
        .and_then(|attribute| attribute.as_error_code().ok());
    match code.map(|code| code.error_code().error_code()) {
        Some(ROLE_CONFLICT) => Ok(Response::RoleConflict),
        _ => Ok(Response::Refused),
    }
}

fn decode(
    bytes: &[u8],
    key: &Credentials,
) -> Result<(stun_rs::StunMessage, TransactionId), Discard> {
    let context = DecoderContextBuilder::default()
        .with_key(key.key.clone())
        .with_validation()
        .build();
    let (message, _) = MessageDecoderBuilder::default()
        .with_context(context)
        .build()
        .decode(bytes)
        .map_err(|_| Discard::StunUnauthenticated)?;
    // The decoder checks the integrity where it is, but does not miss it.
    if message.get::<MessageIntegrity>().is_none() {
        return Err(Discard::StunUnauthenticated);
    }
    let transaction = *message.transaction_id().as_bytes();
    Ok((message, transaction))
}

/// What a check of ours says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) transaction: TransactionId,
    pub(crate) priority: u32,
    pub(crate) role: IceRole,
    pub(crate) tie_breaker: u64,
    pub(crate) use_candidate: bool,
}

/// Writes a check, signed with `remote`'s password.
pub(crate) fn encode_check(
    check: &Check,
    local: &Credentials,
    remote: &Credentials,
) -> Option<StunMessage> {
    let username = UserName::new(format!("{}:{}", remote.ufrag, local.ufrag)).ok()?;
    let mut builder = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_transaction_id((&check.transaction).into())
        .with_attribute(username)
        .with_attribute(Priority::from(check.priority));
    builder = match check.role {
        IceRole::Controlling => builder.with_attribute(IceControlling::from(check.tie_breaker)),
        IceRole::Controlled => builder.with_attribute(IceControlled::from(check.tie_breaker)),
    };
    if check.use_candidate {
        builder = builder.with_attribute(UseCandidate::default());
    }
    seal(builder, remote)
}

/// Writes a success that tells the peer the address we saw, signed with our password.
pub(crate) fn encode_success(
    transaction: TransactionId,
    mapped: SocketAddr,
    local: &Credentials,
) -> Option<StunMessage> {
    let builder = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
        .with_transaction_id((&transaction).into())
        .with_attribute(XorMappedAddress::from(mapped));
    seal(builder, local)
}

/// Writes 487 (RFC 8445 section 7.3.1.1).
pub(crate) fn encode_role_conflict(
    transaction: TransactionId,
    local: &Credentials,
) -> Option<StunMessage> {
    let code = stun_rs::ErrorCode::new(ROLE_CONFLICT, "Role Conflict").ok()?;
    let builder = StunMessageBuilder::new(BINDING, MessageClass::ErrorResponse)
        .with_transaction_id((&transaction).into())
        .with_attribute(ErrorCode::new(code));
    seal(builder, local)
}

/// Writes 420 (RFC 8489 section 6.3.1).
pub(crate) fn encode_unknown(
    transaction: TransactionId,
    unknown: &[u16],
    local: &Credentials,
) -> Option<StunMessage> {
    let code = stun_rs::ErrorCode::new(420, "Unknown Attribute").ok()?;
    let mut attributes = UnknownAttributes::default();
    for number in unknown {
        attributes.add(*number);
    }
    let builder = StunMessageBuilder::new(BINDING, MessageClass::ErrorResponse)
        .with_transaction_id((&transaction).into())
        .with_attribute(ErrorCode::new(code))
        .with_attribute(attributes);
    seal(builder, local)
}

fn seal(builder: StunMessageBuilder, key: &Credentials) -> Option<StunMessage> {
    let message = builder
        .with_attribute(MessageIntegrity::new(key.key.clone()))
        .with_attribute(Fingerprint::default())
        .build();
    let mut bytes = [0; STUN_BYTES_MAX];
    let length = MessageEncoderBuilder::default()
        .build()
        .encode(&mut bytes, &message)
        .ok()?;
    Some(StunMessage { bytes, length })
}

/// Makes a signed message of any attributes: our encoder signs only what it knows.
#[cfg(any(test, feature = "unstable-toolbox"))]
pub(super) fn sign(kind: u16, attributes: &[u8], password: &str) -> Vec<u8> {
    use hmac::{KeyInit, Mac};

    let mut bytes = kind.to_be_bytes().to_vec();
    let attributes = attributes
        .get(..attributes.len().min(1_200) / 4 * 4)
        .unwrap_or_default();
    let length = u16::try_from(attributes.len() + 24).unwrap_or(0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(MAGIC_COOKIE.to_be_bytes());
    bytes.extend([7; 12]);
    bytes.extend(attributes);
    if let Ok(mut mac) = hmac::Hmac::<sha1::Sha1>::new_from_slice(password.as_bytes()) {
        mac.update(&bytes);
        bytes.extend([0, 8, 0, 20]);
        bytes.extend(mac.finalize().into_bytes());
    }
    bytes
}

const MAGIC_COOKIE: u32 = 0x2112_A442;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
const USERNAME: u16 = 0x0006;
const ROLE_CONFLICT: u16 = 487;
/// Unknown attributes that a 420 names.
const UNKNOWN_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ufrag: &str, password: &str) -> Credentials {
        Credentials::new(ufrag.to_owned(), password.to_owned()).unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    /// RFC 5769 sections 2.1 to 2.3.
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
    const REQUEST_VECTOR: &str = "000100582112a442b7e7a701bc34d686fa87dfae
        802200105354554e207465737420636c69656e74 002400046e0001ff
        80290008932ff9b151263b36 000600096576746a3a68367659202020
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf";
    const IPV4_VECTOR: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae
        8022000b7465737420766563746f7220 002000080001a147e112a643
        000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96";
    const IPV6_VECTOR: &str = "010100482112a442b7e7a701bc34d686fa87dfae
        8022000b7465737420766563746f7220
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
        00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c";

    #[test]
    fn the_vectors_of_rfc_5769_are_read() {
        let key = credentials("evtj", PASSWORD);
        let request = bytes(REQUEST_VECTOR);
        let expected = Peek::Request {
            local_ufrag: "evtj",
            remote_ufrag: "h6vY",
        };
        assert_eq!(peek(&request), Ok(expected));
        let decoded = decode_request(&request, &key).unwrap();
        assert_eq!(decoded.priority, 0x6e00_01ff);
        assert_eq!(
            decoded.role,
            Some((IceRole::Controlled, 0x932f_f9b1_5126_3b36))
        );
        assert!(!decoded.use_candidate && decoded.unknown.is_empty());
        for vector in [IPV4_VECTOR, IPV6_VECTOR] {
            let response = bytes(vector);
            assert_eq!(peek(&response), Ok(Peek::Response(decoded.transaction)));
            assert_eq!(decode_response(&response, &key), Ok(Response::Success));
        }
    }

    #[test]
    fn every_changed_bit_of_a_signed_message_is_noticed() {
        let key = credentials("evtj", PASSWORD);
        for vector in [REQUEST_VECTOR, IPV4_VECTOR] {
            let good = bytes(vector);
            // A fingerprint with another type is an attribute behind the integrity: ignored.
            let is_kind_of_fingerprint = |bit: &usize| bit / 32 == good.len() / 4 - 2;
            for at in (0..good.len() * 8).filter(|bit| !is_kind_of_fingerprint(bit)) {
                let mut bad = good.clone();
                bad[at / 8] ^= 1 << (at % 8);
                let is_taken = peek(&bad).is_ok()
                    && (decode_request(&bad, &key).is_ok() || decode_response(&bad, &key).is_ok());
                assert!(!is_taken, "bit {at}");
            }
        }
    }

    #[test]
    fn what_we_write_can_be_read_and_holds_what_it_should() {
        let (ours, theirs) = (
            credentials("aaaabbbb", PASSWORD),
            credentials("cccc", PASSWORD),
        );
        let check = Check {
            transaction: [3; 12],
            priority: 0x6eff_ffff,
            role: IceRole::Controlling,
            tie_breaker: 77,
            use_candidate: true,
        };
        let message = encode_check(&check, &ours, &theirs).unwrap();
        let expected = Peek::Request {
            local_ufrag: "cccc",
            remote_ufrag: "aaaabbbb",
        };
        assert_eq!(peek(message.bytes()), Ok(expected));
        let request = decode_request(message.bytes(), &theirs).unwrap();
        assert_eq!(request.role, Some((IceRole::Controlling, 77)));
        assert!(request.use_candidate && request.priority == check.priority);

        let mapped: SocketAddr = "192.0.2.1:32853".parse().unwrap();
        let answer = encode_success([3; 12], mapped, &ours).unwrap();
        assert_eq!(
            decode_response(answer.bytes(), &ours),
            Ok(Response::Success)
        );
        let xored = bytes("002000080001a147e112a643");
        assert!(
            answer
                .bytes()
                .windows(xored.len())
                .any(|window| window == xored)
        );

        let conflict = encode_role_conflict([3; 12], &ours).unwrap();
        assert_eq!(
            decode_response(conflict.bytes(), &ours),
            Ok(Response::RoleConflict)
        );
        let unknown = encode_unknown([3; 12], &[0x7777], &ours).unwrap();
        assert_eq!(
            decode_response(unknown.bytes(), &ours),
            Ok(Response::Refused)
        );
        assert!(
            unknown
                .bytes()
                .windows(6)
                .any(|window| window == [0, 10, 0, 2, 0x77, 0x77])
        );
    }

    #[test]
    fn the_longest_credentials_fit_and_longer_ones_are_refused() {
        let longest = credentials(&"u".repeat(256), &"p".repeat(256));
        let ours = credentials(&"o".repeat(10), PASSWORD);
        let check = Check {
            transaction: [3; 12],
            priority: 1,
            role: IceRole::Controlled,
            tie_breaker: 1,
            use_candidate: true,
        };
        assert!(encode_check(&check, &ours, &longest).is_some());
        for (ufrag, password) in [
            ("u".repeat(257), "p".repeat(22)),
            ("uuu".to_owned(), "p".repeat(22)),
            ("uuuu".to_owned(), "p".repeat(21)),
            ("uu:u".to_owned(), "p".repeat(22)),
            ("uu u".to_owned(), "p".repeat(22)),
            ("uuuu".to_owned(), "\u{e9}".repeat(22)),
        ] {
            assert!(Credentials::new(ufrag, password).is_err());
        }
    }

    #[test]
    fn broken_frames_are_refused_before_anything_is_read() {
        let good = bytes(REQUEST_VECTOR);
        for length in 0..good.len() {
            assert_eq!(peek(&good[..length]), Err(Discard::StunMalformed));
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(peek(&longer), Err(Discard::StunMalformed));
        for (at, value) in [(2, 0xff), (4, 0), (22, 0xff), (0, 0x40), (1, 0x11)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(peek(&bad), Err(Discard::StunMalformed), "byte {at}");
        }
    }

    #[test]
    fn attributes_behind_the_integrity_are_ignored() {
        let key = credentials("evtj", PASSWORD);
        let mut request = bytes(REQUEST_VECTOR);
        request.truncate(request.len() - 8);
        request.extend([0x00, 0x25, 0, 0]);
        let length = u16::try_from(request.len() - 20).unwrap();
        request[2..4].copy_from_slice(&length.to_be_bytes());
        assert!(!decode_request(&request, &key).unwrap().use_candidate);
    }
}
