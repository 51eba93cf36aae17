//! Rooms, focus and HTTPS on top of bridge-core.

pub mod seam;

pub mod xml;

#[cfg(feature = "unstable-toolbox")]
pub mod fuzz;
