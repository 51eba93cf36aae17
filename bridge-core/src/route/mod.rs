//! Decides who gets what: conferences, speakers, and per receiver the encodings to send.

pub(crate) mod allocate;

pub(crate) mod audio;

pub(crate) mod conference;

pub(crate) mod constraints;

pub(crate) mod last_n;

pub(crate) mod mute;

pub(crate) mod roster;

pub(crate) mod speaker;

pub(crate) mod table;
