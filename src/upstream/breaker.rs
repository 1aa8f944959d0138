//! Leaves a failing upstream alone: a circuit breaker, pure, with time as an argument.
//!
//! While closed, everything passes and consecutive failures are counted: an unreachable upstream each
//! time; something that could not be fetched once for each such thing. So a project whose page is
//! broken upstream is one failure, however often it is asked for, and does not block the others. While
//! open, everything is refused until a cool period is over. Then one request may try, the probe: its
//! success closes the breaker, its failure opens it again for twice as long, up to a bound. A probe
//! whose caller went away reports nothing, so its place is given to the next request after another cool
//! period.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::UpstreamLimits;

/// The breaker of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    failures_max: u32,
    cool_first: Duration,
    cool_max: Duration,
    /// The current cool period.
    cool: Duration,
    /// Consecutive times that the upstream was unreachable.
    unreachable: u32,
    /// What could not be fetched since the last success, each counted once.
    failed: Vec<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing { since: Instant },
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered, whatever the answer.
    Answered,
    /// The upstream is unreachable, or does not speak HTTP.
    Unreachable,
    /// It is reachable, and this thing (identified by a number) could not be fetched.
    Failed(u64),
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Yes.
    Send,
    /// Yes, and everybody else waits for its outcome.
    Probe,
    /// No.
    Wait {
        /// How long, at least, until one may be.
        retry_after: Duration,
    },
}

impl Breaker {
    /// A closed breaker with the limits of an upstream.
    #[must_use]
    pub fn of(limits: &UpstreamLimits) -> Self {
        Self::new(
            limits.upstream_failures,
            limits.upstream_cool_off,
            limits.upstream_cool_off_max,
        )
    }

    /// A closed breaker that opens at `failures_max` failures in a row (at least one) and tries again
    /// after `cool_first`, and then after twice as long each time, but never longer than `cool_max`.
    #[must_use]
    pub fn new(failures_max: u32, cool_first: Duration, cool_max: Duration) -> Self {
        Self {
            failures_max: failures_max.max(1),
            cool_first,
            cool_max: cool_max.max(cool_first),
            cool: cool_first,
            unreachable: 0,
            failed: Vec::new(),
            state: State::Closed,
        }
    }

    /// Whether a request may be sent at `now`.
    pub fn allow(&mut self, now: Instant) -> Permit {
        let until = match self.state {
            State::Closed => return Permit::Send,
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

    /// Notes how a request ended at `now`.
    pub fn record(&mut self, now: Instant, outcome: Outcome) {
        match (outcome, self.state) {
            (Outcome::Answered, _) => {
                *self = Self::new(self.failures_max, self.cool_first, self.cool_max);
            }
            // Sent before it opened, failed after: nothing new, and no reason to wait longer.
            (Outcome::Unreachable | Outcome::Failed(_), State::Open { .. }) => {}
            (Outcome::Unreachable | Outcome::Failed(_), State::Probing { .. }) => {
                self.cool = self.cool.saturating_mul(2).min(self.cool_max);
                self.open(now);
            }
            (Outcome::Unreachable, State::Closed) => {
                self.unreachable = self.unreachable.saturating_add(1);
                self.open_at_last(now);
            }
            (Outcome::Failed(what), State::Closed) => {
                if !self.failed.contains(&what) {
                    self.failed.push(what);
                }
                self.open_at_last(now);
            }
        }
    }

    fn open_at_last(&mut self, now: Instant) {
        let failed = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        if self.unreachable.saturating_add(failed) >= self.failures_max {
            self.open(now);
        }
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open {
            until: now + self.cool,
        };
    }

    /// Whether the upstream counts as failing: it was unreachable last, or is being left alone.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.state != State::Closed || self.unreachable > 0
    }

    /// Whether requests are refused at `now`; unlike `allow`, this does not start a probe.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until } => now < until,
            State::Probing { since } => now < since + self.cool,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Outcome::{Answered, Failed, Unreachable};
    use super::*;

    const COOL: Duration = Duration::from_secs(10);
    const COOL_MAX: Duration = Duration::from_secs(30);

    fn closed() -> Breaker {
        Breaker::new(3, COOL, COOL_MAX)
    }

    fn open(start: Instant) -> Breaker {
        let mut breaker = closed();
        for _ in 0..3 {
            assert_eq!(breaker.allow(start), Permit::Send);
            breaker.record(start, Unreachable);
        }
        breaker
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let start = Instant::now();
        let mut breaker = closed();
        for outcome in [Unreachable, Failed(1), Answered, Unreachable, Failed(1)] {
            breaker.record(start, outcome);
        }
        assert_eq!(breaker.allow(start), Permit::Send);
        breaker.record(start, Failed(2));
        assert_eq!(
            breaker.allow(start + seconds(4)),
            Permit::Wait {
                retry_after: seconds(6)
            }
        );
    }

    #[test]
    fn one_thing_that_cannot_be_had_closes_nothing_to_the_others() {
        let start = Instant::now();
        let mut breaker = closed();
        for _ in 0..100 {
            breaker.record(start, Failed(1));
            breaker.record(start, Failed(2));
        }
        assert_eq!(breaker.allow(start), Permit::Send);
        breaker.record(start, Failed(3));
        assert!(breaker.is_open(start));
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
        breaker.record(start + COOL, Answered);
        assert_eq!(breaker.allow(start + COOL), Permit::Send);
        assert_eq!(breaker, closed());
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_a_bound_and_a_success_forgets_it() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        for cool in [10, 20, 30, 30] {
            assert_eq!(
                breaker.allow(now),
                Permit::Wait {
                    retry_after: seconds(cool)
                }
            );
            now += seconds(cool);
            assert_eq!(breaker.allow(now), Permit::Probe);
            breaker.record(now, Failed(1));
        }
        now += seconds(30);
        assert_eq!(breaker.allow(now), Permit::Probe);
        breaker.record(now, Answered);
        assert_eq!(breaker, closed());
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
        breaker.record(start + seconds(9), Unreachable);
        assert_eq!(breaker.allow(start + COOL), Permit::Probe);
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_the_longest_cool_period(
            steps in prop::collection::vec((0_u64..35, 0_u64..9), 0..60)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(2, COOL, COOL_MAX);
            for (passed, outcome) in steps {
                now += seconds(passed);
                let outcome = match outcome {
                    0..3 => Answered,
                    3..6 => Unreachable,
                    what => Failed(what),
                };
                match breaker.allow(now) {
                    Permit::Send | Permit::Probe => breaker.record(now, outcome),
                    Permit::Wait { retry_after } => {
                        prop_assert!(retry_after > Duration::ZERO && retry_after <= COOL_MAX);
                    }
                }
            }
            let later = breaker.allow(now + COOL_MAX);
            prop_assert!(matches!(later, Permit::Send | Permit::Probe), "{:?}", later);
        }
    }
}
