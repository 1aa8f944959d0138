//! Speaks with a running server through its management door, for commands that change what it remembers.
//!
//! The door is where the configuration has it, flags and environment of `serve` included as far as they are
//! `CHEESECLOTH_…` here too, or where `--url` says. With TLS, the certificate of the configuration is expected
//! and nothing else: it need not be one for the address that this machine uses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use http::StatusCode;
use reqwest::{Client, ClientBuilder, Response};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::account::ROOT;
use crate::app;
use crate::cli::sources::environment;
use crate::config::{Config, Listen};
use crate::model::{OperationClass, Secret};
use crate::upstream::install_crypto_provider;

/// How long a server on this machine may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Longest answer read, in bytes: lists of everything that is held are the longest.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How a running server is reached.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunningOptions {
    /// The running server's management door, http(s)://HOST:PORT or unix:/PATH (default: where the
    /// configuration has it).
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Who asks the server (default: root).
    #[arg(long, value_name = "NAME", requires = "password_env")]
    user: Option<String>,
    /// The environment variable that holds their password or login token (default: root's login, signed with
    /// the key in the data directory; with --url, CHEESECLOTH_ROOT_PASSWORD or DEVPI_PASSWORD).
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
}

impl RunningOptions {
    /// Why a server did not answer, where it can be known: none runs on the data directory.
    pub(super) fn explained(&self, config: &Config, error: anyhow::Error) -> anyhow::Error {
        // Taking the data directory would make it, and it is another's if the server is elsewhere.
        let is_here = !self.is_elsewhere() && config.data.is_dir();
        match is_here.then(|| app::unless_served(config)) {
            Some(Ok(Some(_))) => {
                error.context(format!("no server runs on {}", config.data.display()))
            }
            Some(Ok(None) | Err(_)) | None => error,
        }
    }

    /// Whether a server is named that this machine's configuration may know nothing of.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.url.is_some()
    }
}

/// A running server.
pub(super) struct Running {
    work: Runtime,
    client: Client,
    base: Url,
    /// The door, in words.
    place: String,
    user: String,
    secret: Secret,
}

/// What a server answered: it was done, or 422 with what it found.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) is_done: bool,
    pub(super) body: Value,
}

impl Answered {
    /// devpi's words for it; empty if there are none.
    pub(super) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The object that devpi's answers wrap.
    pub(super) fn result(&self) -> &Value {
        &self.body["result"]
    }
}

/// Where a door is, for a client on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Url {
        url: Url,
        /// The only certificate to accept; without, the platform's authorities decide.
        certificate: Option<PathBuf>,
    },
    Unix(PathBuf),
}

impl Running {
    /// Prepares to ask the server that this configuration is of; nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration has no door that a command can use, or there is nothing to log in with.
    pub(super) fn of(config: &Config, options: &RunningOptions) -> anyhow::Result<Self> {
        install_crypto_provider();
        let place = match &options.url {
            Some(url) => Place::parse(url)?,
            None => Place::of(config)?,
        };
        let secret = secret(config, options)?;
        let client = place.dial(dialling())?.build();
        Ok(Self {
            work: Builder::new_current_thread().enable_all().build()?,
            client: client.context("make an HTTP client")?,
            base: place.base()?,
            place: place.to_string(),
            user: options.user.clone().unwrap_or_else(|| ROOT.to_owned()),
            secret,
        })
    }

    /// Sends a request with an object, or without one, and reads the answer.
    ///
    /// # Errors
    /// When no server answers, it does not let the user do this, or fails.
    pub(super) fn post(&self, path: &str, object: Option<&Value>) -> anyhow::Result<Answered> {
        let url = self.base.join(path)?;
        let request = self.client.post(url);
        let request = request.basic_auth(&self.user, Some(self.secret.expose()));
        let request = match object {
            Some(object) => request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(object.to_string()),
            None => request,
        };
        self.work.block_on(async {
            let sent = request.send().await;
            let response = sent.map_err(|error| {
                anyhow::Error::from(error.without_url()).context(format!(
                    "no server answers at {}: start it, or name its management door with --url",
                    self.place
                ))
            })?;
            let status = response.status();
            let body = whole(response).await;
            let body = body.with_context(|| format!("read the answer of {}", self.place))?;
            self.judge(status, &body)
        })
    }

    fn judge(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<Answered> {
        let is_done = status.is_success();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let answered = Answered { is_done, body };
        let (place, user) = (&self.place, &self.user);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let words = answered.message();
                anyhow::bail!(
                    "the server at {place} does not let {user} do this ({status}: {words}): run it as the \
                     owner of the data directory, or give a password with --user and --password-env"
                )
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => anyhow::bail!(
                "the server at {place} does not know this request ({status}): is it the management door of \
                 this version?"
            ),
            _ if is_done || status == StatusCode::UNPROCESSABLE_ENTITY => Ok(answered),
            _ => {
                let words = answered.message();
                anyhow::bail!("the server at {place} could not do it ({status}: {words})")
            }
        }
    }
}

fn dialling() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("cheesecloth/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .no_proxy()
}

async fn whole(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        anyhow::ensure!(body.len() <= ANSWER_BYTES_MAX, "it does not end");
    }
    Ok(body)
}

/// Bytes that a running server holds in memory, as its metrics door says; `None` if none answers there.
pub(super) fn memory_held(config: &Config) -> Option<u64> {
    let Listen::Tcp { address, tls: None } = &config.listen.metrics.place else {
        return None;
    };
    let url = format!("http://{}/metrics", reachable(*address));
    let work = Builder::new_current_thread().enable_all().build().ok()?;
    let page = work.block_on(async {
        install_crypto_provider();
        let client = Client::builder().no_proxy().timeout(CONNECT_WITHIN).build();
        let response = client.ok()?.get(url).send().await.ok()?;
        String::from_utf8(whole(response).await.ok()?).ok()
    })?;
    let mut lines = page.lines();
    let held =
        lines.find_map(|line| line.strip_prefix("cheesecloth_cache_bytes{tier=\"memory\"} "));
    held?.parse().ok()
}

/// Has the server of this configuration answer a path at a door that reads.
///
/// # Errors
/// When no such door is known or answers, or it refuses.
pub(super) fn reading(config: &Config, path: &str) -> anyhow::Result<()> {
    install_crypto_provider();
    let doors = [&config.listen.public, &config.listen.manage];
    let mut usable = doors.into_iter().filter(|door| !door.is_behind_proxies);
    let place = usable.find_map(|door| Place::at(&door.place).ok());
    let place = place.context("it has no door that a command on this machine can use")?;
    let client = place.dial(dialling())?.build()?;
    let request = client.get(place.base()?.join(path)?);
    let work = Builder::new_current_thread().enable_all().build()?;
    work.block_on(async {
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let response = sent.with_context(|| format!("ask {place}"))?;
        let status = response.status();
        whole(response).await?;
        anyhow::ensure!(status.is_success(), "{place} answers {status}");
        Ok(())
    })
}

/// What to log in with.
fn secret(config: &Config, options: &RunningOptions) -> anyhow::Result<Secret> {
    if let Some(name) = &options.password_env {
        let secret = environment(name).filter(|secret| !secret.is_empty());
        let secret = secret.with_context(|| format!("{name} is not set or empty"))?;
        return Ok(Secret::new(secret));
    }
    // Another server's key may be another.
    let is_elsewhere = options.url.is_some();
    let password = config.root_password.clone();
    if let Some(password) = password.clone().filter(|_| is_elsewhere) {
        return Ok(password);
    }
    let signed = app::sign_in_as_root(config)?.or(password);
    signed.with_context(|| {
        format!(
            "there is nothing to log in with: no records can be read in {}; run it as the owner of the data \
             directory, or give a password with --password-env",
            config.data.display()
        )
    })
}

impl Place {
    /// Where the configuration has a door that manages.
    fn of(config: &Config) -> anyhow::Result<Self> {
        let doors = [&config.listen.manage, &config.listen.public];
        let mut usable = doors.into_iter().filter(|door| {
            door.place != Listen::Off
                && door.allows.contains(&OperationClass::Manage)
                && !door.is_behind_proxies
        });
        let door = usable.next().context(
            "the configuration has no management door that a command on this machine can use: name one with \
             --url",
        )?;
        Self::at(&door.place)
    }

    fn at(place: &Listen) -> anyhow::Result<Self> {
        match place {
            Listen::Tcp { address, .. } if address.port() == 0 => {
                anyhow::bail!("the door has another port at every start: name it with --url")
            }
            Listen::Tcp { address, tls } => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                let certificate = tls.as_ref().map(|tls| tls.cert.clone());
                let url = Url::parse(&format!("{scheme}://{}/", reachable(*address)))?;
                Ok(Self::Url { url, certificate })
            }
            Listen::Unix { path } => Ok(Self::Unix(path.clone())),
            Listen::Off => anyhow::bail!("the door is off"),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url
            .with_context(|| format!("--url: {text:?} is no http(s)://HOST:PORT or unix:/PATH"))?;
        let certificate = None;
        Ok(Self::Url { url, certificate })
    }

    fn base(&self) -> anyhow::Result<Url> {
        match self {
            Self::Url { url, .. } => {
                let mut url = url.clone();
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                url.set_query(None);
                Ok(url)
            }
            Self::Unix(_) => Ok(Url::parse("http://localhost/")?),
        }
    }

    fn dial(&self, client: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        Ok(match self {
            Self::Unix(path) => client.unix_socket(path.clone()),
            Self::Url {
                certificate: Some(file),
                ..
            } => client.tls_backend_preconfigured(accepting(file)?),
            Self::Url { .. } => client,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { url, .. } => {
                let mut url = url.clone();
                let _ = (url.set_username(""), url.set_password(None));
                url.fmt(formatter)
            }
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// The address at which this machine reaches a door that is open at all of them.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// TLS with whoever has the door's own certificate.
fn accepting(file: &Path) -> anyhow::Result<ClientConfig> {
    let expected = CertificateDer::from_pem_file(file);
    let expected = expected.with_context(|| format!("read {}", file.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Expecting {
        expected,
        provider: Arc::clone(&provider),
    });
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(config.with_no_client_auth())
}

/// Accepts one certificate, whatever name and dates it has.
#[derive(Debug)]
struct Expecting {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Expecting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let words = "it shows another certificate than the configuration names";
        Err(rustls::Error::General(words.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};

    fn config(yaml: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, yaml).unwrap();
        let loaded = load(&PoliciesPath::Named(path), &Overrides::default(), &|_| None);
        loaded.unwrap().config
    }

    #[test]
    fn the_door_is_the_first_that_manages_and_takes_commands() {
        let table = [
            ("{}", "http://127.0.0.1:3141/"),
            ("listen: {manage: 'unix:/run/c.sock'}", "unix:/run/c.sock"),
            ("listen: {manage: '127.0.0.1:0'}", "--url"),
            ("listen: {manage: off}", "--url"),
            (
                "listen: {manage: off, public: {address: '0.0.0.0:4040', allow: [read, manage], \
                 tls: {cert: c.pem, key: k.pem}}}",
                "https://127.0.0.1:4040/",
            ),
        ];
        for (yaml, expected) in table {
            let said = match Place::of(&config(yaml)) {
                Ok(place) => place.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(expected), "{yaml}: {said}");
        }
    }

    #[test]
    fn a_door_is_named_by_url_or_socket_and_shown_without_a_password() {
        let table = [
            ("http://u:s3cret@host:3141", "http://host:3141/"),
            ("https://h.example/devpi", "https://h.example/devpi"),
            ("unix:/run/c.sock", "unix:/run/c.sock"),
            ("host:3141", "is no http(s)"),
            ("ftp://host/", "is no http(s)"),
        ];
        for (text, expected) in table {
            let said = match Place::parse(text) {
                Ok(place) => place.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(
                said.contains(expected) && !said.contains("s3cret"),
                "{text}: {said}"
            );
        }
        let base = Place::parse("https://h.example/devpi")
            .unwrap()
            .base()
            .unwrap();
        assert_eq!(base.as_str(), "https://h.example/devpi/");
    }
}
