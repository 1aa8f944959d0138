//! How many requests one server gets at a time, and when it is left alone.
//!
//! A server that is down shows in its health check and costs a refused connection. One that accepts
//! requests and does not answer them costs each client all of its patience, while its status may be
//! fine; the breaker is for those. Both are in the metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::{Instant, timeout};

use crate::telemetry::{HeldPermits, Permits, ServerMetrics, ServerResult, WaitMeter};
use crate::upstream::breaker::{Breaker, Outcome, Permit};

/// Consecutive requests without an answer after which a server is left alone. One may be the request's own
/// fault; by the third, three clients have waited in vain.
const FAILURES_MAX: u32 = 3;

/// How long it is left alone: about as long as a client waits before it tries again.
const COOL: Duration = Duration::from_secs(5);

/// How long a request waits for room when no server has any. With the time for a head it stays within
/// the 15 s after which pip gives up.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(4);

/// The load on one server.
#[derive(Debug)]
pub(super) struct Load {
    slots: Permits,
    breaker: Mutex<Breaker>,
    pub(super) metrics: ServerMetrics,
}

/// A request under way; it ends when the last clone is dropped, with the answer's last byte.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "held for what their ends do")]
pub(super) struct Underway(Arc<(HeldPermits, Counted)>);

#[derive(Debug)]
struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Load {
    /// With at most `requests_max` requests at one time.
    pub(super) fn new(requests_max: usize, metrics: ServerMetrics, meter: WaitMeter) -> Self {
        Self {
            slots: Permits::new(requests_max, meter),
            breaker: Mutex::new(Breaker::new(FAILURES_MAX, COOL, COOL)),
            metrics,
        }
    }

    /// Whether the breaker lets a request through now.
    pub(super) fn lets_through(&self) -> bool {
        let permit = self.with_breaker(|breaker| breaker.allow(Instant::now()));
        let lets = !matches!(permit, Permit::Wait { .. });
        if !lets {
            self.metrics.request(ServerResult::Skipped);
        }
        lets
    }

    /// Whether it is being left alone.
    pub(super) fn is_left_alone(&self) -> bool {
        self.with_breaker(|breaker| breaker.is_open(Instant::now()))
    }

    /// Room for one request, if there is any.
    pub(super) fn take(&self) -> Option<Underway> {
        let Some(slot) = self.slots.try_take() else {
            self.metrics.request(ServerResult::Busy);
            return None;
        };
        Some(self.underway(slot))
    }

    /// Room for one request, waiting for it within bounds.
    pub(super) async fn wait(&self) -> Option<Underway> {
        let slot = timeout(QUEUE_TIMEOUT, self.slots.take()).await.ok()?;
        Some(self.underway(slot))
    }

    fn underway(&self, slot: HeldPermits) -> Underway {
        let gauge = self.metrics.inflight().clone();
        gauge.inc();
        Underway(Arc::new((slot, Counted(gauge))))
    }

    /// Notes how a request went.
    pub(super) fn ended(&self, result: ServerResult) {
        self.metrics.request(result);
        let outcome = match result {
            ServerResult::Answered => Some(Outcome::Answered),
            ServerResult::Timeout => Some(Outcome::Unreachable),
            // The health check notices an unreachable server; a busy one is not broken.
            ServerResult::Troubled
            | ServerResult::Unreachable
            | ServerResult::Busy
            | ServerResult::Skipped
            | ServerResult::Abandoned => None,
        };
        if let Some(outcome) = outcome {
            self.with_breaker(|breaker| breaker.record(Instant::now(), outcome));
        }
    }

    fn with_breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let made = change(&mut breaker);
        self.metrics.is_left_alone(breaker.is_open(Instant::now()));
        made
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use prometheus::Registry;

    use super::*;
    use crate::telemetry::{Metrics, WaitFor};

    fn load(requests_max: usize) -> (Load, Metrics) {
        let metrics = Metrics::register(Registry::new(), "0").unwrap();
        let load = Load::new(
            requests_max,
            metrics.devpi_server("one.example:3141"),
            metrics.waits(WaitFor::DevpiRequests),
        );
        (load, metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_left_alone_and_tried_again() {
        let (load, metrics) = load(1);
        for _ in 0..FAILURES_MAX {
            assert!(load.lets_through() && !load.is_left_alone());
            load.ended(ServerResult::Unreachable);
            load.ended(ServerResult::Timeout);
        }
        assert!(!load.lets_through() && load.is_left_alone());
        let shown = metrics.render().unwrap();
        for line in [
            "cheesecloth_devpi_breaker_open{server=\"one.example:3141\"} 1",
            "cheesecloth_devpi_requests_total{result=\"timeout\",server=\"one.example:3141\"} 3",
            "cheesecloth_devpi_requests_total{result=\"skipped\",server=\"one.example:3141\"} 1",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        tokio::time::advance(COOL).await;
        assert!(load.lets_through(), "one may try");
        assert!(!load.lets_through(), "and nobody else");
        load.ended(ServerResult::Answered);
        assert!(load.lets_through());
    }

    #[tokio::test(start_paused = true)]
    async fn no_server_has_more_than_its_share() {
        let (load, metrics) = load(2);
        let first = load.take().unwrap();
        let _second = load.take().unwrap();
        assert!(load.take().is_none());
        assert!(load.wait().await.is_none(), "the wait is bounded");
        let shown = metrics.render().unwrap();
        assert!(shown.contains("devpi_requests_inflight{server=\"one.example:3141\"} 2"));
        let body = first.clone();
        drop(first);
        assert!(load.take().is_none(), "its body is still coming");
        drop(body);
        assert!(load.wait().now_or_never().flatten().is_some());
    }
}
