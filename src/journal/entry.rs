//! What is journalled of one answer.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{IndexName, ProjectName, Sha256, Timestamp};
use crate::telemetry::{NAME_MAX, cut, labels};

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

/// One answer, as the door knows it. Most repeat what one before them said, so nothing is copied here.
#[derive(Debug, Clone, Copy)]
pub struct JournalAnswer<'a> {
    /// When it was complete.
    pub at: Timestamp,
    /// The client; `None` for a Unix socket.
    pub client: Option<IpAddr>,
    /// The user, if they logged in.
    pub user: Option<&'a Arc<str>>,
    /// The token they used.
    pub token: Option<&'a Arc<str>>,
    /// The index asked.
    pub index: &'a IndexName,
    /// The project asked, if it is known. The name of a file tells it too.
    pub project: Option<&'a ProjectName>,
    /// The name of the file asked; `None` for a project's page.
    pub file: Option<&'a Arc<str>>,
    /// The digest of that file, if the page states it.
    pub sha256: Option<&'a Sha256>,
    /// Whether it was delivered.
    pub decision: JournalDecision,
    /// The rule that decided, by its name.
    pub rule: Option<&'a Arc<str>>,
}

/// The same to be kept; what the fields mean stands there.
#[derive(Debug, Clone)]
pub(super) struct JournalEntry {
    pub(super) at: Timestamp,
    pub(super) client: Option<IpAddr>,
    pub(super) user: Option<Arc<str>>,
    pub(super) token: Option<Arc<str>>,
    pub(super) index: IndexName,
    pub(super) project: Option<ProjectName>,
    pub(super) file: Option<JournalledFile>,
    pub(super) decision: JournalDecision,
    pub(super) rule: Option<Arc<str>>,
}

/// The file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct JournalledFile {
    /// Its name; of one that no file system could hold, the beginning.
    pub(super) name: Arc<str>,
    pub(super) sha256: Option<Sha256>,
}

/// Answers that differ in nothing but their time.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) entry: JournalEntry,
    pub(super) times: u32,
}

impl JournalAnswer<'_> {
    /// A copy to be kept.
    pub(super) fn to_entry(self) -> JournalEntry {
        let file = self.file.map(|name| JournalledFile {
            name: if name.len() > NAME_MAX {
                cut(name, NAME_MAX).into()
            } else {
                Arc::clone(name)
            },
            sha256: self.sha256.copied(),
        });
        JournalEntry {
            at: self.at,
            client: self.client,
            user: self.user.cloned(),
            token: self.token.cloned(),
            index: self.index.clone(),
            project: self.project.cloned(),
            file,
            decision: self.decision,
            rule: self.rule.cloned(),
        }
    }

    /// Whether it may stand in the row of that one: the same to the same client, and not at two sides of a
    /// minute.
    pub(super) fn repeats(&self, kept: &JournalEntry) -> bool {
        let file = kept.file.as_ref();
        self.project == kept.project.as_ref()
            && self.client == kept.client
            && self.file.map(|name| cut(name, NAME_MAX)) == file.map(|file| &*file.name)
            && self.sha256 == file.and_then(|file| file.sha256.as_ref())
            && *self.index == kept.index
            && minute(self.at) == kept.minute()
            && self.decision == kept.decision
            && self.rule == kept.rule.as_ref()
            && self.user == kept.user.as_ref()
            && self.token == kept.token.as_ref()
    }

    /// A number that differs between most answers. Of the client and the name of what was asked, since
    /// these differ most.
    pub(super) fn mixed(&self) -> usize {
        let name = match (self.file, self.project) {
            (Some(file), _) => file.as_bytes(),
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

impl JournalEntry {
    /// The minute in which it was answered.
    pub(super) fn minute(&self) -> i64 {
        minute(self.at)
    }
}

/// The minute of an instant.
fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}
