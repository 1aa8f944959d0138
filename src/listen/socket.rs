//! A connection's socket: sends head and first piece of an answer in one call, and gives up on a peer
//! that takes nothing.
//!
//! The first write after a flush is held back and sent together with the second; everything after it
//! goes straight through, so that a file that arrives slowly is not held up here.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::net::{SendFlags, send, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::listen::listener::Accepted;
use crate::listen::presence::Presence;

/// Longest write held back: any head.
const KEPT_BACK_MAX: usize = 16 << 10;

/// Most slices sent in one call besides what was held back.
const SLICES_MAX: usize = 15;

/// Bytes discarded at a time.
const WASTE: usize = 8 << 10;

/// How long to discard what the peer still sends after the last answer. A socket that is closed with
/// unread bytes in it resets the connection, and the client never sees why it was refused.
const LINGER: Duration = Duration::from_secs(2);

/// The halves of a stream: one is read only here, the other is also known to whatever watches the
/// client's [`Presence`]. There is always a second half until the socket is dropped.
struct Raw {
    reading: OwnedReadHalf,
    other: Option<Arc<OwnedWriteHalf>>,
}

impl Raw {
    fn stream(&self) -> &TcpStream {
        self.reading.as_ref()
    }

    /// One call to the kernel when there is room.
    fn poll_send(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(context))?;
            match self.stream().try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// Tells the client that nothing follows.
    fn end_sending(&self) -> io::Result<()> {
        match shutdown(self.stream(), rustix::net::Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Raw {
    /// The connection ends with its last handle; shutting down one half before that would be an extra
    /// system call.
    fn drop(&mut self) {
        let other = self.other.take().and_then(Arc::into_inner);
        other.into_iter().for_each(OwnedWriteHalf::forget);
    }
}

/// An accepted connection.
pub(super) struct Socket {
    raw: Raw,
    kept_back: BytesMut,
    /// Whether the next small write is held back.
    is_corked: bool,
    /// Runs while the peer takes nothing, if the kernel does not watch that.
    stall: Option<Pin<Box<Sleep>>>,
    /// How long the peer may take nothing.
    patience: Duration,
    /// Whether the kernel gives up on a peer that takes nothing; determined when one first does.
    is_watched: OnceLock<bool>,
    /// Runs after the last byte was sent.
    linger: Option<Pin<Box<Sleep>>>,
    digest: Arc<SocketDigest>,
}

impl Socket {
    /// `client` is the one whose requests arrive on it; `patience` is how long it may accept nothing
    /// of what is sent to it.
    pub(super) fn new(
        accepted: Accepted,
        client: Option<std::net::SocketAddr>,
        patience: Duration,
    ) -> Self {
        let stream = accepted.stream;
        // Answers are sent in complete writes; waiting for more would only delay them.
        if accepted.peer.is_some()
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        let _ = digest.peer_addr.set(client.map(PeerAddress::Inet));
        let (reading, other) = stream.into_split();
        Self {
            raw: Raw {
                reading,
                other: Some(Arc::new(other)),
            },
            kept_back: BytesMut::new(),
            is_corked: true,
            stall: None,
            patience,
            is_watched: OnceLock::new(),
            linger: None,
            digest: Arc::new(digest),
        }
    }

    fn number(&self) -> RawFd {
        self.raw.stream().as_raw_fd()
    }

    /// Tells whether the client is still there.
    pub(super) fn presence(&self) -> Presence {
        Presence(self.raw.other.as_ref().map(Arc::downgrade))
    }

    /// Whether the kernel ends the connection of a peer that takes nothing. Only the kernel sees each
    /// byte that is taken: for us a socket has room again when a third of its buffer is free, which may
    /// take a slow reader minutes.
    fn is_watched(&self) -> bool {
        *self.is_watched.get_or_init(|| {
            let patience = u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX);
            // Not so on a Unix socket.
            set_tcp_user_timeout(self.raw.stream(), patience).is_ok()
        })
    }

    /// One system call, within the time that a peer may take nothing.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.raw.poll_send(context, slices);
        if outcome.is_ready() {
            self.stall = None;
            return outcome;
        }
        if self.is_watched() {
            return Poll::Pending;
        }
        let end = Instant::now() + self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep_until(end)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing",
        )))
    }

    fn poll_send_kept_back(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept_back.is_empty() {
            let kept_back = std::mem::take(&mut self.kept_back);
            let outcome = self.poll_send(context, &[IoSlice::new(&kept_back)]);
            self.kept_back = kept_back;
            match ready!(outcome)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.kept_back.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was held back and these slices, in one call if the kernel takes them.
    fn poll_send_all(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if std::mem::take(&mut self.is_corked) && length <= KEPT_BACK_MAX {
            slices
                .iter()
                .for_each(|slice| self.kept_back.extend_from_slice(slice));
            return Poll::Ready(Ok(length));
        }
        while !self.kept_back.is_empty() {
            let kept_back = std::mem::take(&mut self.kept_back);
            let mut all = [IoSlice::new(&[]); SLICES_MAX + 1];
            let count = slices.len().min(SLICES_MAX);
            all[0] = IoSlice::new(&kept_back);
            all[1..=count].copy_from_slice(&slices[..count]);
            let outcome = self.poll_send(context, &all[..=count]);
            self.kept_back = kept_back;
            let sent = ready!(outcome)?;
            let beyond = sent.saturating_sub(self.kept_back.len());
            match sent {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                _ if beyond > 0 => {
                    self.kept_back.clear();
                    return Poll::Ready(Ok(beyond));
                }
                _ => self.kept_back.advance(sent),
            }
        }
        self.poll_send(context, slices)
    }
}

/// For callers that bypass Pingora. None of these waits.
impl Socket {
    /// Sends two buffers in one call; returns how much of both together.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; [`writable`](Self::writable) awaits it.
    pub(super) fn try_send(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let stream = self.raw.stream();
        match (first.is_empty(), second.is_empty()) {
            (true, _) => stream.try_write(second),
            (_, true) => stream.try_write(first),
            _ => stream.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        }
    }

    /// Sends a buffer that more follows immediately: a head, which shares its packet with the content.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub(super) fn try_send_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let stream = self.raw.stream();
        stream.try_io(Interest::WRITABLE, || Ok(send(stream, bytes, flags)?))
    }

    /// Sends part of a file, without a copy from the page cache, otherwise after waiting for the disk.
    /// When less than `length` is sent, the socket is mostly full and is treated as such, as nginx does:
    /// the caller waits for room instead of sending ever smaller pieces.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send); nothing sent means the file's end.
    pub(super) fn try_send_file(&self, file: &File, at: u64, length: usize) -> io::Result<usize> {
        let mut sent = 0;
        let outcome = self.raw.stream().try_io(Interest::WRITABLE, || {
            sent = self.send_file(file, at, length)?;
            if (1..length).contains(&sent) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(sent)
        });
        if sent > 0 { Ok(sent) } else { outcome }
    }

    /// The same without checking for room: a send also falls short when the file ends early or its disk
    /// fails, and then the kernel never reports room.
    ///
    /// # Errors
    /// As [`try_send_file`](Self::try_send_file).
    pub(super) fn send_file(&self, file: &File, at: u64, length: usize) -> io::Result<usize> {
        let mut at = at;
        Ok(sendfile(self.raw.stream(), file, Some(&mut at), length)?)
    }

    /// Waits for room, within the time a peer may take nothing.
    pub(super) async fn writable(&self) -> io::Result<()> {
        let waiting = self.raw.stream().writable();
        if self.is_watched() {
            return waiting.await;
        }
        let waited = timeout(self.patience, waiting).await;
        waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Socket {
    /// Reads and discards until the peer has closed too, or its time is up.
    fn poll_swallow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut waste = [MaybeUninit::uninit(); WASTE];
        loop {
            let mut buffer = ReadBuf::uninit(&mut waste);
            match Pin::new(&mut *self).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            // A peer that never stops sending is not waited for beyond that time.
            if self
                .linger
                .as_ref()
                .is_none_or(|linger| linger.is_elapsed())
            {
                return Poll::Ready(());
            }
        }
        match &mut self.linger {
            Some(linger) => linger.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw.reading).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_all(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_all(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_kept_back(context))?;
        self.is_corked = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(self.poll_send_kept_back(context))?;
            self.raw.end_sending()?;
            self.linger = Some(Box::pin(sleep_until(Instant::now() + LINGER)));
        }
        ready!(self.poll_swallow(context));
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // Already broken or not: the connection ends here.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.number()
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl Ssl for Socket {}
impl Peek for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Socket({})", self.number())
    }
}

#[cfg(test)]
mod tests;
