//! How long and how much: every bound on what one upstream may cost.

use std::time::Duration;

use super::{Breaker, Retry};

/// Bounds for one upstream. The defaults suit a public index over the internet.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// For a connection, TLS included. Short, so that a few tries fit into an installer's patience
    /// (unearth gives up after 10 s, pip after 15 s; index-api.md §7).
    pub connect_timeout: Duration,
    /// Between two reads of a page, the wait for its head included.
    pub page_read_timeout: Duration,
    /// Between two reads of a file, the wait for its head included: a chained index may fetch the
    /// whole file itself before it sends the first byte.
    pub file_read_timeout: Duration,
    /// For a whole project page or sidecar, every try included.
    pub page_timeout: Duration,
    /// For the whole project list.
    pub list_timeout: Duration,
    /// Longest project page, after decompression. The longest known ones are near 30 MiB.
    pub page_bytes_max: u64,
    /// Longest project list, after decompression. The public one is tens of megabytes.
    pub list_bytes_max: u64,
    /// Longest file.
    pub file_bytes_max: u64,
    /// Slowest file, in bytes per second of waiting, once [`Limits::file_read_timeout`] has passed:
    /// a file that drips for ever would hold a draft for ever.
    pub file_rate_min: u64,
    /// Redirects followed for one answer.
    pub redirects_max: u32,
    /// Idle connections kept to one host. Installers open 50 downloads at once; fewer stay useful.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept: below the usual 60 s of servers, so that they rarely
    /// close one just as it is used again.
    pub idle_timeout: Duration,
    /// When to ask again.
    pub retry: Retry,
    /// Consecutive failures after which an origin is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone before one request may try.
    pub breaker_cool: Duration,
}

impl Limits {
    /// A closed breaker with these bounds.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        Breaker::new(self.breaker_failures, self.breaker_cool)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            page_read_timeout: Duration::from_secs(8),
            file_read_timeout: Duration::from_secs(30),
            page_timeout: Duration::from_secs(30),
            list_timeout: Duration::from_mins(2),
            page_bytes_max: 64 << 20,
            list_bytes_max: 512 << 20,
            file_bytes_max: 32 << 30,
            file_rate_min: 1 << 10,
            redirects_max: 5,
            idle_connections_max: 32,
            idle_timeout: Duration::from_secs(50),
            retry: Retry::default(),
            breaker_failures: 5,
            breaker_cool: Duration::from_secs(15),
        }
    }
}
