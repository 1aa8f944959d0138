//! Watches a client between requests: a head has a total deadline and a total size, and a connection
//! may rest only so long.
//!
//! The HTTP machinery restarts its own timer with every byte and takes heads of a mebibyte. It reads
//! through this guard, which sits above TLS, so that even there a refusal can be answered in HTTP. The
//! guard cannot see where a head ends; the door tells it through the [`HeadWatch`] that travels
//! with the connection. Over HTTP/2, where heads have limits of their own, a [`StreamWatch`] travels
//! instead, and the guard watches the connection as a whole.

use std::any::Any;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listen::limits::DoorLimits;
use crate::listen::own_answers::Completing;
use crate::listen::presence::Presence;
use crate::listen::stream_watch::{StreamWatch, Streams};
use crate::telemetry::TurnedAway;

const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Where a connection is: even while a request is awaited, odd while one is answered.
#[derive(Debug, Default)]
pub(super) struct HeadWatch {
    state: AtomicU32,
    presence: OnceLock<Presence>,
}

impl HeadWatch {
    /// The watch of the connection that a session came in by, if it has one.
    pub(super) fn of(session: &Session) -> Option<Arc<Self>> {
        travelling_with(session)
    }

    /// The head is complete.
    pub(super) fn head_read(&self) {
        self.state.fetch_or(1, Ordering::Relaxed);
    }

    /// Tells whether the client is still there.
    pub(super) fn presence(&self) -> &Presence {
        self.presence.get().unwrap_or(&Presence::Unknown)
    }

    /// The answer is complete; the next request is awaited.
    pub(super) fn answered(&self) {
        let now = self.state.load(Ordering::Relaxed);
        self.state
            .store((now | 1).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What is reported when the guard refuses.
pub(super) type OnRefusal = Arc<dyn Fn(TurnedAway) + Send + Sync>;

/// A guarded connection.
pub(super) struct HeadGuard<S> {
    inner: S,
    limits: Arc<DoorLimits>,
    watch: Arc<HeadWatch>,
    /// In the place of the watch over heads, on a connection of many streams.
    streams: Option<Streams>,
    /// The state of the watch that `read` and `timer` belong to.
    seen: u32,
    /// Bytes of the head so far.
    read: usize,
    /// Until when the first byte, or the whole head, must be here.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    on_refusal: OnRefusal,
    travelling: Option<Arc<ProxyDigest>>,
    /// What was read and put back.
    ahead: BytesMut,
    /// How much of it may be read again; the rest is the next request's.
    shown: usize,
    /// Completes what the machinery answers while a head is awaited.
    completing: Completing,
}

impl<S: IO> HeadGuard<S> {
    pub(super) fn new(inner: S, limits: Arc<DoorLimits>, on_refusal: OnRefusal) -> Self {
        let watch = Arc::new(HeadWatch::default());
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
            completing: Completing::default(),
        }
    }

    /// The same guard, of a connection whose client can be seen to leave.
    pub(super) fn seeing(self, presence: Presence) -> Self {
        // It is set once, before anything is read.
        let _ = self.watch.presence.set(presence);
        self
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
            ..Self::new(inner, limits, on_refusal)
        }
    }

    /// Reads what streams are made of, as long as the connection keeps to its limits.
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
            // There is no answer to a connection of streams; it is cut.
            Some(reason) => self.refuse(context, reason, &[]),
            None => outcome,
        }
    }

    /// Puts bytes back that were read and not used. Whoever reads next gets the first `shown` of
    /// them; the others stay for [`take_ahead`](Self::take_ahead).
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

    /// Notes for a connection of streams whether anything can be sent on it.
    fn sent<T>(&self, outcome: Poll<T>) -> Poll<T> {
        match &self.streams {
            Some(streams) => streams.sent(outcome),
            None => outcome,
        }
    }

    /// Follows the watch; says whether a request is awaited.
    fn is_awaiting(&mut self) -> bool {
        let now = self.watch.state.load(Ordering::Relaxed);
        if now != self.seen {
            (self.seen, self.read, self.deadline) = (now, 0, None);
        }
        now.is_multiple_of(2)
    }

    /// Resolves when the time for the first byte, or for the whole head, is over.
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
            // Set forward only when it goes off early, not with each of a connection's requests.
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Answers, as far as the peer takes it at once, and breaks the connection off.
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

/// What the machinery hands from a connection to each of its sessions untouched. It is meant for an
/// answer to CONNECT, hence the header.
fn travelling(value: Box<dyn Any + Send + Sync>) -> Option<Arc<ProxyDigest>> {
    let header = ResponseHeader::build_no_case(200, None).ok()?;
    Some(Arc::new(ProxyDigest::new(Box::new(header), Some(value))))
}

/// The value that travels with a session's connection, if it is one of these.
pub(super) fn travelling_with<T: Any + Clone>(session: &Session) -> Option<T> {
    carried(session.digest()?.proxy_digest.as_deref()?)
}

/// The same, where the connection itself is at hand.
pub(super) fn carried<T: Any + Clone>(digest: &ProxyDigest) -> Option<T> {
    digest.user_data.as_ref()?.downcast_ref::<T>().cloned()
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
            // What comes next belongs to a later request, which is not for this reader.
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
            // Rested too long: as if the client had closed, which is what it will see.
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
        let this = &mut *self;
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
        // What is answered to a head that was read has been told of before.
        let is_own =
            this.streams.is_none() && this.watch.state.load(Ordering::Relaxed).is_multiple_of(2);
        let outcome = if is_own {
            this.completing.poll_write(&mut this.inner, context, bytes)
        } else {
            Pin::new(&mut this.inner).poll_write(context, bytes)
        };
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
        let this = &mut *self;
        ready!(this.completing.poll_rest(&mut this.inner, context))?;
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
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    struct Scene {
        guard: HeadGuard<DuplexStream>,
        client: DuplexStream,
        refused: Arc<Mutex<Vec<TurnedAway>>>,
    }

    fn scene() -> Scene {
        let (client, server) = duplex(4096);
        let refused = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&refused);
        let limits = DoorLimits {
            head: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            ..DoorLimits::wide()
        };
        let on_refusal: OnRefusal = Arc::new(move |reason| note.lock().unwrap().push(reason));
        Scene {
            guard: HeadGuard::new(server, Arc::new(limits), on_refusal),
            client,
            refused,
        }
    }

    async fn answer(mut client: DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_does_not_extend_the_deadline() {
        let Scene {
            mut guard,
            mut client,
            refused,
        } = scene();
        let dripping = tokio::spawn(async move {
            for _ in 0..30 {
                tokio::time::advance(Duration::from_millis(900)).await;
                if client.write_all(b"x").await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            client
        });
        let started = Instant::now();
        let mut buffer = [0; 10];
        while guard.read(&mut buffer).await.is_ok() {}
        let elapsed = started.elapsed();
        assert!(elapsed < Duration::from_secs(13), "{elapsed:?}");
        assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadTime]);
        drop(guard);
        assert_eq!(
            answer(dripping.await.unwrap()).await,
            "HTTP/1.1 408 Request Timeout"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_and_silence_ends_at_the_deadline() {
        let Scene {
            mut guard,
            mut client,
            refused,
        } = scene();
        let started = Instant::now();
        let speak = async {
            tokio::time::advance(Duration::from_secs(20)).await;
            client.write_all(b"GET / ").await.unwrap();
        };
        let mut buffer = [0; 10];
        let (read, ()) = tokio::join!(guard.read(&mut buffer), speak);
        assert_eq!(read.unwrap(), 6);
        assert!(guard.read(&mut buffer).await.is_err());
        assert_eq!(started.elapsed().as_secs(), 30);
        assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadTime]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resting_connection_ends_without_a_word() {
        let Scene {
            mut guard,
            client,
            refused,
        } = scene();
        let started = Instant::now();
        assert_eq!(guard.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!(started.elapsed().as_secs(), 60);
        assert_eq!(*refused.lock().unwrap(), [TurnedAway::Silent]);
        drop(guard);
        assert_eq!(answer(client).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_largest_size() {
        let Scene {
            mut guard,
            mut client,
            refused,
        } = scene();
        client.write_all(&[b'x'; 101]).await.unwrap();
        let mut buffer = [0; 100];
        assert_eq!(guard.read(&mut buffer).await.unwrap(), 100);
        assert!(guard.read(&mut buffer).await.is_err());
        assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadSize]);
        drop(guard);
        assert_eq!(
            answer(client).await,
            "HTTP/1.1 431 Request Header Fields Too Large"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_begins_anew() {
        let Scene {
            mut guard,
            mut client,
            refused,
        } = scene();
        let watch = Arc::clone(&guard.watch);
        let mut buffer = [0; 100];
        for _ in 0..5 {
            client.write_all(&[b'x'; 60]).await.unwrap();
            guard.read_exact(&mut buffer[..60]).await.unwrap();
            watch.head_read();
            // A body is neither counted nor timed here, and answering takes as long as it takes.
            client.write_all(&[b'x'; 60]).await.unwrap();
            guard.read_exact(&mut buffer[..60]).await.unwrap();
            tokio::time::advance(Duration::from_mins(5)).await;
            watch.answered();
        }
        assert!(refused.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_put_back_is_read_again_and_no_further() {
        let Scene {
            mut guard,
            mut client,
            ..
        } = scene();
        client.write_all(b"later").await.unwrap();
        guard.unread(BytesMut::from("onetwo"), 3);
        let mut buffer = [0; 10];
        assert_eq!(guard.read(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(guard.read(&mut buffer[2..]).await.unwrap(), 1);
        assert_eq!(&buffer[..3], b"one");
        assert!(guard.read(&mut buffer).now_or_never().is_none());
        assert_eq!(guard.take_ahead(), "two");
        assert_eq!(guard.read(&mut buffer).await.unwrap(), 5);
    }
}
