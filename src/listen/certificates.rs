//! The certificate of a door, which can be read again while the door is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds no PEM of the kind expected.
    #[error("{} holds no {wanted} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("{} and {} do not make a pair", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The TLS library refuses the settings.
    #[error("set TLS up")]
    Settings(#[source] rustls::Error),
}

/// A certificate chain and its key, loaded from files.
pub struct Certificates {
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Reads both files: PEM, the chain with the door's own certificate first.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = read_pair(certificate, key, &provider)?;
        Ok(Arc::new(Self {
            provider,
            current: ArcSwap::from_pointee(current),
        }))
    }

    /// Reads both files again, wherever they are by now. New connections get the new certificate;
    /// returns whether it is a different one.
    ///
    /// # Errors
    /// See [`TlsError`]; the certificate in use stays in use.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<bool, TlsError> {
        let fresh = read_pair(certificate, key, &self.provider)?;
        let is_new = self.current.load().cert != fresh.cert;
        self.current.store(Arc::new(fresh));
        Ok(is_new)
    }

    /// TLS 1.2 and 1.3 with these certificates. Tickets let a CI job that opens a connection per
    /// command skip the expensive part of the handshake.
    pub(super) fn server_config(
        self: &Arc<Self>,
        protocols: &[&[u8]],
    ) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Settings)?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<_>);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(TlsError::Settings)?;
        Ok(config)
    }
}

fn read_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let not_pem = |path: &Path, wanted| {
        let path = path.to_owned();
        move |source| TlsError::Pem {
            path,
            wanted,
            source,
        }
    };
    let text = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(not_pem(certificate, "certificate"))?;
    if chain.is_empty() {
        let source = rustls::pki_types::pem::Error::NoItemsFound;
        return Err(not_pem(certificate, "certificate")(source));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?);
    let private = private.map_err(not_pem(key, "private key"))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificates")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            files.write_pair();
            files
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("cert.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("key.pem")
        }

        fn write_pair(&self) {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(self.certificate(), pair.cert.pem()).unwrap();
            std::fs::write(self.key(), pair.signing_key.serialize_pem()).unwrap();
        }

        fn load(&self) -> Result<Arc<Certificates>, TlsError> {
            Certificates::load(&self.certificate(), &self.key())
        }
    }

    #[test]
    fn a_reload_changes_the_certificate_and_a_bad_one_does_not() {
        let files = Files::new();
        let certificates = files.load().unwrap();
        let first = certificates.current.load().cert[0].clone();
        let reload = || certificates.reload(&files.certificate(), &files.key());
        assert!(!reload().unwrap());
        files.write_pair();
        assert!(reload().unwrap());
        let second = certificates.current.load().cert[0].clone();
        assert_ne!(first, second);
        std::fs::write(files.certificate(), "").unwrap();
        assert!(matches!(reload(), Err(TlsError::Pem { .. })));
        assert_eq!(certificates.current.load().cert[0], second);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let files = Files::new();
        let key = std::fs::read(files.key()).unwrap();
        files.write_pair();
        std::fs::write(files.key(), key).unwrap();
        assert!(matches!(files.load(), Err(TlsError::Pair { .. })));
        std::fs::write(files.key(), "nothing").unwrap();
        let error = files.load().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("key.pem holds no private key in PEM form"),
            "{error}"
        );
        std::fs::remove_file(files.certificate()).unwrap();
        assert!(matches!(files.load(), Err(TlsError::Read { .. })));
    }
}
