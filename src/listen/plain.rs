//! The short way out for plaintext HTTP/1.1: head and content in one call, large files by `sendfile`.
//!
//! The HTTP machinery writes head and content apart, through copies of both. Where the connection is
//! our own [`Socket`] with nothing before it, an answer of known length can go straight to the kernel;
//! the session then believes that nothing was written, finds nothing to finish and awaits the next
//! request. That is the machinery's private behaviour: its version is pinned, and a test compares
//! this writer's answers with the ordinary one's. Everything else takes the ordinary way.

use std::io;
use std::io::Write as _;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::protocols::http::date::get_cached_date;
use pingora::proxy::Session;
use tokio::time::timeout;

use super::Limits;
use super::head_guard::HeadGuard;
use super::pieces::{Cut, PIECE_MAX, Part, Pieces};
use super::reply::Broken;
use super::request_id::X_REQUEST_ID;
use super::response_head::{CACHE_STATUS, SERVER_TIMING};
use super::response_head::{ReplyContext, cache_status, length, server_timing, status_words};
use super::socket::Socket;
use crate::gateway::Body;
use crate::gateway::Reply;

/// Room for a head, so that it is written without moving.
const HEAD_BYTES: usize = 1024;

/// From this size on a file goes out by `sendfile`: it spares the copy, which counts where files are
/// large, but pays by the page, so that smaller ones are cheaper copied (prototype-numbers.md §2).
const SENDFILE_MIN: u64 = 4 << 20;

/// How much of a file is looked up in the page cache, and then sent, at one time.
const WINDOW: u64 = 1 << 20;

/// A connection that takes answers the short way.
pub(super) struct Plain<'a> {
    socket: &'a Socket,
    is_head: bool,
    keeps_alive: bool,
}

impl<'a> Plain<'a> {
    /// The short way of a session, if it has one: HTTP/1.1, no TLS, no request body, nothing written.
    pub(super) fn of(session: &'a mut Session) -> Option<Self> {
        let downstream = session.as_downstream_mut();
        if !downstream.is_body_empty() || downstream.response_written().is_some() {
            return None;
        }
        let request = downstream.req_header();
        let is_head = request.method == Method::HEAD;
        if request.version != Version::HTTP_11 || !(is_head || request.method == Method::GET) {
            return None;
        }
        let http1 = downstream.as_http1()?;
        let guard = (**http1.stream())
            .as_any()
            .downcast_ref::<HeadGuard<Socket>>()?;
        let socket = guard.inner();
        socket.is_clear().then(|| Self {
            socket,
            is_head,
            keeps_alive: http1.will_keepalive(),
        })
    }

    /// Whether the answer's length is known before its head is written.
    pub(super) fn takes(reply: &Reply) -> bool {
        match reply.body {
            Body::Empty | Body::Bytes(_) | Body::File { .. } => true,
            Body::Growing { .. } => false,
        }
    }

    /// Writes the whole answer; `bytes_sent` counts the content as it goes.
    pub(super) async fn write(
        &self,
        reply: Reply,
        context: ReplyContext<'_>,
        limits: &Limits,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        let is_bare = is_bare(reply.status);
        let head = self.head(&reply, context, is_bare);
        let sender = Sender {
            socket: self.socket,
            limits,
        };
        if self.is_head || is_bare {
            return sender.send(&head, &[], bytes_sent).await;
        }
        match reply.body {
            Body::Empty => sender.send(&head, &[], bytes_sent).await,
            Body::Bytes(bytes) => sender.send(&head, &bytes, bytes_sent).await,
            body @ (Body::File { .. } | Body::Growing { .. }) => {
                sender.send_pieces(head, Pieces::of(body), bytes_sent).await
            }
        }
    }

    /// The head as the ordinary writer would have it.
    fn head(&self, reply: &Reply, context: ReplyContext<'_>, is_bare: bool) -> Vec<u8> {
        let mut text = Vec::with_capacity(HEAD_BYTES);
        status_line(&mut text, reply);
        for (name, value) in &*reply.head {
            // The door's own headers take the place of any that the flow has set.
            if ![X_REQUEST_ID, CACHE_STATUS, SERVER_TIMING, DATE, CONNECTION].contains(name) {
                line(&mut text, name.as_str(), value.as_bytes());
            }
        }
        line(
            &mut text,
            X_REQUEST_ID.as_str(),
            context.request_id.as_bytes(),
        );
        if let Some(status) = cache_status(reply.record.cache) {
            line(&mut text, CACHE_STATUS.as_str(), status.as_bytes());
        }
        let timing = server_timing(&reply.record, context.elapsed);
        line(&mut text, SERVER_TIMING.as_str(), timing.as_bytes());
        if let Some(length) = self.missing_length(&reply.head, &reply.body, is_bare) {
            // Writing to memory does not fail.
            let _ = write!(text, "content-length: {length}\r\n");
        }
        line(&mut text, DATE.as_str(), get_cached_date().as_bytes());
        let connection: &[u8] = if self.keeps_alive {
            b"keep-alive"
        } else {
            b"close"
        };
        line(&mut text, CONNECTION.as_str(), connection);
        text.extend_from_slice(b"\r\n");
        text
    }

    /// The length where the flow has not set it.
    fn missing_length(&self, head: &HeaderMap, body: &Body, is_bare: bool) -> Option<u64> {
        if head.contains_key(CONTENT_LENGTH) {
            return None;
        }
        let none = (!is_bare && !self.is_head).then_some(0);
        length(body).or(none)
    }
}

/// 204 and 304 end with the head.
fn is_bare(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn status_line(text: &mut Vec<u8>, reply: &Reply) {
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(reply.status.as_str().as_bytes());
    text.push(b' ');
    match status_words(reply) {
        Some(words) => text.extend_from_slice(words.as_bytes()),
        None => {
            let words = reply.status.canonical_reason().unwrap_or_default();
            text.extend_from_slice(words.as_bytes());
        }
    }
    text.extend_from_slice(b"\r\n");
}

fn line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Sends within the limits.
struct Sender<'a> {
    socket: &'a Socket,
    limits: &'a Limits,
}

impl Sender<'_> {
    /// Head and content, in one call where the kernel takes them.
    async fn send(&self, head: &[u8], content: &[u8], bytes_sent: &mut u64) -> Result<(), Broken> {
        let total = head.len() + content.len();
        let mut sent = 0;
        while sent < total {
            let at_once = |sent: usize| match sent.checked_sub(head.len()) {
                Some(past) => self.socket.try_send(&[], &content[past..]),
                None => self.socket.try_send(&head[sent..], content),
            };
            match at_once(sent) {
                Ok(0) => return Err(broken(io::ErrorKind::WriteZero.into())),
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = (total - sent).min(PIECE_MAX as usize);
                    self.room(left).await?;
                }
                Err(error) => return Err(broken(error)),
            }
            *bytes_sent = sent.saturating_sub(head.len()) as u64;
        }
        Ok(())
    }

    /// A file: the head with its first piece, then the rest by whichever way suits its size.
    async fn send_pieces(
        &self,
        head: Vec<u8>,
        mut pieces: Pieces,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        let mut head = head;
        loop {
            if let Pieces::File(part) = &mut pieces
                && part.left() >= SENDFILE_MIN
            {
                self.send_held(&mut head, part, bytes_sent).await?;
            }
            let before = *bytes_sent;
            let Some(piece) = pieces.next().await? else {
                break;
            };
            let mut now = 0;
            let outcome = self.send(&head, &piece, &mut now).await;
            *bytes_sent = before + now;
            outcome?;
            head.clear();
            pieces.take_back(piece);
        }
        // Nothing was in the file: its head is still here.
        let mut none = 0;
        self.send(&head, &[], &mut none).await
    }

    /// Sends what the page cache has of a file without copying it; stops where a disk must be asked.
    async fn send_held(
        &self,
        head: &mut Vec<u8>,
        part: &mut Part,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        while part.left() > 0 && part.is_held(WINDOW) {
            while !head.is_empty() {
                match self.socket.try_send_more(head) {
                    Ok(sent) => drop(head.drain(..sent)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.room(head.len()).await?;
                    }
                    Err(error) => return Err(broken(error)),
                }
            }
            let window = part.left().min(WINDOW);
            match self
                .socket
                .try_send_file(part.file(), part.at(), window as usize)
            {
                Ok(0) => return Err(Cut::Short.into()),
                Ok(sent) => {
                    part.skip(sent as u64);
                    *bytes_sent += sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.room(window.min(PIECE_MAX) as usize).await?;
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }

    /// Waits until the kernel takes more, as long as sending so many bytes may take.
    async fn room(&self, bytes: usize) -> Result<(), Broken> {
        let patience: Duration = self.limits.send_time(bytes);
        match timeout(patience, self.socket.writable()).await {
            Ok(outcome) => outcome.map_err(broken),
            Err(_) => Err(Broken::Slow),
        }
    }
}

fn broken(error: io::Error) -> Broken {
    Broken::Connection(pingora::Error::because(
        pingora::ErrorType::WriteError,
        "send an answer",
        error,
    ))
}
