//! Runs handshakes with the `dtls` crate and with OpenSSL on loopback.
