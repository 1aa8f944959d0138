//! How an upstream's answer is counted, and how its trouble is reported to clients.

use std::sync::Arc;
use std::time::Duration;

use crate::exchange::error::{Error, ErrorKind, Withheld};
use crate::telemetry::UpstreamResult;
use crate::upstream::{PageAnswer, UpstreamError};

/// The result under which an upstream's error is counted.
pub fn trouble_counts_as(error: &UpstreamError) -> UpstreamResult {
    match error {
        UpstreamError::Timeout { .. } => UpstreamResult::Timeout,
        UpstreamError::Unreachable { .. }
        | UpstreamError::Unavailable { .. }
        | UpstreamError::Busy { .. } => UpstreamResult::Failed,
        UpstreamError::Refused { .. } | UpstreamError::Withheld { .. } => UpstreamResult::Refused,
        UpstreamError::TooLarge { .. } | UpstreamError::Broken { .. } => UpstreamResult::Invalid,
    }
}

/// The result under which a page's answer is counted.
pub fn page_counts_as(answer: &PageAnswer) -> UpstreamResult {
    match answer {
        PageAnswer::Found(_) => UpstreamResult::Fetched,
        PageAnswer::NotModified { .. } => UpstreamResult::Unchanged,
        PageAnswer::NotFound => UpstreamResult::Absent,
    }
}

/// An upstream's trouble as an error of ours: never "not found".
pub fn upstream_error(error: UpstreamError) -> Error {
    if let UpstreamError::Withheld { status, path, .. } = &error {
        let withheld = Withheld { path: path.clone() };
        return Error {
            kind: ErrorKind::Withheld(*status),
            message: error.to_string(),
            source: Some(Arc::new(withheld)),
        };
    }
    let kind = match &error {
        UpstreamError::Unavailable { retry_after, .. } => {
            // Part of a second counts as one: zero would mean "at once".
            let seconds = |wait: Duration| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            ErrorKind::Unavailable(retry_after.map(seconds))
        }
        UpstreamError::Busy { .. } => ErrorKind::Unavailable(Some(1)),
        UpstreamError::Unreachable { .. } | UpstreamError::Timeout { .. } => {
            ErrorKind::Unavailable(None)
        }
        UpstreamError::Refused { .. }
        | UpstreamError::Withheld { .. }
        | UpstreamError::TooLarge { .. }
        | UpstreamError::Broken { .. } => ErrorKind::BadGateway,
    };
    Error::new(kind, error.to_string())
}
