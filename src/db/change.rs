//! Requests to the records, one value for each complete intent, and their outcomes.

use serde_json::{Map, Value};

use crate::db::file::{FileFacts, LogEvent};
use crate::db::record::{Serial, TokenOperation, UserDetails};
use crate::model::{IndexName, ProjectName, Recall, RecallSubject, Sha256, Timestamp};

/// Who wants a change, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The user; `None` for anonymous.
    pub who: Option<String>,
    /// The time of the request.
    pub at: Timestamp,
}

/// A user to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// A name that `IndexName::is_part` accepts.
    pub name: String,
    /// The PHC string of its password; `None` if it cannot log in yet.
    pub password_hash: Option<String>,
    /// Its details.
    pub details: UserDetails,
}

/// What to do with one value of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Make it this.
    Set(T),
    /// Remove it.
    Clear,
}

impl<T: Clone> Edit<T> {
    /// The value after the edit.
    fn applied_to(&self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Set(value) => Some(value.clone()),
            Self::Clear => None,
        }
    }
}

/// Changes to a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserUpdate {
    /// A new password's PHC string; ends every login of the user.
    pub password_hash: Option<String>,
    /// `email`
    pub email: Edit<String>,
    /// `title`
    pub title: Edit<String>,
    /// `description`
    pub description: Edit<String>,
    /// `custom_data`
    pub custom_data: Edit<Value>,
}

impl UserUpdate {
    /// A user's details after the edits.
    #[must_use]
    pub fn applied_to(&self, details: UserDetails) -> UserDetails {
        UserDetails {
            email: self.email.applied_to(details.email),
            title: self.title.applied_to(details.title),
            description: self.description.applied_to(details.description),
            custom_data: self.custom_data.applied_to(details.custom_data),
        }
    }
}

/// The outcome of deleting a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserDeletion {
    /// It is gone, with its indexes and tokens.
    Deleted(Serial),
    /// There was none.
    Absent,
    /// It has this non-volatile index, so nothing was done.
    NonVolatile(IndexName),
}

/// The outcome of deleting an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexDeletion {
    /// It is gone, with its content.
    Deleted(Serial),
    /// There was none.
    Absent,
    /// It is non-volatile, so nothing was done.
    NonVolatile,
}

/// What to remove of a project on an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal<'a> {
    /// All of it.
    Project,
    /// A release, in any spelling; the last one takes the project with it.
    Release(&'a str),
    /// A file with its test results; the last file takes its release, and that the project.
    File(&'a str),
}

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// The write.
    pub serial: Serial,
    /// Whether nothing of the project is left on the index.
    pub is_project_gone: bool,
}

/// A release to be made visible on an index: registered (no files), uploaded (one file) or pushed (all
/// its files). All of it becomes visible, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// On this index.
    pub index: IndexName,
    /// The project.
    pub project: ProjectName,
    /// The project's name as written in the request.
    pub spelling: String,
    /// The version as written.
    pub version: String,
    /// The fields sent; they replace the same fields of an existing release.
    pub metadata: Map<String, Value>,
    /// The files; their bytes are already stored.
    pub files: Vec<FileFacts>,
    /// What to do about a file of the same name and other content.
    pub on_conflict: OnConflict,
}

/// What to do about a file of the same name and other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the publication: the index is non-volatile.
    Refuse,
    /// The new file replaces the old one, and its log says so.
    Replace,
}

/// The outcome of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is visible; with an outcome for each file, in order. The serial is that of the write, or the
    /// last one if everything was already there.
    Done {
        /// The last committed write.
        serial: Serial,
        /// What happened to each file.
        files: Vec<PublishedFile>,
        /// Whether the index held nothing of the project before.
        is_new_project: bool,
    },
    /// This file exists with other content, and the rule is to refuse: nothing was done.
    Exists {
        /// Its name.
        filename: String,
    },
    /// A tox result is about a release file that is not there: nothing was done.
    NoReleaseFile {
        /// The name it states.
        filename: String,
    },
}

/// What happened to one file of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedFile {
    /// It is new.
    Added,
    /// Exactly the same file was there.
    Same,
    /// It replaced other content.
    Replaced {
        /// The digest of what was there before.
        before: Sha256,
    },
}

/// A CI token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiToken {
    /// Its public part.
    pub id: String,
    /// The user it acts for, who must have a record.
    pub user: String,
    /// Digest of its secret part.
    pub secret_hash: Sha256,
    /// What people call it.
    pub note: String,
    /// Globs of the indexes it covers; empty for all. They contain no spaces.
    pub indexes: Vec<String>,
    /// The operations it covers.
    pub operations: Vec<TokenOperation>,
    /// When it expires.
    pub expires: Timestamp,
}

/// Something to be recalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecall {
    /// What.
    pub subject: RecallSubject,
    /// Why.
    pub reason: String,
    /// Whether bytes that were fetched are set aside instead of removed.
    pub is_kept: bool,
}

/// The outcome of a recall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecallMade {
    /// It is recorded.
    Made(Recall),
    /// The same was recalled before, and stays as it was.
    Already(Recall),
}

/// Overrides known fields with those sent.
pub(super) fn overlay(known: &mut Map<String, Value>, sent: &Map<String, Value>) {
    for (key, value) in sent {
        known.insert(key.clone(), value.clone());
    }
}

/// How often a file name has been overwritten, by the log of the file that holds it now.
pub(super) fn times_overwritten(facts: &FileFacts) -> u32 {
    let counts = facts.log.iter().map(|entry| match entry.event {
        LogEvent::Overwrite { count } => count,
        LogEvent::Upload { .. } | LogEvent::Push { .. } => 0,
    });
    counts.max().unwrap_or(0)
}
