//! Examples are in the files beside this one; each is run with `cargo run --example NAME`.
