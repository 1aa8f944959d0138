//! The metrics of what is told to webhooks.

use std::sync::Arc;

use crate::telemetry::declared::Declared;
use crate::telemetry::label::{Label, LabelSet, PostResult};

/// The metrics of all webhooks, each named by its host.
#[derive(Debug, Clone)]
pub struct NotifyMetrics(Arc<Declared>);

impl NotifyMetrics {
    pub(super) fn of(all: &Arc<Declared>) -> Self {
        Self(Arc::clone(all))
    }

    /// Shows a webhook from the start, so that the first of a kind shows as a rise.
    pub fn has(&self, webhook: &str) {
        for result in PostResult::ALL {
            let labels = [webhook, result.label()];
            self.0.notify_posts.with_label_values(&labels);
        }
        self.dropped(webhook, 0);
        self.waiting(webhook, 0);
    }

    /// Counts a post.
    pub fn posted(&self, webhook: &str, result: PostResult) {
        let labels = [webhook, result.label()];
        self.0.notify_posts.with_label_values(&labels).inc();
    }

    /// Counts events that it is not told of.
    pub fn dropped(&self, webhook: &str, events: u64) {
        let dropped = self.0.notify_dropped.with_label_values(&[webhook]);
        dropped.inc_by(events);
    }

    /// States how many different events wait for it.
    pub fn waiting(&self, webhook: &str, events: usize) {
        let waiting = self.0.notify_waiting.with_label_values(&[webhook]);
        waiting.set(i64::try_from(events).unwrap_or(i64::MAX));
    }
}
