//! An axum router behind a door: HTTP/1.1, or HTTP/2 where TLS agreed on it.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::server::ShutdownWatch;

use super::Limits;
use super::door::{Connection, DoorApp};
use super::http1::Wire;
use super::stop::rested;

/// Smallest buffer that hyper accepts for a request head.
const HEAD_MIN: usize = 8 << 10;

/// Who asks, as an extension of each request; nothing for a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

/// A router as an application of a door.
#[derive(Debug, Clone)]
pub struct AxumApp {
    router: Router,
    limits: Limits,
}

impl AxumApp {
    /// Serves this router within these limits.
    #[must_use]
    pub fn new(router: Router, limits: Limits) -> Self {
        Self { router, limits }
    }
}

impl DoorApp for AxumApp {
    async fn serve<S: Wire>(self: &Arc<Self>, connection: Connection<S>, shutdown: &ShutdownWatch) {
        let stream = connection.stream;
        let peer = stream.get_socket_digest();
        let peer = peer
            .as_ref()
            .and_then(|digest| digest.peer_addr())
            .and_then(SocketAddr::as_inet);
        let client = ClientAddress(peer.map(|peer| peer.ip().to_canonical()));
        let is_http2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let router = TowerToHyperService::new(self.router.clone());
        let door = shutdown.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(client);
            let (answering, door) = (router.call(request), door.clone());
            async move {
                let answered = answering.await;
                let is_last = !is_http2 && *door.borrow();
                answered.map(|answer| if is_last { last(answer) } else { answer })
            }
        });
        let io = TokioIo::new(stream);
        let outcome = if is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_header_list_size(self.head_max());
            builder.keep_alive_interval(self.limits.idle_timeout);
            let mut connection = pin!(builder.serve_connection(io, service));
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = stopping(shutdown) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        } else {
            let mut builder = http1::Builder::new();
            // This time runs while a connection rests as well: between requests it is the shorter
            // of the two that counts.
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.head_timeout);
            builder.max_buf_size(self.limits.head.max(HEAD_MIN));
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
