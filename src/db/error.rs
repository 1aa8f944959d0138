//! What can go wrong with records, classified by what the caller does about it.
//!
//! Absence is `Ok(None)` and a refusal by the records themselves ("exists", "non-volatile") is an
//! ordinary outcome; neither is an error, and neither can hide an outage.

/// The source of an error, whichever database it comes from.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the records.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Busy, closed, unreachable, or on a failing disk: the same request may succeed later (503).
    #[error("{doing}: the database is not available: {cause}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why it failed, with the database's own code and words. It is part of the text above, and so
        /// not a `source`, which would be reported a second time.
        cause: Source,
    },
    /// The disk is full: the request may succeed once there is room again (507).
    #[error("{doing}: no room on the disk for the database: {cause}")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// Why it failed, with the database's own code and words.
        cause: Source,
    },
    /// The record changed since it was read: read it again and decide again.
    #[error("{doing}: the record changed since it was read")]
    Conflict {
        /// What was being done.
        doing: &'static str,
    },
    /// Something stored cannot be read back: an operator has to look, trying again will not help (500).
    #[error("{doing}: the database holds what it should not: {what}")]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// What was found.
        what: String,
    },
    /// The database cannot hold what was to be written: another value may do (400).
    #[error("{doing}: the database cannot hold {what}")]
    Unstorable {
        /// What was being done.
        doing: &'static str,
        /// What it cannot hold.
        what: &'static str,
    },
    /// Records were to be brought to where there are some already.
    #[error("there are records already ({what}): name a place that has none")]
    Occupied {
        /// What was found.
        what: String,
    },
    /// The database cannot be opened: no such folder, no permission, or written by a newer program.
    #[error("open the database {path}: {cause}")]
    Open {
        /// Which.
        path: String,
        /// Why it failed.
        cause: Source,
    },
}
