//! Whether a client is still there while its answer is awaited.
//!
//! A client that leaves is otherwise noticed only when something is written to it, and an upstream that
//! hangs sends nothing to write. The kernel reports the end of the client's sending separately from
//! readable data, so nothing is read here: bytes of a next request stay where they are, and are not
//! taken for a departure. It takes no system call either.
//!
//! A client that only closes its sending side looks the same, and is taken for gone too, as in nginx;
//! but only after it has waited for [`PATIENCE`], so that whatever is in memory or on disk still
//! reaches it.

use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use pingora::proxy::Session;
use tokio::io::Interest;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::sleep;

use crate::listen::head_watch::HeadWatch;
use crate::listen::stream_watch::StreamWatch;

/// How long an answer is awaited before it matters whether its client is still there.
const PATIENCE: Duration = Duration::from_secs(1);

/// The client's end of a connection, if known; it keeps nothing open.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence(pub(super) Option<Weak<OwnedWriteHalf>>);

impl Presence {
    /// That of the client of a session.
    pub(super) fn of(session: &Session) -> Self {
        let of_head = HeadWatch::of(session).map(|watch| watch.presence().clone());
        let of_streams = || StreamWatch::of(session).map(|watch| watch.presence().clone());
        of_head.or_else(of_streams).unwrap_or_default()
    }

    /// The result of the work, unless its client leaves while it is awaited.
    pub(super) async fn unless_gone<T>(
        &self,
        work: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.gone() => None,
        }
    }

    /// Resolves when the client has closed its side, or the connection broke.
    async fn gone(&self) {
        sleep(PATIENCE).await;
        // Of what an accepted socket is registered for, only the end of reading counts as priority.
        let ended = match self.0.as_ref().map(Weak::upgrade) {
            Some(Some(half)) => half.ready(Interest::PRIORITY).await,
            Some(None) => return,
            None => std::future::pending().await,
        };
        if ended.is_err() {
            // The runtime is ending, and the work will notice too.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::listen::listener::Accepted;
    use crate::listen::socket::Socket;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, peer) = listener.accept().await.unwrap();
        let peer = Some(peer);
        let socket = Socket::new(Accepted { stream, peer }, None, Duration::from_mins(1));
        (socket, far.unwrap())
    }

    #[tokio::test]
    async fn a_client_that_closes_or_resets_is_gone_and_one_that_sends_is_not() {
        for resets in [false, true] {
            let (mut socket, mut far) = pair().await;
            let presence = socket.presence();
            let mut never = pin!(std::future::pending::<()>());
            let mut waiting = pin!(presence.unless_gone(never.as_mut()));
            far.write_all(b"the next request").await.unwrap();
            // Long enough for the bytes to arrive, and for the patience to end.
            let until_then = tokio::time::timeout(2 * PATIENCE, waiting.as_mut()).await;
            assert!(until_then.is_err(), "bytes were taken for a departure");
            if resets {
                rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
            }
            drop(far);
            assert_eq!(waiting.await, None);
            let mut received = Vec::new();
            let read = socket.read_to_end(&mut received).await;
            assert_eq!(read.is_err(), resets, "{read:?}");
            assert!(resets || received == b"the next request");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_at_hand_reaches_a_client_that_has_closed_its_side() {
        let (socket, far) = pair().await;
        let presence = socket.presence();
        drop(far);
        let mut soon = pin!(sleep(PATIENCE / 2));
        assert_eq!(presence.unless_gone(soon.as_mut()).await, Some(()));
        let mut ready = pin!(std::future::ready(7));
        let done = presence.unless_gone(ready.as_mut()).now_or_never();
        assert_eq!(done, Some(Some(7)));
    }

    #[tokio::test]
    async fn a_connection_that_is_over_has_no_client() {
        let (socket, _far) = pair().await;
        let presence = socket.presence();
        drop(socket);
        let mut never = pin!(std::future::pending::<()>());
        assert_eq!(presence.unless_gone(never.as_mut()).await, None);
    }
}
