//! The metrics of devpi-servers behind the gateway, by server. The label is the address from the operator's
//! own file, so there are as many as that names.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use crate::telemetry::declared::Declared;
use crate::telemetry::label::{Label, ServerResult};

/// The metrics of one server.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    name: String,
    up: IntGauge,
    inflight: IntGauge,
    breaker_open: IntGauge,
    requests: IntCounterVec,
}

impl ServerMetrics {
    pub(super) fn new(all: &Declared, name: &str) -> Self {
        let of = |gauges: &IntGaugeVec| gauges.with_label_values(&[name]);
        Self {
            up: of(&all.server_up),
            inflight: of(&all.server_inflight),
            breaker_open: of(&all.server_breaker_open),
            requests: all.server_requests.clone(),
            name: name.to_owned(),
        }
    }

    /// States whether its last check or request went well.
    pub fn is_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    /// States whether it is being left alone for failing repeatedly.
    pub fn is_left_alone(&self, is_left_alone: bool) {
        self.breaker_open.set(i64::from(is_left_alone));
    }

    /// The gauge of requests under way at it.
    #[must_use]
    pub fn inflight(&self) -> &IntGauge {
        &self.inflight
    }

    /// Counts a request by its outcome.
    pub fn request(&self, result: ServerResult) {
        let labels = [self.name.as_str(), result.label()];
        self.requests.with_label_values(&labels).inc();
    }
}
