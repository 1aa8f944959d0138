//! The outcome of an import, an export, a backup or a restore, and its progress.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::db::DbError;
use crate::store::StoreError;

/// The progress so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Files in total.
    pub files_in_all: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in total.
    pub bytes_in_all: u64,
}

impl Progress {
    /// The start, for files of these sizes in bytes.
    pub fn over(files: impl Iterator<Item = u64>) -> Self {
        files.fold(Self::default(), |all, bytes| Self {
            files_in_all: all.files_in_all + 1,
            bytes_in_all: all.bytes_in_all + bytes,
            ..all
        })
    }

    /// Counts one more file as done.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Called after each file.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// The outcome of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What is wrong with the export, or prevents it here; if any, nothing was imported.
    pub faults: Vec<String>,
    /// What was left out or left as it was, and why.
    pub notes: Vec<String>,
    /// New users.
    pub users: u64,
    /// New indexes.
    pub indexes: u64,
    /// New releases.
    pub releases: u64,
    /// New files, test results and documentation.
    pub files: u64,
    /// Those that were here already.
    pub files_already: u64,
    /// Files of mirrors, put into the cache.
    pub mirror_files: u64,
    /// Bytes of all files in the export.
    pub bytes: u64,
}

/// The outcome of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Files whose bytes are missing or damaged; if any, the export is incomplete.
    pub faults: Vec<String>,
    /// What the export states differently, and why.
    pub notes: Vec<String>,
    /// Users.
    pub users: u64,
    /// Indexes.
    pub indexes: u64,
    /// Releases.
    pub releases: u64,
    /// Files, test results and documentation.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The outcome of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// Files that are unavailable, and why; everything else is in the backup.
    pub faults: Vec<String>,
    /// What was repaired on the way, such as a directory that others could read.
    pub notes: Vec<String>,
    /// The last write of the records in it.
    pub serial: u64,
    /// Distinct files that the records name.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were not yet in the directory.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Files of the previous backup that the records no longer name.
    pub files_removed: u64,
}

/// The outcome of a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Files that could not be restored, and why; everything else is there.
    pub faults: Vec<String>,
    /// What was repaired on the way, such as a directory that others could read.
    pub notes: Vec<String>,
    /// When the backup was made.
    pub made: String,
    /// The last write of its records.
    pub serial: u64,
    /// Distinct files that they name.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why an import or export could not be carried out; trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum MovingError {
    /// The disk of the export.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The directory cannot be used for this; why, in words.
    #[error("{0}")]
    Directory(String),
    /// The records failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password could not be compared.
    #[error(transparent)]
    Password(#[from] crate::account::PasswordError),
    /// A thread is gone.
    #[error("{0}")]
    Broken(String),
}

impl MovingError {
    /// A store's error, reported as a failure to fill a folder.
    pub fn into_folder(self, folder: &Path) -> Self {
        match self {
            Self::Store(StoreError::Full { doing }) => Self::Directory(format!(
                "no room on the disk of {} to {doing}: free some, and run it again",
                folder.display()
            )),
            Self::Store(error) => {
                Self::Directory(format!("copy files into {}: {error}", folder.display()))
            }
            other => other,
        }
    }

    /// An error on a file or folder of the export.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
