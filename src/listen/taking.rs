//! How slowly a client may take an answer that is one of many on its connection.
//!
//! Over HTTP/1.1 the kernel sees when a client takes nothing. Over HTTP/2 the connection may be in the
//! best of health while its client never asks for more of one answer; then the answer is given up.
//! While the connection itself is stuck no answer on it is blamed: that is the kernel's to end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body as AxumBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::listen::limits::DoorLimits;
use crate::listen::reply::Broken;
use crate::listen::stream_watch::StreamWatch;

/// Largest piece of an answer over HTTP/2: one frame, so that each that is taken is seen.
pub(super) const FRAME_MAX: usize = 16 << 10;

/// Far enough to be woken by something else before.
const FAR: Duration = Duration::from_hours(1);

/// What one answer's client has taken so far, and how long that was waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taking {
    timeout: Duration,
    rate: u64,
    sent: u64,
    waited: Duration,
}

impl Taking {
    pub(super) fn of(limits: &DoorLimits) -> Self {
        Self {
            timeout: limits.send_timeout,
            rate: limits.min_send_rate.max(1),
            sent: 0,
            waited: Duration::ZERO,
        }
    }

    /// How long the next piece may wait to be taken.
    fn patience(&self) -> Duration {
        self.left().min(self.timeout)
    }

    /// How long may be waited in all from now on, at the least rate.
    fn left(&self) -> Duration {
        let share = Duration::from_secs_f64(self.sent as f64 / self.rate as f64);
        (self.timeout + share).saturating_sub(self.waited)
    }

    /// Waits for a piece to be taken.
    pub(super) async fn piece(
        &mut self,
        bytes: usize,
        watch: Option<&StreamWatch>,
        writing: impl Future<Output = pingora::Result<()>>,
    ) -> Result<pingora::Result<()>, Broken> {
        let mut writing = std::pin::pin!(writing);
        loop {
            let (began, patience) = (Instant::now(), self.patience());
            let outcome = timeout(patience, writing.as_mut()).await;
            self.waited += began.elapsed();
            match outcome {
                Ok(outcome) => {
                    self.sent += bytes as u64;
                    return Ok(outcome);
                }
                Err(_) if self.may_go_on(watch) => {}
                Err(_) => return Err(Broken::Slow),
            }
        }
    }

    fn may_go_on(&self, watch: Option<&StreamWatch>) -> bool {
        !self.left().is_zero() && watch.is_some_and(StreamWatch::is_stuck)
    }
}

/// The answers under way on a connection whose pieces somebody else sends.
#[derive(Debug)]
pub(super) struct Answers {
    limits: DoorLimits,
    watch: Option<Arc<StreamWatch>>,
    /// Pieces that wait to be taken, by the number of their answer.
    waiting: Mutex<HashMap<u64, Waiting>>,
    next: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    taking: Taking,
    until: Instant,
}

impl Answers {
    pub(super) fn new(limits: DoorLimits, watch: Option<Arc<StreamWatch>>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            watch,
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    /// An answer's content, watched from here on.
    pub(super) fn watched(self: &Arc<Self>, body: AxumBody) -> AxumBody {
        AxumBody::new(Watched {
            body,
            rest: Bytes::new(),
            taking: Taking::of(&self.limits),
            since: None,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            answers: Arc::clone(self),
        })
    }

    /// Resolves when a client has not taken a piece in its time.
    pub(super) async fn given_up(&self) {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let next = match self.look(now) {
                Ok(next) => next.unwrap_or(now + FAR),
                Err(()) => return,
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = changed => {}
            }
        }
    }

    /// When to look again; an error when somebody's time is over.
    fn look(&self, now: Instant) -> Result<Option<Instant>, ()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for one in waiting.values_mut().filter(|one| one.until <= now) {
            one.taking.waited += one.taking.patience();
            if !one.taking.may_go_on(self.watch.as_deref()) {
                return Err(());
            }
            one.until = now + one.taking.patience();
        }
        Ok(waiting.values().map(|one| one.until).min())
    }

    fn waits(&self, number: u64, taking: Taking, now: Instant) {
        let until = now + taking.patience();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(number, Waiting { taking, until });
        drop(waiting);
        self.changed.notify_one();
    }

    fn is_taken(&self, number: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&number);
    }
}

/// Content in pieces of a frame each. Whoever asks for the next has had the one before taken.
struct Watched {
    body: AxumBody,
    rest: Bytes,
    taking: Taking,
    since: Option<Instant>,
    number: u64,
    answers: Arc<Answers>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(since) = self.since.take() {
            self.taking.waited += since.elapsed();
            self.answers.is_taken(self.number);
        }
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let size = self.rest.len().min(FRAME_MAX);
        let piece = self.rest.split_to(size);
        self.taking.sent += size as u64;
        let now = Instant::now();
        self.since = Some(now);
        self.answers.waits(self.number, self.taking, now);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.answers.is_taken(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    fn limits() -> DoorLimits {
        DoorLimits {
            send_timeout: Duration::from_mins(1),
            min_send_rate: 1 << 10,
            ..DoorLimits::wide()
        }
    }

    /// A piece that is taken after so long.
    async fn taken_after(wait: Duration) -> pingora::Result<()> {
        tokio::time::sleep(wait).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_without_a_piece_taken_is_the_end_and_any_less_is_not() {
        let mut taking = Taking::of(&limits());
        let short = Duration::from_secs(59);
        taking
            .piece(FRAME_MAX, None, taken_after(short))
            .await
            .unwrap()
            .unwrap();
        let began = Instant::now();
        let never = std::future::pending();
        let outcome = taking.piece(FRAME_MAX, None, never).await;
        assert!(matches!(outcome, Err(Broken::Slow)));
        // What was waited before counts at the least rate: 16 KiB are worth 16 s.
        assert_eq!(began.elapsed(), Duration::from_secs(60 + 16 - 59));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_goes_on_for_ever() {
        let mut taking = Taking::of(&limits());
        for _ in 0..1000 {
            let wait = Duration::from_secs(15);
            taking
                .piece(FRAME_MAX, None, taken_after(wait))
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_stuck_is_not_its_answers_fault() {
        let watch = StreamWatch::new(&limits());
        watch.stuck(true);
        let mut taking = Taking::of(&limits());
        taking.sent = 10 << 20;
        let long = Duration::from_mins(5);
        taking
            .piece(FRAME_MAX, Some(&watch), taken_after(long))
            .await
            .unwrap()
            .unwrap();
        watch.stuck(false);
        let never = std::future::pending();
        let outcome = taking.piece(FRAME_MAX, Some(&watch), never).await;
        assert!(matches!(outcome, Err(Broken::Slow)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_gives_its_connection_up() {
        let answers = Answers::new(limits(), None);
        let content = AxumBody::from(vec![7; 3 * FRAME_MAX]);
        let mut body = answers.watched(content);
        let began = Instant::now();
        body.frame().await.unwrap().unwrap();
        let mut end = Box::pin(answers.given_up());
        assert!(end.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_secs(59)).await;
        body.frame().await.unwrap().unwrap();
        assert!(end.as_mut().now_or_never().is_none());
        end.await;
        // The second frame's time: what the rate leaves of a minute after 59 s of waiting.
        assert_eq!(began.elapsed().as_secs(), 59 + 60 + 32 - 59);
    }

    #[tokio::test(start_paused = true)]
    async fn whole_content_comes_through_and_nothing_is_waited_for_after_it() {
        let answers = Answers::new(limits(), None);
        let content: Vec<u8> = (0..3 * FRAME_MAX + 5).map(|at| (at % 251) as u8).collect();
        let body = answers.watched(AxumBody::from(content.clone()));
        assert_eq!(body.size_hint().exact(), Some(content.len() as u64));
        let got = body.collect().await.unwrap().to_bytes();
        assert!(got == content);
        assert!(answers.waiting.lock().unwrap().is_empty());
    }
}
