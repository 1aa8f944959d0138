//! devpi's envelope: `{"type", "result"}` for success, `{"message"}` for everything else
//! (docs/protocol/devpi.md §2.1).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::account::{AccountError, PasswordError};
use crate::db::DbError;

/// Longest message, in bytes: it names what was sent, which may have filled a whole body. All faults of
/// a large configuration are below.
const MESSAGE_MAX: usize = 16 << 10;

/// A status and a JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Value,
    /// `Retry-After`, where waiting helps.
    pub retry_after: Option<Duration>,
}

impl ApiAnswer {
    /// A result of a type that clients look at.
    #[must_use]
    pub fn result(status: StatusCode, kind: &str, result: Value) -> Self {
        Self {
            status,
            body: json!({ "type": kind, "result": result }),
            retry_after: None,
        }
    }

    /// Only a message.
    #[must_use]
    pub fn message(status: StatusCode, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > MESSAGE_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            message.push('…');
        }
        Self {
            status,
            body: json!({ "message": message }),
            retry_after: None,
        }
    }

    /// 400 with a message.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::message(StatusCode::BAD_REQUEST, message)
    }

    /// 403 in the style of a refused permission (docs/protocol/devpi.md §2.2).
    #[must_use]
    pub fn denied() -> Self {
        let body = json!({
            "message": "Access was denied to this resource.\n\n\n\
                        Unauthorized: PyPIView failed permission check\n\n",
            "code": "403 Forbidden",
            "title": "Forbidden",
        });
        Self {
            status: StatusCode::FORBIDDEN,
            body,
            retry_after: None,
        }
    }

    /// Adds a message to a result.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        let message: String = message.into();
        self.body["message"] = message.into();
        self
    }

    /// The body as devpi writes it: indented, with a final newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.body)
    }
}

/// What a client is told of a failure; the error itself is for the log.
impl From<&AccountError> for ApiAnswer {
    fn from(error: &AccountError) -> Self {
        match error {
            AccountError::Db(error) => Self::from(error),
            AccountError::Password(error) => Self::from(error),
        }
    }
}

impl From<&DbError> for ApiAnswer {
    fn from(error: &DbError) -> Self {
        let status = match error {
            DbError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            DbError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            DbError::Conflict { .. } => StatusCode::CONFLICT,
            DbError::Corrupt { .. } | DbError::Open { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let text = match error {
            DbError::Unavailable { .. } => "the records are not available, try again",
            DbError::Full { .. } => {
                "no room on the disk for the records, and nothing was changed: free some, try again"
            }
            DbError::Conflict { .. } => "somebody else changed this at the same time, try again",
            DbError::Corrupt { .. } | DbError::Open { .. } => "the records cannot be read",
        };
        Self::message(status, text)
    }
}

impl From<&PasswordError> for ApiAnswer {
    fn from(error: &PasswordError) -> Self {
        let status = match error {
            PasswordError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            PasswordError::TooLong | PasswordError::Hash | PasswordError::Dear => {
                StatusCode::BAD_REQUEST
            }
            PasswordError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::message(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_devpi_writes_them() {
        let answer = ApiAnswer::result(StatusCode::OK, "userconfig", json!({ "username": "u" }));
        insta::assert_snapshot!(answer.with_message("hello").to_text(), @r#"
        {
          "message": "hello",
          "result": {
            "username": "u"
          },
          "type": "userconfig"
        }
        "#);
    }

    #[test]
    fn a_message_does_not_repeat_a_whole_body() {
        let answer = ApiAnswer::bad_request(format!("unknown key {}", "é".repeat(1 << 19)));
        let message = answer.body["message"].as_str().unwrap();
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
            (AccountError::Password(PasswordError::Busy), 503),
            (AccountError::Password(PasswordError::TooLong), 400),
        ];
        for (error, status) in table {
            let answer = ApiAnswer::from(&error);
            assert_eq!(answer.status.as_u16(), status, "{error:?}");
            assert!(!answer.to_text().contains("code 13"));
        }
    }
}
