//! TLS from the client's side, over a connection that may have been used before.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A connection that speaks TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a certificate for this name and its key as `cert.pem` and `key.pem`; returns the
/// certificate in PEM form.
pub(crate) fn self_signed(folder: &Path, name: &str) -> String {
    let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    pair.cert.pem()
}

/// A client that trusts these certificates, offers these protocols and remembers sessions.
pub(crate) fn trusting(certificates: &[&str], protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|&one| one.into()).collect();
    Arc::new(config)
}

/// Performs the TLS handshake over a connection.
pub(crate) fn agree(config: &Arc<ClientConfig>, name: &str, socket: TcpStream) -> TlsStream {
    try_to_agree(config, name, socket).unwrap()
}

/// The same; fails if the certificate is not trusted.
pub(crate) fn try_to_agree(
    config: &Arc<ClientConfig>,
    name: &str,
    socket: TcpStream,
) -> io::Result<TlsStream> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}
