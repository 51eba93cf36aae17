//! Holds what the server can do beyond streams and rooms, one file each.

pub mod external_services;

pub mod ping;

pub mod rate_limit;
