//! Reads and writes XML as elements, without DTD, entities or processing instructions.

pub mod element;

pub mod ns;

pub mod reader;

pub mod stanza;

pub mod writer;

pub use element::{Element, Node};
pub use reader::{Reader, StreamEvent, XmlError, XmlLimits};
pub use stanza::{Condition, StanzaError};
