//! What is journalled of one answer.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{IndexName, ProjectName, Sha256, Timestamp};
use crate::telemetry::labels;

labels! {
    /// What became of a request.
    JournalDecision {
        /// It was answered.
        Allow = "allow",
        /// It was answered, though a policy that only audits would have refused it.
        Audit = "audit",
        /// It was refused.
        Deny = "deny",
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// When it was complete.
    pub at: Timestamp,
    /// The client; `None` for a Unix socket.
    pub client: Option<IpAddr>,
    /// The user, if they logged in.
    pub user: Option<Arc<str>>,
    /// The token they used.
    pub token: Option<Arc<str>>,
    /// The index asked.
    pub index: IndexName,
    /// The project asked, if it is known. The name of a file tells it too.
    pub project: Option<ProjectName>,
    /// The file asked; `None` for a project's page.
    pub file: Option<JournalledFile>,
    /// Whether it was delivered.
    pub decision: JournalDecision,
    /// The rule that decided, by its name.
    pub rule: Option<Arc<str>>,
}

/// The file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalledFile {
    /// Its name.
    pub name: Arc<str>,
    /// Its digest, if the page states it.
    pub sha256: Option<Sha256>,
}

/// Answers that differ in nothing but their time.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) entry: JournalEntry,
    pub(super) times: u32,
}

impl JournalEntry {
    /// Whether both may stand in one row: the same to the same client, and not at two sides of a minute.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.project == other.project
            && self.client == other.client
            && self.index == other.index
            && self.file == other.file
            && self.minute() == other.minute()
            && self.decision == other.decision
            && self.rule == other.rule
            && self.user == other.user
            && self.token == other.token
    }

    /// The minute in which it was answered.
    pub(super) fn minute(&self) -> i64 {
        self.at.as_second().div_euclid(60)
    }

    /// A number that differs between most answers. Of the client and the name of what was asked, since
    /// these differ most.
    pub(super) fn mixed(&self) -> usize {
        let name = match (&self.file, &self.project) {
            (Some(file), _) => file.name.as_bytes(),
            (None, Some(project)) => project.as_str().as_bytes(),
            (None, None) => &[],
        };
        let client = match self.client {
            None => 0,
            Some(IpAddr::V4(client)) => u64::from(client.to_bits()),
            Some(IpAddr::V6(client)) => {
                let bits = client.to_bits();
                (bits as u64) ^ (bits >> 64) as u64
            }
        };
        let mix = |mixed: u64, more: u64| (mixed ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mixed = mix(client, name.len() as u64);
        for part in name.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..part.len()].copy_from_slice(part);
            mixed = mix(mixed, u64::from_le_bytes(bytes));
        }
        (mixed >> 32) as usize
    }
}
