//! The metrics of the depot.

use std::sync::Arc;

use crate::telemetry::declared::Declared;
use crate::telemetry::label::{DepotRequest, DepotResult, Label, LabelSet};

/// The metrics of the depot.
#[derive(Debug, Clone)]
pub struct DepotMetrics(Arc<Declared>);

impl DepotMetrics {
    /// Shown from the start, so that the first of a kind shows as a rise.
    pub(super) fn of(all: &Arc<Declared>) -> Self {
        for request in DepotRequest::ALL {
            for result in DepotResult::ALL {
                let labels = [request.label(), result.label()];
                all.depot_requests.with_label_values(&labels);
            }
        }
        Self(Arc::clone(all))
    }

    /// Counts a request.
    pub fn asked(&self, request: DepotRequest, result: DepotResult) {
        let labels = [request.label(), result.label()];
        self.0.depot_requests.with_label_values(&labels).inc();
    }

    /// States whether it answers as it should.
    pub fn is_reachable(&self, is_reachable: bool) {
        self.0.depot_reachable.set(i64::from(is_reachable));
    }
}
