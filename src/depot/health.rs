//! Whether the depot answers as it should, as of the last request; said once when that changes.

use std::sync::{Mutex, PoisonError};

use crate::depot::error::DepotError;
use crate::telemetry::{DepotMetrics, DepotRequest, DepotResult};

/// The state as of the last request.
#[derive(Debug)]
pub(super) struct Health {
    trouble: Mutex<Option<String>>,
    metrics: DepotMetrics,
}

impl Health {
    pub(super) fn new(metrics: DepotMetrics) -> Self {
        let trouble = Mutex::default();
        Self { trouble, metrics }
    }

    /// Why it does not answer as it should.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how a request went: `Ok(None)` is an object that is not there.
    pub(super) fn went<T>(
        &self,
        request: DepotRequest,
        outcome: Result<Option<T>, DepotError>,
    ) -> Result<Option<T>, DepotError> {
        let result = match &outcome {
            Ok(Some(_)) => DepotResult::Done,
            Ok(None) => DepotResult::Absent,
            Err(DepotError::Wrong { .. }) => DepotResult::Wrong,
            Err(DepotError::Unavailable { .. } | DepotError::Unfit { .. }) => DepotResult::Failed,
            // It was not asked.
            Err(DepotError::Source { .. }) => return outcome,
        };
        self.metrics.asked(request, result);
        let failed = outcome.as_ref().err();
        self.note(failed.filter(|error| !matches!(error, DepotError::Wrong { .. })));
        outcome
    }

    /// Notes how the first request went, of which the caller tells.
    pub(super) fn begins(
        &self,
        request: DepotRequest,
        outcome: Result<(), DepotError>,
    ) -> Result<(), DepotError> {
        let result = match &outcome {
            Ok(()) => DepotResult::Done,
            Err(_) => DepotResult::Failed,
        };
        self.metrics.asked(request, result);
        self.change(outcome.as_ref().err());
        outcome
    }

    fn note(&self, error: Option<&DepotError>) {
        match self.change(error) {
            (None, Some(why)) => tracing::error!("{why}; what is on the disk is served meanwhile"),
            (Some(_), None) => tracing::info!("the depot is available again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// The trouble before and after a request.
    fn change(&self, error: Option<&DepotError>) -> (Option<String>, Option<String>) {
        self.metrics.is_reachable(error.is_none());
        let next = error.map(ToString::to_string);
        let trouble = self.trouble.lock();
        let mut trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        (std::mem::replace(&mut *trouble, next.clone()), next)
    }
}
