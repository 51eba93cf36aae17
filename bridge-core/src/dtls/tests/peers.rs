//! Runs handshakes with the `dtls` crate and with OpenSSL, over real sockets on loopback.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ::dtls::config::{ClientAuthType, Config};
use ::dtls::conn::DTLSConn;
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_util::KeyingMaterialExporter;

use super::*;

/// A side on a socket of its own.
struct OnSocket {
    side: Side,
    socket: UdpSocket,
    is_client: bool,
}

fn on_socket(version: DtlsVersion, is_client: bool) -> OnSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    OnSocket {
        side: side(version),
        socket,
        is_client,
    }
}

impl OnSocket {
    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Runs the handshake, with a peer that is known if we are the client, until it ends in one
    /// way or another, and a little longer, so that the peer may ask for our last flight again.
    fn run(&mut self, mut peer: Option<SocketAddr>) {
        let base = self.side.base;
        let now = || Time::ZERO + base.elapsed();
        let mut bytes = [0; 2_048];
        let mut rest = 20;
        self.socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        self.side.start(now(), 1, self.is_client);
        while rest > 0 && now() < seconds(20) {
            for (_, bytes) in self.side.poll() {
                self.socket
                    .send_to(&bytes, peer.expect("a peer to answer"))
                    .unwrap();
            }
            match self.socket.recv_from(&mut bytes) {
                Ok((length, from)) => {
                    peer.get_or_insert(from);
                    self.side.feed(now(), 1, &bytes[..length]);
                }
                Err(error) if is_time_out(error.kind()) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            }
            self.side.driver.handle_timeout(now());
            rest -= i32::from(!self.side.events.is_empty());
        }
    }

    /// The keys in the order of RFC 5764, as an exporter gives them.
    fn exported(&self) -> Vec<u8> {
        let (_, keys, _) = self.side.completed(1).expect("the handshake succeeded");
        let ours = (&keys.local_key, &keys.local_salt);
        let theirs = (&keys.remote_key, &keys.remote_salt);
        let (client, server) = if self.is_client {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        [client.0.as_slice(), server.0, client.1, server.1].concat()
    }
}

fn is_time_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn length_of(profile: SrtpProfile) -> usize {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => 60,
        SrtpProfile::AeadAes128Gcm => 56,
        SrtpProfile::AeadAes256Gcm => 88,
    }
}

/// A handshake with the `dtls` crate, which offers or takes one profile.
async fn with_crate(version: DtlsVersion, we_are_client: bool, profile: SrtpProfile) {
    let theirs = match profile {
        SrtpProfile::Aes128CmSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        SrtpProfile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpProfile::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
    };
    let name = vec!["peer".to_owned()];
    let certificate = ::dtls::crypto::Certificate::generate_self_signed(name).unwrap();
    let der = certificate.certificate[0].as_ref().to_vec();
    let config = Config {
        certificates: vec![certificate],
        srtp_protection_profiles: vec![theirs],
        client_auth: ClientAuthType::RequireAnyClientCert,
        insecure_skip_verify: true,
        ..Config::default()
    };
    let mut ours = on_socket(version, we_are_client);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = socket.local_addr().unwrap();
    socket.connect(ours.address()).await.unwrap();
    let running = tokio::task::spawn_blocking(move || {
        ours.run(we_are_client.then_some(peer));
        ours
    });
    let connection = DTLSConn::new(Arc::new(socket), config, !we_are_client, None)
        .await
        .unwrap();
    let state = connection.connection_state().await;
    let label = "EXTRACTOR-dtls_srtp";
    let exported = state
        .export_keying_material(label, &[], length_of(profile))
        .await
        .unwrap();
    let mut ours = running.await.unwrap();
    let (certificate, _, negotiated) = ours.side.completed(1).unwrap();
    assert_eq!(negotiated, profile);
    assert_eq!(ours.exported(), exported);
    assert!(fingerprint::matches(
        certificate,
        &[fingerprint::of_certificate(&der)]
    ));
    let seen = &state.peer_certificates[0];
    assert!(fingerprint::matches(
        seen,
        &[ours.side.certificate.fingerprint()]
    ));
    ours.side.stop(Time::ZERO + ours.side.base.elapsed(), 1);
    for (_, bytes) in ours.side.poll() {
        ours.socket.send_to(&bytes, peer).unwrap();
    }
    let patience = Some(Duration::from_secs(5));
    let read = connection.read(&mut [0; 16], patience).await;
    assert!(
        matches!(read, Err(::dtls::Error::ErrAlertFatalOrClose)),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dtls_crate_agrees_on_keys_in_both_roles() {
    // A second test of this process may have made the same choice before.
    drop(rustls::crypto::ring::default_provider().install_default());
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        for we_are_client in [false, true] {
            with_crate(version, we_are_client, SrtpProfile::AeadAes256Gcm).await;
            with_crate(version, we_are_client, SrtpProfile::AeadAes128Gcm).await;
            with_crate(version, we_are_client, SrtpProfile::Aes128CmSha1_80).await;
        }
    }
}

/// Certificate and key for OpenSSL; `None` when the command is missing.
struct OpenSsl {
    folder: PathBuf,
    der: Vec<u8>,
}

impl OpenSsl {
    fn with_key(kind: &[&str], name: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("dtls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=peer", "-newkey",
            ])
            .args(kind)
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(&folder)
            .stderr(Stdio::null())
            .status();
        if made.is_err() {
            eprintln!("the openssl command is missing: nothing is tested here");
            return None;
        }
        let der = Command::new("openssl")
            .args(["x509", "-in", "cert.pem", "-outform", "der"])
            .current_dir(&folder)
            .output()
            .unwrap()
            .stdout;
        Some(Self { folder, der })
    }

    /// The handshake between `ours` and `openssl`; what the latter printed.
    fn meet(&self, ours: &mut OnSocket, profiles: &str, length: usize) -> String {
        let length = length.to_string();
        let free = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new("openssl");
        if ours.is_client {
            let port = free.port().to_string();
            command.args(["s_server", "-port", &port, "-verify", "1"]);
        } else {
            command.args(["s_client", "-connect", &ours.address().to_string()]);
        }
        let mut child = command
            .args([
                "-dtls1_2",
                "-use_srtp",
                profiles,
                "-cert",
                "cert.pem",
                "-key",
                "key.pem",
            ])
            .args([
                "-keymatexport",
                "EXTRACTOR-dtls_srtp",
                "-keymatexportlen",
                &length,
            ])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        ours.run(ours.is_client.then_some(free));
        if let Some(stdin) = &mut child.stdin {
            // Both commands end by this word; one that is gone already is fine too.
            drop(stdin.write_all(b"Q\n"));
        }
        for _ in 0..500 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            drop(ours.socket.recv(&mut [0; 1]));
        }
        drop(child.kill());
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn openssl_as_a_client_exports_the_same_keys() {
    let Some(openssl) = OpenSsl::with_key(P256, "client") else {
        return;
    };
    for (name, profile) in [
        ("SRTP_AEAD_AES_256_GCM", SrtpProfile::AeadAes256Gcm),
        ("SRTP_AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
        ("SRTP_AES128_CM_SHA1_80", SrtpProfile::Aes128CmSha1_80),
    ] {
        let mut ours = on_socket(DtlsVersion::Auto, false);
        let printed = openssl.meet(&mut ours, name, length_of(profile));
        let (certificate, _, negotiated) = ours.side.completed(1).expect("keys");
        assert_eq!(negotiated, profile);
        assert!(fingerprint::matches(
            certificate,
            &[fingerprint::of_certificate(&openssl.der)]
        ));
        assert!(printed.contains(name), "{printed}");
        let hex: String = ours
            .exported()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert!(printed.contains(&hex), "{printed}");
    }
}

#[test]
fn openssl_as_a_server_exports_the_same_keys() {
    let Some(openssl) = OpenSsl::with_key(P256, "server") else {
        return;
    };
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        let mut ours = on_socket(version, true);
        let profile = SrtpProfile::Aes128CmSha1_80;
        let printed = openssl.meet(&mut ours, "SRTP_AES128_CM_SHA1_80", length_of(profile));
        let (certificate, _, negotiated) = ours.side.completed(1).expect("keys");
        assert_eq!(negotiated, profile);
        assert!(fingerprint::matches(
            certificate,
            &[fingerprint::of_certificate(&openssl.der)]
        ));
        let hex: String = ours
            .exported()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert!(printed.contains(&hex), "{printed}");
    }
}

/// As it is: the backend verifies ECDSA only. Browsers have made such certificates since 2016.
#[test]
fn a_peer_with_an_rsa_certificate_is_refused_at_once() {
    let Some(openssl) = OpenSsl::with_key(&["rsa:2048"], "rsa") else {
        return;
    };
    let mut ours = on_socket(DtlsVersion::V1_2, false);
    openssl.meet(&mut ours, "SRTP_AES128_CM_SHA1_80", 60);
    assert_eq!(ours.side.events, [(1, Told::Failed)]);
}

#[test]
fn a_peer_that_does_not_offer_srtp_fails() {
    let Some(openssl) = OpenSsl::with_key(P256, "plain") else {
        return;
    };
    let mut ours = on_socket(DtlsVersion::V1_2, false);
    let address = ours.address().to_string();
    let mut child = Command::new("openssl")
        .args([
            "s_client", "-dtls1_2", "-connect", &address, "-cert", "cert.pem",
        ])
        .args(["-key", "key.pem"])
        .current_dir(&openssl.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ours.run(None);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ours.side.events, [(1, Told::Failed)]);
}
