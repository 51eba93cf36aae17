//! Decides who gets what: conferences, speakers, and per receiver the encodings to send.

pub(crate) mod audio;

pub(crate) mod conference;

pub(crate) mod mute;

pub(crate) mod speaker;
