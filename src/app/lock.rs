//! Who works on a data directory: any number of servers (one hands over to the next), or one command
//! that changes what a server remembers.
//!
//! The lock is the system's, on an open file: it goes with its process, however that ends.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::path::Path;

use anyhow::Context as _;

/// The file below the data directory.
const NAME: &str = "lock";

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// For a server; makes the data directory where it is missing.
    ///
    /// # Errors
    /// When an import is under way, or the directory cannot be written.
    pub(super) fn to_serve(data: &Path) -> anyhow::Result<Self> {
        let file = open(data)?;
        let hint = || {
            format!(
                "an import into {} is under way: start again when it has ended",
                data.display()
            )
        };
        held(file.try_lock_shared(), data, hint)?;
        Ok(Self { _file: file })
    }

    /// For a command that changes what servers remember.
    ///
    /// # Errors
    /// When a server runs on the directory, or it cannot be written.
    pub(super) fn to_change(data: &Path) -> anyhow::Result<Self> {
        let file = open(data)?;
        let hint = || {
            format!(
                "{} is in use by a running server or import: stop it, import, and start it again",
                data.display()
            )
        };
        held(file.try_lock(), data, hint)?;
        Ok(Self { _file: file })
    }
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
    hint: impl FnOnce() -> String,
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
    fn servers_share_and_a_change_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let servers = [DataLock::to_serve(&data), DataLock::to_serve(&data)];
        let told = DataLock::to_change(&data).unwrap_err().to_string();
        assert!(told.contains("running server"), "{told}");
        drop(servers);
        let change = DataLock::to_change(&data).unwrap();
        for told in [DataLock::to_serve(&data), DataLock::to_change(&data)] {
            assert!(told.unwrap_err().to_string().contains("import"));
        }
        drop(change);
        DataLock::to_serve(&data).unwrap();
    }
}
