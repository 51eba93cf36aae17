//! The binary `trestle`.

fn main() {}
