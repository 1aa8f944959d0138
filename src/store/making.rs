//! A copy that is read while it is made, and can be made again: it is never synced, and visible under its
//! key once it is whole.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::store::error::StoreError;
use crate::store::fs::{FsStore, StoredFile};
use crate::store::growing::{Growing, Release};
use crate::store::key::Key;
use crate::store::temporary::Temporary;
use crate::store::tree::Tree;

/// A copy being made. Dropped before [`Making::finish`], nothing of it remains, and its readers are
/// told.
#[derive(Debug)]
pub struct Making {
    tree: Arc<Tree>,
    key: Key,
    temporary: Temporary,
    written: u64,
    growing: Arc<Growing>,
    release: Release,
}

impl FsStore {
    /// Begins a copy that is read while it is made.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn make(&self, key: Key) -> Result<Making, StoreError> {
        let begun = self.tree().temporary().and_then(|temporary| {
            let reader = temporary.reader()?;
            Ok((temporary, reader))
        });
        let (temporary, reader) = begun.map_err(|error| failed(&key, error))?;
        let (growing, release) = Growing::arriving(reader, None);
        Ok(Making {
            tree: Arc::clone(self.tree()),
            key,
            temporary,
            written: 0,
            growing: Arc::new(growing),
            release,
        })
    }
}

impl Making {
    /// What readers read while it is made.
    #[must_use]
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.growing)
    }

    /// Writes what comes next, and lets readers have it.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let write = || self.temporary.file().write_all_at(bytes, self.written);
        let length = bytes.len() as u64;
        let written = self.tree.with_room(length, write);
        written.map_err(|error| failed(&self.key, error))?;
        self.written += length;
        self.release.all_of(self.written);
        Ok(())
    }

    /// It is whole.
    ///
    /// # Errors
    /// When the disk fails; its readers have it all the same.
    pub fn finish(self) -> Result<StoredFile, StoreError> {
        self.release.complete(self.written);
        let file = self.temporary.reader();
        let stored = file.and_then(StoredFile::new);
        let stored = stored.map_err(|error| failed(&self.key, error))?;
        let placed = self.tree.publish(self.temporary, &self.key);
        placed.map_err(|error| failed(&self.key, error))?;
        Ok(stored)
    }

    /// It will never be whole.
    pub fn give_up(self, why: String) {
        let what = self.key.path().display().to_string();
        self.release.failed(&StoreError::Abandoned { what, why });
    }
}

fn failed(key: &Key, error: std::io::Error) -> StoreError {
    StoreError::io(format!("write {}", key.path().display()), error)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::model::IndexName;
    use crate::store::growing::Readable;

    fn key() -> Key {
        Key::RenderedList {
            index: IndexName::parse("root/dairy").unwrap(),
            variant: "list.json",
        }
    }

    fn readable(growing: &Growing, at: u64) -> Option<Readable> {
        growing.readable(at).now_or_never()
    }

    #[test]
    fn what_is_written_can_be_read_before_the_rest_and_is_kept_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let mut making = store.make(key()).unwrap();
        let growing = making.growing();
        assert_eq!(readable(&growing, 0), None);
        making.write(b"abc").unwrap();
        assert_eq!(readable(&growing, 2), Some(Readable::Until(3)));
        assert!(store.open_file(&key()).unwrap().is_none());
        making.write(b"def").unwrap();
        let stored = making.finish().unwrap();
        assert_eq!(readable(&growing, 6), Some(Readable::Complete(6)));
        for file in [stored, store.open_file(&key()).unwrap().unwrap()] {
            let mut content = [0; 6];
            file.file().read_exact_at(&mut content, 0).unwrap();
            assert_eq!((file.len(), &content), (6, b"abcdef"));
        }
    }

    #[test]
    fn what_does_not_become_whole_is_gone_and_its_readers_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let ends: [fn(Making); 2] = [drop, |making| making.give_up("cut".to_owned())];
        for end in ends {
            let mut making = store.make(key()).unwrap();
            let growing = making.growing();
            making.write(b"abc").unwrap();
            end(making);
            assert!(matches!(readable(&growing, 3), Some(Readable::Failed(_))));
            assert!(store.open_file(&key()).unwrap().is_none());
            let left = std::fs::read_dir(folder.path().join("tmp")).unwrap();
            assert_eq!(left.count(), 0);
        }
    }
}
