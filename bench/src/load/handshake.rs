//! Runs one DTLS handshake as the side that starts it, over datagrams that the media thread
//! carries.

use core::net::SocketAddr;
use std::any::Any;
use std::io;
use std::sync::Arc;

use bridge_core::{KeyingMaterial, SrtpProfile};
use dtls::config::{ClientAuthType, Config};
use dtls::conn::DTLSConn;
use dtls::crypto::Certificate;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use webrtc_util::{Conn, KeyingMaterialExporter};

use super::generator::Orders;
use super::{Failure, failure};

/// Label of the exporter (RFC 5764 section 4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// What all clients of a run share.
#[derive(Clone)]
pub(crate) struct Identity {
    config: Config,
    /// As signaling writes it.
    pub(crate) fingerprint: String,
    profile: SrtpProfile,
}

/// An association that stands; dropped, it ends.
pub(crate) struct Association(#[expect(dead_code, reason = "held for its end")] DTLSConn);

impl Identity {
    /// One certificate for all, and the one profile that is offered.
    pub(crate) fn new(profile: SrtpProfile) -> Result<Self, Failure> {
        // Somebody in this process may have chosen before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let certificate = Certificate::generate_self_signed(vec!["load".to_owned()])
            .map_err(|error| failure("make a certificate", error))?;
        let first = certificate.certificate.first();
        let der = first.map_or(&[][..], |der| der.as_ref());
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let pairs: Vec<_> = digest
            .as_ref()
            .iter()
            .map(|it| format!("{it:02X}"))
            .collect();
        let offered = match profile {
            SrtpProfile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProfile::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            _ => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        };
        Ok(Self {
            config: Config {
                certificates: vec![certificate],
                srtp_protection_profiles: vec![offered],
                client_auth: ClientAuthType::RequireAnyClientCert,
                insecure_skip_verify: true,
                ..Config::default()
            },
            fingerprint: pairs.join(":"),
            profile,
        })
    }

    /// Shakes hands for a leg whose path stands.
    pub(crate) async fn shake(
        &self,
        leg: usize,
        client: bool,
        orders: Orders,
        datagrams: UnboundedReceiver<Vec<u8>>,
    ) -> Result<(Association, KeyingMaterial), Failure> {
        let pipe = Pipe {
            leg,
            orders,
            datagrams: Mutex::new(datagrams),
        };
        let connection = DTLSConn::new(Arc::new(pipe), self.config.clone(), client, None)
            .await
            .map_err(|error| failure("DTLS", error))?;
        let (key, salt) = (self.profile.key_length(), self.profile.salt_length());
        let state = connection.connection_state().await;
        let bytes = state
            .export_keying_material(LABEL, &[], 2 * (key + salt))
            .await
            .map_err(|error| failure("DTLS keys", error))?;
        let keys = told_apart(&bytes, key, salt, client);
        let keys = keys.ok_or_else(|| Failure("DTLS keys of another length".to_owned()))?;
        Ok((Association(connection), keys))
    }
}

/// Client key, server key, client salt, server salt (RFC 5764 section 4.2).
fn told_apart(bytes: &[u8], key: usize, salt: usize, client: bool) -> Option<KeyingMaterial> {
    let (client_key, rest) = bytes.split_at_checked(key)?;
    let (server_key, rest) = rest.split_at_checked(key)?;
    let (client_salt, server_salt) = rest.split_at_checked(salt)?;
    let (ours, theirs) = ((client_key, client_salt), (server_key, server_salt));
    let (local, remote) = if client {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    Some(KeyingMaterial {
        local_key: local.0.to_vec(),
        local_salt: local.1.to_vec(),
        remote_key: remote.0.to_vec(),
        remote_salt: remote.1.to_vec(),
    })
}

/// Datagrams of one leg as the connection that the DTLS crate wants.
struct Pipe {
    leg: usize,
    orders: Orders,
    datagrams: Mutex<UnboundedReceiver<Vec<u8>>>,
}

type Answer<T> = Result<T, webrtc_util::Error>;

#[async_trait::async_trait]
impl Conn for Pipe {
    async fn connect(&self, _: SocketAddr) -> Answer<()> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> Answer<usize> {
        let datagram = self.datagrams.lock().await.recv().await;
        let datagram = datagram.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let length = datagram.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), datagram.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> Answer<(usize, SocketAddr)> {
        let length = self.recv(buffer).await?;
        Ok((length, self.local_addr()?))
    }

    async fn send(&self, bytes: &[u8]) -> Answer<usize> {
        self.orders.send_datagram(self.leg, bytes.to_vec());
        Ok(bytes.len())
    }

    async fn send_to(&self, bytes: &[u8], _: SocketAddr) -> Answer<usize> {
        self.send(bytes).await
    }

    fn local_addr(&self) -> Answer<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> Answer<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
