//! What stands inside a file and no index states: looked for only where a rule asks for it.

use std::sync::Arc;

use crate::model::license::LicenseExpression;

/// What was found inside a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Its licence.
    pub license: License,
    /// Whether it has files that every start of Python runs.
    pub startup_files: StartupFiles,
}

/// What a file's core metadata says of its licence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum License {
    /// Nobody has looked yet.
    #[default]
    Unread,
    /// Nothing that can be read: it has no metadata, or that has no `License-Expression` (PEP 639), or an
    /// invalid one.
    Unknown,
    /// This.
    Stated(Arc<LicenseExpression>),
}

/// Whether a wheel has `.pth` or `.start` files where Python looks for them when it starts (PEP 829).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartupFiles {
    /// Nobody has looked yet.
    #[default]
    Unread,
    /// It is no archive that can be read.
    Unreadable,
    /// It has none.
    Absent,
    /// It has some.
    Present,
}

impl Inside {
    /// The same, with what is known here and not there.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            license: match self.license {
                License::Unread => other.license.clone(),
                known @ (License::Unknown | License::Stated(_)) => known,
            },
            startup_files: match self.startup_files {
                StartupFiles::Unread => other.startup_files,
                known @ (StartupFiles::Unreadable
                | StartupFiles::Absent
                | StartupFiles::Present) => known,
            },
        }
    }
}
