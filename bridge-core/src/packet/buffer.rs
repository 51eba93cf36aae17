//! Owns one datagram, with room behind it for a tag and padding.
//!
//! A [`Packet`] has one owner, who may change it. Shared, it becomes a [`SharedPacket`]: the same
//! bytes, counted, read by histories and other shards. Nothing is copied on the way.

use std::sync::Arc;

use crate::limits::PACKET_BYTES;

/// A datagram with one owner.
#[derive(Debug)]
pub struct Packet(Arc<Buffer>);

/// A datagram that several hold and nobody changes.
#[derive(Clone, Debug)]
pub struct SharedPacket(Arc<Buffer>);

#[derive(Debug)]
struct Buffer {
    bytes: [u8; PACKET_BYTES],
    length: u16,
}

impl Packet {
    /// A new empty packet. The pool does this; in the steady state it never has to.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Buffer {
            bytes: [0; PACKET_BYTES],
            length: 0,
        }))
    }

    /// A new packet with a copy of `bytes`, cut at the largest size.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut packet = Self::new();
        packet.fill(bytes);
        packet
    }

    /// Replaces the content by a copy of `bytes`, cut at the largest size.
    pub fn fill(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(PACKET_BYTES);
        if let (Some(room), Some(bytes)) = (self.room_mut().get_mut(..length), bytes.get(..length))
        {
            room.copy_from_slice(bytes);
        }
        self.set_len(length);
    }

    /// The datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The datagram, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match Arc::get_mut(&mut self.0) {
            Some(buffer) => buffer
                .bytes
                .get_mut(..usize::from(buffer.length))
                .unwrap_or_default(),
            None => &mut [],
        }
    }

    /// The whole buffer, to receive into; then call [`Packet::set_len`].
    pub fn room_mut(&mut self) -> &mut [u8] {
        match Arc::get_mut(&mut self.0) {
            Some(buffer) => &mut buffer.bytes,
            None => &mut [],
        }
    }

    /// Says how much of the buffer is the datagram; at most the whole buffer.
    pub fn set_len(&mut self, length: usize) {
        if let Some(buffer) = Arc::get_mut(&mut self.0) {
            buffer.length = u16::try_from(length.min(PACKET_BYTES)).unwrap_or(u16::MAX);
        }
    }

    /// Gives up the right to change it.
    #[must_use]
    pub fn share(self) -> SharedPacket {
        SharedPacket(self.0)
    }
}

impl Default for Packet {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedPacket {
    /// The datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The packet back in one hand, if nobody else holds it.
    ///
    /// # Errors
    /// Gives itself back while others hold it.
    pub fn try_unshare(mut self) -> Result<Packet, Self> {
        if Arc::get_mut(&mut self.0).is_some() {
            Ok(Packet(self.0))
        } else {
            Err(self)
        }
    }
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_packet_comes_back_when_the_last_holder_lets_go() {
        let shared = Packet::copy_of(b"abc").share();
        let other = shared.clone();
        let shared = shared.try_unshare().unwrap_err();
        assert_eq!(other.bytes(), b"abc");
        drop(other);
        let mut packet = shared.try_unshare().unwrap();
        packet.bytes_mut()[0] = b'x';
        assert_eq!(packet.bytes(), b"xbc");
    }

    #[test]
    fn too_much_is_cut() {
        let packet = Packet::copy_of(&[7; PACKET_BYTES + 1]);
        assert_eq!(packet.bytes().len(), PACKET_BYTES);
    }
}
