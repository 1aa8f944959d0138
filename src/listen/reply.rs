//! Writes a reply on a session of the public door: HTTP/1.1 or HTTP/2, plain or through TLS.
//!
//! A write that takes too long is given up, and content that cannot be completed is cut off, so that
//! the client sees a short body and never a clean end. Answers to plain requests do not pass through
//! here ([`http1`](crate::listen::http1)).

use std::future::Future;
use std::io;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use tokio::time::timeout;

use crate::exchange::{Body, Reply};
use crate::listen::pieces::{Cut, Pieces};
use crate::listen::presence::Presence;
use crate::listen::response_head::{ReplyContext, is_bare, response_head, status_words};
use crate::listen::stream_watch::StreamWatch;
use crate::listen::taking::{FRAME_MAX, Taking};
use crate::model::DoorLimits;

/// The answer ended early; the connection must not be used again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The content ended before it was complete.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// The client takes the answer too slowly.
    #[error("the client takes its answer too slowly")]
    Slow,
    /// The client left while its answer was awaited.
    #[error("the client went away")]
    Gone,
    /// The client is gone, or the connection failed otherwise.
    #[error("the connection broke: {0}")]
    Connection(Box<pingora::Error>),
}

/// Writes the head, then the content if there is any. `bytes_sent` counts the content as it goes, so
/// that it is right even if the answer breaks off.
pub(super) async fn write_reply(
    session: &mut Session,
    reply: Reply,
    context: ReplyContext<'_>,
    limits: &DoorLimits,
    bytes_sent: &mut u64,
) -> Result<(), Broken> {
    let is_head = session.req_header().method == Method::HEAD;
    let has_content = !is_head && !is_bare(reply.status) && !matches!(reply.body, Body::Empty);
    let mut parts = response_head(&reply, context, is_head);
    let has_length = parts.headers.contains_key(CONTENT_LENGTH);
    if has_content && !has_length && session.req_header().version == Version::HTTP_11 {
        // On HTTP/1.1 only chunks can show that content of unknown length ended too early.
        let chunked = HeaderValue::from_static("chunked");
        parts.headers.insert(TRANSFER_ENCODING, chunked);
    }
    let mut head = ResponseHeader::from(parts);
    // It does not fail: the words are already fit for a status line.
    let _ = head.set_reason_phrase(status_words(&reply).as_deref());
    let writing = session
        .as_downstream_mut()
        .write_response_header(Box::new(head));
    within(limits, 0, writing).await?;
    // HEAD, 204 and 304 end with the head, whatever the flow left in the body.
    if !has_content {
        return Ok(());
    }
    send_content(session, reply.body, limits, bytes_sent).await
}

async fn send_content(
    session: &mut Session,
    body: Body,
    limits: &DoorLimits,
    bytes_sent: &mut u64,
) -> Result<(), Broken> {
    let mut pieces = Pieces::of(body);
    let presence = Presence::of(session);
    let mut next = next_of(&mut pieces, session, &presence).await?;
    let is_streams = session.req_header().version == Version::HTTP_2;
    let watch = StreamWatch::of(session);
    let mut taking = Taking::of(limits);
    while let Some(mut piece) = next {
        let downstream = session.as_downstream_mut();
        while is_streams && !piece.is_empty() {
            let frame = piece.split_to(piece.len().min(FRAME_MAX));
            let size = frame.len();
            let writing = downstream.write_response_body(frame, false);
            let taken = taking.piece(size, watch.as_deref(), writing).await?;
            taken.map_err(broken)?;
            *bytes_sent += size as u64;
        }
        if !piece.is_empty() {
            let size = piece.len();
            let writing = downstream.write_response_body(piece, false);
            within(limits, size, writing).await?;
            *bytes_sent += size as u64;
        }
        next = next_of(&mut pieces, session, &presence).await?;
    }
    within(limits, 0, session.as_downstream_mut().finish_body()).await
}

/// The next piece, unless its client leaves or, over HTTP/2, wants no more of it.
async fn next_of(
    pieces: &mut Pieces,
    session: &mut Session,
    presence: &Presence,
) -> Result<Option<Bytes>, Broken> {
    let Some(closed) = session.as_downstream_mut().watch_h2_stream_close() else {
        return pieces.next_for(presence).await;
    };
    tokio::select! {
        biased;
        next = pieces.next_for(presence) => next,
        _ = closed => Err(Broken::Gone),
    }
}

async fn within(
    limits: &DoorLimits,
    bytes: usize,
    writing: impl Future<Output = pingora::Result<()>>,
) -> Result<(), Broken> {
    match timeout(limits.send_time(bytes), writing).await {
        Ok(outcome) => outcome.map_err(broken),
        Err(_) => Err(Broken::Slow),
    }
}

/// Translates the error of a socket that has given up on its peer into a time-out.
fn broken(error: Box<pingora::Error>) -> Broken {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Broken::Slow,
        Some(_) | None => Broken::Connection(error),
    }
}
