//! One mirror's upstream: what it is built from, and the HTTP client it asks with.
//!
//! The client never decompresses anything: a file's digest is that of the bytes as transferred, and pages
//! are decompressed within limits (`body`). Certificates are always verified, against the platform's roots
//! or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use std::sync::Arc;

use http::header;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use url::Url;

use crate::model::{IndexName, Login, UpstreamLimits};
use crate::upstream::decoding::Decoding;
use crate::upstream::error::UpstreamError;
use crate::upstream::exchange::Breakers;
use crate::upstream::fleet::Fleet;
use crate::upstream::hosts::{Bounds, Hosts, Trust, is_special};
use crate::upstream::words;

/// The name of this gateway in its requests.
const USER_AGENT: &str = concat!("cheesecloth/", env!("CARGO_PKG_VERSION"));

/// A mirror's settings for its upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamSettings {
    /// The mirror's name, for messages.
    pub name: IndexName,
    /// `mirror_url`, with or without the trailing slash. A user and password in it count as
    /// `credentials` if those are absent.
    pub url: Url,
    /// User and password for the upstream.
    pub credentials: Option<Login>,
    /// Limits on what it may cost.
    pub limits: UpstreamLimits,
    /// The budget for decompressing and reading, shared with all upstreams.
    pub decoding: Decoding,
    /// Whether the environment's proxies are used.
    pub proxies: Proxies,
    /// What it may lead to.
    pub bounds: Bounds,
}

/// Which proxies stand between this gateway and an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Those of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case.
    #[default]
    Environment,
    /// None.
    Direct,
}

/// An upstream cannot be asked at all with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    /// The URL is not one of an index.
    #[error("{index}: mirror_url must be an http or https URL with a host, not {scheme}:")]
    Url {
        /// The mirror.
        index: IndexName,
        /// The URL's scheme.
        scheme: String,
    },
    /// An address at which no index can be.
    #[error("{index}: mirror_url leads to {host}, an address that no index may be at")]
    Special {
        /// The mirror.
        index: IndexName,
        /// The address.
        host: String,
    },
    /// No HTTP client can be built on this machine, usually for lack of root certificates.
    #[error(
        "{index}: no https client: {reason}; install the system's CA certificates or set SSL_CERT_FILE"
    )]
    Client {
        /// The mirror.
        index: IndexName,
        /// What is missing.
        reason: String,
    },
}

/// The upstream of one mirror. Cheap to share, made once per generation of the configuration.
#[derive(Debug)]
pub struct Upstream {
    pub(super) name: IndexName,
    pub(super) url: Url,
    pub(super) credentials: Option<Login>,
    pub(super) limits: UpstreamLimits,
    pub(super) decoding: Decoding,
    pub(super) hosts: Hosts,
    pub(super) client: Client,
    pub(super) breakers: Breakers,
    /// The devpi-servers that requests go to, instead of the URL's host.
    pub(super) fleet: Option<Arc<Fleet>>,
}

impl Upstream {
    /// Builds the client; nothing is asked yet.
    ///
    /// # Errors
    /// See [`InvalidUpstream`].
    pub fn new(settings: UpstreamSettings) -> Result<Self, InvalidUpstream> {
        install_crypto_provider();
        let UpstreamSettings {
            name,
            mut url,
            credentials,
            limits,
            decoding,
            proxies,
            bounds,
        } = settings;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidUpstream::Url {
                index: name,
                scheme: url.scheme().to_owned(),
            });
        }
        // Its user is told when asking it: one such mirror must not stop all others.
        if matches!(bounds.trust, Trust::Declared) && is_special(&url) {
            return Err(InvalidUpstream::Special {
                index: name,
                host: url.host_str().unwrap_or_default().to_owned(),
            });
        }
        let inline = Login::take_from(&mut url);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        let hosts = Hosts::of(url.clone(), bounds);
        let client = client(&limits, &hosts, proxies).read_timeout(limits.upstream_read_timeout);
        let client = client.build().map_err(|error| InvalidUpstream::Client {
            index: name.clone(),
            reason: words::causes(error),
        })?;
        Ok(Self {
            client,
            breakers: Breakers::new(&limits),
            credentials: credentials.or(inline),
            name,
            url,
            limits,
            decoding,
            hosts,
            fleet: None,
        })
    }

    /// The same upstream, asked through a fleet whose URL is a prefix of its own.
    #[must_use]
    pub fn through(self, fleet: Arc<Fleet>) -> Self {
        Self {
            fleet: Some(fleet),
            ..self
        }
    }

    /// Whether an answer with this tag predates a write that went through its fleet, which it may lack.
    #[must_use]
    pub fn is_outdated(&self, tag: Option<&str>) -> bool {
        let fleet = self.fleet.as_ref();
        fleet.is_some_and(|fleet| fleet.is_outdated(tag.unwrap_or_default()))
    }

    /// Whether it asks devpi-servers.
    #[must_use]
    pub fn has_fleet(&self) -> bool {
        self.fleet.is_some()
    }

    /// Checks that its fleet, if it has one, would serve this file to everybody.
    ///
    /// # Errors
    /// [`UpstreamError::Withheld`] when it would not.
    pub async fn is_shown(&self, file: &Url) -> Result<(), UpstreamError> {
        let Some(fleet) = &self.fleet else {
            return Ok(());
        };
        match fleet.withholds(file).await {
            None => Ok(()),
            Some(status) => Err(UpstreamError::Withheld {
                index: self.name.clone(),
                status,
                words: "package read forbidden".to_owned(),
                path: fleet.path_of(file),
            }),
        }
    }
}

/// What all clients have in common. Redirects are followed in `exchange`, hop by hop.
pub(super) fn client(limits: &UpstreamLimits, hosts: &Hosts, proxies: Proxies) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(limits.upstream_connect_timeout)
        .pool_idle_timeout(limits.upstream_idle_timeout)
        .pool_max_idle_per_host(limits.upstream_connections)
        .dns_resolver(Arc::new(hosts.clone()));
    match proxies {
        Proxies::Environment => builder,
        Proxies::Direct => builder.no_proxy(),
    }
}

/// The request with this login.
pub(super) fn logged_in(request: RequestBuilder, login: &Login) -> RequestBuilder {
    request.basic_auth(&login.user, Some(login.password.expose()))
}

/// Makes ring the process's source of cryptography, unless one is already installed: TLS needs exactly one,
/// chosen before the first client or listener is built.
pub fn install_crypto_provider() {
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A header's text, if it is present and printable.
pub(super) fn text_of(head: &header::HeaderMap, name: header::HeaderName) -> Option<String> {
    head.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(url: &str) -> UpstreamSettings {
        UpstreamSettings {
            name: IndexName::parse("root/pypi").unwrap(),
            url: Url::parse(url).unwrap(),
            credentials: None,
            limits: UpstreamLimits::default(),
            decoding: Decoding::new(1 << 30, Duration::from_mins(1)),
            proxies: Proxies::Direct,
            bounds: Bounds::default(),
        }
    }

    #[test]
    fn credentials_leave_the_url_and_are_never_shown() {
        let upstream = Upstream::new(settings("https://me:s%40c@upstream.example/simple")).unwrap();
        assert_eq!(upstream.url.as_str(), "https://upstream.example/simple/");
        assert_eq!(upstream.credentials, Some(Login::new("me", "s@c")));
        assert!(!format!("{upstream:?}").contains("s@c"));

        let mut both = settings("https://me:old@upstream.example/simple/");
        both.credentials = Some(Login::new("me", "new"));
        let upstream = Upstream::new(both).unwrap();
        assert_eq!(upstream.credentials, Some(Login::new("me", "new")));
    }

    #[test]
    fn an_address_at_which_nobody_may_be_is_a_fault_only_where_a_file_says_it() {
        let mut settings = settings("http://169.254.169.254/simple/");
        let error = Upstream::new(settings.clone()).unwrap_err();
        assert!(matches!(error, InvalidUpstream::Special { .. }), "{error}");
        settings.bounds.trust = Trust::Made(crate::model::MirrorPlaces::default());
        Upstream::new(settings).unwrap();
    }

    #[test]
    fn what_is_no_index_url_is_refused_without_showing_it() {
        for url in [
            "ftp://me:secret@upstream.example/",
            "mailto:me",
            "file:///simple/",
        ] {
            let error = Upstream::new(settings(url)).unwrap_err();
            assert!(matches!(error, InvalidUpstream::Url { .. }), "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
