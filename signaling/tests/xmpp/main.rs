//! Tests the XMPP server from outside, over real sockets on loopback.

#[cfg(test)]
mod support;

#[cfg(test)]
mod script;

#[cfg(test)]
mod websocket;

#[cfg(test)]
mod bosh;

#[cfg(test)]
mod c2s;
