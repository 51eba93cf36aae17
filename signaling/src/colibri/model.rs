//! Turns colibri2 requests into commands of the bridge, under the rules of Jitsi's bridge.
//!
//! The bridge itself knows who is in a conference; this keeps only what colibri2 needs beyond:
//! which conferences were made here, so that one ends with its last endpoint.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use bridge_core::description::{
    IceRole, MediaDescription, ReceiverConstraints, SourceDescription, TransportDescription,
};
use bridge_core::id::Ssrc;
use bridge_core::{Command, ConferenceId, EndpointAddress, EndpointId, EndpointOptions, Reply};
use tokio::sync::Mutex;

use crate::seam::MediaEngine;

/// A request for one conference (`conference-modify`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceModify {
    /// Which conference.
    pub meeting: ConferenceId,
    /// Whether it is new.
    pub create: bool,
    /// Whether it ends.
    pub expire: bool,
    /// Changes of endpoints, in order.
    pub endpoints: Vec<EndpointModify>,
}

/// A change of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointModify {
    /// Which.
    pub id: EndpointId,
    /// Whether it is new.
    pub create: bool,
    /// Whether it ends.
    pub expire: bool,
    /// Whether it names its sources; without that no endpoint is made.
    pub source_names: bool,
    /// Whether SSRCs are rewritten for it.
    pub ssrc_rewriting: bool,
    /// What it sends and receives.
    pub media: Vec<MediaDescription>,
    /// Its transport.
    pub transport: Option<TransportModify>,
    /// All that it sends.
    pub sources: Option<Vec<SourceDescription>>,
    /// What is held back: sound, pictures.
    pub force_mute: Option<(bool, bool)>,
    /// How many videos it gets at first.
    pub initial_last_n: Option<i32>,
}

/// A change of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportModify {
    /// Whether we control ICE.
    pub controlling: bool,
    /// Whether a data channel is wanted, which this bridge has not.
    pub sctp: bool,
    /// The peer's end.
    pub remote: Option<TransportDescription>,
}

/// The answer (`conference-modified`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceModified {
    /// Endpoints that were named.
    pub endpoints: Vec<EndpointModified>,
    /// SSRCs under which the bridge reports: sound, pictures. Given when something was made.
    pub feedback: Option<(Ssrc, Ssrc)>,
}

/// What became of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointModified {
    /// Which.
    pub id: EndpointId,
    /// Our end of its transport, when it was made.
    pub transport: Option<TransportDescription>,
    /// URL of its bridge channel, when it was made.
    pub channel: Option<String>,
    /// Whether it ended.
    pub expired: bool,
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColibriError {
    /// There is no such conference.
    ConferenceUnknown(String),
    /// There is such a conference already.
    ConferenceExists(String),
    /// There is no such endpoint.
    EndpointUnknown(String),
    /// There is such an endpoint already.
    EndpointExists(String),
    /// Not something that this bridge does.
    NotImplemented(&'static str),
    /// The request makes no sense.
    BadRequest(String),
    /// The bridge refused.
    Bridge(String),
}

impl fmt::Display for ColibriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConferenceUnknown(id) => write!(f, "Conference not found for ID: {id}"),
            Self::ConferenceExists(id) => write!(f, "Conference already exists for ID: {id}"),
            Self::EndpointUnknown(id) => write!(f, "Endpoint not found for ID: {id}"),
            Self::EndpointExists(id) => write!(f, "Endpoint with ID {id} already exists"),
            Self::NotImplemented(what) => f.write_str(what),
            Self::BadRequest(what) | Self::Bridge(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ColibriError {}

/// The server side of colibri2 over an engine.
pub struct Colibri<M> {
    media: Arc<M>,
    /// Where clients reach the bridge channel; `None` when it is served nowhere.
    channel_base: Option<String>,
    /// One request at a time: changes of a conference hold in the order in which they came.
    conferences: Mutex<HashMap<ConferenceId, BTreeSet<EndpointId>>>,
}

impl<M> fmt::Debug for Colibri<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Colibri").finish_non_exhaustive()
    }
}

impl<M: MediaEngine> Colibri<M> {
    /// A face of that engine.
    pub fn new(media: Arc<M>, channel_base: Option<String>) -> Self {
        Self {
            media,
            channel_base,
            conferences: Mutex::default(),
        }
    }

    /// Does what a request asks for.
    ///
    /// # Errors
    /// [`ColibriError`]; an endpoint that could not be made whole is not left behind.
    pub async fn modify(
        &self,
        request: ConferenceModify,
    ) -> Result<ConferenceModified, ColibriError> {
        check(&request)?;
        let mut conferences = self.conferences.lock().await;
        let id = request.meeting.clone();
        if request.create {
            let conference = id.clone();
            match self.ask(Command::CreateConference { conference }).await {
                // The bridge ends empty conferences by itself; then this is a new one.
                Ok(_) => drop(conferences.insert(id.clone(), BTreeSet::new())),
                Err(_) if conferences.contains_key(&id) => {
                    return Err(ColibriError::ConferenceExists(id.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        let Some(members) = conferences.get_mut(&id) else {
            return Err(ColibriError::ConferenceUnknown(id.to_string()));
        };
        let (create, expire) = (request.create, request.expire);
        let had_members = !members.is_empty();
        let done = if expire {
            Ok(ConferenceModified::default())
        } else {
            self.change_endpoints(request, members).await
        };
        let lost_the_last = had_members && members.is_empty();
        if expire || lost_the_last || (create && done.is_err()) {
            conferences.remove(&id);
            self.end(Command::ExpireConference { conference: id })
                .await?;
        }
        done
    }

    async fn change_endpoints(
        &self,
        request: ConferenceModify,
        members: &mut BTreeSet<EndpointId>,
    ) -> Result<ConferenceModified, ColibriError> {
        let mut answer = ConferenceModified::default();
        for change in request.endpoints {
            let endpoint = EndpointAddress {
                conference: request.meeting.clone(),
                endpoint: change.id.clone(),
            };
            let mut modified = EndpointModified {
                id: change.id.clone(),
                transport: None,
                channel: None,
                expired: change.expire,
            };
            if change.expire {
                if members.remove(&change.id) {
                    self.end(Command::ExpireEndpoint { endpoint }).await?;
                }
            } else if change.create {
                self.create(&endpoint, change, members, &mut modified, &mut answer)
                    .await?;
            } else if members.contains(&change.id) {
                let updated = self.update(&endpoint, change).await;
                if matches!(updated, Err(ColibriError::EndpointUnknown(_))) {
                    members.remove(&endpoint.endpoint);
                }
                updated?;
            } else if change.changes_something() {
                return Err(ColibriError::EndpointUnknown(change.id.to_string()));
            }
            answer.endpoints.push(modified);
        }
        Ok(answer)
    }

    async fn create(
        &self,
        endpoint: &EndpointAddress,
        change: EndpointModify,
        members: &mut BTreeSet<EndpointId>,
        modified: &mut EndpointModified,
        answer: &mut ConferenceModified,
    ) -> Result<(), ColibriError> {
        let name = &change.id;
        let Some(transport) = &change.transport else {
            let text = format!("Attempt to create endpoint {name} with no <transport>");
            return Err(ColibriError::BadRequest(text));
        };
        if !change.source_names {
            return Err(ColibriError::BadRequest(
                "Source name support is mandatory.".to_owned(),
            ));
        }
        if transport.sctp {
            return Err(ColibriError::NotImplemented(
                "SCTP support is not configured",
            ));
        }
        let options = EndpointOptions {
            ice_role: if transport.controlling {
                IceRole::Controlling
            } else {
                IceRole::Controlled
            },
            ssrc_rewriting: change.ssrc_rewriting,
            // Whoever reaches this API is on this machine, and often so are its clients.
            loopback: true,
            ..EndpointOptions::default()
        };
        let command = Command::CreateEndpoint {
            endpoint: endpoint.clone(),
            options,
        };
        // The bridge ends endpoints of which nothing came; then this is a new one.
        let reply = self.ask(command).await.map_err(|error| {
            if members.contains(name) {
                ColibriError::EndpointExists(name.to_string())
            } else {
                error
            }
        })?;
        let Reply::Endpoint {
            transport,
            audio_feedback,
            video_feedback,
        } = reply
        else {
            return Err(ColibriError::Bridge("an unexpected reply".to_owned()));
        };
        if let Err(error) = self.update(endpoint, change.clone()).await {
            self.end(Command::ExpireEndpoint {
                endpoint: endpoint.clone(),
            })
            .await?;
            return Err(error);
        }
        members.insert(change.id);
        modified.transport = Some(transport);
        modified.channel = self
            .channel_base
            .as_deref()
            .and_then(|base| self.media.channel_url(endpoint, base));
        answer.feedback = Some((audio_feedback, video_feedback));
        Ok(())
    }

    async fn update(
        &self,
        endpoint: &EndpointAddress,
        change: EndpointModify,
    ) -> Result<(), ColibriError> {
        let name = change.id.to_string();
        let endpoint = || endpoint.clone();
        let remote = change.transport.and_then(|transport| transport.remote);
        let commands = [
            remote.map(|transport| Command::SetTransport {
                endpoint: endpoint(),
                transport,
            }),
            (!change.media.is_empty()).then(|| Command::SetMedia {
                endpoint: endpoint(),
                media: change.media,
            }),
            change.sources.map(|sources| Command::SetSources {
                endpoint: endpoint(),
                sources,
            }),
            change.force_mute.map(|(audio, video)| Command::ForceMute {
                endpoint: endpoint(),
                audio: Some(audio),
                video: Some(video),
            }),
            change.initial_last_n.map(|last_n| Command::SetConstraints {
                endpoint: endpoint(),
                constraints: ReceiverConstraints {
                    last_n: Some(last_n),
                    ..ReceiverConstraints::default()
                },
            }),
        ];
        for command in commands.into_iter().flatten() {
            self.media.request(command).await.map_err(|error| {
                if M::is_unknown(&error) {
                    ColibriError::EndpointUnknown(name.clone())
                } else {
                    ColibriError::Bridge(error.to_string())
                }
            })?;
        }
        Ok(())
    }

    async fn ask(&self, command: Command) -> Result<Reply, ColibriError> {
        let reply = self.media.request(command).await;
        reply.map_err(|error| ColibriError::Bridge(error.to_string()))
    }

    /// Ends something that may have ended by itself.
    async fn end(&self, command: Command) -> Result<(), ColibriError> {
        match self.media.request(command).await {
            Err(error) if !M::is_unknown(&error) => Err(ColibriError::Bridge(error.to_string())),
            _ => Ok(()),
        }
    }
}

impl EndpointModify {
    /// Whether more than muting is asked, which is passed over for endpoints that are gone.
    fn changes_something(&self) -> bool {
        !self.media.is_empty() || self.transport.is_some() || self.sources.is_some()
    }
}

/// Rules for a whole request.
fn check(request: &ConferenceModify) -> Result<(), ColibriError> {
    let heavy = request
        .endpoints
        .iter()
        .filter(|it| !it.expire && (it.create || it.changes_something()));
    if heavy.count() > 1 {
        return Err(ColibriError::NotImplemented(
            "Creating or updating media, sources or transport for more than one endpoint in a \
             request.",
        ));
    }
    Ok(())
}
