//! Reads a kept file again, piece by piece, at the caller's pace. That does not count as a use of the
//! file: it does not keep it from being evicted.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise};
use sha2::Digest as _;

use crate::model::{Hashes, Sha256};
use crate::store::check::judge;
use crate::store::error::StoreError;
use crate::store::fs::{FsStore, StoredFile, read_whole};
use crate::store::key::Key;

/// How much is read at one time.
const PIECE_BYTES: usize = 128 << 10;

/// A file that is being read again.
#[derive(Debug)]
pub struct Inspection {
    stored: StoredFile,
    hasher: sha2::Sha256,
    at: u64,
    piece: Vec<u8>,
}

impl FsStore {
    /// Starts to read a file again, whatever is known about it.
    ///
    /// # Errors
    /// When the disk fails; absence is `None`.
    pub fn inspect(&self, key: &Key) -> Result<Option<Inspection>, StoreError> {
        let stored = self.open_by(key, open_unnoticed)?;
        Ok(stored.map(|stored| Inspection {
            stored,
            hasher: sha2::Sha256::new(),
            at: 0,
            piece: vec![0; PIECE_BYTES],
        }))
    }

    /// Reads a sidecar again.
    ///
    /// # Errors
    /// `Damaged` if it is not what was kept, others when the disk fails.
    pub fn inspect_small(&self, key: &Key, bytes_max: u64) -> Result<(), StoreError> {
        match self.open_by(key, open_unnoticed)? {
            Some(stored) => read_whole(&stored, key, bytes_max, &Hashes::default()).map(drop),
            None => Ok(()),
        }
    }
}

impl Inspection {
    /// Reads the next piece; returns its length, zero at the end.
    ///
    /// # Errors
    /// When the disk cannot read it.
    pub fn read(&mut self) -> Result<u64, StoreError> {
        loop {
            match self.stored.file().read_at(&mut self.piece, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read a kept file again", error)),
                Ok(read) => {
                    self.hasher.update(&self.piece[..read]);
                    self.at += read as u64;
                    return Ok(read as u64);
                }
            }
        }
    }

    /// Whether a file that was read to its end is what it should be.
    ///
    /// # Errors
    /// `Damaged` if it is not.
    pub fn end(self) -> (StoredFile, Result<(), StoreError>) {
        let found = Sha256::from_bytes(self.hasher.finalize().into());
        let judged = judge(&self.stored, self.at, found);
        (self.stored, judged)
    }

    /// The file itself, to be distinguished from one that takes its place.
    #[must_use]
    pub fn into_stored(self) -> StoredFile {
        self.stored
    }
}

/// Opens without updating the access time, and without pushing what clients read out of memory.
fn open_unnoticed(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOATIME.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = match opened {
        // Not our file: its place in the eviction order moves, and nothing else.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path)?,
        opened => opened?,
    };
    // Only advice.
    let _ = fadvise(&file, 0, None, Advice::NoReuse);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::verified::Standing;

    #[test]
    fn damage_without_a_trace_is_found_and_looking_for_it_is_no_use() {
        let content = vec![7; 300_000];
        let key = Key::MirrorFile(Sha256::of(&content));
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        store.put_small(&key, &content).unwrap();
        let path = folder.path().join(key.path());
        let inspect = || {
            let mut inspection = store.inspect(&key).unwrap().unwrap();
            while inspection.read().unwrap() > 0 {}
            inspection.end()
        };
        assert!(inspect().1.is_ok());
        let standing = || store.open_file(&key).unwrap().map(|file| file.standing());
        assert_eq!(standing(), Some(Standing::Right));
        let before = std::fs::metadata(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", 299_999).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        assert_eq!(standing(), Some(Standing::Right));
        let (stored, judged) = inspect();
        assert!(matches!(judged, Err(StoreError::Damaged { .. })));
        store.take_out_of_use(&stored).unwrap();
        assert_eq!(standing(), None);
    }

    #[test]
    fn the_time_of_access_stays() {
        let key = Key::PrivateFile(Sha256::of(b"wheel"));
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        store.put_small(&key, b"wheel").unwrap();
        let path = folder.path().join(key.path());
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
        let times = std::fs::FileTimes::new().set_accessed(long_ago);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_times(times).unwrap();
        let mut inspection = store.inspect(&key).unwrap().unwrap();
        while inspection.read().unwrap() > 0 {}
        let accessed = std::fs::metadata(&path).unwrap().accessed().unwrap();
        assert_eq!(accessed, long_ago);
    }
}
