//! All records together: what is moved from one gateway to another.
//!
//! CI tokens, deleted names and the change log are left behind: they belong to the place.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::record::{Directory, ProjectRecord, Serial};
use crate::model::{IndexName, ProjectName, Sha256};

/// Users, indexes and everything that indexes hold, as of one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The users, and the indexes made through the API.
    pub directory: Directory,
    /// What indexes hold, including those declared in YAML, by name; none is empty.
    pub contents: Vec<IndexContent>,
}

impl Snapshot {
    /// Everything whose bytes a record needs, each digest once, in the digests' order.
    #[must_use]
    pub fn needed(&self) -> Vec<NeededFile> {
        let projects = self.contents.iter().flat_map(|content| &content.projects);
        let files = projects.flat_map(|project| &project.record.files);
        let files = files.map(|file| NeededFile {
            name: format!("{} of {}", file.facts.filename, file.index),
            sha256: file.facts.sha256,
            size: file.facts.size,
            metadata: file.facts.metadata_sha256,
        });
        NeededFile::once(files)
    }
}

/// Everything that one index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexContent {
    /// The index.
    pub index: IndexName,
    /// Its projects, by name.
    pub projects: Vec<ProjectContent>,
}

/// Everything that one index holds of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectContent {
    /// Normalised.
    pub name: ProjectName,
    /// The rest.
    pub record: ProjectRecord,
}

/// Records to be added to those that exist. Generations and revisions in it are ignored.
#[derive(Debug, Clone, Default)]
pub struct Restoration {
    /// What should exist afterwards.
    pub snapshot: Snapshot,
    /// Users of the snapshot that replace those of the same name; all other existing users stay as they
    /// are.
    pub replaced_users: BTreeSet<String>,
    /// Only find out the outcome, and leave everything as it is.
    pub is_rehearsal: bool,
}

/// The outcome of a restoration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Everything exists now; all of it became visible at once.
    Done(Restoral),
    /// These files exist with other content: nothing was done.
    Differs(Vec<DifferingFile>),
}

/// What a restoration added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restoral {
    /// The last committed write.
    pub serial: Serial,
    /// Users that are new or were replaced.
    pub users: u64,
    /// Indexes that are new.
    pub indexes: u64,
    /// Releases that are new.
    pub releases: u64,
    /// Files that are new.
    pub files: u64,
    /// Files that were there already.
    pub files_already: u64,
    /// What exists, differs, and was left as it is.
    pub kept: Vec<LeftAsIs>,
}

/// A record that a restoration left as it is, although the snapshot differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftAsIs {
    /// A user's password or details.
    User(String),
    /// An index's configuration.
    Index(IndexName),
    /// Fields of a release's metadata.
    Release {
        /// The index that holds it.
        index: IndexName,
        /// Its project.
        project: ProjectName,
        /// Its version.
        version: String,
    },
}

/// A file that exists under the same name with other content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferingFile {
    /// The index that holds it.
    pub index: IndexName,
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub filename: String,
}

/// Bytes that a record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededFile {
    /// One of the records that name them, in words: file and index.
    pub name: String,
    /// Their digest.
    pub sha256: Sha256,
    /// Their length.
    pub size: u64,
    /// The digest of the metadata that is kept with them.
    pub metadata: Option<Sha256>,
}

impl NeededFile {
    /// Each digest once, in the digests' order, with the metadata that any of its records names.
    pub(super) fn once(files: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut by_digest: BTreeMap<[u8; 32], Self> = BTreeMap::new();
        for mut file in files {
            let metadata = file.metadata.take();
            let needed = by_digest.entry(*file.sha256.as_bytes()).or_insert(file);
            needed.metadata = needed.metadata.or(metadata);
        }
        by_digest.into_values().collect()
    }
}
