//! Reads and writes the STUN messages of ICE (RFC 8489, RFC 8445 section 7).
//!
//! [`peek`] checks the frame of a datagram and finds out whose it is, so that bytes of strangers
//! make no state. Only what is addressed to an agent is authenticated, and only what carries a
//! fitting MESSAGE-INTEGRITY is returned. Attributes behind MESSAGE-INTEGRITY are ignored, except
//! FINGERPRINT, which must fit when it is there. Of attributes that come twice the first counts.
//! Nothing is allocated, and the key of the integrity is prepared once: checks are most of what an
//! idle endpoint costs. Deliberately absent: long-term credentials, SHA-256 integrity, SOFTWARE.

use core::fmt;
use core::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

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
    /// Has taken in the password.
    key: Hmac<Sha1>,
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
        let key = Hmac::new_from_slice(password.as_bytes())
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

/// An attribute, and where it begins in its message.
#[derive(Clone, Copy, Debug)]
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    at: usize,
}

/// The attributes of a message, as far as they are whole; the first that is not ends in an error.
struct Attributes<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self {
            rest: message.get(HEADER_BYTES..).unwrap_or_default(),
            at: HEADER_BYTES,
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Discard>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = core::mem::take(&mut self.rest);
        let split = rest.split_first_chunk().and_then(|(header, behind)| {
            let [t0, t1, l0, l1] = *header;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = behind.get(..length)?;
            let padded = length.next_multiple_of(4);
            self.rest = behind.get(padded..)?;
            let (kind, at) = (u16::from_be_bytes([t0, t1]), self.at);
            self.at += header.len() + padded;
            Some(Attribute { kind, value, at })
        });
        Some(split.ok_or(Discard::StunMalformed))
    }
}

/// Checks the frame of a datagram whose first byte is 0 to 3 and says whom it is for.
pub(crate) fn peek(bytes: &[u8]) -> Result<Peek<'_>, Discard> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(Discard::StunMalformed)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
    if usize::from(u16::from_be_bytes([l0, l1])) != rest.len()
        || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE
    {
        return Err(Discard::StunMalformed);
    }
    let mut username = None;
    for attribute in Attributes::of(bytes) {
        let Attribute { kind, value, .. } = attribute?;
        if kind == USERNAME {
            username = username.or(Some(value));
        }
    }
    match u16::from_be_bytes([t0, t1]) {
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
    let signed = authenticate(bytes, local)?;
    let (mut priority, mut role) = (None, None);
    let mut request = Request {
        transaction: transaction_of(bytes)?,
        priority: 0,
        role: None,
        use_candidate: false,
        unknown: Vec::new(),
    };
    for attribute in Attributes::of(signed) {
        let Attribute { kind, value, .. } = attribute?;
        match kind {
            PRIORITY => priority = priority.or(Some(u32::from_be_bytes(exactly(value)?))),
            USE_CANDIDATE => request.use_candidate = true,
            CONTROLLING | CONTROLLED => {
                let tie_breaker = u64::from_be_bytes(exactly(value)?);
                let claimed = if kind == CONTROLLING {
                    IceRole::Controlling
                } else {
                    IceRole::Controlled
                };
                role = role.or(Some((claimed, tie_breaker)));
            }
            USERNAME | XOR_MAPPED_ADDRESS | ERROR_CODE | UNKNOWN_ATTRIBUTES | INTEGRITY => {}
            _ if kind < OPTIONAL && request.unknown.len() < UNKNOWN_MAX => {
                request.unknown.push(kind);
            }
            _ => {}
        }
    }
    request.priority = priority.unwrap_or(0);
    request.role = role;
    Ok(request)
}

/// Reads an answer that is signed with `remote`'s password. The address that the peer saw is not
/// read: all our candidates share a socket, so nothing would follow from it.
pub(crate) fn decode_response(bytes: &[u8], remote: &Credentials) -> Result<Response, Discard> {
    let signed = authenticate(bytes, remote)?;
    if signed.starts_with(&SUCCESS.to_be_bytes()) {
        return Ok(Response::Success);
    }
    for attribute in Attributes::of(signed) {
        let Attribute { kind, value, .. } = attribute?;
        if let (ERROR_CODE, [_, _, class, number, ..]) = (kind, value) {
            let code = u16::from(class & 7) * 100 + u16::from(*number);
            if code == ROLE_CONFLICT {
                return Ok(Response::RoleConflict);
            }
            break;
        }
    }
    Ok(Response::Refused)
}

/// Checks the integrity, which must be there, and the fingerprint, if it is there; gives the
/// message up to the integrity. Its header still says the length of all of it.
fn authenticate<'a>(bytes: &'a [u8], key: &Credentials) -> Result<&'a [u8], Discard> {
    let mut signed = None;
    for attribute in Attributes::of(bytes) {
        let Attribute { kind, value, at } = attribute?;
        let before = bytes.get(..at).ok_or(Discard::StunMalformed)?;
        match kind {
            INTEGRITY if signed.is_none() => {
                let mac = integrity(before, key).ok_or(Discard::StunMalformed)?;
                mac.verify_slice(value)
                    .map_err(|_| Discard::StunUnauthenticated)?;
                signed = Some(before);
            }
            // The last one, once: a long row of them would cost much.
            FINGERPRINT if signed.is_some() => {
                let sum = fingerprint(before).ok_or(Discard::StunMalformed)?;
                if value != sum {
                    return Err(Discard::StunUnauthenticated);
                }
                break;
            }
            _ => {}
        }
    }
    signed.ok_or(Discard::StunUnauthenticated)
}

/// The integrity of what stands before it.
fn integrity(before: &[u8], key: &Credentials) -> Option<Hmac<Sha1>> {
    let (head, rest) = covered(before, INTEGRITY_BYTES)?;
    let mut mac = key.key.clone();
    mac.update(&head);
    mac.update(rest);
    Some(mac)
}

/// The fingerprint of what stands before it.
fn fingerprint(before: &[u8]) -> Option<[u8; 4]> {
    let (head, rest) = covered(before, FINGERPRINT_BYTES)?;
    let sum = !crc32(crc32(u32::MAX, &head), rest);
    Some((sum ^ FINGERPRINT_MASK).to_be_bytes())
}

/// What a checksum behind `before` covers: these bytes, but with a length that ends behind the
/// checksum's own attribute, of `own` bytes.
fn covered(before: &[u8], own: usize) -> Option<([u8; 4], &[u8])> {
    let ([t0, t1, ..], rest) = before.split_first_chunk::<4>()?;
    let length = (before.len() + own).checked_sub(HEADER_BYTES)?;
    let [l0, l1] = u16::try_from(length).ok()?.to_be_bytes();
    Some(([*t0, *t1, l0, l1], rest))
}

fn transaction_of(bytes: &[u8]) -> Result<TransactionId, Discard> {
    exactly(bytes.get(8..HEADER_BYTES).unwrap_or_default())
}

fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], Discard> {
    value.try_into().map_err(|_| Discard::StunMalformed)
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
    let mut message = StunMessage::new(REQUEST, check.transaction);
    let ufrags = [remote.ufrag.as_bytes(), b":", local.ufrag.as_bytes()];
    message.put(USERNAME, &ufrags)?;
    message.put(PRIORITY, &[&check.priority.to_be_bytes()])?;
    let role = match check.role {
        IceRole::Controlling => CONTROLLING,
        IceRole::Controlled => CONTROLLED,
    };
    message.put(role, &[&check.tie_breaker.to_be_bytes()])?;
    if check.use_candidate {
        message.put(USE_CANDIDATE, &[])?;
    }
    message.seal(remote)
}

/// Writes a success that tells the peer the address we saw, signed with our password.
pub(crate) fn encode_success(
    transaction: TransactionId,
    mapped: SocketAddr,
    local: &Credentials,
) -> Option<StunMessage> {
    let mut message = StunMessage::new(SUCCESS, transaction);
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let mask = cookie.iter().chain(&transaction);
    let [high, low, ..] = cookie;
    let port = mapped.port() ^ u16::from_be_bytes([high, low]);
    let (family, mut ip, length) = match mapped {
        SocketAddr::V4(mapped) => (1, mapped.ip().to_ipv6_compatible().octets(), 4),
        SocketAddr::V6(mapped) => (2, mapped.ip().octets(), 16),
    };
    // An IPv4 address stands at the end of those bytes.
    let ip = ip.get_mut(16 - length..)?;
    ip.iter_mut()
        .zip(mask)
        .for_each(|(byte, mask)| *byte ^= mask);
    message.put(XOR_MAPPED_ADDRESS, &[&[0, family], &port.to_be_bytes(), ip])?;
    message.seal(local)
}

/// Writes 487 (RFC 8445 section 7.3.1.1).
pub(crate) fn encode_role_conflict(
    transaction: TransactionId,
    local: &Credentials,
) -> Option<StunMessage> {
    let mut message = StunMessage::new(ERROR, transaction);
    message.put(ERROR_CODE, &[&error_code(ROLE_CONFLICT), b"Role Conflict"])?;
    message.seal(local)
}

/// Writes 420 (RFC 8489 section 6.3.1).
pub(crate) fn encode_unknown(
    transaction: TransactionId,
    unknown: &[u16],
    local: &Credentials,
) -> Option<StunMessage> {
    let mut message = StunMessage::new(ERROR, transaction);
    message.put(ERROR_CODE, &[&error_code(UNKNOWN), b"Unknown Attribute"])?;
    let mut numbers = [0; 2 * UNKNOWN_MAX];
    let all = unknown.iter().flat_map(|number| number.to_be_bytes());
    numbers
        .iter_mut()
        .zip(all)
        .for_each(|(to, from)| *to = from);
    let numbers = numbers.get(..2 * unknown.len().min(UNKNOWN_MAX))?;
    message.put(UNKNOWN_ATTRIBUTES, &[numbers])?;
    message.seal(local)
}

fn error_code(code: u16) -> [u8; 4] {
    let [class, number] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap_or(0));
    [0, 0, class, number]
}

impl StunMessage {
    fn new(kind: u16, transaction: TransactionId) -> Self {
        let mut message = Self {
            bytes: [0; STUN_BYTES_MAX],
            length: HEADER_BYTES,
        };
        let [t0, t1] = kind.to_be_bytes();
        let [c0, c1, c2, c3] = MAGIC_COOKIE.to_be_bytes();
        let header = [t0, t1, 0, 0, c0, c1, c2, c3]
            .into_iter()
            .chain(transaction);
        let room = message.bytes.iter_mut();
        room.zip(header).for_each(|(to, from)| *to = from);
        message
    }

    /// Appends an attribute of these parts; `None` if it does not fit.
    fn put(&mut self, kind: u16, parts: &[&[u8]]) -> Option<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let end = self.length + 4 + length.next_multiple_of(4);
        let room = self.bytes.get_mut(self.length..end)?;
        let [t0, t1] = kind.to_be_bytes();
        let [l0, l1] = u16::try_from(length).ok()?.to_be_bytes();
        let header = [t0, t1, l0, l1];
        let bytes = header.iter().chain(parts.iter().copied().flatten());
        room.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        self.length = end;
        let [l0, l1] = u16::try_from(end - HEADER_BYTES).ok()?.to_be_bytes();
        self.bytes.get_mut(2..4)?.copy_from_slice(&[l0, l1]);
        Some(())
    }

    /// Appends integrity and fingerprint.
    fn seal(mut self, key: &Credentials) -> Option<Self> {
        let mac = integrity(self.bytes(), key)?.finalize();
        self.put(INTEGRITY, &[&mac.into_bytes()])?;
        let sum = fingerprint(self.bytes())?;
        self.put(FINGERPRINT, &[&sum])?;
        Some(self)
    }
}

/// Takes bytes into a checksum (ISO 3309) that begins and ends with its bits turned over.
fn crc32(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        let place = usize::from(low ^ byte);
        CRC_TABLE.get(place).copied().unwrap_or(0) ^ (sum >> 8)
    })
}

const CRC_TABLE: [u32; 256] = crc_table();

#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = at;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
            bit += 1;
        }
        table[at as usize] = sum;
        at += 1;
    }
    table
}

/// Makes a signed message of any attributes: our encoder signs only what it knows.
#[cfg(any(test, feature = "unstable-toolbox"))]
pub(super) fn sign(kind: u16, attributes: &[u8], password: &str) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    let attributes = attributes
        .get(..attributes.len().min(1_200) / 4 * 4)
        .unwrap_or_default();
    let length = u16::try_from(attributes.len() + 24).unwrap_or(0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(MAGIC_COOKIE.to_be_bytes());
    bytes.extend([7; 12]);
    bytes.extend(attributes);
    if let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(password.as_bytes()) {
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
const INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
/// From here on an attribute need not be understood.
const OPTIONAL: u16 = 0x8000;
const FINGERPRINT: u16 = 0x8028;
const CONTROLLED: u16 = 0x8029;
const CONTROLLING: u16 = 0x802a;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const HEADER_BYTES: usize = 20;
/// Bytes of the integrity with its header, and of the fingerprint.
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 8;
const UNKNOWN: u16 = 420;
const ROLE_CONFLICT: u16 = 487;
/// Unknown attributes that a 420 names.
const UNKNOWN_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use stun_rs::attributes::ice::{IceControlled, Priority, UseCandidate};
    use stun_rs::attributes::stun::{
        ErrorCode, Fingerprint, MessageIntegrity, UserName, XorMappedAddress,
    };

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

    /// What another implementation makes of a message of ours.
    fn by_stun_rs(message: &StunMessage, password: &str) -> stun_rs::StunMessage {
        let context = stun_rs::DecoderContextBuilder::default()
            .with_key(stun_rs::HMACKey::new_short_term(password).unwrap())
            .with_validation()
            .build();
        let decoder = stun_rs::MessageDecoderBuilder::default()
            .with_context(context)
            .build();
        let (read, length) = decoder.decode(message.bytes()).unwrap();
        assert_eq!(length, message.bytes().len());
        assert!(read.get::<MessageIntegrity>().is_some() && read.get::<Fingerprint>().is_some());
        read
    }

    #[test]
    fn another_implementation_reads_what_we_write() {
        let other = "another-password-of-ours";
        let (ours, theirs) = (
            credentials("aaaabbbb", other),
            credentials("ccccc", PASSWORD),
        );
        let check = Check {
            transaction: [3; 12],
            priority: 0x6eff_ffff,
            role: IceRole::Controlled,
            tie_breaker: 77,
            use_candidate: true,
        };
        let read = by_stun_rs(&encode_check(&check, &ours, &theirs).unwrap(), PASSWORD);
        let name = read.get::<UserName>().unwrap().as_user_name().unwrap();
        assert_eq!(name.as_str(), "ccccc:aaaabbbb");
        let priority = read.get::<Priority>().unwrap().as_priority().unwrap();
        assert_eq!(priority.as_u32(), check.priority);
        let role = read.get::<IceControlled>().unwrap();
        assert_eq!(role.as_ice_controlled().unwrap().as_u64(), 77);
        assert!(read.get::<UseCandidate>().is_some());
        for mapped in ["192.0.2.1:32853", "[2001:db8::9]:7"] {
            let mapped: SocketAddr = mapped.parse().unwrap();
            let read = by_stun_rs(&encode_success([7; 12], mapped, &ours).unwrap(), other);
            let address = read.get::<XorMappedAddress>().unwrap();
            let address = address.as_xor_mapped_address().unwrap();
            assert_eq!(address.socket_address(), &mapped);
        }
        let read = by_stun_rs(&encode_role_conflict([7; 12], &ours).unwrap(), other);
        let code = read.get::<ErrorCode>().unwrap().as_error_code().unwrap();
        assert_eq!(code.error_code().error_code(), ROLE_CONFLICT);
        by_stun_rs(&encode_unknown([7; 12], &[5, 6], &ours).unwrap(), other);
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
