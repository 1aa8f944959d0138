//! Reads a kept file from end to end to see whether it matches its key. It can be read meanwhile: it is
//! released like a file that is arriving, and its end is held back until it is known to be right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use sha2::Digest as _;

use crate::model::Sha256;
use crate::store::error::StoreError;
use crate::store::fs::{FsStore, StoredFile};
use crate::store::growing::{Growing, Release};
use crate::store::key::Key;
use crate::store::verified::{Stamp, Standing};

/// How much is read at one time.
const READ_BYTES: usize = 128 << 10;

/// A check that has not started.
#[derive(Debug)]
pub struct Check {
    stored: Arc<StoredFile>,
    growing: Arc<Growing>,
    release: Release,
}

impl FsStore {
    /// Prepares the check of a file.
    ///
    /// # Errors
    /// When the process has too many files open.
    pub fn check(&self, stored: &Arc<StoredFile>) -> Result<Check, StoreError> {
        let file = stored.file().try_clone();
        let file = file.map_err(|error| StoreError::io("open a kept file again", error))?;
        let (growing, release) = Growing::arriving(file, Some(stored.len()));
        Ok(Check {
            stored: Arc::clone(stored),
            growing: Arc::new(growing),
            release,
        })
    }

    /// Notes that a file has its digest.
    pub fn found_right(&self, stored: &StoredFile) {
        if let Some(origin) = stored.origin() {
            self.verified().found_right(&origin.key, origin.stamp);
        }
    }

    /// Takes a damaged file out of use: one of a mirror is removed, unless another has taken its place
    /// by now; a private one stays, in case something of it can be saved, and is no longer served.
    ///
    /// # Errors
    /// When it cannot be removed; it is not served then either.
    pub fn take_out_of_use(&self, stored: &StoredFile) -> Result<(), StoreError> {
        let Some(origin) = stored.origin() else {
            return Ok(());
        };
        let now = self.stamp_of(&origin.key);
        if now.as_ref().is_ok_and(|now| *now != Some(origin.stamp)) {
            // It is gone, or was healed meanwhile.
            return Ok(());
        }
        self.verified().found_damaged(&origin.key, origin.stamp);
        if origin.key.is_evictable() && now?.is_some() {
            self.remove(&origin.key)?;
        }
        Ok(())
    }

    /// Opens what is kept under a key once it is known to be right; blocking, since it may have to be
    /// read.
    ///
    /// # Errors
    /// `Damaged` if it is not right, and it is then out of use; others when the disk fails. Absence is
    /// `None`.
    pub fn open_checked(&self, key: &Key) -> Result<Option<Arc<StoredFile>>, StoreError> {
        let Some(stored) = self.open_file(key)?.map(Arc::new) else {
            return Ok(None);
        };
        match stored.standing() {
            Standing::Right => return Ok(Some(stored)),
            Standing::Unchecked => {}
            Standing::Damaged => {
                let what = key.path().display().to_string();
                let why = "its content has changed on the disk".to_owned();
                return Err(StoreError::Damaged { what, why });
            }
        }
        match self.check(&stored)?.run() {
            Ok(()) => Ok(Some(stored)),
            Err(error) => {
                if matches!(error, StoreError::Damaged { .. }) {
                    self.take_out_of_use(&stored)?;
                }
                Err(error)
            }
        }
    }
}

impl Check {
    /// What readers read while it is checked.
    #[must_use]
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.growing)
    }

    /// Reads the file; blocking.
    ///
    /// # Errors
    /// `Damaged` if it has changed, `Io` if the disk cannot read it.
    pub fn run(self) -> Result<(), StoreError> {
        let checked = self.compare();
        match &checked {
            Ok(()) => self.release.complete(self.stored.len()),
            Err(error) => self.release.failed(error),
        }
        checked
    }

    fn compare(&self) -> Result<(), StoreError> {
        let Some(origin) = self.stored.origin() else {
            return Ok(());
        };
        let read = read_through(self.stored.file(), |at, piece| {
            self.release.written(at + piece.len() as u64);
            Ok(())
        });
        let doing = || format!("read {}", origin.key.path().display());
        let (length, found) = read.map_err(|error| StoreError::io(doing(), error))?;
        judge(&self.stored, length, found)
    }
}

/// Compares what was read of a file with what it should be, and notes the result.
pub(super) fn judge(stored: &StoredFile, length: u64, found: Sha256) -> Result<(), StoreError> {
    let Some(origin) = stored.origin() else {
        return Ok(());
    };
    let what = || origin.key.path().display().to_string();
    let damaged = |why| StoreError::Damaged { what: what(), why };
    if length != stored.len() {
        let expected = stored.len();
        return Err(damaged(format!("it has {length} bytes, not {expected}")));
    }
    if Some(found) != origin.key.sha256() {
        return Err(damaged(format!("its sha256 is {found}")));
    }
    let now = stored.file().metadata();
    let now = now.map_err(|error| StoreError::io(format!("look at {}", what()), error))?;
    if Stamp::from(&now) == origin.stamp {
        origin.verified.found_right(&origin.key, origin.stamp);
    }
    Ok(())
}

/// The length and digest of a file; each piece is released as it is read.
pub(super) fn read_through(
    file: &File,
    mut show: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<(u64, Sha256)> {
    let (mut buffer, mut hasher, mut at) = (vec![0; READ_BYTES], sha2::Sha256::new(), 0);
    loop {
        match file.read_at(&mut buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Ok((at, Sha256::from_bytes(hasher.finalize().into()))),
            read => {
                let piece = &buffer[..read?];
                hasher.update(piece);
                show(at, piece)?;
                at += piece.len() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::growing::Readable;

    #[tokio::test]
    async fn only_what_has_its_digest_is_released_whole() {
        let content = vec![7; 300_000];
        let digest = Sha256::of(&content);
        let mut flipped = content.clone();
        flipped[299_999] ^= 1;
        let longer = [&content[..], b"x"].concat();
        for (bytes, is_right) in [
            (&content[..], true),
            (&flipped, false),
            (&longer, false),
            (&content[..1000], false),
            (&[], false),
        ] {
            for key in [Key::MirrorFile(digest), Key::PrivateFile(digest)] {
                let folder = tempfile::tempdir().unwrap();
                let store = FsStore::open(folder.path(), 1 << 30).unwrap();
                store.put_small(&key, bytes).unwrap();
                let stored = Arc::new(store.open_file(&key).unwrap().unwrap());
                assert_eq!(stored.standing(), Standing::Unchecked);
                let check = store.check(&stored).unwrap();
                let growing = check.growing();
                assert_eq!(check.run().is_ok(), is_right);
                let settled = growing.settled().await;
                assert_eq!(matches!(settled, Readable::Complete(300_000)), is_right);
                if !is_right {
                    store.take_out_of_use(&stored).unwrap();
                }
                let standing = store.open_file(&key).unwrap().map(|file| file.standing());
                let expected = match (is_right, key.is_private()) {
                    (true, _) => Some(Standing::Right),
                    (false, true) => Some(Standing::Damaged),
                    (false, false) => None,
                };
                assert_eq!(standing, expected);
                assert_eq!(
                    store.damaged(),
                    usize::from(standing == Some(Standing::Damaged))
                );
            }
        }
    }

    #[test]
    fn what_is_opened_checked_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let key = Key::PrivateFile(Sha256::of(b"wheel"));
        assert!(store.open_checked(&key).unwrap().is_none());
        store.put_small(&key, b"wheel").unwrap();
        assert_eq!(store.open_checked(&key).unwrap().unwrap().len(), 5);
        store.put_small(&key, b"whale").unwrap();
        for _ in 0..2 {
            let error = store.open_checked(&key).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        store.put_small(&key, b"wheel").unwrap();
        assert!(store.open_checked(&key).unwrap().is_some());
    }

    #[test]
    fn a_file_that_took_the_place_of_a_damaged_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let key = Key::MirrorFile(Sha256::of(b"wheel"));
        store.put_small(&key, b"whale").unwrap();
        let damaged = store.open_file(&key).unwrap().unwrap();
        store.put_small(&key, b"wheel").unwrap();
        store.take_out_of_use(&damaged).unwrap();
        assert!(store.open_file(&key).unwrap().is_some());
    }
}
