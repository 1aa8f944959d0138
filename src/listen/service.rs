//! The HTTP service behind every door: requests go to a reader or to a handler.
//!
//! The public door has [`Answers`], which can only read; everything else is refused, unless the door is
//! opened for more by a [`RequestHandler`]. Behind the management and the metrics door there is only a
//! handler. It is a `ProxyHttp` that answers everything in `request_filter`: nothing reaches an
//! upstream through it, and so neither do a client's credentials.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::timeout;
use url::Url;

use crate::exchange::{Answers, Arrival, Ask, Record, Reply, inside_path};
use crate::listen::handler::{DoorRequest, RequestHandler, hand_on, is_reading, is_tls, peer_of};
use crate::listen::head_watch::HeadWatch;
use crate::listen::incoming::{Incoming, Pace};
use crate::listen::presence::Presence;
use crate::listen::proxies::TrustedProxies;
use crate::listen::questions::Questions;
use crate::listen::recorder::{Finished, Recorder, Started};
use crate::listen::refusal;
use crate::listen::reply::{Broken, write_reply};
use crate::listen::request_id::{RequestId, RequestIds};
use crate::listen::response_head::ReplyContext;
use crate::listen::stream_watch::StreamWatch;
use crate::model::DoorLimits;
use crate::protocol::{Preferences, PublicRoute, check_parts};
use crate::telemetry::TurnedAway;

/// Largest request body that is read and discarded so that the connection can stay open: devpi-client
/// sends `{}` with some GETs (docs/protocol/devpi.md §1). After a larger one it is closed.
const BODY_MAX: u64 = 64 << 10;

/// Recorded in place of a head that was not read.
pub(super) const UNREAD: &str = "-";

/// The HTTP service of one door.
#[derive(Clone)]
pub struct HttpService {
    behind: Behind,
    recorder: Recorder,
    limits: Arc<DoorLimits>,
    proxies: TrustedProxies,
    /// The URL under which clients see the door, if the operator stated it.
    outside_url: Option<Arc<str>>,
    questions: Option<Questions>,
    ids: Arc<RequestIds>,
}

/// What requests go to.
#[derive(Clone)]
enum Behind {
    /// Only reads.
    Reader(Arc<dyn Answers>),
    /// The one for reads, the other for everything else.
    Both(Arc<dyn Answers>, Arc<dyn RequestHandler>),
    /// A handler for everything.
    Handler(Arc<dyn RequestHandler>),
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
pub struct Exchange {
    started: Started,
    id: RequestId,
    client: Option<IpAddr>,
    record: Record,
    status: Option<StatusCode>,
    bytes: u64,
    watch: Option<Arc<HeadWatch>>,
}

impl HttpService {
    /// A door that asks `answer` and records with `recorder`.
    #[must_use]
    pub fn new(answer: Arc<dyn Answers>, recorder: Recorder, limits: DoorLimits) -> Self {
        Self::over(Behind::Reader(answer), recorder, limits)
    }

    /// A door that hands everything on to `handler`.
    #[must_use]
    pub fn handled_by(
        handler: Arc<dyn RequestHandler>,
        recorder: Recorder,
        limits: DoorLimits,
    ) -> Self {
        Self::over(Behind::Handler(handler), recorder, limits)
    }

    fn over(behind: Behind, recorder: Recorder, limits: DoorLimits) -> Self {
        Self {
            behind,
            recorder,
            limits: Arc::new(limits),
            proxies: TrustedProxies::default(),
            outside_url: None,
            questions: None,
            ids: Arc::default(),
        }
    }

    /// The same door, which also answers these questions.
    #[must_use]
    pub fn answering(self, questions: Questions) -> Self {
        let questions = Some(questions);
        Self { questions, ..self }
    }

    /// Opens the door for more than reading: everything else goes to `handler`, which decides.
    #[must_use]
    pub fn opened_for(self, handler: Arc<dyn RequestHandler>) -> Self {
        let behind = match self.behind {
            Behind::Reader(answers) | Behind::Both(answers, _) => Behind::Both(answers, handler),
            Behind::Handler(_) => Behind::Handler(handler),
        };
        Self { behind, ..self }
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

    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn limits(&self) -> &DoorLimits {
        &self.limits
    }

    /// The id for a request with these headers; `None` if they are known to contain none.
    pub(super) fn request_id(&self, headers: Option<&HeaderMap>) -> RequestId {
        headers.map_or_else(|| self.ids.fresh(), |headers| self.ids.of(headers))
    }

    fn question(
        &self,
        asked: (&Method, &str),
        arrival: Arrival<'_>,
        headers: &HeaderMap,
    ) -> Option<&dyn RequestHandler> {
        self.questions.as_ref()?.answering(asked, arrival, headers)
    }

    /// The handler for a request with this method, unless the reader answers it.
    fn handler(&self, method: &Method) -> Option<&dyn RequestHandler> {
        match &self.behind {
            Behind::Handler(handler) => Some(&**handler),
            Behind::Both(_, handler) if !is_reading(method) => Some(&**handler),
            Behind::Both(..) | Behind::Reader(_) => None,
        }
    }

    /// The reply to a request that Pingora has read.
    async fn reply_to(&self, session: &mut Session, exchange: &Exchange) -> Reply {
        let request = session.req_header();
        // HTTP/1.1 came through our own parser, which has judged it.
        if request.version == Version::HTTP_2
            && let Err(bad) = check_parts(request)
        {
            return refusal::bad_request(bad.status, bad.why, UNREAD);
        }
        let (peer, is_tls) = (peer_of(session), is_tls(session));
        let request = session.req_header();
        let handler = self.handler(&request.method);
        let handler = match is_reading(&request.method) && handler.is_none() {
            true => None,
            false => {
                let authority = request.uri.authority();
                let arrival = self.arrival(peer, is_tls, exchange.client, authority);
                let osv = self.question(
                    (&request.method, request.uri.path()),
                    arrival,
                    &request.headers,
                );
                osv.or(handler)
            }
        };
        if let Some(handler) = handler {
            let head = request.as_owned_parts();
            let request = DoorRequest {
                head: &head,
                arrival: self.arrival(peer, is_tls, exchange.client, head.uri.authority()),
                id: &(*exchange.id).into(),
            };
            return hand_on(session, request, handler, Pace::of(&self.limits)).await;
        }
        self.drain(session).await;
        let request = session.req_header();
        let raw = request.raw_path();
        let authority = request.uri.authority();
        let asked = Asked {
            method: &request.method,
            target: std::str::from_utf8(raw).unwrap_or(request.uri.path()),
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &request.headers,
            preferences: Preferences::of(&request.headers),
            arrival: self.arrival(peer, is_tls, exchange.client, authority),
        };
        self.reply(&asked, &exchange.id).await
    }

    /// The reply to a request; the table of what never reaches a flow.
    pub(super) async fn reply(&self, asked: &Asked<'_>, id: &str) -> Reply {
        let (path, query, headers) = (asked.path, asked.query, asked.headers);
        let answers = match &self.behind {
            Behind::Reader(answers) | Behind::Both(answers, _) => answers,
            Behind::Handler(handler) => {
                let osv = self.question((asked.method, path), asked.arrival, headers);
                return self.handled(osv.unwrap_or(&**handler), asked, id).await;
            }
        };
        let is_head = asked.method == Method::HEAD;
        if !is_head && asked.method != Method::GET {
            if let Some(osv) = self.question((asked.method, path), asked.arrival, headers) {
                return self.handled(osv, asked, id).await;
            }
            return refusal::read_only(headers);
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
                if matches!(route, PublicRoute::NotFound)
                    && let Some(osv) =
                        self.question((asked.method, asked.path), asked.arrival, headers)
                {
                    return self.handled(osv, asked, id).await;
                }
                if let Some(reply) = self.recorder.unjournalled(asked.method, &route) {
                    return reply;
                }
                let ask = Ask {
                    path,
                    route,
                    head: is_head,
                    headers,
                    preferences: asked.preferences,
                    query,
                    arrival: asked.arrival,
                };
                answers.answer(&ask).await
            }
        }
    }

    /// The handler's reply to a request without a body.
    async fn handled(&self, handler: &dyn RequestHandler, asked: &Asked<'_>, id: &str) -> Reply {
        let Ok(uri) = asked.target.parse() else {
            let (status, words) = (StatusCode::URI_TOO_LONG, "the request target is too long");
            return refusal::bad_request(status, words, asked.path);
        };
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = asked.method.clone();
        head.uri = uri;
        head.headers = asked.headers.clone();
        let request = DoorRequest {
            head: &head,
            arrival: asked.arrival,
            id: &id.into(),
        };
        let body = Incoming::empty(Pace::of(&self.limits));
        handler.handle(request, body).await
    }

    /// Reads and discards a small body, so that the next request on the connection can be found.
    async fn drain(&self, session: &mut Session) {
        let headers = &session.req_header().headers;
        if headers.contains_key(http::header::EXPECT) {
            // A client that waits to be told to continue sends nothing before the answer.
            session.as_downstream_mut().set_keepalive(None);
            return;
        }
        let length = headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| (1..=BODY_MAX).contains(&length)) {
            let downstream = session.as_downstream_mut();
            downstream.set_total_drain_timeout(Some(self.limits.head_timeout));
            // If the body does not come, the connection is closed after the answer.
            if let Err(error) = downstream.drain_request_body().await {
                tracing::debug!(%error, "a request body did not arrive");
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for HttpService {
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
        let (presence, is_reading) = (
            Presence::of(session),
            is_reading(&session.req_header().method),
        );
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
            record: &exchange.record,
            elapsed: exchange.started.at.elapsed(),
        };
        let writing = write_reply(session, reply, context, &self.limits, &mut exchange.bytes);
        // How long a body may take is bounded by its rate.
        let spent = if is_reading {
            context.elapsed
        } else {
            Duration::ZERO
        };
        let left = self.limits.request_timeout.saturating_sub(spent);
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

    /// Records the request, whatever became of it, and lets the guard await the next.
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
        Error::e_explain(ErrorType::InternalError, "a door has no upstream")
    }

    /// The head has been sent or the client is gone: nothing can be answered, only closed.
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

impl HttpService {
    /// How a request came here; `client` is the one the peer speaks for.
    pub(super) fn arrival<'a>(
        &'a self,
        peer: Option<IpAddr>,
        is_tls: bool,
        client: Option<IpAddr>,
        authority: Option<&'a Authority>,
    ) -> Arrival<'a> {
        Arrival {
            is_trusted: self.proxies.may_name_us(peer),
            is_proxy: self.proxies.names_users(peer),
            is_tls,
            authority: authority.map(Authority::as_str),
            outside: self.outside_url.as_deref(),
            is_manage: matches!(self.behind, Behind::Handler(_)),
            client,
        }
    }

    /// Records why an answer broke off.
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
