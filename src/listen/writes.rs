//! What a door that reads hands on when it is opened for more: the request with its body, as it comes.
//!
//! The session of the public door owns the connection, and whoever takes the request wants a body to
//! read from; so the one feeds the other while both run.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http::header::EXPECT;
use http::request::Parts;
use pingora::proxy::Session;
use tokio::sync::mpsc;

use crate::gateway::Reply;
use crate::listen::axum_app::ClientAddress;

/// Pieces of a body between the connection and whoever reads it.
const PIECES_MAX: usize = 4;

/// Whoever takes what is not reading.
#[async_trait]
pub trait Takes: Send + Sync {
    /// Carries a request out; the answer says what to write down of it.
    async fn take(&self, head: &Parts, client: ClientAddress, id: &Arc<str>, body: Body) -> Reply;
}

/// Hands a session's request on, body and all. What was not read of the body is not read any more:
/// the connection ends with the answer then.
pub(super) async fn hand_on(
    session: &mut Session,
    to: &dyn Takes,
    client: ClientAddress,
    id: &Arc<str>,
) -> Reply {
    let head = session.req_header().as_owned_parts();
    let (sender, body) = channel();
    let mut is_read = false;
    let reply = {
        let mut answering = pin!(to.take(&head, client, id, body));
        let mut feeding = pin!(feed(session, &head, sender));
        loop {
            tokio::select! {
                biased;
                reply = answering.as_mut() => break reply,
                whole = feeding.as_mut(), if !is_read => {
                    is_read = true;
                    if !whole {
                        // The reader has seen it break or wanted no more; its answer follows.
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

type Piece = Result<Bytes, std::io::Error>;

fn channel() -> (mpsc::Sender<Piece>, Body) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let pieces = unfold(receiver, |mut receiver: mpsc::Receiver<Piece>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    // Whoever drains what is left asks again behind the end.
    (sender, Body::from_stream(pieces.fuse()))
}

/// Reads the body as fast as it is wanted; whether all of it came and was wanted.
async fn feed(session: &mut Session, head: &Parts, sender: mpsc::Sender<Piece>) -> bool {
    let downstream = session.as_downstream_mut();
    if head.headers.contains_key(EXPECT) && downstream.write_continue_response().await.is_err() {
        return false;
    }
    loop {
        let piece = match downstream.read_request_body().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return true,
            Err(error) => Err(std::io::Error::other(error.to_string())),
        };
        let is_broken = piece.is_err();
        if sender.send(piece).await.is_err() || is_broken {
            return false;
        }
    }
}
