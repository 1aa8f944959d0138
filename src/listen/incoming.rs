//! A request's body as the doors read it: in pieces, each within a time-out and all of them at a
//! minimum rate, or whole up to a limit.
//!
//! Only time spent waiting for the client counts: a client that sends fast to a slow disk is not slow.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::model::DoorLimits;
use crate::writer::Refusal;

/// A body that is coming in.
pub struct Incoming {
    stream: BoxStream<'static, io::Result<Bytes>>,
    pace: Pace,
    /// Bytes received.
    received: u64,
    /// How long they were waited for.
    waited: Duration,
    waiting: Option<Waiting>,
    /// The client waits to be asked for it (`Expect: 100-continue`): reading asks.
    is_held_back: bool,
    is_empty: bool,
}

/// How slowly a client may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest time with nothing at all.
    patience: Duration,
    /// Waiting allowed in total, besides what the bytes are worth.
    grace: Duration,
    /// Bytes per second.
    rate: u64,
}

impl Pace {
    pub(super) fn of(limits: &DoorLimits) -> Self {
        Self {
            patience: limits.idle_timeout,
            grace: limits.send_grace,
            rate: limits.min_receive_rate.max(1),
        }
    }

    /// How long to wait for the next byte, given how many came and how long that took.
    fn next(self, received: u64, waited: Duration) -> Duration {
        let share = Duration::from_secs_f64(received as f64 / self.rate as f64);
        let left = self.grace.saturating_add(share).saturating_sub(waited);
        left.min(self.patience)
    }
}

/// A wait for the client's next byte.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The connection broke.
    #[error("the body broke off")]
    Broken(#[source] io::Error),
    /// Nothing came for too long.
    #[error("the body came too slowly")]
    Slow,
    /// It is longer than allowed.
    #[error("the body is too long")]
    Long,
}

impl IncomingError {
    /// What the client is told, if it is still there; `most` is how long the body may be.
    pub(super) fn into_refusal(self, most: usize) -> Refusal {
        match self {
            Self::Long => {
                let words = format!("the body is longer than the {most} bytes allowed");
                Refusal::api(StatusCode::PAYLOAD_TOO_LARGE, words)
            }
            Self::Slow => Refusal::api(StatusCode::REQUEST_TIMEOUT, self.to_string()),
            Self::Broken(_) => Refusal::api(StatusCode::BAD_REQUEST, self.to_string()),
        }
    }
}

impl Incoming {
    /// A body in pieces; `is_empty` says whether there is none, judging by the head.
    pub(super) fn new(
        stream: BoxStream<'static, io::Result<Bytes>>,
        is_empty: bool,
        headers: &HeaderMap,
        pace: Pace,
    ) -> Self {
        let is_held_back = headers.contains_key(EXPECT);
        Self {
            stream,
            pace,
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
            is_held_back,
            is_empty,
        }
    }

    /// One that comes in these pieces.
    #[cfg(test)]
    pub(super) fn of(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let pace = Pace::of(&DoorLimits::default());
        Self::new(pieces.boxed(), false, &HeaderMap::new(), pace)
    }

    /// The body of a request without one.
    pub(super) fn empty(pace: Pace) -> Self {
        Self::new(stream::empty().boxed(), true, &HeaderMap::new(), pace)
    }

    /// Whether there is none, judging by the head.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// All of it, if it is not longer than `bytes_max`.
    pub(super) async fn whole(&mut self, bytes_max: usize) -> Result<Bytes, IncomingError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece?);
            if whole.len() > bytes_max {
                return Err(IncomingError::Long);
            }
        }
        Ok(whole.freeze())
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, IncomingError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.is_held_back = false;
        if let Poll::Ready(next) = self.stream.poll_next_unpin(context) {
            if let Some(waiting) = self.waiting.take() {
                self.waited += waiting.since.elapsed();
            }
            if let Some(Ok(piece)) = &next {
                self.received += piece.len() as u64;
            }
            return Poll::Ready(next.map(|piece| piece.map_err(IncomingError::Broken)));
        }
        let patience = self.pace.next(self.received, self.waited);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: Instant::now(),
            end: Box::pin(sleep(patience)),
        });
        match waiting.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(IncomingError::Slow))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Reads and discards an unwanted body, so that the client has finished sending when it looks for the
/// answer; bounded in time.
pub(super) async fn drain(body: &mut Incoming, bytes_max: usize, at_most: Duration) {
    if body.is_held_back {
        return;
    }
    let draining = async {
        let mut bytes = 0;
        while let Some(Ok(piece)) = body.next().await {
            bytes += piece.len();
            if bytes > bytes_max {
                break;
            }
        }
    };
    // Whatever still comes is ended by closing the connection.
    let _ = timeout(at_most, draining).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_body_is_whole_up_to_its_limit() {
        let body = |text: &'static str| {
            Incoming::of(stream::iter([Ok(Bytes::from_static(text.as_bytes()))]))
        };
        assert_eq!(body("abc").whole(3).await.unwrap(), "abc");
        assert!(matches!(
            body("abcd").whole(3).await,
            Err(IncomingError::Long)
        ));
        assert_eq!(body("").whole(0).await.unwrap(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let mut body = Incoming::of(stream::pending());
        assert!(matches!(body.whole(1).await, Err(IncomingError::Slow)));
    }

    /// Pieces of `bytes` each, one per second.
    fn dripping(bytes: usize, times: usize) -> Incoming {
        Incoming::of(stream::unfold(0, move |sent| async move {
            sleep(Duration::from_secs(1)).await;
            let piece = Ok(Bytes::from(vec![b'x'; bytes]));
            (sent < times).then_some((piece, sent + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_and_a_slow_line_is_not() {
        let rate = usize::try_from(DoorLimits::default().min_receive_rate).unwrap();
        let mut slow = dripping(rate, 600);
        assert_eq!(slow.whole(usize::MAX).await.unwrap().len(), 600 * rate);
        let mut drip = dripping(rate / 2, 600);
        let given_up = drip.whole(usize::MAX).await;
        assert!(matches!(given_up, Err(IncomingError::Slow)), "{given_up:?}");
        assert!(drip.received < 60 * rate as u64, "{}", drip.received);
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_we_take_ourselves_does_not_count() {
        let mut body = dripping(1024, 5);
        while let Some(piece) = body.next().await {
            piece.unwrap();
            sleep(MINUTE).await;
        }
        assert_eq!(body.received, 5 * 1024);
    }

    #[tokio::test]
    async fn draining_stops_at_its_limit() {
        let pieces = (0..10).map(|_| Ok(Bytes::from_static(b"0123456789")));
        let mut body = Incoming::of(stream::iter(pieces));
        drain(&mut body, 25, MINUTE).await;
        assert_eq!(body.whole(1000).await.unwrap().len(), 70);
    }
}
