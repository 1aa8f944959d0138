//! devpi's `mirror_whitelist`: private names that may come from mirrors as well.

use std::collections::HashSet;
use std::fmt;

use crate::language::document::WhitelistName;
use crate::model::ProjectName;

/// The list as written, and prepared for look-ups.
#[derive(Debug, PartialEq, Eq)]
pub struct MirrorWhitelist {
    /// The entries in their order, for showing.
    pub entries: Vec<WhitelistName>,
    set: HashSet<WhitelistName>,
}

impl MirrorWhitelist {
    pub(super) fn new(entries: &[WhitelistName]) -> Self {
        Self {
            entries: entries.to_vec(),
            set: entries.iter().cloned().collect(),
        }
    }

    /// Whether it has `*`.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.set.contains(&WhitelistName::All)
    }

    /// Whether it has exactly this project; `*` is checked separately, since combining lists tells them
    /// apart.
    #[must_use]
    pub fn has(&self, project: &ProjectName) -> bool {
        !self.set.is_empty() && self.set.contains(&WhitelistName::Project(project.clone()))
    }
}

impl fmt::Display for WhitelistName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("*"),
            Self::Project(project) => formatter.write_str(project.as_str()),
        }
    }
}
