//! Leaves a failing upstream alone: a circuit breaker, pure, with time as an argument.
//!
//! Closed, everything passes and consecutive failures are counted. Open, everything is refused until
//! a cool period is over. Then one request may try, the probe: its success closes the breaker, its
//! failure opens it again. A probe whose caller went away reports nothing, so its place is given to
//! the next request after another cool period.

use std::time::Duration;

use tokio::time::Instant;

/// The breaker of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    failures_max: u32,
    cool: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { since: Instant },
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Yes.
    Send,
    /// Yes, and everybody else waits for how it ends.
    Probe,
    /// No.
    Wait {
        /// How long, at least, until one may be.
        retry_after: Duration,
    },
}

impl Breaker {
    /// A closed breaker that opens at `failures_max` failures in a row (at least one) and tries again
    /// after `cool`.
    #[must_use]
    pub fn new(failures_max: u32, cool: Duration) -> Self {
        Self {
            failures_max: failures_max.max(1),
            cool,
            state: State::Closed { failures: 0 },
        }
    }

    /// Whether a request may be sent at `now`.
    pub fn allow(&mut self, now: Instant) -> Permit {
        let until = match self.state {
            State::Closed { .. } => return Permit::Send,
            State::Open { until } => until,
            State::Probing { since } => since + self.cool,
        };
        if now < until {
            return Permit::Wait {
                retry_after: until - now,
            };
        }
        self.state = State::Probing { since: now };
        Permit::Probe
    }

    /// Notes how a request ended at `now`: `ok` when the upstream answered, whatever it said.
    pub fn record(&mut self, now: Instant, ok: bool) {
        if ok {
            self.state = State::Closed { failures: 0 };
            return;
        }
        let failures = match self.state {
            State::Closed { failures } => failures.saturating_add(1),
            // Sent before it opened, failed after: nothing new, and no reason to wait longer.
            State::Open { .. } => return,
            State::Probing { .. } => self.failures_max,
        };
        self.state = if failures >= self.failures_max {
            State::Open {
                until: now + self.cool,
            }
        } else {
            State::Closed { failures }
        };
    }

    /// Whether requests are refused at `now`; asking this gives no place away.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Probing { since } => now < since + self.cool,
        }
    }

    /// Whether nothing is held against the upstream.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        matches!(self.state, State::Closed { failures: 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COOL: Duration = Duration::from_secs(10);

    fn open(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, COOL);
        for _ in 0..3 {
            assert_eq!(breaker.allow(start), Permit::Send);
            breaker.record(start, false);
        }
        breaker
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let start = Instant::now();
        let mut breaker = Breaker::new(3, COOL);
        for ok in [false, false, true, false, false] {
            breaker.record(start, ok);
        }
        assert_eq!(breaker.allow(start), Permit::Send);
        breaker.record(start, false);
        assert_eq!(
            breaker.allow(start + seconds(4)),
            Permit::Wait {
                retry_after: seconds(6)
            }
        );
    }

    #[test]
    fn after_the_cool_period_exactly_one_request_may_try() {
        let start = Instant::now();
        let mut breaker = open(start);
        assert!(breaker.is_open(start) && !breaker.is_open(start + COOL));
        assert_eq!(breaker.allow(start + COOL), Permit::Probe);
        assert_eq!(
            breaker.allow(start + COOL),
            Permit::Wait { retry_after: COOL }
        );
        assert!(breaker.is_open(start + COOL));
        breaker.record(start + COOL, true);
        assert_eq!(breaker.allow(start + COOL), Permit::Send);
        assert!(breaker.is_clear());
    }

    #[test]
    fn a_failed_probe_opens_it_again_at_once() {
        let start = Instant::now();
        let mut breaker = open(start);
        assert_eq!(breaker.allow(start + COOL), Permit::Probe);
        breaker.record(start + COOL, false);
        assert_eq!(
            breaker.allow(start + COOL + seconds(1)),
            Permit::Wait {
                retry_after: seconds(9)
            }
        );
    }

    #[test]
    fn a_probe_that_nobody_awaits_any_more_gives_its_place_away() {
        let start = Instant::now();
        let mut breaker = open(start);
        assert_eq!(breaker.allow(start + COOL), Permit::Probe);
        assert_eq!(breaker.allow(start + 2 * COOL), Permit::Probe);
    }

    #[test]
    fn late_failures_do_not_prolong_the_wait() {
        let start = Instant::now();
        let mut breaker = open(start);
        breaker.record(start + seconds(9), false);
        assert_eq!(breaker.allow(start + COOL), Permit::Probe);
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_the_cool_period(
            steps in prop::collection::vec((0_u64..15, any::<bool>()), 0..60)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(2, COOL);
            for (passed, ok) in steps {
                now += seconds(passed);
                match breaker.allow(now) {
                    Permit::Send | Permit::Probe => breaker.record(now, ok),
                    Permit::Wait { retry_after } => {
                        prop_assert!(retry_after > Duration::ZERO && retry_after <= COOL);
                    }
                }
            }
            let later = breaker.allow(now + COOL);
            prop_assert!(matches!(later, Permit::Send | Permit::Probe), "{:?}", later);
        }
    }
}
