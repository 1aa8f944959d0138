//! Records as they are read: users, indexes, projects, releases, tokens, and the log of changes.

use std::fmt;

use serde_json::{Map, Value};

use crate::db::file::FileFacts;
use crate::model::{IndexName, ProjectName, Sha256, Timestamp};

/// Number of a committed write: 0 before the first, then one more with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u64);

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// 32 random bytes that never leave the server; `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServerSecret(pub [u8; 32]);

impl fmt::Debug for ServerSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// What is fixed when a database is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// 32 lower-case hex digits: `X-DEVPI-UUID`.
    pub uuid: String,
    /// Key of the signatures of login tokens.
    pub secret: ServerSecret,
    /// When it was made.
    pub created: Timestamp,
}

/// A user (docs/protocol/devpi.md §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The PHC string of its password; `None` if nobody can log in as this user.
    pub password_hash: Option<String>,
    /// Grows when the password is set, and is never reused for a later user of the same name: a login
    /// token that states another generation is invalid.
    pub generation: u64,
    /// Its details.
    pub details: UserDetails,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
}

/// A user's details; every value is absent or not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserDetails {
    /// `email`
    pub email: Option<String>,
    /// `title`
    pub title: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `custom_data`, any JSON.
    pub custom_data: Option<Value>,
}

/// An index made through the devpi API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecord {
    /// `user/index`.
    pub name: IndexName,
    /// Its complete configuration as devpi shows it, a JSON object.
    pub config: Map<String, Value>,
    /// `config.volatile`, which deletion checks.
    pub volatile: bool,
    /// Serial of its last change. In a record to be written: that of the version it was made from.
    pub revision: Serial,
    /// When it was created.
    pub created: Timestamp,
}

/// All users and the indexes made through the API, as of one instant, each sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// The users.
    pub users: Vec<User>,
    /// Their indexes.
    pub indexes: Vec<IndexRecord>,
}

/// A project's name on an index, as somebody first wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSpelling {
    /// Normalised.
    pub name: ProjectName,
    /// As first uploaded or registered.
    pub spelling: String,
}

/// Everything that one index holds of one project, as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    /// As first uploaded or registered.
    pub spelling: String,
    /// Its releases, by the text of the version.
    pub releases: Vec<ReleaseRecord>,
    /// Its files, in the order of arrival.
    pub files: Vec<FileRecord>,
}

/// A release, by the text of its version. Spellings of one version are one release, under the first
/// that came; `1.0` and `1.0.0` are two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// As uploaded.
    pub version: String,
    /// The fields that uploads and registrations have sent so far.
    pub metadata: Map<String, Value>,
    /// When it was first known.
    pub created: Timestamp,
}

/// A file and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The index that holds it.
    pub index: IndexName,
    /// Its project.
    pub project: ProjectName,
    /// Its release, as uploaded.
    pub version: String,
    /// The rest.
    pub facts: FileFacts,
}

/// A file, and when it came to the index that holds it: by an upload, or later by a push from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedFile {
    /// The file.
    pub file: FileRecord,
    /// When it came.
    pub at: Timestamp,
}

/// How much an index holds itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexHoldings {
    /// Projects, registered ones included.
    pub projects: u64,
    /// Release files.
    pub files: u64,
    /// Bytes of everything that was uploaded, documentation and test results included.
    pub bytes: u64,
}

/// A release with its files, as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeRelease {
    /// How its project is spelled.
    pub spelling: String,
    /// The release.
    pub record: ReleaseRecord,
    /// Its files, in the order of arrival.
    pub files: Vec<FileRecord>,
}

/// What has become of a project's files, as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSince {
    /// The instant: later changes have greater serials.
    pub as_of: Serial,
    /// What changed until then.
    pub changes: FileChanges,
}

/// Which of a project's files changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChanges {
    /// Nobody can say: these are all there are, in the order of arrival.
    All(Vec<FileRecord>),
    /// Only these, if any. A file that one of them tells of is told of by all that touched its name.
    Some(Vec<FileChange>),
}

/// A change of a project's files. It says how things are now, not how they came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// The files of this release are these, in whichever release some of them were before.
    Release {
        /// Its version, as the index spells it.
        version: String,
        /// Its files, in the order of arrival.
        files: Vec<FileRecord>,
    },
    /// The file of this name is this one, or there is none.
    File {
        /// Its name.
        filename: String,
        /// The file.
        file: Option<Box<FileRecord>>,
    },
}

/// A CI token: it acts for a user, for limited operations and a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its public part.
    pub id: String,
    /// The user it acts for.
    pub user: String,
    /// Digest of its secret part, which is kept nowhere.
    pub secret_hash: Sha256,
    /// What people call it.
    pub note: String,
    /// Globs of the indexes it covers, such as `team/*`; empty for every index its user may act on.
    pub indexes: Vec<String>,
    /// The operations it covers.
    pub operations: Vec<TokenOperation>,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// When it was last used, as precisely as the batches in which uses are noted.
    pub last_used: Option<Timestamp>,
}

/// An operation that a CI token may cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenOperation {
    /// Reading where reading is restricted.
    Read,
    /// Uploading files, documentation and test results, and registering releases.
    Upload,
    /// Deleting files, releases and projects.
    Delete,
}

impl TokenOperation {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::Read, Self::Upload, Self::Delete];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Delete => "delete",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// One committed write: for auditing the records, and for telling other gateways what to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub serial: Serial,
    /// When it was requested.
    pub at: Timestamp,
    /// Who requested it; `None` for anonymous.
    pub who: Option<String>,
    /// What was done.
    pub kind: ChangeKind,
    /// On which index.
    pub index: Option<IndexName>,
    /// On which project.
    pub project: Option<ProjectName>,
    /// The user, version, file name or token id it was about.
    pub detail: Option<String>,
}

/// Kinds of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A user was created.
    UserCreated,
    /// A user's password or details changed.
    UserModified,
    /// A user was deleted, with its indexes and tokens.
    UserDeleted,
    /// An index was created.
    IndexCreated,
    /// An index's configuration changed.
    IndexModified,
    /// An index was deleted, with its content.
    IndexDeleted,
    /// A release was registered, or files were added to it.
    Published,
    /// Records were restored from elsewhere, of any index.
    Restored,
    /// A project was removed from an index.
    ProjectDeleted,
    /// A release was removed.
    ReleaseDeleted,
    /// A file was removed.
    FileDeleted,
    /// A CI token was created.
    TokenCreated,
    /// A CI token was withdrawn.
    TokenDeleted,
    /// Something was recalled, everywhere.
    Recalled,
    /// A recall was withdrawn.
    RecallWithdrawn,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::UserCreated,
        Self::UserModified,
        Self::UserDeleted,
        Self::IndexCreated,
        Self::IndexModified,
        Self::IndexDeleted,
        Self::Published,
        Self::Restored,
        Self::ProjectDeleted,
        Self::ReleaseDeleted,
        Self::FileDeleted,
        Self::TokenCreated,
        Self::TokenDeleted,
        Self::Recalled,
        Self::RecallWithdrawn,
    ];

    /// The word for it in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user_created",
            Self::UserModified => "user_modified",
            Self::UserDeleted => "user_deleted",
            Self::IndexCreated => "index_created",
            Self::IndexModified => "index_modified",
            Self::IndexDeleted => "index_deleted",
            Self::Published => "published",
            Self::Restored => "restored",
            Self::ProjectDeleted => "project_deleted",
            Self::ReleaseDeleted => "release_deleted",
            Self::FileDeleted => "file_deleted",
            Self::TokenCreated => "token_created",
            Self::TokenDeleted => "token_deleted",
            Self::Recalled => "recalled",
            Self::RecallWithdrawn => "recall_withdrawn",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.as_str()), Some(kind));
        }
        for operation in TokenOperation::ALL {
            assert_eq!(TokenOperation::parse(operation.as_str()), Some(operation));
        }
        assert_eq!(ChangeKind::parse(""), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", ServerSecret([7; 32])), "***");
    }
}
