//! Watches a client between requests: a head has a total deadline and a total size, and a connection
//! may be idle only for so long.
//!
//! Pingora restarts its own timer with every byte and accepts heads of a mebibyte. It reads through
//! this guard, which sits above TLS, so that even there a refusal can be answered in HTTP. The guard
//! cannot see where a head ends; the door tells it through the [`HeadWatch`] that travels with the
//! connection. Over HTTP/2, where heads have limits of their own, a [`StreamWatch`] travels instead,
//! and the guard watches the connection as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listen::head_watch::{HeadWatch, travelling};
use crate::listen::presence::Presence;
use crate::listen::stream_watch::{StreamWatch, Streams};
use crate::model::DoorLimits;
use crate::telemetry::TurnedAway;

const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Called when the guard refuses.
pub(super) type OnRefusal = Arc<dyn Fn(TurnedAway) + Send + Sync>;

/// A guarded connection.
pub(super) struct HeadGuard<S> {
    inner: S,
    limits: Arc<DoorLimits>,
    watch: Arc<HeadWatch>,
    /// Instead of watching heads, on a connection of many streams.
    streams: Option<Streams>,
    /// The state of the watch that `read` and `timer` belong to.
    seen: u32,
    /// Bytes of the head so far.
    read: usize,
    /// When the first byte, or the whole head, must have arrived.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    on_refusal: OnRefusal,
    travelling: Option<Arc<ProxyDigest>>,
    /// What was read and put back.
    ahead: BytesMut,
    /// How much of it may be read again; the rest belongs to the next request.
    shown: usize,
}

impl<S: IO> HeadGuard<S> {
    /// A guard over a connection of successive requests by this client.
    pub(super) fn new(
        inner: S,
        limits: Arc<DoorLimits>,
        presence: Presence,
        on_refusal: OnRefusal,
    ) -> Self {
        let watch = HeadWatch::new(presence);
        let travelling = travelling(Box::new(Arc::clone(&watch)));
        Self {
            inner,
            limits,
            watch,
            streams: None,
            seen: 0,
            read: 0,
            deadline: None,
            timer: None,
            on_refusal,
            travelling,
            ahead: BytesMut::new(),
            shown: 0,
        }
    }

    /// A guard over a connection of many streams.
    pub(super) fn over_streams(
        inner: S,
        limits: Arc<DoorLimits>,
        watch: Arc<StreamWatch>,
        on_refusal: OnRefusal,
    ) -> Self {
        let travelling = travelling(Box::new(Arc::clone(&watch)));
        Self {
            streams: Some(Streams::new(watch)),
            travelling,
            ..Self::new(inner, limits, Presence::default(), on_refusal)
        }
    }

    /// Reads the bytes of streams, as long as the connection stays within its limits.
    fn poll_read_streams(
        &mut self,
        mut streams: Streams,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(context, buffer);
        let broken = match &outcome {
            Poll::Ready(Ok(())) => streams.took(buffer.filled().len() - before),
            Poll::Ready(Err(_)) => None,
            Poll::Pending => streams.poll_overdue(context, &self.limits),
        };
        self.streams = Some(streams);
        match broken {
            // A connection of streams cannot be answered; it is cut.
            Some(reason) => self.refuse(context, reason, &[]),
            None => outcome,
        }
    }

    /// Puts back bytes that were read and not used. The next reader gets the first `shown` of them; the
    /// others stay for [`take_ahead`](Self::take_ahead).
    pub(super) fn unread(&mut self, bytes: BytesMut, shown: usize) {
        self.shown = shown.min(bytes.len());
        self.ahead = bytes;
    }

    /// Whatever was put back and not read.
    pub(super) fn take_ahead(&mut self) -> BytesMut {
        self.shown = 0;
        std::mem::take(&mut self.ahead)
    }

    /// Tells where in a request the connection is.
    pub(super) fn watch(&self) -> &HeadWatch {
        &self.watch
    }

    fn read_again(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.shown.min(buffer.remaining());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        self.shown -= count;
    }

    /// The connection below.
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// Notes, for a connection of streams, whether anything can be sent on it.
    fn sent<T>(&self, outcome: Poll<T>) -> Poll<T> {
        match &self.streams {
            Some(streams) => streams.sent(outcome),
            None => outcome,
        }
    }

    /// Follows the watch; returns whether a request is awaited.
    fn is_awaiting(&mut self) -> bool {
        let now = self.watch.state();
        if now != self.seen {
            (self.seen, self.read, self.deadline) = (now, 0, None);
        }
        now.is_multiple_of(2)
    }

    /// Resolves when the time for the first byte, or for the whole head, is up.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_idle = self.read == 0;
        let allowed = if is_idle {
            self.limits.idle_timeout
        } else {
            self.limits.head_timeout
        };
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + allowed);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            // Moved forward only when it fires early, not with each request on a connection.
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Answers, as far as the peer takes that immediately, and breaks the connection off.
    fn refuse(
        &mut self,
        context: &mut Context<'_>,
        reason: TurnedAway,
        answer: &[u8],
    ) -> Poll<io::Result<()>> {
        (self.on_refusal)(reason);
        if !answer.is_empty()
            && let Poll::Ready(Ok(_)) = Pin::new(&mut self.inner).poll_write(context, answer)
        {
            let _ = Pin::new(&mut self.inner).poll_flush(context);
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the connection broke a limit",
        )))
    }
}

impl<S: IO> AsyncRead for HeadGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shown > 0 {
            self.read_again(buffer);
            return Poll::Ready(Ok(()));
        }
        if !self.ahead.is_empty() {
            // What comes next belongs to a later request, not to this reader.
            return Poll::Pending;
        }
        if let Some(streams) = self.streams.take() {
            return self.poll_read_streams(streams, context, buffer);
        }
        if !self.is_awaiting() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut self.inner).poll_read(context, buffer) {
            outcome?;
            let fresh = buffer.filled().len() - before;
            let is_first = fresh > 0 && self.read == 0;
            if is_first {
                self.deadline = Some(Instant::now() + self.limits.head_timeout);
            }
            self.read += fresh;
            if self.read > self.limits.head {
                return self.refuse(context, TurnedAway::HeadSize, TOO_LARGE);
            }
            let is_in_time = |deadline| Instant::now() < deadline;
            if fresh == 0 || is_first || self.deadline.is_none_or(is_in_time) {
                return Poll::Ready(Ok(()));
            }
        } else {
            ready!(self.poll_deadline(context));
        }
        if self.read == 0 {
            if self.seen == 0 {
                (self.on_refusal)(TurnedAway::Silent);
            }
            // Idle too long: treated as if the client had closed, which is what it will see.
            return Poll::Ready(Ok(()));
        }
        self.refuse(context, TurnedAway::HeadTime, TOO_SLOW)
    }
}

impl<S: IO> AsyncWrite for HeadGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.sent(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.sent(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(context);
        self.sent(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[async_trait]
impl<S: IO> Shutdown for HeadGuard<S> {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut self.inner).await;
    }
}

impl<S: IO> UniqueID for HeadGuard<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl<S: IO> Ssl for HeadGuard<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl<S: IO> GetSocketDigest for HeadGuard<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl<S: IO> GetTimingDigest for HeadGuard<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for HeadGuard<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.travelling.clone()
    }
}

impl<S: IO> Peek for HeadGuard<S> {}

impl<S: fmt::Debug> fmt::Debug for HeadGuard<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeadGuard({:?})", self.inner)
    }
}

#[cfg(test)]
mod tests;
