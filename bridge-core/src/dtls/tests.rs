//! Runs handshakes against ourselves and independent peers, hostile ones among them.
