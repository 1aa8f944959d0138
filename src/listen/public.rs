//! The public door: GET and HEAD, answered by whoever was given as [`Answers`], which can only read.
//! All else is refused, unless somebody was given that [`Takes`] it.
//!
//! A `ProxyHttp` that answers everything in `request_filter`. Nothing reaches an upstream through it,
//! so neither do the credentials a client sends along.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use pingora::modules::http::HttpModules;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::timeout;
use url::Url;

use crate::gateway::{Answers, Arrival, Ask, Record, Reply, inside_path};
use crate::listen::axum_app::ClientAddress;
use crate::listen::head_guard::HeadWatch;
use crate::listen::limits::DoorLimits;
use crate::listen::presence::Presence;
use crate::listen::proxies::TrustedProxies;
use crate::listen::recorder::{Finished, Recorder, Started};
use crate::listen::refusal;
use crate::listen::reply::{Broken, write_reply};
use crate::listen::request_id::{RequestId, RequestIds};
use crate::listen::response_head::ReplyContext;
use crate::listen::stream_watch::StreamWatch;
use crate::listen::writes::{Takes, hand_on};
use crate::protocol::{Preferences, PublicRoute};
use crate::telemetry::TurnedAway;

/// The largest request body that is read and thrown away so that the connection can stay open:
/// devpi-client sends `{}` with some GETs (docs/protocol/devpi.md §1). After a larger one it is closed.
const BODY_MAX: u64 = 64 << 10;

/// The application behind the public door.
#[derive(Clone)]
pub struct PublicApp {
    answer: Arc<dyn Answers>,
    /// Who takes what is not reading, where the door is opened for that.
    writes: Option<Arc<dyn Takes>>,
    recorder: Recorder,
    limits: Arc<DoorLimits>,
    proxies: TrustedProxies,
    /// Under which URL clients see the door, where the operator says it.
    outside_url: Option<Arc<str>>,
    ids: Arc<RequestIds>,
}

/// A request as the door reads it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Path and query as sent.
    pub(super) target: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) preferences: Preferences,
    pub(super) arrival: Arrival<'a>,
}

/// One request on its way through the door.
#[derive(Debug)]
pub struct Exchange {
    started: Started,
    id: RequestId,
    client: Option<IpAddr>,
    record: Record,
    status: Option<StatusCode>,
    bytes: u64,
    watch: Option<Arc<HeadWatch>>,
}

impl PublicApp {
    /// A door that asks `answer` and writes down through `recorder`.
    #[must_use]
    pub fn new(answer: Arc<dyn Answers>, recorder: Recorder, limits: DoorLimits) -> Self {
        Self {
            answer,
            writes: None,
            recorder,
            limits: Arc::new(limits),
            proxies: TrustedProxies::default(),
            outside_url: None,
            ids: Arc::default(),
        }
    }

    /// The same door behind proxies.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// The same door, which clients see under this URL.
    #[must_use]
    pub fn seen_at(self, outside_url: Option<&Url>) -> Self {
        let outside_url = outside_url.map(|url| url.as_str().into());
        Self {
            outside_url,
            ..self
        }
    }

    pub(super) fn outside_url(&self) -> Option<&str> {
        self.outside_url.as_deref()
    }

    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn limits(&self) -> &DoorLimits {
        &self.limits
    }

    /// The id for a request with these headers.
    pub(super) fn request_id(&self, headers: &HeaderMap) -> RequestId {
        self.ids.of(headers)
    }

    /// Opens the door for more than reading: everything else goes to `writes`, which decides.
    #[must_use]
    pub fn opened_for(mut self, writes: Arc<dyn Takes>) -> Self {
        self.writes = Some(writes);
        self
    }

    /// Whether a request changes nothing, so that nothing is left half done without it.
    fn is_reading(&self, session: &Session) -> bool {
        matches!(session.req_header().method, Method::GET | Method::HEAD)
    }

    /// The reply to a request of any kind.
    async fn reply_to(&self, session: &mut Session, exchange: &Exchange) -> Reply {
        if let (Some(writes), false) = (&self.writes, self.is_reading(session)) {
            let client = ClientAddress(peer_of(session));
            let id: Arc<str> = (*exchange.id).into();
            return hand_on(session, &**writes, client, &id).await;
        }
        self.drain(session).await;
        let request = session.req_header();
        let raw = request.raw_path();
        let asked = Asked {
            method: &request.method,
            target: std::str::from_utf8(raw).unwrap_or(request.uri.path()),
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &request.headers,
            preferences: Preferences::of(&request.headers),
            arrival: self.arrival(session, exchange.client),
        };
        self.reply(&asked, &exchange.id).await
    }

    /// The reply to a request; the table of what never reaches a flow.
    pub(super) async fn reply(&self, asked: &Asked<'_>, id: &str) -> Reply {
        let (path, query, headers) = (asked.path, asked.query, asked.headers);
        let is_head = asked.method == Method::HEAD;
        if !is_head && asked.method != Method::GET {
            let search = refusal::search(headers, asked.arrival.is_tls)
                .filter(|_| asked.method == Method::POST);
            return search.unwrap_or_else(|| refusal::read_only(headers));
        }
        if asked.target.len() > self.limits.uri {
            let most = self.limits.uri;
            let words = format!("the request target is longer than {most} bytes");
            return refusal::bad_request(StatusCode::URI_TOO_LONG, &words, path);
        }
        let path = inside_path(path, asked.arrival, headers);
        match PublicRoute::parse(path, query, asked.preferences.audience) {
            Err(bad) => refusal::bad_request(StatusCode::BAD_REQUEST, &bad.to_string(), path),
            Ok(PublicRoute::Redirect { to, is_permanent }) => refusal::redirect(&to, is_permanent),
            Ok(route) => {
                let ask = Ask {
                    path,
                    route,
                    head: is_head,
                    headers,
                    preferences: asked.preferences,
                    query,
                    request_id: id,
                    arrival: asked.arrival,
                };
                self.answer.answer(&ask).await
            }
        }
    }

    /// Reads a small body away, so that the next request on the connection can be told from it.
    async fn drain(&self, session: &mut Session) {
        let headers = &session.req_header().headers;
        if headers.contains_key(http::header::EXPECT) {
            // Whoever waits to be told to go on sends nothing before the answer.
            session.as_downstream_mut().set_keepalive(None);
            return;
        }
        let length = headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| (1..=BODY_MAX).contains(&length)) {
            let downstream = session.as_downstream_mut();
            downstream.set_total_drain_timeout(Some(self.limits.head_timeout));
            // A body that does not come leaves the connection to be closed after the answer.
            if let Err(error) = downstream.drain_request_body().await {
                tracing::debug!(%error, "a request body did not arrive");
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for PublicApp {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange {
            started: self.recorder.start(),
            id: RequestId::default(),
            client: None,
            record: Record::default(),
            status: None,
            bytes: 0,
            watch: None,
        }
    }

    /// None: pages are compressed once, and a module that compresses nothing still costs each request
    /// (docs/protocol/numbers.md §1).
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> pingora::Result<bool> {
        exchange.watch = HeadWatch::of(session);
        if let Some(watch) = &exchange.watch {
            watch.head_read();
        } else if let Some(watch) = StreamWatch::of(session) {
            watch.count();
        }
        exchange.id = self.ids.of(&session.req_header().headers);
        let headers = &session.req_header().headers;
        exchange.client = self.proxies.client_of(peer_of(session), headers);
        let (presence, is_reading) = (Presence::of(session), self.is_reading(session));
        let reply = {
            let mut replying = pin!(self.reply_to(session, exchange));
            if is_reading {
                presence.unless_gone(replying.as_mut()).await
            } else {
                Some(replying.await)
            }
        };
        let Some(mut reply) = reply else {
            self.broken(Broken::Gone, &exchange.id);
            return Err(Error::explain(ErrorType::ReadError, "the client went away"));
        };
        exchange.record = std::mem::take(&mut reply.record);
        exchange.status = Some(reply.status);
        let context = ReplyContext {
            request_id: &exchange.id,
            elapsed: exchange.started.at.elapsed(),
        };
        // All that the head tells of the record.
        reply.record = Record {
            cache: exchange.record.cache,
            upstream: exchange.record.upstream,
            ..Record::default()
        };
        let writing = write_reply(session, reply, context, &self.limits, &mut exchange.bytes);
        let left = self.limits.request_timeout.saturating_sub(context.elapsed);
        let written = timeout(left, writing).await;
        match written.unwrap_or(Err(Broken::Slow)) {
            Ok(()) => Ok(true),
            Err(broken) => {
                self.broken(broken, &exchange.id);
                Err(Error::explain(
                    ErrorType::WriteError,
                    "the answer broke off",
                ))
            }
        }
    }

    /// Writes the request down, whatever became of it, and lets the guard await the next.
    async fn logging(
        &self,
        session: &mut Session,
        _error: Option<&Error>,
        exchange: &mut Exchange,
    ) {
        let request = session.req_header();
        let agent = request.headers.get(http::header::USER_AGENT);
        self.recorder.finish(Finished {
            started: exchange.started,
            request_id: &exchange.id,
            client: exchange.client,
            method: &request.method,
            path: request.uri.path(),
            user_agent: agent.and_then(|value| value.to_str().ok()),
            status: exchange.status,
            bytes: exchange.bytes,
            record: std::mem::take(&mut exchange.record),
        });
        if let Some(watch) = &exchange.watch {
            watch.answered();
        }
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _exchange: &mut Exchange,
    ) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "the public door has no upstream")
    }

    /// The head is out already or the client is gone: there is nothing to answer, only to close.
    async fn fail_to_proxy(
        &self,
        _session: &mut Session,
        _error: &Error,
        _exchange: &mut Exchange,
    ) -> FailToProxy {
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }
}

/// The other end of the connection; nothing on a Unix socket.
fn peer_of(session: &Session) -> Option<IpAddr> {
    let peer = session.client_addr().and_then(SocketAddr::as_inet)?;
    Some(peer.ip().to_canonical())
}

impl PublicApp {
    /// How the request came here.
    fn arrival<'a>(&'a self, session: &'a Session, client: Option<IpAddr>) -> Arrival<'a> {
        let digest = session.digest();
        Arrival {
            is_trusted: self.proxies.may_name_us(peer_of(session)),
            is_tls: digest.is_some_and(|digest| digest.ssl_digest.is_some()),
            authority: session
                .req_header()
                .uri
                .authority()
                .map(http::uri::Authority::as_str),
            outside: self.outside_url(),
            is_manage: false,
            client,
        }
    }

    /// Writes down why an answer broke off.
    pub(super) fn broken(&self, broken: Broken, request_id: &str) {
        match broken {
            Broken::Cut(cut) => {
                tracing::warn!(request_id, error = %cut, "an answer was cut off");
            }
            Broken::Slow => {
                let (door, metrics) = (self.recorder.door, &self.recorder.metrics);
                metrics.connection_refused(door, TurnedAway::Slow);
                tracing::debug!(request_id, "a client took its answer too slowly");
            }
            Broken::Gone => tracing::debug!(request_id, "a client went away before its answer"),
            Broken::Connection(error) => {
                tracing::debug!(request_id, %error, "a client went away");
            }
        }
    }
}
