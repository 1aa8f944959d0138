//! A backup: the records as of one instant, then every byte they name, into a directory that may hold the
//! previous backup.
//!
//! It runs beside a serving gateway: nothing is collected between the instant of the records and the last
//! byte. What the directory already has is not copied again; what was removed since is deleted from it
//! last, once the new backup is in force. So a backup that breaks off leaves the previous one intact, and
//! the next one continues from what it copied.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use crate::db::{NeededFile, RecordsFile};
use crate::depot::Depot;
use crate::model::{Sha256, Timestamp};
use crate::moving::copying::Copying;
use crate::moving::folder::{close, make_folder, must_be_empty, own_file};
use crate::moving::manifest::{LOCK, MANIFEST, Manifest, RECORDS, digest_of, place};
use crate::moving::report::{BackupReport, MovingError, OnProgress};
use crate::store::FsStore;

/// What is backed up.
#[derive(Debug)]
pub struct Backup {
    /// Where the bytes are.
    pub store: Arc<FsStore>,
    /// Has what is not there, where that is a cache before it.
    pub depot: Option<Arc<Depot>>,
    /// Where the records are.
    pub records: RecordsFile,
    /// The time of the backup.
    pub now: Timestamp,
    /// Read what the directory already has, too, and copy again what is damaged.
    pub verify: bool,
}

impl Backup {
    /// Backs everything up into a directory that is new, empty, or holds an earlier backup of these
    /// records. If the report has faults, the files they name are missing, and everything else is
    /// there.
    ///
    /// # Errors
    /// When the directory holds something else, or disk or records fail: the previous backup then stays in
    /// force.
    pub async fn run(
        &self,
        folder: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<BackupReport, MovingError> {
        let notes = prepare(folder)?;
        let _lock = lock(folder)?;
        let before = Manifest::read(folder)?;
        let target = Arc::new(FsStore::open(folder, 0)?);
        // Before the records are read: what they name is kept until all of it is copied.
        let _held = self.store.hold_all()?;
        let (mut manifest, needed) = self.copy_records(folder, before.as_ref()).await?;
        let copying = Copying {
            depot: self.depot.clone(),
            from: Arc::clone(&self.store),
            to: Arc::clone(&target),
            verify: self.verify,
        };
        let copied = copying.all(&needed, on_progress).await;
        let copied = copied.map_err(|error| error.into_folder(folder))?;
        manifest.files = needed.len() as u64;
        manifest.bytes = needed.iter().map(|file| file.size).sum();
        manifest.missing.clone_from(&copied.faults);
        manifest.write(folder)?;
        Ok(BackupReport {
            faults: copied.faults,
            notes,
            serial: manifest.serial,
            files: manifest.files,
            bytes: manifest.bytes,
            files_copied: copied.files,
            bytes_copied: copied.bytes,
            files_removed: clear_away(folder, &target, &manifest, &needed)?,
        })
    }

    /// Puts a copy of the records into the directory, under a unique name.
    async fn copy_records(
        &self,
        folder: &Path,
        before: Option<&Manifest>,
    ) -> Result<(Manifest, Vec<NeededFile>), MovingError> {
        let draft = folder.join("tmp").join("records");
        let copied = self.records.copy_to(&draft).await;
        copied
            .map_err(|error| MovingError::Broken(format!("write {}: {error}", draft.display())))?;
        let copy = RecordsFile::of_copy(&draft).await?;
        copy.check().await?;
        let (uuid, serial) = copy.identity().await?;
        let needed = copy.files().await?;
        copy.close().await;
        if let Some(before) = before {
            fits(folder, before, &uuid, serial.0)?;
        }
        let digest = digest_of(&draft)?;
        let manifest = Manifest::of((uuid, serial.0), self.now, &digest);
        place(&draft, &folder.join(&manifest.records))?;
        Ok((manifest, needed))
    }
}

/// Creates the directory, or checks that it is one for backups, and closes it; returns what was open.
fn prepare(folder: &Path) -> Result<Vec<String>, MovingError> {
    make_folder(folder)?;
    if !folder.join(LOCK).exists() && !folder.join(MANIFEST).exists() {
        let words =
            "holds something that is no backup: name a directory that is new, empty, or holds one";
        must_be_empty(folder, words)?;
    }
    close(folder)
}

fn lock(folder: &Path) -> Result<File, MovingError> {
    let path = folder.join(LOCK);
    let file = own_file().create(true).truncate(false).open(&path);
    let file = file.map_err(MovingError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(MovingError::Directory(format!(
            "another backup into {} is under way: start again when it has ended",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(MovingError::io("lock", &path)(error)),
    }
}

/// Refuses to replace what may be the only copy of better records by other or older ones.
fn fits(folder: &Path, before: &Manifest, uuid: &str, serial: u64) -> Result<(), MovingError> {
    let place = folder.display();
    if before.uuid != uuid {
        return Err(MovingError::Directory(format!(
            "{place} holds a backup of other records (uuid {}, and these are {uuid}): name another \
             directory, and look whether this data has lost its own records",
            before.uuid
        )));
    }
    if before.serial > serial {
        return Err(MovingError::Directory(format!(
            "{place} holds a backup of later records (serial {}, and these end at {serial}): name \
             another directory, and look whether this data has older records than it should",
            before.serial
        )));
    }
    Ok(())
}

/// Removes what the backup in force does not name; returns how many files that were.
fn clear_away(
    folder: &Path,
    target: &FsStore,
    manifest: &Manifest,
    needed: &[NeededFile],
) -> Result<u64, MovingError> {
    for entry in std::fs::read_dir(folder).map_err(MovingError::io("read", folder))? {
        let path = entry.map_err(MovingError::io("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let [begin, end] = RECORDS;
        let is_a_copy = name.starts_with(begin) && name.ends_with(end);
        if is_a_copy && *name != manifest.records {
            std::fs::remove_file(&path).map_err(MovingError::io("remove", &path))?;
        }
    }
    let needed: HashSet<&Sha256> = needed.iter().map(|file| &file.sha256).collect();
    let mut removed = 0;
    for kept in target.private_contents() {
        let kept = kept?;
        let is_needed = kept
            .key
            .kept_under()
            .is_some_and(|digest| needed.contains(&digest));
        if !is_needed && target.remove(&kept.key)? {
            removed += u64::from(kept.key.sha256().is_some());
        }
    }
    Ok(removed)
}
