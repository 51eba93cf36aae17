//! Writes and reads the few STUN messages of ICE (RFC 8489, RFC 8445), apart from the bridge's own.

use core::net::SocketAddrV4;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const COOKIE: u32 = 0x2112_A442;

const REQUEST: u16 = 0x0001;

const RESPONSE: u16 = 0x0101;

const USERNAME: u16 = 0x0006;

const INTEGRITY: u16 = 0x0008;

const XOR_MAPPED_ADDRESS: u16 = 0x0020;

const PRIORITY: u16 = 0x0024;

const USE_CANDIDATE: u16 = 0x0025;

const FINGERPRINT: u16 = 0x8028;

const CONTROLLED: u16 = 0x8029;

const CONTROLLING: u16 = 0x802a;

/// Priority of a peer-reflexive host candidate.
const PRIORITY_VALUE: u32 = 0x6eff_feff;

/// What identifies a request and its response.
pub(crate) type Transaction = [u8; 12];

/// A STUN message that passed for one.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) is_request: bool,
    pub(crate) is_success: bool,
    pub(crate) transaction: Transaction,
    /// Before the colon: the ufrag of whom it is for.
    pub(crate) ufrag: Option<&'a str>,
    pub(crate) use_candidate: bool,
}

/// Reads a message; `None` when it is not STUN. Its integrity is not checked: who forges checks
/// for a load generator or a yardstick only harms a measurement.
pub(crate) fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (cookie, rest) = rest.split_first_chunk()?;
    let (transaction, mut rest) = rest.split_first_chunk()?;
    if u32::from_be_bytes(*cookie) != COOKIE {
        return None;
    }
    let kind = u16::from_be_bytes(*kind);
    let mut message = Message {
        is_request: kind == REQUEST,
        is_success: kind == RESPONSE,
        transaction: *transaction,
        ufrag: None,
        use_candidate: false,
    };
    while let Some((attribute, after)) = rest.split_first_chunk() {
        let (length, after) = after.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = after.get(..length)?;
        match u16::from_be_bytes(*attribute) {
            USERNAME => {
                let name = core::str::from_utf8(value).ok()?;
                message.ufrag = name.split(':').next();
            }
            USE_CANDIDATE => message.use_candidate = true,
            _ => {}
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(message)
}

/// A connectivity or consent check. A controlling end nominates at once.
pub(crate) fn request(
    transaction: Transaction,
    remote_ufrag: &str,
    local_ufrag: &str,
    remote_password: &str,
    controlling: bool,
) -> Vec<u8> {
    let mut bytes = begin(REQUEST, transaction);
    let name = format!("{remote_ufrag}:{local_ufrag}");
    push(&mut bytes, USERNAME, name.as_bytes());
    push(&mut bytes, PRIORITY, &PRIORITY_VALUE.to_be_bytes());
    let tie_breaker = transaction.first_chunk::<8>().copied().unwrap_or_default();
    if controlling {
        push(&mut bytes, CONTROLLING, &tie_breaker);
        push(&mut bytes, USE_CANDIDATE, &[]);
    } else {
        push(&mut bytes, CONTROLLED, &tie_breaker);
    }
    finish(bytes, remote_password)
}

/// The answer to a check that came from `from`.
pub(crate) fn response(transaction: Transaction, from: SocketAddrV4, password: &str) -> Vec<u8> {
    let mut bytes = begin(RESPONSE, transaction);
    let [high, low, ..] = COOKIE.to_be_bytes();
    let port = from.port() ^ u16::from_be_bytes([high, low]);
    let ip = u32::from(*from.ip()) ^ COOKIE;
    let mut value = vec![0, 1];
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&ip.to_be_bytes());
    push(&mut bytes, XOR_MAPPED_ADDRESS, &value);
    finish(bytes, password)
}

fn begin(kind: u16, transaction: Transaction) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&COOKIE.to_be_bytes());
    bytes.extend_from_slice(&transaction);
    bytes
}

fn push(bytes: &mut Vec<u8>, attribute: u16, value: &[u8]) {
    bytes.extend_from_slice(&attribute.to_be_bytes());
    let length = u16::try_from(value.len()).unwrap_or(0);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn finish(mut bytes: Vec<u8>, password: &str) -> Vec<u8> {
    set_length(&mut bytes, 24);
    let key = Hmac::<Sha1>::new_from_slice(password.as_bytes());
    if let Ok(mut mac) = key {
        mac.update(&bytes);
        push(&mut bytes, INTEGRITY, &mac.finalize().into_bytes());
    }
    set_length(&mut bytes, 8);
    let sum = crc32(&bytes) ^ 0x5354_554e;
    push(&mut bytes, FINGERPRINT, &sum.to_be_bytes());
    bytes
}

/// Sets the length of the message as if `more` bytes were there already.
fn set_length(bytes: &mut [u8], more: usize) {
    let length = (bytes.len() + more).saturating_sub(20);
    let length = u16::try_from(length).unwrap_or(0);
    if let Some(field) = bytes.get_mut(2..4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let is_odd = sum & 1 == 1;
            sum >>= 1;
            if is_odd {
                sum ^= 0xedb8_8320;
            }
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_again_and_ends_in_a_checksum() {
        let bytes = request([7; 12], "them", "me", "secret", true);
        let message = read(&bytes).unwrap();
        assert!(message.is_request && message.use_candidate);
        assert_eq!(message.ufrag, Some("them"));
        assert_eq!(message.transaction, [7; 12]);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let response = response([7; 12], "127.0.0.1:9".parse().unwrap(), "secret");
        assert!(read(&response).unwrap().is_success);
        assert!(read(b"short").is_none());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_none_or(|it| it.is_request));
        }
    }
}
