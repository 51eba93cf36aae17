//! Knows who gets what of a conference, so that a pass looks only at receivers that a packet
//! concerns: those who get nothing cost nothing, however many they are.
//!
//! The lists are made anew when a receiver's slots changed, and then only once something comes.

use super::endpoint::Endpoint;
use crate::id::{EndpointKey, SourceKey};
use crate::slab::Slab;

/// The receivers of each source.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// By the place of the source in its conference.
    by_source: Vec<Vec<EndpointKey>>,
    is_stale: bool,
}

impl Audience {
    /// Somebody's slots changed.
    pub(super) const fn expire(&mut self) {
        self.is_stale = true;
    }

    /// Looks into everybody's slots, if any changed.
    pub(super) fn refresh(
        &mut self,
        receivers: &[EndpointKey],
        endpoints: &Slab<EndpointKey, Endpoint>,
    ) {
        if !core::mem::take(&mut self.is_stale) {
            return;
        }
        self.by_source.iter_mut().for_each(Vec::clear);
        for key in receivers {
            let endpoint = endpoints.get(*key);
            let sources = endpoint.map(|endpoint| endpoint.receiver.sources());
            for source in sources.into_iter().flatten() {
                let at = source.0.index as usize;
                if at >= self.by_source.len() {
                    self.by_source.resize_with(at + 1, Vec::new);
                }
                if let Some(list) = self.by_source.get_mut(at) {
                    list.push(*key);
                }
            }
        }
    }

    /// Who has a slot for the source, each once; perhaps some that had one for a source that was
    /// in its place before.
    pub(super) fn of(&self, source: SourceKey) -> &[EndpointKey] {
        let list = self.by_source.get(source.0.index as usize);
        list.map_or(&[], Vec::as_slice)
    }
}
