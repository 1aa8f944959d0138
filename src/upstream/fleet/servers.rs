//! The servers of a fleet, what is known about each, and the checks that keep it up to date.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use reqwest::{Client, ClientBuilder, Response};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::model::{FleetLimits, IndexName, Limits, UpstreamLimits};
use crate::telemetry::{Metrics, Permits, WaitFor};
use crate::upstream::client::{
    InvalidUpstream, Proxies, Upstream, UpstreamSettings, install_crypto_provider,
};
use crate::upstream::decoding::Decoding;
use crate::upstream::fleet::load::Load;
use crate::upstream::fleet::order;
use crate::upstream::fleet::order::Standing;
use crate::upstream::fleet::shown::Shown;
use crate::upstream::fleet::status::{Role, Status};
use crate::upstream::hosts::{Bounds, NamedHosts, is_special};
use crate::upstream::words;

/// Time between two checks of every server: a restarted one is used again within this time.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Time allowed for one check. A server that takes longer for its own status is of no use to an installer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest status. Real ones have a few kilobytes, more with many plugins and replicas.
const STATUS_BYTES_MAX: usize = 1 << 20;

/// Idle connections kept to one server; devpi runs 50 threads by default and has no use for more.
const IDLE_CONNECTIONS_MAX: usize = 50;

/// How old the known serial may be when a page is judged by it: an upload is listed at most this much
/// later, and a busy gateway asks for the status at most this often.
const SERIAL_AGE_MAX: Duration = Duration::from_millis(250);

/// How long a page counts as unchanged because the serial is: a mirror's upstream can change without any
/// transaction, so devpi is asked again now and then.
const SERIAL_TRUSTED: Duration = Duration::from_mins(1);

const X_DEVPI_SERIAL: &str = "x-devpi-serial";

/// Below every serial, including that of an empty replica.
const NOTHING_WRITTEN: i64 = -2;

/// A primary and its replicas. Made once; what it learns is behind its own locks.
#[derive(Debug)]
pub struct Fleet {
    pub(super) client: Client,
    /// Its connections are never used twice: on one that the server is just closing nobody could tell
    /// whether a write was carried out.
    pub(super) writing: Client,
    pub(super) servers: Vec<Server>,
    turn: AtomicUsize,
    started: Instant,
    /// Distinguishes our tags from those of another process.
    nonce: u32,
    /// Held while asking for the serial, so that one request asks for all.
    asking: Permits,
    /// The serial of the last write that went through here; older answers may lack it.
    written: AtomicI64,
    pub(super) shown: Shown,
    /// Longest time between two reads of an answer, including the wait for its head.
    pub(super) read_timeout: Duration,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: Url,
    pub(super) load: Load,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    standing: Standing,
    serial_at: Option<Instant>,
}

/// No fleet can be made of these servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFleet {
    /// None is named.
    #[error("devpi.servers names no server")]
    Empty,
    /// Not an address of a server.
    #[error("devpi.servers: {0} is no http or https URL with a host")]
    Url(String),
    /// An address at which no server can be.
    #[error("devpi.servers: {0} is at an address that no server may have")]
    Special(String),
    /// No HTTP client can be built on this machine.
    #[error(
        "devpi.servers: no https client: {0}; install the system's CA certificates or set SSL_CERT_FILE"
    )]
    Client(String),
}

impl Fleet {
    /// A fleet of these servers; the first counts as the primary until it has stated its role. Nothing
    /// is asked yet, and the environment's proxies are not used.
    ///
    /// # Errors
    /// See [`InvalidFleet`].
    pub fn new(servers: &[Url], limits: &Limits, metrics: &Metrics) -> Result<Self, InvalidFleet> {
        install_crypto_provider();
        if servers.is_empty() {
            return Err(InvalidFleet::Empty);
        }
        let build = |builder: ClientBuilder| {
            let client = builder.build();
            client.map_err(|error| InvalidFleet::Client(words::causes(error)))
        };
        let reading = builder(&limits.fleet)
            .read_timeout(limits.upstream.upstream_read_timeout)
            .pool_idle_timeout(limits.upstream.upstream_idle_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        let servers = servers
            .iter()
            .enumerate()
            .map(|(position, url)| Server::new(url, position, &limits.fleet, metrics));
        Ok(Self {
            client: build(reading)?,
            writing: build(builder(&limits.fleet).pool_max_idle_per_host(0))?,
            servers: servers.collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
            started: Instant::now(),
            nonce: getrandom::u32().unwrap_or_default(),
            asking: Permits::one(metrics.waits(WaitFor::DevpiSerial)),
            written: AtomicI64::new(NOTHING_WRITTEN),
            shown: Shown::default(),
            read_timeout: limits.upstream.upstream_read_timeout,
        })
    }

    /// The fleet's address from outside: its first server. Requests for URLs below it go to any server.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.servers[0].url
    }

    /// One of its indexes as an upstream.
    ///
    /// # Errors
    /// See [`InvalidUpstream`].
    pub fn upstream(
        self: &Arc<Self>,
        index: &IndexName,
        limits: UpstreamLimits,
        decoding: Decoding,
    ) -> Result<Upstream, InvalidUpstream> {
        let settings = self.settings(index, limits, decoding);
        Ok(Upstream::new(settings)?.through(Arc::clone(self)))
    }

    /// The upstream settings for one of its indexes.
    #[must_use]
    pub fn settings(
        &self,
        index: &IndexName,
        limits: UpstreamLimits,
        decoding: Decoding,
    ) -> UpstreamSettings {
        let mut url = self.url().clone();
        // Names of indexes have no characters with a meaning in paths.
        url.set_path(&format!("{}{index}/+simple/", self.url().path()));
        UpstreamSettings {
            name: index.clone(),
            url,
            credentials: None,
            limits,
            decoding,
            proxies: Proxies::Direct,
            bounds: Bounds::default(),
        }
    }

    /// Checks every server periodically. Ends only when dropped.
    pub async fn watch(&self) {
        loop {
            self.check().await;
            sleep(CHECK_EVERY).await;
        }
    }

    /// Asks every server for its status, at the same time.
    pub async fn check(&self) {
        let checks = self.servers.iter().map(|server| self.check_one(server));
        futures_util::future::join_all(checks).await;
    }

    async fn check_one(&self, server: &Server) {
        let checked = timeout(CHECK_TIMEOUT, self.status_of(server)).await;
        let checked =
            checked.unwrap_or_else(|_| Err(format!("no status within {CHECK_TIMEOUT:?}")));
        let now = Instant::now();
        match checked {
            Ok(status) => server.learn(|known| {
                if !known.standing.is_up {
                    tracing::info!(server = %server.url, serial = status.serial, "devpi-server is back");
                }
                known.standing = Standing {
                    is_up: true,
                    role: status.role,
                    serial: Some(status.serial),
                };
                known.serial_at = Some(now);
            }),
            Err(reason) => self.failed(server, &reason),
        }
    }

    async fn status_of(&self, server: &Server) -> Result<Status, String> {
        let url = server
            .url
            .join("+status")
            .map_err(|error| error.to_string())?;
        let request = self.client.get(url).header("accept", "application/json");
        let mut response = request.send().await.map_err(words::causes)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words::causes)? {
            body.extend_from_slice(&chunk);
            if body.len() > STATUS_BYTES_MAX {
                return Err(format!("a status of more than {STATUS_BYTES_MAX} bytes"));
            }
        }
        Status::parse(&body).map_err(|error| error.to_string())
    }

    /// The servers in the order in which they are to be asked now.
    pub(super) fn order(&self) -> Vec<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        order::order(&self.standings(), turn)
    }

    /// Whether the primary is down: replicas then know only what they were told before. A fleet of replicas
    /// alone has its primary elsewhere, and lacks none.
    #[must_use]
    pub fn lacks_primary(&self) -> bool {
        order::lacks_primary(&self.standings())
    }

    /// Where the primary is, if it is up.
    pub(super) fn primary(&self) -> Option<usize> {
        order::primary(&self.standings())
    }

    /// Whether the server at this position takes writes.
    pub(super) fn is_primary(&self, position: usize) -> bool {
        self.servers[position].standing().role == Role::Primary
    }

    /// Where writes go: to the primary, even if it is down, since no other server takes them.
    pub(super) fn writable(&self) -> Option<usize> {
        let standings = self.standings();
        let is_primary = |standing: &Standing| standing.role == Role::Primary;
        order::primary(&standings).or_else(|| standings.iter().position(is_primary))
    }

    /// How many servers are up, and how many there are.
    pub(in crate::upstream) fn servers_up(&self) -> (usize, usize) {
        let standings = self.standings();
        let up = standings.iter().filter(|standing| standing.is_up).count();
        (up, standings.len())
    }

    fn standings(&self) -> Vec<Standing> {
        self.servers.iter().map(Server::standing).collect()
    }

    /// Takes a server out of rotation until a check succeeds again.
    pub(super) fn failed(&self, server: &Server, reason: &str) {
        server.learn(|known| {
            if known.standing.is_up {
                tracing::warn!(server = %server.url, reason, "devpi-server is left alone until it is healthy");
            }
            known.standing.is_up = false;
        });
    }

    /// Learns from an answer that it gave.
    pub(super) fn answered(&self, server: &Server, headers: &HeaderMap) {
        if let Some(serial) = serial_of(headers) {
            server.learn(|known| {
                known.standing.is_up = true;
                known.standing.serial = known.standing.serial.max(Some(serial));
                known.serial_at = Some(Instant::now());
            });
        }
    }

    /// Learns from the answer to a write.
    pub(super) fn wrote(&self, headers: &HeaderMap) {
        if let Some(serial) = serial_of(headers) {
            self.written.fetch_max(serial, Ordering::SeqCst);
        }
    }

    /// The serial of the last write that went through here; it only grows.
    #[must_use]
    pub fn last_write(&self) -> i64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Whether an answer with this serial may lack what was written through here.
    pub(super) fn is_before_last_write(&self, serial: Option<i64>) -> bool {
        serial.is_some_and(|serial| serial < self.written.load(Ordering::SeqCst))
    }

    /// Whether an answer with this tag may lack what was written through here.
    pub(in crate::upstream) fn is_outdated(&self, tag: &str) -> bool {
        let serial = tag
            .rsplit('.')
            .next()
            .and_then(|serial| serial.parse().ok());
        self.is_before_last_write(Some(serial.unwrap_or(NOTHING_WRITTEN)))
    }

    /// The serial that counts, at most [`SERIAL_AGE_MAX`] old; `None` if no server can say.
    async fn serial(&self) -> Option<i64> {
        if let Some(serial) = self.fresh_serial() {
            return Some(serial);
        }
        let _one_asks_for_all = self.asking.take().await;
        if let Some(serial) = self.fresh_serial() {
            return Some(serial);
        }
        let asked = self.primary().or_else(|| self.order().first().copied())?;
        self.check_one(&self.servers[asked]).await;
        self.fresh_serial()
    }

    fn fresh_serial(&self) -> Option<i64> {
        let asked = self.primary();
        let is_fresh = |server: &Server| {
            let known = server.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.standing.is_up
                && known
                    .serial_at
                    .is_some_and(|at| at.elapsed() < SERIAL_AGE_MAX)
        };
        let is_known = match asked {
            Some(position) => is_fresh(&self.servers[position]),
            None => self.servers.iter().any(is_fresh),
        };
        is_known.then(|| order::serial(&self.standings())).flatten()
    }

    /// A validator for an answer, since devpi sends none: which process made it, and its serial.
    pub(in crate::upstream) fn tag(&self, headers: &HeaderMap) -> Option<String> {
        let serial = serial_of(headers)?;
        (!self.lacks_primary()).then(|| self.tag_at(serial))
    }

    /// Whether an answer with this tag is still what devpi would say.
    pub(in crate::upstream) async fn still_holds(&self, tag: &str) -> bool {
        match self.serial().await {
            Some(serial) => self.tag_at(serial) == tag,
            None => false,
        }
    }

    fn tag_at(&self, serial: i64) -> String {
        let age = self.started.elapsed().as_secs() / SERIAL_TRUSTED.as_secs();
        format!("devpi-{:08x}.{age}.{serial}", self.nonce)
    }
}

/// What both clients have in common.
fn builder(limits: &FleetLimits) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(limits.devpi_connect_timeout)
        .dns_resolver(Arc::new(NamedHosts))
}

impl Server {
    fn new(
        url: &Url,
        position: usize,
        limits: &FleetLimits,
        metrics: &Metrics,
    ) -> Result<Self, InvalidFleet> {
        let mut url = url.clone();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidFleet::Url(url.to_string()));
        }
        if is_special(&url) {
            return Err(InvalidFleet::Special(url.to_string()));
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        let role = if position == 0 {
            Role::Primary
        } else {
            Role::Replica
        };
        let standing = Standing {
            is_up: true,
            role,
            serial: None,
        };
        let known = Mutex::new(Known {
            standing,
            serial_at: None,
        });
        // With its path, since two servers may share a host; never with a user, which no file may name.
        let name = url.as_str().trim_end_matches('/');
        let meter = metrics.waits(WaitFor::DevpiRequests);
        let load = Load::new(limits.devpi_requests, metrics.devpi_server(name), meter);
        load.metrics.is_up(true);
        Ok(Self { url, load, known })
    }

    fn standing(&self) -> Standing {
        let mut standing = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .standing;
        standing.is_up &= !self.load.is_left_alone();
        standing
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        self.load.metrics.is_up(known.standing.is_up);
    }
}

/// `X-DEVPI-SERIAL`, which every answer of a devpi-server carries (docs/protocol/devpi.md §2.3).
pub(super) fn serial_of(headers: &HeaderMap) -> Option<i64> {
    headers
        .get(X_DEVPI_SERIAL)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// A crashed devpi has none of its headers, and neither has a proxy's error page.
pub(super) fn is_devpis(response: &Response) -> bool {
    response.headers().contains_key(X_DEVPI_SERIAL)
}
