//! What a client is told about a request that was refused: devpi's styles of errors
//! (docs/protocol/devpi.md §2.2).

use std::time::Duration;

use http::StatusCode;

use crate::account::{AccountError, PasswordError};
use crate::db::DbError;
use crate::devpi::words::DevpiWords;
use crate::model::ProjectName;

/// Longest message of the API's style, in bytes: it names what was sent, which may have filled a whole
/// body. All faults of a large configuration fit.
const MESSAGE_MAX: usize = 16 << 10;

/// When records that are not available are asked for again: they are looked for each second.
const RECORDS_AGAIN: Duration = Duration::from_secs(1);

/// When a directory that does not answer is asked again.
const DIRECTORY_AGAIN: Duration = Duration::from_secs(5);

/// A request that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// How it is written.
    pub style: RefusalStyle,
    /// The words.
    pub message: String,
    /// When to try again, where waiting helps.
    pub retry_after: Option<Duration>,
    /// The project concerned, where the request's path does not name it.
    pub project: Option<ProjectName>,
    /// Why it failed, for the log only.
    pub cause: Option<String>,
}

/// How an error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalStyle {
    /// `{"message"}` whatever the client accepts.
    Api,
    /// `{"message"}` if JSON is asked for by name, else a page or text.
    Abort,
    /// `{"message", "code", "title"}` if JSON is accepted, else a page or text.
    Exception,
    /// `{"message", "code", "title"}` whatever the client accepts: a missing permission on users and
    /// indexes.
    Denial,
}

impl Refusal {
    /// In any style, uncut.
    pub fn new(status: StatusCode, style: RefusalStyle, message: impl ToString) -> Self {
        Self {
            status,
            style,
            message: message.to_string(),
            retry_after: None,
            project: None,
            cause: None,
        }
    }

    /// In the style of most JSON routes.
    pub fn api(status: StatusCode, message: impl ToString) -> Self {
        let mut refusal = Self::new(status, RefusalStyle::Api, message);
        let message = &mut refusal.message;
        if message.len() > MESSAGE_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            message.push('…');
        }
        refusal
    }

    /// 400 in that style.
    pub fn bad_request(message: impl ToString) -> Self {
        Self::api(StatusCode::BAD_REQUEST, message)
    }

    /// In the style of unknown indexes and files.
    pub fn abort(status: StatusCode, message: impl ToString) -> Self {
        Self::new(status, RefusalStyle::Abort, message)
    }

    /// In the style of uploads.
    pub fn exception(status: StatusCode, message: impl ToString) -> Self {
        Self::new(status, RefusalStyle::Exception, message)
    }

    /// 403 for a missing permission.
    pub fn denied() -> Self {
        Self::exception(StatusCode::FORBIDDEN, DevpiWords::Denied)
    }

    /// The same for users and indexes.
    pub fn denied_by_api() -> Self {
        Self {
            style: RefusalStyle::Denial,
            ..Self::denied()
        }
    }

    /// 404 for an index that does not exist.
    pub fn no_index(name: &str) -> Self {
        Self::abort(StatusCode::NOT_FOUND, DevpiWords::NoStage(name))
    }

    /// 404 for a user who does not exist.
    pub fn no_user(name: &str) -> Self {
        Self::api(StatusCode::NOT_FOUND, DevpiWords::NoUser(name))
    }

    /// 503 for a user whom only a directory knows that does not answer.
    pub fn directory_away() -> Self {
        let words = "the directory of users does not answer, so nobody knows whether this login is right: \
                     try again";
        Self::exception(StatusCode::SERVICE_UNAVAILABLE, words).after(DIRECTORY_AGAIN)
    }

    /// 500, with the cause in the log only.
    pub fn internal(doing: &str, cause: impl ToString) -> Self {
        let words = format!("failed to {doing}; the log says why");
        Self::api(StatusCode::INTERNAL_SERVER_ERROR, words).caused_by(cause)
    }

    /// Adds when to try again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// Adds the cause, for the log.
    #[must_use]
    fn caused_by(self, cause: impl ToString) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..self
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        let is_away = matches!(error, DbError::Unavailable { .. });
        let (status, words) = match error {
            DbError::Unavailable { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the records are not available, try again",
            ),
            DbError::Full { .. } => (
                StatusCode::INSUFFICIENT_STORAGE,
                "no room on the disk for the records, and nothing was changed: free some, try again",
            ),
            DbError::Conflict { .. } => (
                StatusCode::CONFLICT,
                "somebody else changed this at the same time, try again",
            ),
            DbError::Unstorable { .. } => (
                StatusCode::BAD_REQUEST,
                "the character U+0000 is in a field, and the records cannot hold it",
            ),
            DbError::Corrupt { .. } | DbError::Occupied { .. } | DbError::Open { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the records cannot be read",
            ),
        };
        Self {
            retry_after: is_away.then_some(RECORDS_AGAIN),
            ..Self::api(status, words)
        }
        .caused_by(error)
    }
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        let status = match error {
            PasswordError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            PasswordError::TooLong | PasswordError::Hash | PasswordError::Dear => {
                StatusCode::BAD_REQUEST
            }
            PasswordError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::api(status, error)
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Db(error) => error.into(),
            AccountError::Password(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_repeat_a_whole_body() {
        let refusal = Refusal::bad_request(format!("unknown key {}", "é".repeat(1 << 19)));
        let message = refusal.message;
        assert!(message.len() <= MESSAGE_MAX + '…'.len_utf8());
        assert!(message.starts_with("unknown key é") && message.ends_with("é…"));
    }

    #[test]
    fn failures_say_whether_to_try_again() {
        let cause = || "code 13".into();
        let table = [
            (
                AccountError::Db(DbError::Unavailable {
                    doing: "x",
                    cause: cause(),
                }),
                503,
            ),
            (
                AccountError::Db(DbError::Full {
                    doing: "x",
                    cause: cause(),
                }),
                507,
            ),
            (AccountError::Db(DbError::Conflict { doing: "x" }), 409),
            (
                AccountError::Db(DbError::Corrupt {
                    doing: "x",
                    what: "y".into(),
                }),
                500,
            ),
            (
                AccountError::Db(DbError::Unstorable {
                    doing: "x",
                    what: "y",
                }),
                400,
            ),
            (AccountError::Password(PasswordError::Busy), 503),
            (AccountError::Password(PasswordError::TooLong), 400),
        ];
        for (error, status) in table {
            let words = error.to_string();
            let refusal = Refusal::from(error);
            assert_eq!(refusal.status.as_u16(), status, "{words}");
            let is_away = words.contains("the database is not available");
            assert_eq!(refusal.retry_after.is_some(), is_away, "{words}");
            assert!(!refusal.message.contains("code 13"));
        }
    }
}
