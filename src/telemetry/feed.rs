//! The metrics of feeds of advisories.

use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::declared::Declared;
use crate::telemetry::label::{FeedResult, Label, LabelSet};

/// The metrics of all feeds.
#[derive(Debug, Clone)]
pub struct FeedMetrics(Arc<Declared>);

impl FeedMetrics {
    pub(super) fn of(all: &Arc<Declared>) -> Self {
        Self(Arc::clone(all))
    }

    /// Counts an attempt to fetch one.
    pub fn fetched(&self, feed: &str, result: FeedResult) {
        let labels = [feed, result.label()];
        self.0.feed_fetches.with_label_values(&labels).inc();
    }

    /// States what is held of one, and since when its source has not confirmed it.
    pub fn holds(&self, feed: &str, entries: usize, age: Option<Duration>, is_stale: bool) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let age = age.map_or(-1, |age| whole(age.as_secs()));
        let labels = [feed];
        self.0.feed_age.with_label_values(&labels).set(age);
        self.0
            .feed_stale
            .with_label_values(&labels)
            .set(i64::from(is_stale));
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.0.feed_entries.with_label_values(&labels).set(entries);
        // Shown from the start, so that the first of a kind shows as a rise.
        for result in FeedResult::ALL {
            let labels = [feed, result.label()];
            self.0.feed_fetches.with_label_values(&labels);
        }
    }

    /// Forgets feeds that are no longer declared.
    pub fn forget(&self) {
        self.0.feed_age.reset();
        self.0.feed_stale.reset();
        self.0.feed_entries.reset();
    }
}
