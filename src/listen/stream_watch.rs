//! Watches an HTTP/2 connection as a whole: it has to begin, its requests are limited, and it has to end.
//!
//! Pingora limits what is open at one time and how long nothing is. It waits indefinitely for the first
//! bytes of a connection, counts no requests, and leaves it to the client to close a connection that it
//! has asked to end. The count of requests is what ends a flood of streams that are opened and
//! immediately reset: each of them counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use pingora::proxy::Session;
use pingora::server::ShutdownWatch;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listen::head_watch::travelling_with;
use crate::listen::presence::Presence;
use crate::model::DoorLimits;
use crate::telemetry::TurnedAway;

/// Bytes that every connection begins with (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// Requests that may still come after the connection was asked to end: those on their way, which are at
/// most as many as may be open at one time, plus a margin.
const LATE_REQUESTS: u32 = 256;

/// Counts a connection's requests, and asks it to end.
#[derive(Debug)]
pub(super) struct StreamWatch {
    requests: AtomicU32,
    requests_max: u32,
    ending: watch::Sender<bool>,
    /// Whether the peer accepts none of what is sent on the connection.
    is_stuck: AtomicBool,
    presence: Presence,
}

impl StreamWatch {
    /// `presence` is the client's.
    pub(super) fn new(limits: &DoorLimits, presence: Presence) -> Arc<Self> {
        Arc::new(Self {
            requests: AtomicU32::new(0),
            requests_max: limits.requests_per_connection,
            ending: watch::Sender::new(false),
            is_stuck: AtomicBool::new(false),
            presence,
        })
    }

    /// The watch of the connection that a session came in by, if it has one.
    pub(super) fn of(session: &Session) -> Option<Arc<Self>> {
        travelling_with(session)
    }

    /// Tells whether the client is still there.
    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Counts a request; the last one allowed asks the connection to end.
    pub(super) fn count(&self) {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        if before.saturating_add(1) >= self.requests_max {
            self.end();
        }
    }

    /// Asks the connection to end: streams that are open are answered, new ones are not opened.
    pub(super) fn end(&self) {
        self.ending
            .send_if_modified(|ending| !std::mem::replace(ending, true));
    }

    /// Turns to `true` when the connection is to end.
    pub(super) fn ending(&self) -> ShutdownWatch {
        self.ending.subscribe()
    }

    /// Notes whether the connection takes what is sent on it.
    pub(super) fn stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Whether nothing can be sent on the connection now.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    fn is_ignored(&self) -> bool {
        let most = self.requests_max.saturating_add(LATE_REQUESTS);
        self.requests.load(Ordering::Relaxed) > most
    }
}

/// The guard's state for a connection of streams.
pub(super) struct Streams {
    watch: Arc<StreamWatch>,
    /// Bytes of the preface so far.
    begun: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Streams {
    pub(super) fn new(watch: Arc<StreamWatch>) -> Self {
        Self {
            watch,
            begun: 0,
            timer: None,
        }
    }

    /// Something was sent, or could not be.
    pub(super) fn sent<T>(&self, outcome: Poll<T>) -> Poll<T> {
        self.watch.stuck(outcome.is_pending());
        outcome
    }

    /// Bytes were read; returns the limit they break, if any.
    pub(super) fn took(&mut self, bytes: usize) -> Option<TurnedAway> {
        let was_complete = self.begun >= PREFACE;
        self.begun = self.begun.saturating_add(bytes);
        // The time for the preface is a total; otherwise each byte restarts the time.
        if was_complete || self.begun >= PREFACE {
            self.timer = None;
        }
        self.watch.is_ignored().then_some(TurnedAway::Requests)
    }

    /// There is nothing to read; returns the limit that breaks, or else wakes the reader when it will.
    pub(super) fn poll_overdue(
        &mut self,
        context: &mut Context<'_>,
        limits: &DoorLimits,
    ) -> Option<TurnedAway> {
        let (allowed, reason) = if self.begun < PREFACE {
            (limits.head_timeout, TurnedAway::HeadTime)
        } else if self.watch.is_ending() {
            (limits.idle_timeout, TurnedAway::Requests)
        } else {
            return None;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + allowed)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Some(reason),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> DoorLimits {
        DoorLimits {
            requests_per_connection: 3,
            ..DoorLimits::default()
        }
    }

    async fn overdue(streams: &mut Streams) -> (TurnedAway, Duration) {
        let started = Instant::now();
        let reason =
            std::future::poll_fn(|context| match streams.poll_overdue(context, &limits()) {
                Some(reason) => Poll::Ready(reason),
                None => Poll::Pending,
            });
        (reason.await, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_that_drips_has_one_deadline() {
        let mut streams = Streams::new(StreamWatch::new(&limits(), Presence::default()));
        assert_eq!(streams.took(PREFACE - 1), None);
        let (reason, after) = overdue(&mut streams).await;
        assert_eq!(
            (reason, after),
            (TurnedAway::HeadTime, Duration::from_secs(10))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_request_asks_for_the_end_and_what_follows_is_cut() {
        let watch = StreamWatch::new(&limits(), Presence::default());
        let mut streams = Streams::new(Arc::clone(&watch));
        assert_eq!(streams.took(PREFACE), None);
        let ending = watch.ending();
        watch.count();
        watch.count();
        assert!(!*ending.borrow());
        watch.count();
        assert!(*ending.borrow());
        assert_eq!(streams.took(9), None, "what was on its way");
        let (reason, after) = overdue(&mut streams).await;
        assert_eq!(
            (reason, after),
            (TurnedAway::Requests, Duration::from_mins(1))
        );
        (0..LATE_REQUESTS).for_each(|_| watch.count());
        assert_eq!(streams.took(9), None);
        watch.count();
        assert_eq!(streams.took(9), Some(TurnedAway::Requests));
    }
}
