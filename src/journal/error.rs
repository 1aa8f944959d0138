//! What can go wrong with the journal, by what its caller does about it.

/// A failure of the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read back, or is something else: it is set aside and a new one begun.
    #[error("the journal {path} is damaged, or no journal: {what}")]
    Damaged {
        /// Which.
        path: String,
        /// What was found.
        what: String,
    },
    /// The disk is full, fails, or the file is locked: the same may succeed later.
    #[error("{doing} at {path}: {cause}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Where.
        path: String,
        /// Why it failed.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer program wrote it.
    #[error(
        "the journal {path} was written by a newer program (version {version}): start that one, or move the file away"
    )]
    Newer {
        /// Which.
        path: String,
        /// The version of its schema.
        version: i64,
    },
}

/// SQLite's primary result codes for a file that is damaged or is not a database (sqlite3.h).
const DAMAGED: [i32; 2] = [11, 26];

impl JournalError {
    /// Classifies a driver's error.
    pub(super) fn of(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl Fn(sqlx::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| {
            let code = match &error {
                sqlx::Error::Database(refused) => {
                    refused.code().and_then(|code| code.parse::<i32>().ok())
                }
                _ => None,
            };
            let primary = code.map(|code| code & 0xff);
            let is_unreadable = matches!(
                error,
                sqlx::Error::ColumnDecode { .. }
                    | sqlx::Error::Decode(_)
                    | sqlx::Error::ColumnNotFound(_)
            );
            let is_damaged = primary.is_some_and(|code| DAMAGED.contains(&code)) || is_unreadable;
            let path = path.clone();
            if is_damaged {
                let what = format!("{doing}: {error}");
                return Self::Damaged { path, what };
            }
            Self::Unavailable {
                doing,
                path,
                cause: Box::new(error),
            }
        }
    }
}
