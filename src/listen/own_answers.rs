//! Answers that the HTTP machinery makes by itself, to heads that it cannot read (400, 408, 414, 431).
//!
//! Nothing of ours has a say in them, so they are completed on their way out: they forbid sniffing, as
//! every answer does, and do not name what made them. An answer is the machinery's own if its first
//! byte comes while nothing of ours is being answered; how that is known differs by door.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body as AxumBody;
use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const NO_SNIFFING: &[u8] = b"X-Content-Type-Options: nosniff\r\n";

/// Completes answers of the machinery's own.
#[derive(Debug, Default)]
pub(super) struct Completing {
    /// What of a completed answer is still to be written.
    rest: BytesMut,
}

impl Completing {
    /// Writes the beginning of an answer that the machinery made.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(completed) = completed(bytes) else {
            return Pin::new(inner).poll_write(context, bytes);
        };
        self.rest = completed;
        // Whatever is left goes out with the next write, flush or end.
        match self.poll_rest(inner, context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    /// Writes what is left.
    pub(super) fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let count = ready!(Pin::new(&mut *inner).poll_write(context, &self.rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// The same bytes with the head as it should be; nothing where they do not begin with a whole head.
fn completed(bytes: &[u8]) -> Option<BytesMut> {
    if !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let end = memmem::find(bytes, b"\r\n\r\n")? + 2;
    let (head, rest) = bytes.split_at(end);
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut completed = BytesMut::with_capacity(bytes.len() + NO_SNIFFING.len());
    completed.extend_from_slice(lines.next()?);
    completed.extend_from_slice(NO_SNIFFING);
    for line in lines.filter(|line| !is_replaced(line)) {
        completed.extend_from_slice(line);
    }
    completed.extend_from_slice(rest);
    Some(completed)
}

fn is_replaced(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    [&b"server"[..], b"x-content-type-options"]
        .iter()
        .any(|replaced| name.eq_ignore_ascii_case(replaced))
}

/// How far a connection is with answers of ours.
#[derive(Debug, Default)]
pub(super) struct Answering(AtomicU8);

/// All that was answered has gone out.
const IDLE: u8 = 0;

/// A request is with us, or its answer's content.
const BUSY: u8 = 1;

/// Our part is done; the machinery may still hold some of it.
const DONE: u8 = 2;

impl Answering {
    /// A request has come.
    pub(super) fn begins(&self) {
        self.0.store(BUSY, Ordering::Release);
    }

    /// An answer's content; when it ends, so does the answering.
    pub(super) fn until_the_end_of(self: &Arc<Self>, body: AxumBody) -> AxumBody {
        let answering = Arc::clone(self);
        AxumBody::new(Ending { body, answering })
    }

    fn moves(&self, from: u8, to: u8) {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.0.compare_exchange(from, to, success, failure);
    }

    fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) == IDLE
    }
}

/// Content that tells when it is over.
struct Ending {
    body: AxumBody,
    answering: Arc<Answering>,
}

impl Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.answering.moves(BUSY, DONE);
    }
}

/// A connection of hyper's over HTTP/1.1.
#[derive(Debug)]
pub(super) struct OwnAnswers<S> {
    inner: S,
    answering: Arc<Answering>,
    completing: Completing,
}

impl<S> OwnAnswers<S> {
    pub(super) fn over(inner: S, answering: Arc<Answering>) -> Self {
        let completing = Completing::default();
        Self {
            inner,
            answering,
            completing,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnAnswers<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OwnAnswers<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
        if this.answering.is_idle() {
            return this.completing.poll_write(&mut this.inner, context, bytes);
        }
        Pin::new(&mut this.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.answering.is_idle() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        let this = self.get_mut();
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
        Pin::new(&mut this.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes once it holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
        ready!(Pin::new(&mut this.inner).poll_flush(context))?;
        this.answering.moves(DONE, IDLE);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_every_answer_says_and_not_who_made_it() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nServer: Machinery\r\nContent-Length: 2\r\n\r\nno";
        let whole = b"HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(completed(bare).unwrap(), whole[..]);
        assert_eq!(completed(whole).unwrap(), whole[..]);
        let headless = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let completed_headless = completed(headless).unwrap();
        assert_eq!(
            completed_headless,
            b"HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\n\r\n"[..]
        );
        for other in [&b"HTTP/1.1 400 Bad"[..], b"PK\x03\x04\r\n\r\n", b""] {
            assert!(completed(other).is_none());
        }
    }
}
