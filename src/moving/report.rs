//! What came of an import, an export, a backup or a restore, and how far it is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::db::DbError;
use crate::store::StoreError;

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are done.
    pub files: u64,
    /// Files that there are.
    pub files_in_all: u64,
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes that there are.
    pub bytes_in_all: u64,
}

impl Progress {
    /// At the start, over files of these many bytes.
    pub fn over(files: impl Iterator<Item = u64>) -> Self {
        files.fold(Self::default(), |all, bytes| Self {
            files_in_all: all.files_in_all + 1,
            bytes_in_all: all.bytes_in_all + bytes,
            ..all
        })
    }

    /// One file more is done.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Told after each file.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What is wrong with the export or in the way here; with any, nothing was imported.
    pub faults: Vec<String>,
    /// What was left out or left as it is, and why.
    pub notes: Vec<String>,
    /// Users that are new.
    pub users: u64,
    /// Indexes that are new.
    pub indexes: u64,
    /// Releases that are new.
    pub releases: u64,
    /// Files, test results and documentation that are new.
    pub files: u64,
    /// Those that were here already.
    pub files_already: u64,
    /// Files of mirrors, put into the cache.
    pub mirror_files: u64,
    /// Bytes of all files in the export.
    pub bytes: u64,
}

/// What came of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Files whose bytes are missing or damaged; with any, the export is not complete.
    pub faults: Vec<String>,
    /// What the export says otherwise than it is here, and why.
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

/// What came of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// Files that could not be had, and why; all else is in the backup.
    pub faults: Vec<String>,
    /// What was mended on the way, such as a directory that others could read.
    pub notes: Vec<String>,
    /// The last write of the records that are in it.
    pub serial: u64,
    /// Different files that the records name.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were not in the directory yet.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Files of the backup before that the records do not name any more.
    pub files_removed: u64,
}

/// What came of bringing a backup back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Files that could not be brought back, and why; all else is there.
    pub faults: Vec<String>,
    /// What was mended on the way, such as a directory that others could read.
    pub notes: Vec<String>,
    /// When the backup was made.
    pub made: String,
    /// The last write of its records.
    pub serial: u64,
    /// Different files that they name.
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
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The directory is not one that can be used for this; in words.
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
    /// Of a store, said as what went wrong while a folder was filled.
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

    /// Of a file or folder of the export.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
