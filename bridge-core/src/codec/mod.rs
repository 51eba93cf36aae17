//! Reads and changes what forwarding must know of each codec: keyframes, layers, numbers.

pub mod vp8;
