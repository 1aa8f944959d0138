//! Every request that reached a fake index, in order.

use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::sync::watch;

/// Longest wait for a request that a test expects. A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query, as sent.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    /// A header's text; empty if it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("printable"))
    }
}

/// The requests so far.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
}

impl Journal {
    pub(super) fn note(&self, seen: Seen) {
        self.seen.lock().expect("no panic while noting").push(seen);
        self.count.send_modify(|count| *count += 1);
    }

    /// The requests whose path has this prefix.
    pub(crate) fn all(&self, prefix: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no panic while noting");
        seen.iter()
            .filter(|seen| seen.path.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// The number of requests whose path has this prefix.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.all(prefix).len()
    }

    /// The latest request whose path has this prefix.
    pub(crate) fn last(&self, prefix: &str) -> Seen {
        self.all(prefix).pop().expect("such a request was seen")
    }

    /// Waits until there are this many requests whose path has this prefix.
    pub(crate) async fn wait_for(&self, prefix: &str, count: usize) {
        let mut changes = self.count.subscribe();
        let enough = changes.wait_for(|_| self.count(prefix) >= count);
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        assert!(waited.is_ok(), "{count} requests for {prefix} did not come");
    }
}
