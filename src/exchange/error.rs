//! What a flow could not do, and how a client is told.
//!
//! A refusal by policy is not an error: see `refusal`. `kind` decides the status, `message` may be
//! shown to a client, `source` goes to the log only, once, where the reply is made.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::store::{Blame, Failure, StoreError};

/// A failed flow. Everybody who waited for it gets the same error.
#[derive(Debug, Clone)]
pub struct Error {
    /// What the client should make of it.
    pub kind: ErrorKind,
    /// What happened and what to do, fit for a client.
    pub message: String,
    /// The cause, for the log.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What devpi does not show to everybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("devpi has it at {path}")]
pub struct Withheld {
    /// The path of devpi's below which it is.
    pub path: String,
}

/// The result of a flow.
pub type Flow<T> = Result<T, Error>;

/// Kinds of failure; each is one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It does not exist: 404.
    NotFound,
    /// It was here and was deleted: 410 (devpi).
    Gone,
    /// No form that the client accepts: 406.
    NotAcceptable,
    /// devpi does not show it to everybody: its own 401 or 403.
    Withheld(StatusCode),
    /// An upstream's answer cannot be used: 502.
    BadGateway,
    /// An upstream has taken it down (451): 502, and what was held of it is not served.
    TakenDown,
    /// It is not available now: 503, with seconds to wait if known.
    Unavailable(Option<u32>),
    /// Our disk has no room for it: 507.
    Full,
    /// Our own disk or records failed: 500.
    Internal,
}

impl ErrorKind {
    /// The status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Withheld(status) => status,
            Self::BadGateway | Self::TakenDown => StatusCode::BAD_GATEWAY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Error {
    /// A failure that needs no cause in the log.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// It does not exist.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// It is not available at this moment, but may be in a second.
    #[must_use]
    pub fn busy(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable(Some(1)), message.to_string())
    }

    /// An upstream's answer cannot be used.
    #[must_use]
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadGateway, message)
    }

    /// The store failed; a full disk has its own words, which say what to do.
    #[must_use]
    pub fn store(doing: impl Into<String>, source: StoreError) -> Self {
        match source {
            StoreError::Full { .. } => Self::new(ErrorKind::Full, source.to_string()),
            StoreError::Integrity { .. }
            | StoreError::Damaged { .. }
            | StoreError::Abandoned { .. }
            | StoreError::Io { .. } => Self::internal(doing, source),
        }
    }

    /// Our own disk or records failed; the client learns only what could not be done.
    #[must_use]
    pub fn internal(
        doing: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let message = format!("failed to {}", doing.into());
        Self {
            kind: ErrorKind::Internal,
            message,
            source: Some(Arc::new(source)),
        }
    }
}

/// Does blocking work on a thread for that; `doing` fits after "failed to".
pub async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Flow<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal(doing, error))
}

/// The kind of error for a file that will never be complete.
impl From<&Failure> for ErrorKind {
    fn from(failure: &Failure) -> Self {
        match failure.blame {
            Blame::Sender => Self::BadGateway,
            Blame::FullDisk => Self::Full,
            Blame::Disk => Self::Internal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(formatter, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
