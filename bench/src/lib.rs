//! Measures the bridge: what benches and tools share, the load generator, and its yardstick.

pub mod ceiling;

pub mod load;

mod clock;

mod stun;

mod udp;
