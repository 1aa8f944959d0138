//! Mirror files that were recalled and are kept to be examined: `recalled/ID/`, below which they stand as
//! they stood in the store. Nobody is served from there, no quota counts it and nothing evicts it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;
use crate::store::fs::FsStore;
use crate::store::key::Key;
use crate::store::tree::is_absence;

/// The folder of what is set aside.
const ASIDE: &str = "recalled";

/// Deepest folder below a recall's: kind, two digits, file.
const DEPTH_MAX: usize = 3;

impl FsStore {
    /// The folder of what was set aside for a recall.
    #[must_use]
    pub fn aside(&self, recall: u64) -> PathBuf {
        self.tree().root.join(ASIDE).join(recall.to_string())
    }

    /// Takes a mirror's content out of use and keeps it for a recall; returns its length, if it was there.
    ///
    /// # Errors
    /// When the disk fails; it may be served from memory no longer, and stands where it stood.
    pub fn set_aside(&self, key: &Key, recall: u64) -> Result<Option<u64>, StoreError> {
        debug_assert!(key.is_evictable(), "{key:?} is nobody's copy");
        self.verified().forget(key);
        let to = self.aside(recall).join(key.path());
        let moved = self.tree().move_aside(key, &to);
        moved.map_err(|error| StoreError::io(format!("set {} aside", key.path().display()), error))
    }

    /// Puts back what was set aside for a recall; returns how many files that were.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub fn bring_back(&self, recall: u64) -> Result<u64, StoreError> {
        let folder = self.aside(recall);
        let failed = |error| StoreError::io(format!("bring back {}", folder.display()), error);
        let mut back = 0;
        for path in files_below(&folder, DEPTH_MAX).map_err(failed)? {
            let key = path.strip_prefix(&folder).ok().and_then(Key::of_content);
            if let Some(key) = key {
                self.tree().move_back(&path, &key).map_err(failed)?;
                back += 1;
            }
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if !is_absence(&error) => Err(failed(error)),
            Ok(()) | Err(_) => Ok(back),
        }
    }
}

fn files_below(folder: &Path, depth: usize) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && depth > 0 {
            files.extend(files_below(&entry.path(), depth - 1)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    #[test]
    fn what_is_set_aside_is_served_no_more_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 20).unwrap();
        let digest = Sha256::of(b"bad");
        let keys = [Key::MirrorFile(digest), Key::MirrorMetadata(digest)];
        for key in &keys {
            store.put_small(key, b"bad").unwrap();
        }
        let used = store.quota().used_bytes();
        for key in &keys {
            assert!(store.set_aside(key, 7).unwrap().is_some());
            assert_eq!(store.set_aside(key, 7).unwrap(), None);
            assert!(store.open_file(key).unwrap().is_none());
            assert!(store.aside(7).join(key.path()).exists());
        }
        assert_eq!(store.quota().used_bytes(), 0);
        assert_eq!(store.bring_back(8).unwrap(), 0);
        assert_eq!(store.bring_back(7).unwrap(), 2);
        assert!(
            keys.iter()
                .all(|key| store.open_file(key).unwrap().is_some())
        );
        assert_eq!(store.quota().used_bytes(), used);
        assert!(!store.aside(7).exists());
    }
}
