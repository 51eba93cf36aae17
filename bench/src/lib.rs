//! What benches and tools share.
