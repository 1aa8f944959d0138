//! An incomplete file: locked while it is written, removed when it is dropped.
//!
//! The lock distinguishes a leftover from work under way. The system releases it however a process
//! ends, and it works between containers that share a folder, where process ids mean nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most names tried for one file. A second try is needed only if another process has the same id and is
/// writing under that very name.
const TRIES_MAX: u32 = 1_000;

/// A file on its way; dropped before [`Temporary::place`], nothing of it remains.
#[derive(Debug)]
pub(super) struct Temporary {
    file: File,
    path: PathBuf,
    placed: bool,
}

impl Temporary {
    /// An empty file in `folder`, under a unique name. The folder is created again if somebody has
    /// tidied it away.
    pub(super) fn create(folder: &Path, counter: &AtomicU64) -> io::Result<Self> {
        for _ in 0..TRIES_MAX {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{number}", std::process::id()));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(folder)?;
                    continue;
                }
                file => file?,
            };
            match file.try_lock() {
                // Between the two calls another process may have taken it for a leftover.
                Ok(()) if is_linked(&file)? => {
                    return Ok(Self {
                        file,
                        path,
                        placed: false,
                    });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    remove_if_there(&path)?;
                    return Err(error);
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "every name tried is taken",
        ))
    }

    /// A file that a test provides.
    #[cfg(test)]
    pub(super) fn over(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            placed: false,
        }
    }

    /// The file, for writing.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The same file, for reading at any offset.
    pub(super) fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Renames it to where it belongs, creating the folder if it is missing.
    pub(super) fn place(&mut self, path: &Path) -> io::Result<()> {
        match std::fs::rename(&self.path, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                std::fs::rename(&self.path, path)?;
            }
            renamed => renamed?,
        }
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody to tell; the next start removes what is left.
            let _ = remove_if_there(&self.path);
        }
    }
}

/// Removes the temporary files that nobody is writing any more.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        // For writing, because some network file systems lock nothing else exclusively.
        let file = match OpenOptions::new().write(true).open(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        match file.try_lock() {
            // Renamed since the folder was read: the opened file has been placed, not left over.
            Ok(()) => remove_if_there(&entry.path())?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

fn is_linked(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.nlink() > 0)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_dropped_is_removed_and_what_is_placed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let counter = AtomicU64::new(0);
        drop(Temporary::create(folder.path(), &counter).unwrap());
        assert!(names(folder.path()).is_empty());
        let mut temporary = Temporary::create(folder.path(), &counter).unwrap();
        temporary.file().write_all(b"abc").unwrap();
        let path = folder.path().join("not/there/yet");
        temporary.place(&path).unwrap();
        drop(temporary);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(names(folder.path()), ["not"]);
    }

    #[test]
    fn what_cannot_be_placed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut temporary = Temporary::create(folder.path(), &AtomicU64::new(0)).unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(temporary.place(&folder.path().join("file/below")).is_err());
        drop(temporary);
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn leftovers_of_the_dead_are_removed_and_work_under_way_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let living = Temporary::create(folder.path(), &AtomicU64::new(7)).unwrap();
        // Every id that a dead process may have had: another, this one, none at all.
        for name in ["1-7", &format!("{}-8", std::process::id()), "odd"] {
            std::fs::write(folder.path().join(name), b"half").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        remove_leftovers(folder.path()).unwrap();
        let own = format!("{}-7", std::process::id());
        let mut expected = vec![own, "folder".to_owned()];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        drop(living);
    }

    #[test]
    fn two_processes_with_one_id_take_different_names() {
        let folder = tempfile::tempdir().unwrap();
        let first = Temporary::create(folder.path(), &AtomicU64::new(0)).unwrap();
        let second = Temporary::create(folder.path(), &AtomicU64::new(0)).unwrap();
        assert_ne!(first.path, second.path);
    }

    #[test]
    fn a_folder_that_was_tidied_away_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("tmp");
        let temporary = Temporary::create(&folder, &AtomicU64::new(0)).unwrap();
        assert!(temporary.path.starts_with(&folder));
    }

    #[test]
    fn a_file_that_another_process_is_removing_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let file = File::open(&path).unwrap();
        assert!(is_linked(&file).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_linked(&file).unwrap());
    }
}
