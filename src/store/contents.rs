//! Everything that is kept by digest, walked lazily: for listing, checking and collecting.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use crate::model::Timestamp;
use crate::store::check::read_through;
use crate::store::error::StoreError;
use crate::store::key::{EVICTABLE_FOLDER, Key, PRIVATE_FOLDER};
use crate::store::tree::is_absence;
use crate::store::walk::Walk;
use crate::store::writer::Stored;

/// A file or sidecar that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last requested, as far as that was written down.
    pub used_at: SystemTime,
    /// When its bytes were written.
    pub modified_at: Timestamp,
    /// When anything about the file last changed: bytes, names, permissions. By this a copy of a file
    /// is new, even if its modification time was copied along.
    pub changed_at: Timestamp,
}

/// Walks through all files and sidecars. Files that do not belong to the store are left out.
pub struct Contents {
    root: PathBuf,
    folders: std::slice::Iter<'static, &'static str>,
    walk: Option<Walk>,
}

impl Contents {
    pub(super) fn below(root: &Path) -> Self {
        Self::of(root, &[EVICTABLE_FOLDER, PRIVATE_FOLDER])
    }

    pub(super) fn private_below(root: &Path) -> Self {
        Self::of(root, &[PRIVATE_FOLDER])
    }

    fn of(root: &Path, folders: &'static [&'static str]) -> Self {
        Self {
            root: root.to_owned(),
            folders: folders.iter(),
            walk: None,
        }
    }

    fn next_kept(&mut self) -> io::Result<Option<Kept>> {
        loop {
            let Some(walk) = &mut self.walk else {
                let Some(folder) = self.folders.next() else {
                    return Ok(None);
                };
                self.walk = Some(Walk::new(&self.root.join(folder))?);
                continue;
            };
            let Some(met) = walk.next() else {
                self.walk = None;
                continue;
            };
            let (path, metadata) = met?;
            let key = path.strip_prefix(&self.root).ok().and_then(Key::of_content);
            if let Some(key) = key {
                let used_at = metadata.accessed().or_else(|_| metadata.modified())?;
                return Ok(Some(Kept {
                    key,
                    bytes: metadata.len(),
                    used_at,
                    modified_at: instant(metadata.mtime(), metadata.mtime_nsec()),
                    changed_at: instant(metadata.ctime(), metadata.ctime_nsec()),
                }));
            }
        }
    }
}

/// A file system's time; one that cannot be represented becomes the most distant one.
fn instant(seconds: i64, nanoseconds: i64) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or_default();
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX)
}

impl Iterator for Contents {
    type Item = Result<Kept, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_kept().transpose()?;
        let doing = || format!("list {}", self.root.display());
        Some(next.map_err(|error| StoreError::io(doing(), error)))
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Contents({})", self.root.display())
    }
}

/// The digest and length of a file, leaving its access time unchanged: checking a file does not count
/// as requesting it.
pub(super) fn digest_of(path: &Path) -> io::Result<Option<Stored>> {
    let file = match File::open(path) {
        Err(error) if is_absence(&error) => return Ok(None),
        file => file?,
    };
    let metadata = file.metadata()?;
    let last_access = Timespec {
        tv_sec: metadata.atime(),
        tv_nsec: metadata.atime_nsec(),
    };
    let read = read_through(&file, |_, _| Ok(()));
    let last_modification = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access,
        last_modification,
    };
    // Not our file: its place in the eviction order moves, and nothing else.
    let _ = rustix::fs::futimens(&file, &times);
    read.map(|(size, sha256)| Some(Stored { sha256, size }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::store::fs::FsStore;
    use crate::store::seal::SEAL_BYTES;

    #[test]
    fn all_content_is_listed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1_000).unwrap();
        assert_eq!(store.contents().count(), 0);
        let digest = Sha256::of(b"wheel");
        let keys = [
            Key::MirrorFile(digest),
            Key::MirrorMetadata(digest),
            Key::PrivateFile(digest),
        ];
        for key in &keys {
            store.put_small(key, b"wheel").unwrap();
        }
        std::fs::write(folder.path().join("files/README"), b"not ours").unwrap();
        std::fs::write(folder.path().join("tmp/half"), b"half").unwrap();
        let mut kept: Vec<_> = store.contents().map(Result::unwrap).collect();
        kept.sort_by_key(|kept| kept.key.path());
        let bytes = |key: &Key| {
            5 + if key.sha256().is_none() {
                SEAL_BYTES
            } else {
                0
            } as u64
        };
        assert!(kept.iter().all(|kept| kept.bytes == bytes(&kept.key)));
        assert_eq!(
            kept.into_iter().map(|kept| kept.key).collect::<Vec<_>>(),
            keys
        );
    }

    #[test]
    fn damage_is_found_and_looking_for_it_is_not_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1_000).unwrap();
        let key = Key::MirrorFile(Sha256::of(b"wheel"));
        assert_eq!(store.digest(&key).unwrap(), None);
        store.put_small(&key, b"whale").unwrap();
        let path = folder.path().join(key.path());
        let at = Timespec {
            tv_sec: 1_000,
            tv_nsec: 5,
        };
        let old = Timestamps {
            last_access: at,
            last_modification: at,
        };
        rustix::fs::futimens(File::open(&path).unwrap(), &old).unwrap();
        let before = std::fs::metadata(&path).unwrap().accessed().unwrap();
        let stored = store.digest(&key).unwrap().unwrap();
        assert_eq!(
            stored,
            Stored {
                sha256: Sha256::of(b"whale"),
                size: 5
            }
        );
        assert_ne!(Some(stored.sha256), key.sha256());
        store.quota().write_touches();
        assert_eq!(
            std::fs::metadata(&path).unwrap().accessed().unwrap(),
            before
        );
    }
}
