//! Why an upstream gave no usable answer, classified by what a caller does about it.
//!
//! Every message names the mirror, and none contains a credential or a URL with one: these texts reach
//! clients, logs and the words of a 503.

use std::time::Duration;

use http::StatusCode;

use crate::model::{IndexName, format_bytes, format_duration};
use crate::upstream::breaker::Outcome;
use crate::upstream::decoding::Crowded;

/// An upstream gave no usable answer. Absence (404, 410) is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Unreachable, or does not speak HTTP: what is held may be served stale, and asking again later
    /// may help.
    #[error("{index} is unavailable: {reason}")]
    Unreachable {
        /// The mirror.
        index: IndexName,
        /// What happened.
        reason: String,
    },
    /// Down, overloaded, cut off in the middle, or left alone by the breaker: treated like `Unreachable`.
    #[error("{index} is unavailable: {reason}")]
    Unavailable {
        /// The mirror.
        index: IndexName,
        /// What happened.
        reason: String,
        /// Its status, if it answered with one.
        status: Option<StatusCode>,
        /// How long it wants to be left alone, if known.
        retry_after: Option<Duration>,
    },
    /// Too slow: like `Unavailable`, but the client has already been kept waiting.
    #[error("{index} took too long: no {awaited} within {}", format_duration(*after))]
    Timeout {
        /// The mirror.
        index: IndexName,
        /// What was waited for.
        awaited: &'static str,
        /// How long.
        after: Duration,
    },
    /// The upstream answered, but this gateway has no room to read the answer: its own limit.
    #[error("the answer of {index} was not read: {}", Crowded)]
    Busy {
        /// The mirror.
        index: IndexName,
    },
    /// Reachable, but it refuses (401, 403, 451 and other 4xx): asking again does not help, somebody has to
    /// read its words. Never to be taken for "not found".
    #[error("{index} refused with {}: {words}", status.as_u16())]
    Refused {
        /// The mirror.
        index: IndexName,
        /// Its status.
        status: StatusCode,
        /// Its words, one line of printable text.
        words: String,
    },
    /// A devpi-server shows it only to some: what it once showed to everybody no longer counts.
    #[error("{index} does not show it to everybody: {words}")]
    Withheld {
        /// The index.
        index: IndexName,
        /// Its status, 401 or 403.
        status: StatusCode,
        /// Its words.
        words: String,
        /// Where devpi has it: a path below its own URL.
        path: String,
    },
    /// The answer is longer than a limit of this gateway.
    #[error("{index} sent a {what} of more than {}", format_bytes(*limit_bytes))]
    TooLarge {
        /// The mirror.
        index: IndexName,
        /// What it was.
        what: &'static str,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The answer makes no sense, or leads where this gateway does not go.
    #[error("{index} gave an unusable answer: {reason}")]
    Broken {
        /// The mirror.
        index: IndexName,
        /// What is wrong with it.
        reason: String,
    },
}

impl UpstreamError {
    /// It is down, or was cut off, without a status.
    pub(super) fn down(index: &IndexName, reason: impl Into<String>) -> Self {
        Self::Unavailable {
            index: index.clone(),
            reason: reason.into(),
            status: None,
            retry_after: None,
        }
    }

    /// Its answer makes no sense.
    pub(super) fn broken(index: &IndexName, reason: impl Into<String>) -> Self {
        let (index, reason) = (index.clone(), reason.into());
        Self::Broken { index, reason }
    }

    /// Whether the upstream works and only rejected, or misread, this particular request: asked
    /// differently for the same file, it may well answer.
    #[must_use]
    pub fn is_about_the_question(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TooLarge { .. } | Self::Broken { .. } => true,
            // From 502 to 504 it is down or overloaded as a whole, and 408, 425 and 429 ask for a pause.
            Self::Unavailable { status, .. } => status.is_some_and(|status| {
                status.is_server_error() && !(502..=504).contains(&status.as_u16())
            }),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Busy { .. }
            | Self::Withheld { .. } => false,
        }
    }

    /// How the breaker counts it, with `what` identifying what was asked for. A refusal or an oversized
    /// answer comes from an upstream that works.
    #[must_use]
    pub fn outcome(&self, what: u64) -> Outcome {
        match self {
            Self::Unreachable { .. } => Outcome::Unreachable,
            Self::Unavailable { .. } | Self::Timeout { .. } => Outcome::Failed(what),
            Self::Busy { .. }
            | Self::Refused { .. }
            | Self::Withheld { .. }
            | Self::TooLarge { .. }
            | Self::Broken { .. } => Outcome::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_mirror_and_what_to_know() {
        let index = IndexName::parse("root/pypi").unwrap();
        let errors = [
            UpstreamError::Unavailable {
                index: index.clone(),
                reason: "502 Bad Gateway".into(),
                status: Some(StatusCode::BAD_GATEWAY),
                retry_after: None,
            },
            UpstreamError::Unreachable {
                index: index.clone(),
                reason: "no connection".into(),
            },
            UpstreamError::Timeout {
                index: index.clone(),
                awaited: "answer",
                after: Duration::from_secs(8),
            },
            UpstreamError::Busy {
                index: index.clone(),
            },
            UpstreamError::Refused {
                index: index.clone(),
                status: StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
                words: "blocked by policy".into(),
            },
            UpstreamError::TooLarge {
                index: index.clone(),
                what: "project page",
                limit_bytes: 64 << 20,
            },
            UpstreamError::Broken {
                index,
                reason: "more than 5 redirects".into(),
            },
        ];
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        root/pypi is unavailable: 502 Bad Gateway
        root/pypi is unavailable: no connection
        root/pypi took too long: no answer within 8s
        the answer of root/pypi was not read: as much is being unpacked as limits.decoding allows; try again
        root/pypi refused with 451: blocked by policy
        root/pypi sent a project page of more than 64MiB
        root/pypi gave an unusable answer: more than 5 redirects
        ");
        let outcomes: Vec<_> = errors.iter().map(|error| error.outcome(7)).collect();
        let failed = Outcome::Failed(7);
        assert_eq!(outcomes[..3], [failed, Outcome::Unreachable, failed]);
        assert_eq!(outcomes[3..], [Outcome::Answered; 4]);
    }
}
