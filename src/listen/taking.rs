//! How slowly a client may take an answer that is one of many on its connection.
//!
//! Over HTTP/1.1 the kernel sees when a client takes nothing. Over HTTP/2 the connection may be
//! perfectly healthy while its client never asks for more of one answer; then that answer is given up.
//! While the connection itself is stuck no answer on it is blamed: ending that is up to the kernel.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::listen::reply::Broken;
use crate::listen::stream_watch::StreamWatch;
use crate::model::DoorLimits;

/// Largest piece of an answer over HTTP/2: one frame, so that each one taken is noticed.
pub(super) const FRAME_MAX: usize = 16 << 10;

/// What the client of one answer has taken so far, and how long that was waited for.
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

    /// How long may be waited in total from now on, at the minimum rate.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::presence::Presence;

    fn limits() -> DoorLimits {
        DoorLimits {
            send_timeout: Duration::from_mins(1),
            min_send_rate: 1 << 10,
            ..DoorLimits::default()
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
        // What was waited before counts at the minimum rate: 16 KiB are worth 16 s.
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
        let watch = StreamWatch::new(&limits(), Presence::default());
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
}
