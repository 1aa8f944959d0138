//! Who works on a data directory: one server, or two during a handover, or one command that changes what
//! a server remembers.
//!
//! The lock is the operating system's, on an open file: it goes with its process, however that ends.
//! Servers share it. A server that does not replace another first asks for it exclusively: two servers
//! that do not know of each other would answer from caches that contradict each other.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::Context as _;

/// The file below the data directory.
const NAME: &str = "lock";

/// Stands in a data directory while a backup is being restored into it, and after that broke off.
pub(super) const RESTORING: &str = "restore-incomplete";

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// For a server; creates the data directory if it is missing.
    ///
    /// # Errors
    /// When another server runs that this one does not replace, when an import is under way, or the
    /// directory cannot be written.
    pub(super) fn to_serve(data: &Path, is_upgrade: bool) -> anyhow::Result<Self> {
        let file = open(data)?;
        let is_import = || {
            format!(
                "an import into {} is under way: start again when it has ended",
                data.display()
            )
        };
        let is_served = || {
            format!(
                "another server runs on {}: stop it first, name another directory with --data, \
                 or start with --upgrade to take its place",
                data.display()
            )
        };
        if !is_upgrade && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            // Servers share their lock; a command that changes the data does not.
            held(file.try_lock_shared(), data, &is_import)?;
            anyhow::bail!(is_served());
        }
        // From exclusive to shared; anything that slipped in between is another server.
        let hint: &dyn Fn() -> String = if is_upgrade { &is_import } else { &is_served };
        held(file.try_lock_shared(), data, hint)?;
        is_whole(data)?;
        Ok(Self { _file: file })
    }

    /// For a command that changes what servers remember.
    ///
    /// # Errors
    /// When a server runs on the directory, or it cannot be written.
    pub(super) fn to_change(data: &Path) -> anyhow::Result<Self> {
        let lock = Self::alone(data, "stop it, import, and start it again")?;
        is_whole(data)?;
        Ok(lock)
    }

    /// For a command that asks a running server instead: `None` while one runs, or an import.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(super) fn unless_served(data: &Path) -> anyhow::Result<Option<Self>> {
        let file = open(data)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        held(file.try_lock(), data, &String::new)?;
        is_whole(data)?;
        Ok(Some(Self { _file: file }))
    }

    /// For restoring a backup.
    ///
    /// # Errors
    /// When a server runs on the directory, or it cannot be written.
    pub(super) fn to_restore(data: &Path) -> anyhow::Result<Self> {
        Self::alone(data, "stop it, or name another directory with --data")
    }

    fn alone(data: &Path, instead: &str) -> anyhow::Result<Self> {
        let file = open(data)?;
        let data_in_use = || {
            let data = data.display();
            format!("{data} is in use by a running server or import: {instead}")
        };
        held(file.try_lock(), data, &data_in_use)?;
        Ok(Self { _file: file })
    }
}

/// Refuses what an unfinished restore has left: its records are still to come.
fn is_whole(data: &Path) -> anyhow::Result<()> {
    if data.join(RESTORING).exists() {
        anyhow::bail!(
            "a restore into {} has broken off or is under way: run it again until it ends, or name \
             another directory with --data",
            data.display()
        );
    }
    Ok(())
}

fn open(data: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("make the data directory {}", data.display()))?;
    let path = data.join(NAME);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    file.with_context(|| format!("open {}", path.display()))
}

fn held(
    locked: Result<(), TryLockError>,
    data: &Path,
    hint: &dyn Fn() -> String,
) -> anyhow::Result<()> {
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => anyhow::bail!(hint()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", data.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_unless_it_takes_the_place_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = DataLock::to_serve(&data, false).unwrap();
        let told = DataLock::to_serve(&data, false).unwrap_err().to_string();
        assert!(told.contains("another server runs on"), "{told}");
        assert!(told.contains("--upgrade"), "{told}");
        let next = DataLock::to_serve(&data, true).unwrap();
        drop(first);
        assert!(DataLock::to_serve(&data, false).is_err());
        drop(next);
        DataLock::to_serve(&data, false).unwrap();
    }

    #[test]
    fn a_change_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = DataLock::to_serve(&data, false);
        let told = DataLock::to_change(&data).unwrap_err().to_string();
        assert!(told.contains("running server"), "{told}");
        drop(server);
        let change = DataLock::to_change(&data).unwrap();
        for told in [
            DataLock::to_serve(&data, false),
            DataLock::to_serve(&data, true),
            DataLock::to_change(&data),
        ] {
            assert!(told.unwrap_err().to_string().contains("import"));
        }
        drop(change);
        DataLock::to_serve(&data, false).unwrap();
    }
}
