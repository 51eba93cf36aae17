//! Makes the TLS side of HTTPS from given files, or from a certificate generated at the start.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS; the text names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// TLS with a certificate chain and its key, both PEM.
///
/// # Errors
/// [`TlsError`] when a file cannot be read or is not what it should be, or the two do not belong
/// together.
pub fn from_files(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let at = |path: &Path, what: &dyn fmt::Display| TlsError(format!("{}: {what}", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| at(certificate, &error))?;
    if chain.is_empty() {
        return Err(at(certificate, &"there is no certificate in it"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    acceptor(chain, secret).map_err(|error| at(certificate, &error))
}

/// TLS with a certificate for these names that nobody vouches for.
///
/// # Errors
/// [`TlsError`] when a name cannot stand in a certificate.
pub fn self_signed(names: Vec<String>) -> Result<TlsAcceptor, TlsError> {
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| TlsError(format!("cannot generate a certificate: {error}")))?;
    let secret = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    acceptor(vec![made.cert.der().clone()], secret.into())
        .map_err(|error| TlsError(error.to_string()))
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_certificate_is_named() {
        let folder = std::env::temp_dir().join(format!("trestle-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
        let error = || from_files(&certificate, &key).err().unwrap().to_string();
        assert!(error().contains("c.pem"));
        std::fs::write(&certificate, "no certificate").unwrap();
        assert!(error().contains("c.pem"));
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        assert!(error().contains("k.pem"));
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(
            from_files(&certificate, &key).is_err(),
            "a key of another certificate"
        );
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(from_files(&certificate, &key).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_generated_certificate_is_accepted() {
        assert!(self_signed(vec!["localhost".into(), "192.0.2.1".into()]).is_ok());
    }
}
