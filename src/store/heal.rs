//! Damaged or lost bytes that are kept a second time: a stage and a mirror may keep the same file, each
//! for itself.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::store::check::read_through;
use crate::store::error::StoreError;
use crate::store::fs::FsStore;
use crate::store::key::Key;
use crate::store::tree::is_absence;

impl FsStore {
    /// Replaces a damaged or missing file by the bytes that the other kind of owner keeps; `false` if
    /// there are none, or those are damaged too. Blocking.
    ///
    /// A copy, never a second name: one file under two names would be damaged under both.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn heal(&self, key: &Key) -> Result<bool, StoreError> {
        let failed = |error| StoreError::io(format!("heal {}", key.path().display()), error);
        let Some(digest) = key.sha256() else {
            return Ok(false);
        };
        let twin = match key.is_private() {
            true => Key::MirrorFile(digest),
            false => Key::PrivateFile(digest),
        };
        let twin = match File::open(self.tree().path(&twin)) {
            Err(error) if is_absence(&error) => return Ok(false),
            twin => twin.map_err(failed)?,
        };
        let temporary = self.tree().temporary().map_err(failed)?;
        let copied = read_through(&twin, |at, piece| {
            let write = || temporary.file().write_all_at(piece, at);
            self.tree().with_room(piece.len() as u64, write)
        });
        let (_, found) = copied.map_err(failed)?;
        if found != digest {
            return Ok(false);
        }
        self.tree().publish_right(temporary, key).map_err(failed)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::store::verified::Standing;

    #[test]
    fn a_file_is_healed_by_its_twin_where_that_is_right() {
        let digest = Sha256::of(b"wheel");
        let keys = [Key::MirrorFile(digest), Key::PrivateFile(digest)];
        for (key, twin) in [(&keys[0], &keys[1]), (&keys[1], &keys[0])] {
            let folder = tempfile::tempdir().unwrap();
            let store = FsStore::open(folder.path(), 1 << 30).unwrap();
            store.put_small(key, b"whale").unwrap();
            assert!(!store.heal(key).unwrap());
            store.put_small(twin, b"whole").unwrap();
            assert!(!store.heal(key).unwrap());
            store.put_small(twin, b"wheel").unwrap();
            assert!(store.heal(key).unwrap());
            assert_eq!(store.read_small(key, 5).unwrap().unwrap(), "wheel");
            let healed = store.open_file(key).unwrap().unwrap();
            assert_eq!(healed.standing(), Standing::Right);
            let left = std::fs::read_dir(folder.path().join("tmp")).unwrap();
            assert_eq!(left.count(), 0);
        }
    }
}
