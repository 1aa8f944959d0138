//! What SQLite's errors mean, sorted by what the caller can do about them.

use crate::db::error::DbError;

/// SQLite's primary result codes for a file that is damaged or is not a database (sqlite3.h).
const DAMAGED: [i32; 2] = [11, 26];

/// Its primary result code for a full disk.
const FULL: i32 = 13;

/// Classifies a driver's error by what the caller can do about it.
pub(in crate::db) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> DbError {
    move |error| match &error {
        sqlx::Error::Database(refused) if refused.is_foreign_key_violation() => {
            DbError::Conflict { doing }
        }
        sqlx::Error::Database(refused)
            if primary_code(refused.as_ref()).is_some_and(|code| DAMAGED.contains(&code)) =>
        {
            DbError::Corrupt {
                doing,
                what: error.to_string(),
            }
        }
        sqlx::Error::Database(refused) if primary_code(refused.as_ref()) == Some(FULL) => {
            DbError::Full {
                doing,
                cause: Box::new(error),
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            DbError::Corrupt {
                doing,
                what: error.to_string(),
            }
        }
        _ => DbError::Unavailable {
            doing,
            cause: Box::new(error),
        },
    }
}

/// The primary code of an extended result code.
fn primary_code(refused: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    let code = refused.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}
