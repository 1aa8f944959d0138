//! Whether the directory answers as it should, as of the last question; said once when that changes, not
//! for everybody who asks meanwhile.

use std::mem::discriminant;
use std::sync::{Mutex, PoisonError};

use crate::identity::error::DirectoryError;
use crate::telemetry::DirectoryMetrics;

/// The state as of the last question.
#[derive(Debug)]
pub(super) struct Health {
    trouble: Mutex<Option<DirectoryError>>,
    metrics: DirectoryMetrics,
}

impl Health {
    pub(super) fn new(metrics: DirectoryMetrics) -> Self {
        let trouble = Mutex::default();
        Self { trouble, metrics }
    }

    /// Notes how a question went.
    pub(super) fn went<T>(&self, outcome: &Result<T, DirectoryError>) {
        match outcome {
            // It was not asked.
            Err(DirectoryError::Busy) => tracing::debug!("{}", DirectoryError::Busy),
            Err(error) => self.note(Some(error)),
            Ok(_) => self.note(None),
        }
    }

    fn note(&self, error: Option<&DirectoryError>) {
        self.metrics.is_reachable(error.is_none());
        let trouble = self.trouble.lock();
        let mut trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *trouble, error.cloned());
        drop(trouble);
        match (before, error) {
            (Some(_), None) => tracing::info!("the directory of users answers again"),
            // In other words of the same kind it is the same trouble.
            (Some(before), Some(error)) if discriminant(&before) == discriminant(error) => {
                tracing::debug!(%error, "the directory of users still does not answer");
            }
            (_, Some(error)) => {
                tracing::warn!(
                    %error,
                    "the directory of users does not answer: its users cannot log in until it does"
                );
            }
            (None, None) => {}
        }
    }
}
