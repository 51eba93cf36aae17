//! Makes the TLS side of HTTPS from given files, or from a certificate generated at the start.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    date_time_ymd,
};
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
    let (certificate, key) = generate(names)
        .map_err(|error| TlsError(format!("cannot generate a certificate: {error}")))?;
    let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
    acceptor(vec![certificate.der().clone()], secret.into())
        .map_err(|error| TlsError(error.to_string()))
}

/// A certificate of the kind that phones take too once it is trusted: for servers, and for less
/// than 825 days.
fn generate(names: Vec<String>) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let mut wish = CertificateParams::new(names)?;
    wish.distinguished_name = DistinguishedName::new();
    wish.distinguished_name.push(DnType::CommonName, "Trestle");
    wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let year = year(now.map_or(0, |since| since.as_secs()));
    wish.not_before = date_time_ymd(year, 1, 1);
    wish.not_after = date_time_ymd(year + 2, 1, 1);
    let key = KeyPair::generate()?;
    Ok((wish.self_signed(&key)?, key))
}

/// The year of a Unix time, on its first days the one before.
fn year(seconds: u64) -> i32 {
    let years = seconds.saturating_sub(2 * DAY) / YEAR;
    i32::try_from(years).map_or(1970, |years| 1970 + years)
}

/// Seconds of a day, and of a year on the average.
const DAY: u64 = 86_400;
const YEAR: u64 = 31_556_952;

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
    fn the_year_never_lies_ahead() {
        let new_year_2027 = 1_798_761_600;
        for (seconds, expected) in [
            (0, 1970),
            (new_year_2027 - 1, 2026),
            (new_year_2027, 2026),
            (new_year_2027 + 3 * DAY, 2027),
        ] {
            assert_eq!(year(seconds), expected);
        }
    }

    #[test]
    fn a_generated_certificate_is_accepted() {
        assert!(self_signed(vec!["localhost".into(), "192.0.2.1".into()]).is_ok());
    }
}
