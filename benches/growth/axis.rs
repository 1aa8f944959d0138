//! What there is more of, and how much.

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Files in a project of a stage.
    Files,
    /// Projects in a stage.
    Projects,
    /// Indexes in the stack through which is asked.
    Indexes,
    /// Rules of the policy.
    Rules,
    /// Entries of the whitelist.
    Whitelist,
    /// Connections that ask, or are held open.
    Connections,
}

impl Axis {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 6] = [
        Self::Files,
        Self::Projects,
        Self::Indexes,
        Self::Rules,
        Self::Whitelist,
        Self::Connections,
    ];

    /// For the command line and the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "files in a project",
            Self::Projects => "projects",
            Self::Indexes => "indexes in a stack",
            Self::Rules => "rules",
            Self::Whitelist => "whitelist entries",
            Self::Connections => "connections",
        }
    }

    /// Its points; the first is what the others are measured against.
    pub(crate) fn sizes(self) -> &'static [usize] {
        match self {
            Self::Files => &[10, 100, 1_000, 10_000],
            Self::Projects => &[100, 1_000, 10_000, 100_000],
            Self::Indexes => &[1, 2, 5, 10, 20, 50],
            Self::Rules => &[1, 10, 100, 1_000],
            Self::Whitelist => &[10, 100, 1_000, 10_000, 100_000],
            Self::Connections => &[1, 10, 100, 1_000],
        }
    }

    /// What its files are called.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Projects => "projects",
            Self::Indexes => "indexes",
            Self::Rules => "rules",
            Self::Whitelist => "whitelist",
            Self::Connections => "connections",
        }
    }
}
