//! Reads and writes XML as elements, without DTD, entities or processing instructions.

pub mod element;

pub use element::{Element, Node};
