//! How long and how much: every bound on what one upstream may cost. The values are the operator's
//! (`limits:` in the configuration, which has the defaults and their reasons).

use std::time::Duration;

use crate::upstream::breaker::Breaker;
use crate::upstream::decoding::Decoding;
use crate::upstream::retry::Retry;

/// Bounds for one upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamLimits {
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// Between two reads of an answer, the wait for its head included: a chained index may fetch a
    /// whole file itself before it sends the first byte.
    pub read_timeout: Duration,
    /// For a whole project page or sidecar, every try included.
    pub page_timeout: Duration,
    /// For the whole project list.
    pub list_timeout: Duration,
    /// Longest project page, unpacked.
    pub page_bytes_max: u64,
    /// Longest project list, unpacked.
    pub list_bytes_max: u64,
    /// Longest sidecar, unpacked.
    pub metadata_bytes_max: u64,
    /// Longest file.
    pub file_bytes_max: u64,
    /// Slowest file, in bytes per second of waiting, once [`UpstreamLimits::read_timeout`] has passed.
    pub file_rate_min: u64,
    /// Redirects followed for one answer.
    pub redirects_max: u32,
    /// Idle connections kept to one host.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// When to ask again.
    pub retry: Retry,
    /// When to leave an origin alone, and for how long: a closed breaker.
    pub breaker: Breaker,
    /// What is being unpacked and read, of this upstream and all others.
    pub decoding: Decoding,
}

#[cfg(test)]
impl UpstreamLimits {
    /// Bounds that no test of this room comes near.
    pub(super) fn wide() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            connect_timeout: minute,
            read_timeout: minute,
            page_timeout: minute,
            list_timeout: minute,
            page_bytes_max: 1 << 30,
            list_bytes_max: 1 << 30,
            metadata_bytes_max: 1 << 30,
            file_bytes_max: 1 << 40,
            file_rate_min: 1,
            redirects_max: 5,
            idle_connections_max: 8,
            idle_timeout: minute,
            retry: Retry::new(3, minute),
            breaker: Breaker::new(5, minute, minute),
            decoding: Decoding::new(1 << 30, minute),
        }
    }
}
