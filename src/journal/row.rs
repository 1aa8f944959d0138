//! What the journal tells: rows, and what may be asked for.

use std::sync::Arc;

use crate::journal::entry::JournalDecision;
use crate::model::{ProjectName, Sha256, Timestamp, Version};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// When the answer was complete; the first of several.
    pub at: Timestamp,
    /// How many there were: of a page in that minute, of a file in that second.
    pub times: u64,
    /// What was asked for.
    pub item: Arc<JournalItem>,
    /// By whom.
    pub client: Arc<JournalClient>,
    /// What became of it.
    pub ruling: Arc<JournalRuling>,
}

/// What was asked for. Neither a project nor a file: one of many further refusals of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalItem {
    /// The project.
    pub project: Option<Arc<str>>,
    /// The release, as the file's name spells it.
    pub version: Option<Arc<str>>,
    /// The file; `None` for a page.
    pub file: Option<Arc<str>>,
    /// Its digest.
    pub sha256: Option<Sha256>,
}

/// Who asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalClient {
    /// The address, unless addresses are left out.
    pub address: Option<Arc<str>>,
    /// The user, if they logged in.
    pub user: Option<Arc<str>>,
    /// Their token.
    pub token: Option<Arc<str>>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRuling {
    /// The index asked.
    pub index: Arc<str>,
    /// The decision.
    pub decision: JournalDecision,
    /// The rule, by its name.
    pub rule: Option<Arc<str>>,
}

/// Whose deliveries are asked for.
#[derive(Debug, Clone)]
pub enum JournalSubject {
    /// Everything.
    All,
    /// Files with this digest.
    Sha256(Sha256),
    /// A project, its pages included.
    Project(ProjectName),
    /// The files of one release, however their names spell the version.
    Release(ProjectName, Version),
}
