//! Hands a request with its body to its handler: at the management and the metrics door every request,
//! at a public door that allows more than reading, those that do not read.
//!
//! Pingora's session owns the connection, and a handler wants a body to read from; so one feeds the
//! other while both run. The body is read no faster than the handler takes it.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use http::Method;
use http::header::EXPECT;
use http::request::Parts;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;
use tokio::sync::{mpsc, oneshot};

use crate::exchange::{Arrival, Ask, Reply};
use crate::listen::incoming::{Incoming, Pace};
use crate::protocol::{Preferences, PublicRoute};

/// Pieces of a body between the connection and the handler.
const PIECES_MAX: usize = 4;

/// Carries out the requests that a door's reader does not answer.
#[async_trait]
pub trait RequestHandler: Send + Sync {
    /// Carries a request out; the reply also says what to record.
    async fn handle(&self, request: DoorRequest<'_>, body: Incoming) -> Reply;
}

/// What a door passes on about a request, besides its body.
#[derive(Debug, Clone, Copy)]
pub struct DoorRequest<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// How it came to the door.
    pub arrival: Arrival<'a>,
    /// Its id.
    pub id: &'a Arc<str>,
}

impl<'a> DoorRequest<'a> {
    /// The same as a question to the flows, for a request that only reads.
    pub(super) fn ask(self, route: PublicRoute) -> Ask<'a> {
        let head = self.head;
        Ask {
            path: head.uri.path(),
            route,
            head: head.method == Method::HEAD,
            headers: &head.headers,
            preferences: Preferences::of(&head.headers),
            query: head.uri.query(),
            arrival: self.arrival,
        }
    }
}

/// Hands a session's request on, including the body. What the handler leaves of the body is no longer
/// read: the connection then ends with the reply.
pub(super) async fn hand_on(
    session: &mut Session,
    request: DoorRequest<'_>,
    to: &dyn RequestHandler,
    pace: Pace,
) -> Reply {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let (want, wanted) = oneshot::channel();
    let pieces = pieces(want, receiver);
    let is_empty = session.as_downstream_mut().is_body_empty();
    let body = Incoming::new(pieces, is_empty, &request.head.headers, pace);
    let mut is_read = false;
    let reply = {
        let mut answering = pin!(to.handle(request, body));
        let mut feeding = pin!(feed(session, request.head, wanted, sender));
        loop {
            tokio::select! {
                biased;
                reply = answering.as_mut() => break reply,
                whole = feeding.as_mut(), if !is_read => {
                    is_read = true;
                    if !whole {
                        // The handler has seen it break or wanted no more; its reply follows.
                        break answering.await;
                    }
                }
            }
        }
    };
    if !session.as_downstream_mut().is_body_done() {
        session.as_downstream_mut().set_keepalive(None);
    }
    reply
}

/// The other end of the connection; `None` on a Unix socket.
pub(super) fn peer_of(session: &Session) -> Option<IpAddr> {
    let peer = session.client_addr().and_then(SocketAddr::as_inet)?;
    Some(peer.ip().to_canonical())
}

pub(super) fn is_tls(session: &Session) -> bool {
    let digest = session.digest();
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Whether a request changes nothing, so that aborting it leaves nothing half done.
pub(super) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

type Piece = io::Result<Bytes>;

/// The handler's end of a body; `want` is told when it asks for the first piece.
fn pieces(want: oneshot::Sender<()>, receiver: mpsc::Receiver<Piece>) -> BoxStream<'static, Piece> {
    let pieces = unfold(
        (Some(want), receiver),
        |(mut want, mut receiver): (Option<oneshot::Sender<()>>, mpsc::Receiver<Piece>)| async move {
            // Nobody waits for this once the connection is broken.
            let _ = want.take().map(|want| want.send(()));
            receiver.recv().await.map(|piece| (piece, (want, receiver)))
        },
    );
    // A handler that drains the rest polls again after the end.
    pieces.fuse().boxed()
}

/// Reads the body as fast as it is wanted; returns whether all of it came and was wanted. A client that
/// waits to be asked for it (`Expect: 100-continue`) is asked when the handler begins to read, so a
/// client that is refused before that never sends it.
async fn feed(
    session: &mut Session,
    head: &Parts,
    wanted: oneshot::Receiver<()>,
    pieces: mpsc::Sender<Piece>,
) -> bool {
    let downstream = session.as_downstream_mut();
    if head.headers.contains_key(EXPECT)
        && (wanted.await.is_err() || downstream.write_continue_response().await.is_err())
    {
        return false;
    }
    loop {
        let piece = match downstream.read_request_body().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return true,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        let is_broken = piece.is_err();
        if pieces.send(piece).await.is_err() || is_broken {
            return false;
        }
    }
}
