//! Keeps users, indexes, releases, files and tokens: everything that is a record and not bytes.
//!
//! [`Db`] has one method for each complete intent. A method that writes is one transaction, so that a
//! crash leaves either all of it or nothing, and each such transaction is one row of the change log
//! whose number is the [`Serial`] that clients see and other gateways follow.
//!
//! Content belongs to an index by *name*. Indexes declared in YAML have no record here; those created
//! through the devpi API do. Which of the two an index is, and whether somebody may do what they ask,
//! is up to the caller: this room only refuses what would break the records.

mod change;
#[cfg(test)]
mod conformance;
mod contract;
mod error;
mod file;
mod postgres;
mod record;
mod snapshot;
mod sql;
mod sqlite;

pub use change::{
    Cause, Edit, IndexDeletion, NewApiToken, NewRecall, NewUser, OnConflict, Publication,
    Published, PublishedFile, RecallMade, Removal, Removed, UserDeletion, UserUpdate,
};
pub use contract::Db;
pub use error::DbError;
pub use file::{FileFacts, FileRole, LogEntry, LogEvent, provenance_name};
pub use postgres::Postgres;
pub use record::{
    ApiToken, ArrivedFile, Change, ChangeKind, Directory, FileChange, FileChanges, FileRecord,
    FilesSince, IndexHoldings, IndexRecord, ProjectRecord, ReleaseRecord, Serial, ServerSecret,
    TokenOperation, User, UserDetails,
};
pub use snapshot::{
    IndexContent, LeftAsIs, NeededFile, ProjectContent, Restoral, Restoration, Restored, Snapshot,
};
pub use sql::{MovedRecords, move_records};
pub use sqlite::{RecordsFile, Sqlite};
