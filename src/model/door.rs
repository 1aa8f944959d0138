//! The doors by which the program is reached.

/// One of the three doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DoorName {
    /// For everyone; reads only, unless it allows more.
    Public,
    /// Everything.
    Manage,
    /// Metrics and health.
    Metrics,
}

impl DoorName {
    /// All doors.
    pub const ALL: [Self; 3] = [Self::Public, Self::Manage, Self::Metrics];

    /// Its name in files, flags (`--public`), variables (`CHEESECLOTH_PUBLIC`), metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Manage => "manage",
            Self::Metrics => "metrics",
        }
    }
}
