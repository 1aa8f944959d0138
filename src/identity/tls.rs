//! How connections to a directory are encrypted: rustls, with certificates that are verified unless the
//! operator says otherwise.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::identity::error::InvalidDirectory;
use crate::model::{CertificateSource, DirectoryTls};

/// Most files of a folder of authorities; a system has a few hundred.
const AUTHORITIES_MAX: usize = 2_000;

/// What encrypts connections to a server.
///
/// # Errors
/// When a certificate or a key cannot be read.
pub(super) fn client_config(tls: &DirectoryTls) -> Result<Arc<ClientConfig>, InvalidDirectory> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidDirectory(format!("tls: {error}")))?
        .with_root_certificates(authorities(tls)?);
    let Some((certificate, key)) = &tls.own else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    let config = config.with_client_auth_cert(chain, key);
    let config = config.map_err(|error| unreadable(certificate, error))?;
    Ok(Arc::new(config))
}

fn authorities(tls: &DirectoryTls) -> Result<RootCertStore, InvalidDirectory> {
    let mut found = Vec::new();
    for source in &tls.authorities {
        match source {
            CertificateSource::File(path) => found.extend(certificates(path)?),
            CertificateSource::Folder(path) => found.extend(of_folder(path)?),
            CertificateSource::Text(text) => {
                let read: Result<Vec<_>, _> =
                    CertificateDer::pem_slice_iter(text.as_bytes()).collect();
                found.extend(read.map_err(|error| {
                    InvalidDirectory(format!("ca_certs_data is not PEM: {error}"))
                })?);
            }
        }
    }
    if tls.authorities.is_empty() {
        found = rustls_native_certs::load_native_certs().certs;
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found);
    if store.is_empty() {
        let what = "no certificate authority is known: name the directory's in tls.ca_certs_file";
        return Err(InvalidDirectory(what.to_owned()));
    }
    Ok(store)
}

fn of_folder(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidDirectory> {
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, error))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let files = files.filter(|path| path.is_file()).take(AUTHORITIES_MAX);
    // A folder of certificates may hold others things too, such as a list of them.
    Ok(files
        .flat_map(|file| certificates(&file).unwrap_or_default())
        .collect())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidDirectory> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(path, error))?;
    if found.is_empty() {
        return Err(unreadable(path, "no certificate in it"));
    }
    Ok(found)
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> InvalidDirectory {
    InvalidDirectory(format!("cannot use {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(authorities: Vec<CertificateSource>) -> DirectoryTls {
        DirectoryTls {
            start_tls: false,
            is_verified: true,
            authorities,
            own: None,
        }
    }

    #[test]
    fn authorities_come_from_files_folders_and_texts() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["ldap.example".to_owned()]).unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("README"), "certificates").unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        for source in [
            CertificateSource::File(file.clone()),
            CertificateSource::Folder(folder.path().to_owned()),
            CertificateSource::Text(pair.cert.pem()),
        ] {
            let mut tls = trusting(vec![source]);
            assert_eq!(authorities(&tls).unwrap().len(), 1, "{tls:?}");
            tls.own = Some((file.clone(), key.clone()));
            assert!(client_config(&tls).is_ok(), "{tls:?}");
        }
        for (source, why) in [
            (
                CertificateSource::File(folder.path().join("no.pem")),
                "no.pem",
            ),
            (
                CertificateSource::File(folder.path().join("README")),
                "README: no certificate",
            ),
            (CertificateSource::Folder(file), "ca.pem"),
            (
                CertificateSource::Text("certificates".into()),
                "no certificate authority",
            ),
        ] {
            let error = client_config(&trusting(vec![source])).unwrap_err();
            assert!(error.0.contains(why), "{error}");
        }
    }
}
