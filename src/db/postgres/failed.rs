//! What PostgreSQL's errors mean, sorted by what the caller can do about them, and how long an answer
//! may take.

use std::time::Duration;

use crate::db::error::DbError;
use crate::db::sql::Statement;

/// How long one statement may take, lock waits included: a server that was cut off never answers, and
/// nobody waits longer than a minute for a page.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// SQLSTATE of a reference to a row that is not there.
const NO_SUCH_REFERENCE: &str = "23503";

/// SQLSTATE of a full disk.
const DISK_FULL: &str = "53100";

/// Classes of SQLSTATE that tell of tables that are damaged or not as we made them: integrity, syntax and
/// missing columns, internal errors.
const DAMAGED: [&str; 3] = ["23", "42", "XX"];

/// SQLSTATE of a missing permission: in a damaged class, yet something an operator may just have mended.
const NOT_PERMITTED: &str = "42501";

/// What comes of a statement, or that nothing came of it in time.
pub(in crate::db) async fn within<T>(
    doing: &'static str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer.map_err(failed(doing)),
        Err(_) => Err(DbError::Unavailable {
            doing,
            cause: format!("no answer from PostgreSQL within {ANSWER_WITHIN:?}").into(),
        }),
    }
}

/// Classifies a driver's error by what the caller can do about it.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> DbError {
    move |error| match &error {
        sqlx::Error::Database(refused) => {
            let code = refused.code().unwrap_or_default().into_owned();
            of_code(&code, doing, error)
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound => DbError::Corrupt {
            doing,
            what: error.to_string(),
        },
        _ => DbError::Unavailable {
            doing,
            cause: Box::new(error),
        },
    }
}

fn of_code(code: &str, doing: &'static str, error: sqlx::Error) -> DbError {
    let class = code.get(..2).unwrap_or_default();
    let cause = format!("{error} (SQLSTATE {code})");
    if code == NO_SUCH_REFERENCE {
        DbError::Conflict { doing }
    } else if code == DISK_FULL {
        DbError::Full {
            doing,
            cause: cause.into(),
        }
    } else if code != NOT_PERMITTED && DAMAGED.contains(&class) {
        DbError::Corrupt { doing, what: cause }
    } else {
        DbError::Unavailable {
            doing,
            cause: cause.into(),
        }
    }
}

/// Refuses a text that no column of PostgreSQL holds.
pub(in crate::db) fn can_be_stored(
    statement: &Statement<'_>,
    doing: &'static str,
) -> Result<(), DbError> {
    if statement.has_nul() {
        let what = "a text with the character U+0000, which PostgreSQL does not store";
        return Err(DbError::Unstorable { doing, what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_sorted_by_its_code() {
        let sorted = |code| match of_code(code, "x", sqlx::Error::RowNotFound) {
            DbError::Conflict { .. } => "conflict",
            DbError::Full { .. } => "full",
            DbError::Corrupt { .. } => "corrupt",
            DbError::Unavailable { .. } => "unavailable",
            DbError::Open { .. } | DbError::Unstorable { .. } | DbError::Occupied { .. } => {
                "another"
            }
        };
        for (code, expected) in [
            ("23503", "conflict"),
            ("53100", "full"),
            ("23505", "corrupt"),
            ("42P01", "corrupt"),
            ("XX001", "corrupt"),
            ("42501", "unavailable"),
            ("53300", "unavailable"),
            ("57P01", "unavailable"),
            ("55P03", "unavailable"),
            ("40001", "unavailable"),
            ("25006", "unavailable"),
            ("", "unavailable"),
        ] {
            assert_eq!(sorted(code), expected, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_answer_is_told_so() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        let told = within("wait", never).await.unwrap_err().to_string();
        assert!(told.contains("no answer from PostgreSQL"), "{told}");
    }
}
