//! A restore: every byte compared, the records last of all. A restore that breaks off leaves no records,
//! and the next one continues from what it copied.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::db::RecordsFile;
use crate::moving::copying::Copying;
use crate::moving::manifest::{Manifest, digest_of, place};
use crate::moving::report::{MovingError, OnProgress, RestoreReport};
use crate::store::FsStore;

/// Where a backup is restored to.
#[derive(Debug)]
pub struct Restore {
    /// Takes the bytes.
    pub store: Arc<FsStore>,
    /// The folder of the store.
    pub data: PathBuf,
    /// The name of the records in it.
    pub records: &'static str,
    /// The name of the mark that stands there until everything is back: no server starts while it does.
    pub mark: &'static str,
}

/// What the mark says.
const MARK: &str = "A backup is being brought back into this directory, or that broke off: \
    `cheesecloth restore` goes on with it.\n";

impl Restore {
    /// Restores a backup. If the report has faults, the files they name are missing, and everything else is
    /// there.
    ///
    /// # Errors
    /// When there is no complete backup in the directory, its records are damaged, there are records here
    /// already, or a disk fails; then there are no records here.
    pub async fn run(
        &self,
        folder: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<RestoreReport, MovingError> {
        let Some(manifest) = Manifest::read(folder)? else {
            return Err(MovingError::Directory(format!(
                "{} holds no backup, or only one that broke off: name a directory that `backup` \
                 has finished",
                folder.display()
            )));
        };
        self.refuse_to_overwrite()?;
        let copy = folder.join(&manifest.records);
        if digest_of(&copy)?.to_hex() != manifest.records_sha256 {
            return Err(MovingError::Directory(format!(
                "{} is damaged, its sha256 is not the one in backup.json: restore another backup",
                copy.display()
            )));
        }
        let records = RecordsFile::of_copy(&copy).await?;
        records.check().await?;
        let needed = records.files().await?;
        records.close().await;
        let copying = Copying {
            depot: None,
            from: Arc::new(FsStore::existing(folder)),
            to: Arc::clone(&self.store),
            verify: true,
        };
        let mark = self.data.join(self.mark);
        write(&mark).map_err(MovingError::io("write", &mark))?;
        let copied = copying.all(&needed, on_progress).await;
        let copied = copied.map_err(|error| error.into_folder(&self.data))?;
        let draft = self.data.join("tmp").join(self.records);
        copy_closed(&copy, &draft).map_err(MovingError::io("write", &draft))?;
        place(&draft, &self.data.join(self.records))?;
        std::fs::remove_file(&mark).map_err(MovingError::io("remove", &mark))?;
        Ok(RestoreReport {
            faults: copied.faults,
            notes: Vec::new(),
            made: manifest.made.to_string(),
            serial: manifest.serial,
            files: manifest.files,
            bytes: manifest.bytes,
        })
    }

    /// Records next to the mark belong to a restore that was cut off at its very end.
    fn refuse_to_overwrite(&self) -> Result<(), MovingError> {
        if self.data.join(self.mark).exists() {
            return Ok(());
        }
        let there = ["", "-wal"].map(|more| self.data.join(format!("{}{more}", self.records)));
        let Some(there) = there.iter().find(|path| path.exists()) else {
            return Ok(());
        };
        Err(MovingError::Directory(format!(
            "there are records at {} already, and nothing is overwritten: name another directory \
             with --data, or move them away",
            there.display()
        )))
    }
}

/// A copy has the mode of its source, and a backup may have been made readable for others.
fn copy_closed(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, Permissions::from_mode(0o600))
}

fn write(mark: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(mark)?;
    file.write_all(MARK.as_bytes())?;
    file.sync_all()
}
