//! A project's status (PEP 792).

use std::fmt;
use std::sync::Arc;

/// The four states of PEP 792.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProjectState {
    /// Nothing special; also if an index does not say.
    #[default]
    Active,
    /// No further releases are expected.
    Archived,
    /// Considered unsafe: the index must not offer files.
    Quarantined,
    /// Obsolete, perhaps replaced by another project.
    Deprecated,
}

impl ProjectState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Active,
        Self::Archived,
        Self::Quarantined,
        Self::Deprecated,
    ];

    /// Reads the marker; an unknown one counts as nothing special.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The marker as PEP 792 spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
            Self::Deprecated => "deprecated",
        }
    }
}

impl fmt::Display for ProjectState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A state and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectStatus {
    /// The state.
    pub state: ProjectState,
    /// Why, in the index's words.
    pub reason: Option<Arc<str>>,
}
