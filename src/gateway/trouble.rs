//! Why a reader gets no answer: something failed, or the policies refuse.
//!
//! JSON and web pages each say it in their own form; what they share is this.

use std::fmt;
use std::sync::Arc;

use crate::db::DbError;
use crate::gateway::context::Shared;
use crate::gateway::error::{Error, ErrorKind};
use crate::policy::Denial;

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Something failed, or is not there.
    Failed(Arc<Error>),
    /// Refused as a whole.
    Refused(Box<Denial>),
}

impl From<Arc<Error>> for Trouble {
    fn from(error: Arc<Error>) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl Shared {
    /// Something is not held, and nobody is asked for it: the one place that says why.
    pub fn not_asked(&self, what: impl fmt::Display) -> Error {
        let message = if self.settings.is_explaining {
            format!(
                "{what} is not held here: it was not asked for yet, or could not be had, and explain asks \
                 no upstream; ask a running server, which says which"
            )
        } else {
            format!("this gateway is offline and does not hold {what}; warm it while online")
        };
        Error::new(ErrorKind::Unavailable(None), message)
    }
}

/// The records could not be asked; `doing` fits after "failed to".
pub fn records_failed(doing: &str, error: DbError) -> Error {
    let kind = match error {
        DbError::Unavailable { .. } => ErrorKind::Unavailable(Some(1)),
        DbError::Full { .. } => ErrorKind::Unavailable(None),
        DbError::Conflict { .. } | DbError::Corrupt { .. } | DbError::Open { .. } => {
            ErrorKind::Internal
        }
    };
    Error {
        kind,
        ..Error::internal(doing, error)
    }
}
