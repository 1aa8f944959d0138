//! The numbers of devpi-servers behind the gateway, by server. The label is the address that the
//! operator's own file names, so there are as many as it has servers.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use crate::telemetry::label::{Label, ServerResult};

/// What is counted of all servers.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) up: IntGaugeVec,
    pub(super) inflight: IntGaugeVec,
    pub(super) breaker_open: IntGaugeVec,
    pub(super) requests: IntCounterVec,
}

/// The numbers of one server.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    servers: Servers,
    name: String,
    up: IntGauge,
    inflight: IntGauge,
    breaker_open: IntGauge,
}

impl ServerMetrics {
    pub(super) fn new(servers: &Servers, name: &str) -> Self {
        let of = |gauges: &IntGaugeVec| gauges.with_label_values(&[name]);
        Self {
            up: of(&servers.up),
            inflight: of(&servers.inflight),
            breaker_open: of(&servers.breaker_open),
            servers: servers.clone(),
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

    /// Counts a request by how it went.
    pub fn request(&self, result: ServerResult) {
        let labels = [self.name.as_str(), result.label()];
        self.servers.requests.with_label_values(&labels).inc();
    }
}
