//! What a backup's directory holds, and which part of it is in force.
//!
//! `backup.json` is replaced as a whole, last of all, and names the copy of the records by its digest.
//! Anything it does not name belongs to a backup that broke off, or to an earlier one, and is ignored.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::model::{Sha256, Timestamp};
use crate::moving::report::MovingError;

/// The file that makes a directory a backup.
pub const MANIFEST: &str = "backup.json";

/// Locked while a backup is written; also marks a directory as one for backups.
pub const LOCK: &str = "backup.lock";

/// Beginning and end of the names of copies of records; serial and digest stand between.
pub const RECORDS: [&str; 2] = ["records-", ".sqlite"];

/// The form that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// When it was made.
    pub made: Timestamp,
    /// The uuid of the records.
    pub uuid: String,
    /// The serial of their last write.
    pub serial: u64,
    /// The copy of the records, next to this file.
    pub records: String,
    /// Its digest.
    pub records_sha256: String,
    /// How many files the records name.
    pub files: u64,
    pub bytes: u64,
    /// What was unavailable when it was made.
    pub missing: Vec<String>,
}

impl Manifest {
    /// A manifest for these records.
    pub fn of((uuid, serial): (String, u64), made: Timestamp, copy: &Sha256) -> Self {
        let digest = copy.to_hex();
        let [begin, end] = RECORDS;
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made,
            uuid,
            serial,
            records: format!("{begin}{serial}-{}{end}", &digest[..8]),
            records_sha256: digest,
            files: 0,
            bytes: 0,
            missing: Vec::new(),
        }
    }

    /// The manifest of a directory; `None` if no backup was ever finished.
    ///
    /// # Errors
    /// When it cannot be read, or a newer program wrote it.
    pub fn read(folder: &Path) -> Result<Option<Self>, MovingError> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(MovingError::io("read", &path))?,
        };
        let unreadable = |why: String| {
            MovingError::Directory(format!("{} cannot be read: {why}", path.display()))
        };
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        let is_plain = Path::new(&manifest.records).components().count() == 1
            && manifest.records.starts_with(RECORDS[0]);
        if manifest.format != FORMAT || !is_plain {
            let why = format!(
                "its format is {}, and this program reads {FORMAT}",
                manifest.format
            );
            return Err(unreadable(why));
        }
        Ok(Some(manifest))
    }

    /// Replaces the previous manifest.
    pub fn write(&self, folder: &Path) -> Result<(), MovingError> {
        let (path, draft) = (folder.join(MANIFEST), folder.join("backup.draft"));
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&draft)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(MovingError::io("write", &path))
    }
}

/// The digest of a file.
pub fn digest_of(path: &Path) -> Result<Sha256, MovingError> {
    let mut hasher = sha2::Sha256::new();
    let read = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    read.map_err(MovingError::io("read", path))?;
    Ok(Sha256::from_bytes(hasher.finalize().into()))
}

/// Makes a complete file durable under its final name.
pub fn place(file: &Path, path: &Path) -> Result<(), MovingError> {
    let placed = || -> std::io::Result<()> {
        File::open(file)?.sync_all()?;
        std::fs::rename(file, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    placed().map_err(MovingError::io("write", path))
}
