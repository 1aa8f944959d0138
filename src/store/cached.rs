//! The store as a cache before a depot.
//!
//! Then `private/` has only what the depot may not have yet: an upload until it is there, and what was here
//! before there was a depot. What the depot has is kept like the files of mirrors: within the same quota,
//! evicted in the same order, found by the same look. A digest says as much of a private file as of a
//! mirror's, and who may have it is decided by records and policies, never by where it lies.

use crate::store::error::StoreError;
use crate::store::fs::{FsStore, StoredFile};
use crate::store::key::Key;
use crate::store::verified::Standing;

impl FsStore {
    /// The same store, of bytes that are in a depot too.
    #[must_use]
    pub fn before_a_depot(mut self) -> Self {
        self.is_cache = true;
        self
    }

    /// Where a cache keeps private bytes that the depot has; `None` for other keys, and without a depot.
    pub fn cached(&self, key: &Key) -> Option<Key> {
        match *key {
            Key::PrivateFile(digest) if self.is_cache => Some(Key::MirrorFile(digest)),
            Key::PrivateMetadata(wheel) if self.is_cache => Some(Key::MirrorMetadata(wheel)),
            _ => None,
        }
    }

    /// Notes that the depot has what is kept under a private key: from here on it may be evicted.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_deposited(&self, key: &Key) -> Result<(), StoreError> {
        let Some(cached) = self.cached(key) else {
            return Ok(());
        };
        let failed = |error| StoreError::io(format!("move {}", key.path().display()), error);
        let was_right = self.is_right(key);
        let moved = self.tree().move_to(key, &cached).map_err(failed)?;
        if moved
            && was_right
            && let Some(stamp) = self.stamp_of(&cached)?
        {
            self.verified().found_right(&cached, stamp);
        }
        self.verified().forget(key);
        Ok(())
    }

    /// Whether what is kept under exactly this key is known to be right.
    fn is_right(&self, key: &Key) -> bool {
        let opened = self.open_by(key, |path| std::fs::File::open(path));
        let is_right = |file: StoredFile| file.standing() == Standing::Right;
        opened.is_ok_and(|file| file.is_some_and(is_right))
    }

    /// Whether a private key has bytes that the depot may not have.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_waiting(&self, key: &Key) -> Result<bool, StoreError> {
        Ok(self.stamp_of(key)?.is_some())
    }

    /// Removes private bytes, the cached ones too; `false`: there were none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_everywhere(&self, key: &Key) -> Result<bool, StoreError> {
        let was_cached = match self.cached(key) {
            Some(cached) => self.remove(&cached)?,
            None => false,
        };
        Ok(self.remove(key)? || was_cached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    #[test]
    fn what_the_depot_has_is_found_under_its_private_key_and_may_be_evicted() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let store = store.before_a_depot();
        let digest = Sha256::of(b"wheel");
        let (file, sidecar) = (Key::PrivateFile(digest), Key::PrivateMetadata(digest));
        store.put_small(&file, b"wheel").unwrap();
        store.put_small(&sidecar, b"Name: six").unwrap();
        let opened = store.open_file(&file).unwrap().unwrap();
        store.found_right(&opened);
        assert!(store.is_waiting(&file).unwrap());
        for key in [&file, &sidecar] {
            store.is_deposited(key).unwrap();
            // Twice is as good as once.
            store.is_deposited(key).unwrap();
            assert!(!store.is_waiting(key).unwrap());
        }
        let used = store.quota().used_bytes();
        assert_eq!(used, store.quota().scan().unwrap().bytes);
        assert!(used > 5, "{used}");
        let opened = store.open_file(&file).unwrap().unwrap();
        assert_eq!((opened.len(), opened.standing()), (5, Standing::Right));
        let read = store.read_small(&sidecar, 100).unwrap().unwrap();
        assert_eq!(read, "Name: six");
        assert!(store.remove_everywhere(&file).unwrap());
        assert!(store.open_file(&file).unwrap().is_none());
        assert!(!store.remove_everywhere(&file).unwrap());
    }

    #[test]
    fn without_a_depot_a_mirrors_file_is_no_private_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let digest = Sha256::of(b"wheel");
        store.put_small(&Key::MirrorFile(digest), b"wheel").unwrap();
        assert!(
            store
                .open_file(&Key::PrivateFile(digest))
                .unwrap()
                .is_none()
        );
        store
            .put_small(&Key::PrivateFile(digest), b"wheel")
            .unwrap();
        store.is_deposited(&Key::PrivateFile(digest)).unwrap();
        assert!(store.is_waiting(&Key::PrivateFile(digest)).unwrap());
    }
}
