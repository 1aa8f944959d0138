//! What a backup's directory holds, and which of it counts.
//!
//! `backup.json` is exchanged as a whole, last of all, and names the copy of the records by its digest.
//! What it does not name is of a backup that broke off, or of one before, and counts for nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::model::{Sha256, Timestamp};
use crate::moving::report::MovingError;

/// The file that makes a directory a backup.
pub const MANIFEST: &str = "backup.json";

/// Locked by whoever writes a backup; also the mark of a directory that is one or becomes one.
pub const LOCK: &str = "backup.lock";

/// How the copies of records begin and end; their serial and digest stand between.
pub const RECORDS: [&str; 2] = ["records-", ".sqlite"];

/// The form that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// A whole backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// As of when.
    pub made: Timestamp,
    /// Which records they are.
    pub uuid: String,
    /// Their last write.
    pub serial: u64,
    /// The copy of the records, beside this file.
    pub records: String,
    /// Its digest.
    pub records_sha256: String,
    /// Files that records name, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// What could not be had when it was made.
    pub missing: Vec<String>,
}

impl Manifest {
    /// One of these records.
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

    /// The one of a directory; `None` where no backup was ever finished.
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

    /// Puts it in the place of the one before.
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

/// Makes a file that is whole durable under another name.
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
