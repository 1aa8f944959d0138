//! When to ask again: a few tries with jitter, within one deadline. Pure: time and chance are arguments.
//!
//! Only the head of a GET is requested again, and only after failures that a second try may heal: no
//! connection, a connection lost before the first byte, 502, 503, 504, and 429 with a time to wait. A
//! time-out is not one: the client has waited long enough (devpi waits twice; docs/protocol/devpi.md
//! §11).

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::model::UpstreamLimits;

/// Whether asking again may heal a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It does not.
    Never,
    /// It may.
    Soon,
    /// The upstream said how long to wait.
    After(Duration),
}

/// How long to pause before the next try; `None` if the failure is final.
///
/// `tries` have been sent, `elapsed` has passed since the first, `draw` is in `0.0..1.0`.
#[must_use]
pub(super) fn pause_before_next(
    limits: &UpstreamLimits,
    tries: u32,
    elapsed: Duration,
    again: Again,
    draw: f64,
) -> Option<Duration> {
    if tries > limits.upstream_retries {
        return None;
    }
    let doubled = limits
        .retry_pause
        .saturating_mul(1 << tries.saturating_sub(1).min(16));
    // Half fixed, half random: many clients of one upstream do not come back in step.
    let jittered = doubled.mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0);
    let pause = match again {
        Again::Never => return None,
        Again::Soon => jittered,
        Again::After(wished) if wished > limits.retry_after_max => return None,
        Again::After(wished) => wished.max(jittered),
    };
    (elapsed + pause <= limits.upstream_retry_time).then_some(pause)
}

/// A number in `0.0..1.0`, random enough to keep retries out of step.
pub(super) fn draw() -> f64 {
    // Each `RandomState` has its own keys; hashing nothing with them gives a random number.
    let bits = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

/// Reads `Retry-After` in seconds (RFC 9110 §10.2.3). A date would need a clock that agrees with the
/// upstream's, and indexes send seconds.
pub(super) fn retry_after(head: &http::HeaderMap) -> Option<Duration> {
    let text = head.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    // A century is as good as forever, and avoids overflow.
    let seconds = text.trim().parse::<u64>().ok()?.min(3_155_760_000);
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::*;

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn pauses_grow_and_end() {
        let limits = UpstreamLimits::default();
        let table = [
            (1, 0, Again::Soon, 0.0, Some(100)),
            (1, 0, Again::Soon, 1.0, Some(200)),
            (2, 0, Again::Soon, 1.0, Some(400)),
            (3, 0, Again::Soon, 1.0, None),
            (1, 0, Again::Never, 0.0, None),
            (1, 0, Again::After(MILLIS(1000)), 0.0, Some(1000)),
            (1, 0, Again::After(MILLIS(0)), 0.0, Some(100)),
            (1, 0, Again::After(MILLIS(3001)), 0.0, None),
            (1, 5900, Again::Soon, 0.0, Some(100)),
            (1, 5901, Again::Soon, 0.0, None),
            (1, 3500, Again::After(MILLIS(3000)), 0.0, None),
        ];
        for (tries, elapsed, again, draw, pause) in table {
            assert_eq!(
                pause_before_next(&limits, tries, MILLIS(elapsed), again, draw),
                pause.map(MILLIS),
                "{tries} tries, {elapsed} ms, {again:?}, {draw}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_only() {
        let table = [
            ("5", Some(5)),
            (" 0 ", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("Fri, 20 Nov 2026 10:00:00 GMT", None),
            ("18446744073709551615", Some(3_155_760_000)),
        ];
        for (text, seconds) in table {
            let mut head = HeaderMap::new();
            head.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(
                retry_after(&head),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn draws_differ_and_stay_in_range() {
        let draws: Vec<_> = (0..64).map(|_| draw()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!(draws.iter().any(|draw| (draw - draws[0]).abs() > 0.01));
    }

    proptest! {
        #[test]
        fn tries_and_time_are_bounded(draws in prop::collection::vec(0.0..1.0, 10), wish in 0_u64..9000) {
            let limits = UpstreamLimits::default();
            let mut elapsed = Duration::ZERO;
            let mut tries = 1;
            for draw in draws {
                let Some(pause) =
                    pause_before_next(&limits, tries, elapsed, Again::After(MILLIS(wish)), draw)
                else {
                    break;
                };
                elapsed += pause;
                tries += 1;
            }
            prop_assert!(tries <= limits.upstream_retries + 1);
            prop_assert!(elapsed <= limits.upstream_retry_time);
        }
    }
}
