//! The public door: GET and HEAD, answered by whoever was given as [`Answer`], which can only read.
//!
//! A `ProxyHttp` that answers everything in `request_filter`. Nothing reaches an upstream through it,
//! so neither do the credentials a client sends along.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use pingora::modules::http::HttpModules;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::Limits;
use super::head_guard::HeadWatch;
use super::proxies::TrustedProxies;
use super::recorder::{Finished, Recorder, Started};
use super::refusal;
use super::reply::{Broken, write_reply};
use super::request_id::RequestIds;
use super::response_head::ReplyContext;
use crate::gateway::Answer;
use crate::gateway::Arrival;
use crate::gateway::Ask;
use crate::gateway::Record;
use crate::gateway::Reply;
use crate::protocol::PublicRoute;
use crate::telemetry::Refusal;

/// The largest request body that is read and thrown away so that the connection can stay open:
/// devpi-client sends `{}` with some GETs (devpi-protocol.md §1). After a larger one it is closed.
const BODY_MAX: u64 = 64 << 10;

/// The application behind the public door.
pub struct PublicApp {
    answer: Arc<dyn Answer>,
    recorder: Recorder,
    limits: Limits,
    proxies: TrustedProxies,
    ids: RequestIds,
}

/// One request on its way through the door.
#[derive(Debug)]
pub struct Exchange {
    started: Started,
    id: Arc<str>,
    client: Option<IpAddr>,
    record: Record,
    status: Option<StatusCode>,
    bytes: u64,
    watch: Option<Arc<HeadWatch>>,
}

impl PublicApp {
    /// A door that asks `answer` and writes down through `recorder`.
    #[must_use]
    pub fn new(answer: Arc<dyn Answer>, recorder: Recorder, limits: Limits) -> Self {
        Self {
            answer,
            recorder,
            limits,
            proxies: TrustedProxies::default(),
            ids: RequestIds::default(),
        }
    }

    /// The same door behind proxies.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// The reply to a request; the table of what never reaches a flow.
    async fn reply(&self, session: &Session, exchange: &Exchange) -> Reply {
        let request = session.req_header();
        let (path, query) = (request.uri.path(), request.uri.query());
        let is_head = request.method == Method::HEAD;
        if !is_head && request.method != Method::GET {
            return refusal::read_only(&request.headers);
        }
        if request.raw_path().len() > self.limits.uri {
            let most = self.limits.uri;
            let words = format!("the request target is longer than {most} bytes");
            return refusal::bad_request(StatusCode::URI_TOO_LONG, &words, path);
        }
        match PublicRoute::parse(path, query, &request.headers) {
            Err(bad) => refusal::bad_request(StatusCode::BAD_REQUEST, &bad.to_string(), path),
            Ok(PublicRoute::Redirect { to, is_permanent }) => refusal::redirect(&to, is_permanent),
            Ok(route) => {
                let headers = &request.headers;
                let ask = Ask {
                    path,
                    route,
                    head: is_head,
                    headers,
                    query,
                    request_id: &exchange.id,
                    arrival: self.arrival(session, exchange.client),
                };
                self.answer.answer(&ask).await
            }
        }
    }

    /// Reads a small body away, so that the next request on the connection can be told from it.
    async fn drain(&self, session: &mut Session) {
        let length = session
            .req_header()
            .headers
            .get(http::header::CONTENT_LENGTH);
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
            id: Arc::from(""),
            client: None,
            record: Record::default(),
            status: None,
            bytes: 0,
            watch: None,
        }
    }

    /// None: pages are compressed once, and a module that compresses nothing still costs each request
    /// (prototype-numbers.md §1).
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> pingora::Result<bool> {
        exchange.watch = HeadWatch::of(session);
        if let Some(watch) = &exchange.watch {
            watch.head_read();
        }
        exchange.id = self.ids.of(&session.req_header().headers);
        let headers = &session.req_header().headers;
        exchange.client = self.proxies.client_of(peer_of(session), headers);
        self.drain(session).await;
        let mut reply = self.reply(session, exchange).await;
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
        let written = write_reply(session, reply, context, &self.limits, &mut exchange.bytes).await;
        match written {
            Ok(()) => Ok(true),
            Err(broken) => Err(self.broken(broken, exchange)),
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
    fn arrival<'a>(&self, session: &'a Session, client: Option<IpAddr>) -> Arrival<'a> {
        let digest = session.digest();
        Arrival {
            is_trusted: self.proxies.may_name_us(peer_of(session)),
            is_tls: digest.is_some_and(|digest| digest.ssl_digest.is_some()),
            authority: session
                .req_header()
                .uri
                .authority()
                .map(http::uri::Authority::as_str),
            client,
        }
    }

    /// Writes down why an answer broke off, and turns it into what closes the connection.
    fn broken(&self, broken: Broken, exchange: &Exchange) -> Box<Error> {
        let request_id = &*exchange.id;
        match broken {
            Broken::Cut(cut) => {
                tracing::warn!(request_id, error = %cut, "an answer was cut off");
            }
            Broken::Slow => {
                let (door, metrics) = (self.recorder.door, &self.recorder.metrics);
                metrics.connection_refused(door, Refusal::Slow);
                tracing::debug!(request_id, "a client took its answer too slowly");
            }
            Broken::Connection(error) => {
                tracing::debug!(request_id, %error, "a client went away");
            }
        }
        Error::explain(ErrorType::WriteError, "the answer broke off")
    }
}
