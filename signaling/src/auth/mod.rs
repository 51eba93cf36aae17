//! Holds the ways to log in.

pub mod anonymous;
