//! An axum router behind a door: HTTP/1.1, or HTTP/2 where TLS agreed on it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::response::IntoResponse as _;
use http::header::{CONNECTION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::server::ShutdownWatch;

use crate::gateway::Body;
use crate::listen::door::{Connection, DoorApp};
use crate::listen::head_guard::carried;
use crate::listen::http1::Wire;
use crate::listen::limits::DoorLimits;
use crate::listen::own_answers::{Answering, OwnAnswers};
use crate::listen::refusal;
use crate::listen::stop::rested;
use crate::listen::taking::Answers;
use crate::protocol::{BadHead, NO_SNIFFING, check_parts, head_bytes};
use crate::telemetry::TurnedAway;

/// Smallest buffer that hyper accepts for a request head.
const HEAD_MIN: usize = 8 << 10;

/// Who asks, as an extension of each request; nothing for a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

/// A router as an application of a door.
#[derive(Debug, Clone)]
pub struct AxumApp {
    router: Router,
    limits: DoorLimits,
}

impl AxumApp {
    /// Serves this router within these limits.
    #[must_use]
    pub fn new(router: Router, limits: DoorLimits) -> Self {
        Self { router, limits }
    }
}

impl DoorApp for AxumApp {
    async fn serve<S: Wire>(self: &Arc<Self>, connection: Connection<S>, shutdown: &ShutdownWatch) {
        let (stream, on_refusal) = (connection.stream, connection.on_refusal);
        let peer = stream.get_socket_digest();
        let peer = peer
            .as_ref()
            .and_then(|digest| digest.peer_addr())
            .and_then(SocketAddr::as_inet);
        let client = ClientAddress(peer.map(|peer| peer.ip().to_canonical()));
        let is_http2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let watch = stream
            .get_proxy_digest()
            .and_then(|digest| carried(&digest));
        let answers = Answers::new(self.limits.clone(), watch);
        let answering = Arc::new(Answering::default());
        let answerer = Answerer {
            router: TowerToHyperService::new(self.router.clone()),
            client,
            head_max: self.limits.head.max(HEAD_MIN),
            door: shutdown.clone(),
            streams: is_http2.then(|| Arc::clone(&answers)),
            answering: Arc::clone(&answering),
        };
        let service = service_fn(move |request| answerer.clone().answer(request));
        let outcome = if is_http2 {
            let io = TokioIo::new(stream);
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_header_list_size(self.head_max());
            builder.keep_alive_interval(self.limits.idle_timeout);
            let mut connection = pin!(builder.serve_connection(io, service));
            let serving = async {
                tokio::select! {
                    outcome = connection.as_mut() => outcome,
                    () = stopping(shutdown) => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            };
            tokio::select! {
                outcome = serving => outcome,
                () = answers.given_up() => return on_refusal(TurnedAway::Slow),
            }
        } else {
            let mut builder = http1::Builder::new();
            // This time runs while a connection rests as well: between requests it is the shorter
            // of the two that counts.
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.head_timeout);
            builder.max_buf_size(self.limits.head.max(HEAD_MIN));
            let io = TokioIo::new(OwnAnswers::over(stream, answering));
            let mut connection = pin!(builder.serve_connection(io, service));
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = rested(shutdown.clone()) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection broke");
        }
    }

    /// Each connection follows the stop by itself.
    async fn close(&self) {}
}

impl AxumApp {
    fn head_max(&self) -> u32 {
        u32::try_from(self.limits.head).unwrap_or(u32::MAX)
    }
}

/// What answers the requests of a connection.
#[derive(Clone)]
struct Answerer {
    router: TowerToHyperService<Router>,
    client: ClientAddress,
    door: ShutdownWatch,
    /// What watches how its answers are taken, where there are many at one time.
    streams: Option<Arc<Answers>>,
    /// Longest head, in bytes: hyper reads some more than it is told to.
    head_max: usize,
    /// What tells them from answers of hyper's own, where there is one at a time.
    answering: Arc<Answering>,
}

impl Answerer {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<AxumBody>, Infallible> {
        self.answering.begins();
        let (head, body) = request.into_parts();
        let checked = match head_bytes(&head) > self.head_max {
            true => Err(BadHead::LARGE),
            false => check_parts(&head),
        };
        let (mut answer, is_bad) = match checked {
            Ok(()) => {
                let mut request = Request::from_parts(head, body);
                request.extensions_mut().insert(self.client);
                (self.router.call(request).await?, false)
            }
            Err(bad) => (refused(bad), true),
        };
        answer
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        let Some(answers) = self.streams else {
            let is_last = is_bad || *self.door.borrow();
            let answer = answer.map(|body| self.answering.until_the_end_of(body));
            return Ok(if is_last { last(answer) } else { answer });
        };
        Ok(answer.map(|body| answers.watched(body)))
    }
}

/// The answer to a head that is refused as a whole.
fn refused(bad: BadHead) -> Response<AxumBody> {
    let reply = refusal::bad_request(bad.status, bad.why, "-");
    let (head, Body::Bytes(body)) = (reply.head, reply.body) else {
        return bad.status.into_response();
    };
    let mut answer = Response::new(AxumBody::from(body));
    *answer.status_mut() = bad.status;
    *answer.headers_mut() = HeaderMap::clone(&head);
    answer
}

/// An answer after which the client has to come back by a new connection.
fn last<B>(mut answer: Response<B>) -> Response<B> {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

async fn stopping(shutdown: &ShutdownWatch) {
    // Fails only when whoever could ask is gone, which is a stop as well.
    let _ = shutdown.clone().wait_for(|is_stopping| *is_stopping).await;
}
