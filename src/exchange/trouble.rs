//! Why a reader gets no answer: something failed, or the policies refuse.
//!
//! JSON and web pages each report it in their own form; this is what they share.

use crate::db::DbError;
use crate::exchange::error::{Error, ErrorKind};
use crate::policy::Denial;

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Something failed, or does not exist.
    Failed(Error),
    /// Refused as a whole.
    Refused(Box<Denial>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The records could not be read; `doing` fits after "failed to".
pub fn records_failed(doing: &str, error: DbError) -> Error {
    let kind = match error {
        DbError::Unavailable { .. } => ErrorKind::Unavailable(Some(1)),
        DbError::Full { .. } => ErrorKind::Unavailable(None),
        DbError::Conflict { .. }
        | DbError::Corrupt { .. }
        | DbError::Unstorable { .. }
        | DbError::Occupied { .. }
        | DbError::Open { .. } => ErrorKind::Internal,
    };
    Error {
        kind,
        ..Error::internal(doing, error)
    }
}
