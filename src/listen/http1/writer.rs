//! Writes an answer on a connection of HTTP/1.1: head and content in one call, large files of a
//! plaintext connection by `sendfile`.

use std::io;
use std::io::Write as _;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use pingora::protocols::http::date::get_cached_date;
use tokio::io::AsyncWriteExt;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::exchange::{Body, Reply};
use crate::listen::head_guard::HeadGuard;
use crate::listen::http1::wire::Wire;
use crate::listen::pieces::{Cut, PIECE_MAX, Pieces, Stretch};
use crate::listen::reply::Broken;
use crate::listen::response_head::{
    ReplyContext, cache_status, is_bare, missing_length, status_words, timing,
};
use crate::listen::socket::Socket;
use crate::model::DoorLimits;
use crate::protocol::{CACHE_STATUS, SERVER_TIMING, X_REQUEST_ID};

/// From this size on a file is sent by `sendfile`, which saves a copy: 1 MB files arrive more than
/// twice as fast (docs/performance.md). Smaller ones are mostly in memory.
const SENDFILE_MIN: u64 = 64 << 10;

/// How much of a file is looked up in the page cache, and then sent, at a time; the same as nginx.
const WINDOW: u64 = 2 << 20;

/// How long to wait for room before sending is tried again anyway: a send may also fall short because the
/// file has ended.
const SOON: Duration = Duration::from_secs(1);

/// Content up to this size is copied behind its head, which costs less than two buffers for the kernel.
const COPY_MAX: usize = 4 << 10;

/// Content up to this size is copied behind its head so that TLS seals both together; four records.
const TOGETHER_MAX: usize = 64 << 10;

/// How the answer is framed, apart from what it states itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    /// The request was HEAD.
    pub(super) is_head: bool,
    /// The connection stays open.
    pub(super) keeps_alive: bool,
}

/// Writes within the limits.
pub(super) struct Writer<'a, S> {
    pub(super) guard: &'a mut HeadGuard<S>,
    pub(super) limits: &'a DoorLimits,
    /// Memory for heads, reused for each.
    pub(super) text: &'a mut Vec<u8>,
}

impl<S: Wire> Writer<'_, S> {
    /// Writes the whole answer; `bytes_sent` counts the content as it goes.
    pub(super) async fn write(
        mut self,
        reply: Reply,
        context: ReplyContext<'_>,
        framing: Framing,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        let is_bare = is_bare(reply.status);
        let is_whole = framing.is_head || is_bare;
        let is_chunked = !is_whole && is_endless(&reply);
        self.text.clear();
        write_head(self.text, &reply, context, framing);
        if is_chunked {
            line(self.text, TRANSFER_ENCODING.as_str(), b"chunked");
        }
        self.text.extend_from_slice(b"\r\n");
        match reply.body {
            Body::Bytes(bytes) if !is_whole => self.send(&bytes, bytes_sent).await?,
            body @ (Body::File { .. } | Body::Growing { .. }) if !is_whole => {
                let pieces = Pieces::of(body);
                self.send_pieces(pieces, is_chunked, bytes_sent).await?;
            }
            Body::Empty | Body::Bytes(_) | Body::File { .. } | Body::Growing { .. } => {
                self.send(&[], bytes_sent).await?;
            }
        }
        if self.guard.inner().plain().is_some() {
            return Ok(());
        }
        let flushing = timeout(self.limits.send_time(0), self.guard.flush());
        ended(flushing.await)
    }
}

/// Whether the content's length is unknown: only chunks can show that it ended too early.
fn is_endless(reply: &Reply) -> bool {
    matches!(reply.body, Body::Growing { length: None, .. }) && !reply.head.lines().has_length
}

/// The head as the ordinary writer would write it, without the empty line at its end.
fn write_head(text: &mut Vec<u8>, reply: &Reply, context: ReplyContext<'_>, framing: Framing) {
    status_line(text, reply);
    let lines = reply.head.lines();
    text.extend_from_slice(&lines.text);
    line(text, X_REQUEST_ID.as_str(), context.request_id.as_bytes());
    if let Some(status) = cache_status(context.record.cache) {
        line(text, CACHE_STATUS.as_str(), status.as_bytes());
    }
    text.extend_from_slice(SERVER_TIMING.as_str().as_bytes());
    text.extend_from_slice(b": ");
    timing(text, context);
    text.extend_from_slice(b"\r\n");
    if !lines.has_length
        && let Some(length) = missing_length(reply, framing.is_head)
    {
        // Writing to memory does not fail.
        let _ = write!(text, "{CONTENT_LENGTH}: {length}\r\n");
    }
    line(text, DATE.as_str(), get_cached_date().as_bytes());
    let connection: &[u8] = if framing.keeps_alive {
        b"keep-alive"
    } else {
        b"close"
    };
    line(text, CONNECTION.as_str(), connection);
}

fn status_line(text: &mut Vec<u8>, reply: &Reply) {
    if reply.status == StatusCode::OK && reply.reason.is_none() {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
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

impl<S: Wire> Writer<'_, S> {
    /// Sends `text` and the content behind it, in one call if the kernel takes both. Afterwards `text`
    /// is empty.
    async fn send(&mut self, content: &[u8], bytes_sent: &mut u64) -> Result<(), Broken> {
        let before = *bytes_sent;
        if let Some(socket) = self.guard.inner().plain() {
            let sender = Sender {
                socket,
                limits: self.limits,
            };
            let head = self.text.len();
            let mut sent = 0;
            let outcome = if content.len() <= COPY_MAX {
                self.text.extend_from_slice(content);
                sender.send(self.text, &[], &mut sent).await
            } else {
                sender.send(self.text, content, &mut sent).await
            };
            *bytes_sent = before + sent.saturating_sub(head) as u64;
            self.text.clear();
            return outcome;
        }
        if content.len() <= TOGETHER_MAX {
            self.text.extend_from_slice(content);
            self.push(None).await?;
        } else {
            self.push(None).await?;
            for piece in content.chunks(PIECE_MAX as usize) {
                self.push(Some(piece)).await?;
            }
        }
        *bytes_sent = before + content.len() as u64;
        Ok(())
    }

    /// Writes `text`, or `other`, on a TLS connection.
    async fn push(&mut self, other: Option<&[u8]>) -> Result<(), Broken> {
        let mut text = std::mem::take(self.text);
        let bytes = other.unwrap_or(&text);
        let patience = self.limits.send_time(bytes.len());
        let writing = timeout(patience, self.guard.write_all(bytes));
        let outcome = ended(writing.await);
        text.clear();
        *self.text = text;
        outcome
    }

    /// A file: the head with its first piece, then the rest in whichever way suits its size.
    async fn send_pieces(
        &mut self,
        mut pieces: Pieces,
        is_chunked: bool,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        loop {
            if let Pieces::File(part) = &mut pieces
                && part.left() >= SENDFILE_MIN
                && let Some(socket) = self.guard.inner().plain()
            {
                let sender = Sender {
                    socket,
                    limits: self.limits,
                };
                sender.send_held(self.text, part, bytes_sent).await?;
            }
            let presence = self.guard.watch().presence();
            let Some(piece) = pieces.next_for(presence).await? else {
                break;
            };
            if is_chunked {
                // Writing to memory does not fail.
                let _ = write!(self.text, "{:x}\r\n", piece.len());
            }
            self.send(&piece, bytes_sent).await?;
            if is_chunked {
                self.text.extend_from_slice(b"\r\n");
            }
            pieces.take_back(piece);
        }
        if is_chunked {
            self.text.extend_from_slice(b"0\r\n\r\n");
        }
        // The end of the chunks, or the head of an empty file.
        self.send(&[], bytes_sent).await
    }
}

/// Sends on a plaintext socket, within the limits.
struct Sender<'a> {
    socket: &'a Socket,
    limits: &'a DoorLimits,
}

impl Sender<'_> {
    /// Two buffers, in one call if the kernel takes them; `sent` counts both.
    async fn send(&self, first: &[u8], second: &[u8], sent: &mut usize) -> Result<(), Broken> {
        let total = first.len() + second.len();
        while *sent < total {
            let outcome = match sent.checked_sub(first.len()) {
                Some(past) => self.socket.try_send(&[], &second[past..]),
                None => self.socket.try_send(&first[*sent..], second),
            };
            match outcome {
                Ok(0) => return Err(broken(io::ErrorKind::WriteZero.into())),
                Ok(more) => *sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = (total - *sent).min(PIECE_MAX as usize);
                    self.room(left).await?;
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }

    /// Sends what the page cache has of a file without copying it; stops where the disk must be read.
    async fn send_held(
        &self,
        head: &mut Vec<u8>,
        part: &mut Stretch,
        bytes_sent: &mut u64,
    ) -> Result<(), Broken> {
        let (mut held_until, mut is_overdue) = (part.at(), false);
        while part.left() > 0 {
            if part.at() == held_until {
                if !part.is_held(WINDOW) {
                    break;
                }
                held_until += part.left().min(WINDOW);
            }
            self.send_head(head).await?;
            let window = held_until - part.at();
            let outcome = if is_overdue {
                self.socket
                    .send_file(part.file(), part.at(), window as usize)
            } else {
                self.socket
                    .try_send_file(part.file(), part.at(), window as usize)
            };
            is_overdue = false;
            match outcome {
                Ok(0) => {
                    part.distrust();
                    return Err(Cut::Short.into());
                }
                Ok(sent) => {
                    part.skip(sent as u64);
                    *bytes_sent += sent as u64;
                    if (sent as u64) < window {
                        is_overdue = !self.has_room_soon().await?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.room(window.min(PIECE_MAX) as usize).await?;
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }

    /// Sends a head, which shares its packet with what follows, and empties it.
    async fn send_head(&self, head: &mut Vec<u8>) -> Result<(), Broken> {
        while !head.is_empty() {
            match self.socket.try_send_more(head) {
                Ok(sent) => drop(head.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.room(head.len()).await?;
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }

    /// Waits up to [`SOON`] until the kernel takes more; returns whether it does.
    async fn has_room_soon(&self) -> Result<bool, Broken> {
        match timeout(SOON, self.socket.writable()).await {
            Ok(outcome) => outcome.map(|()| true).map_err(broken),
            Err(_) => Ok(false),
        }
    }

    /// Waits until the kernel takes more, for at most as long as sending `bytes` may take.
    async fn room(&self, bytes: usize) -> Result<(), Broken> {
        let patience = self.limits.send_time(bytes);
        ended(timeout(patience, self.socket.writable()).await)
    }
}

/// Translates the outcome of something with a deadline.
fn ended(outcome: Result<io::Result<()>, Elapsed>) -> Result<(), Broken> {
    match outcome {
        Ok(outcome) => outcome.map_err(broken),
        Err(_) => Err(Broken::Slow),
    }
}

fn broken(error: io::Error) -> Broken {
    // The error of a socket that has given up on its peer.
    if error.kind() == io::ErrorKind::TimedOut {
        return Broken::Slow;
    }
    Broken::Connection(pingora::Error::because(
        pingora::ErrorType::WriteError,
        "send an answer",
        error,
    ))
}
