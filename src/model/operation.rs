//! Classes of operations: what a door allows, regardless of who asks (docs/protocol/devpi.md §18.1).

/// A class of operations; a door says which it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationClass {
    /// Reading, and authenticating.
    Read,
    /// Uploading files, documentation and test results.
    Upload,
    /// Logins, users, indexes, pushes and deletions.
    Manage,
}

impl OperationClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::Upload, Self::Manage];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Manage => "manage",
        }
    }
}
