//! Keeps bytes that no record needs *yet* from being collected as bytes that none needs *any more*.
//!
//! Between the moment an upload's bytes are in the store and the moment its record is written they look
//! like garbage. So the writer of such a record holds their digest from before the bytes are there (or
//! are looked for) until the record is; the collector claims the digest, asks the records, and removes.
//! Both are locks on a file, because two processes work on one store while one replaces the other; the
//! system releases them however a process ends. Digests share 256 files, which live as long as the
//! store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use crate::model::Sha256;

/// Folder of the lock files; they are empty.
pub(super) const FOLDER: &str = "holds";

/// While it lives, bytes of its digest are not collected.
#[derive(Debug)]
pub struct Hold {
    /// Closing the file releases the lock.
    _file: File,
}

/// While it lives, nobody starts to need bytes of its digest.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

/// Waits for a collector, which takes as long as one query to the records.
pub(super) fn hold(root: &Path, digest: &Sha256) -> io::Result<Hold> {
    let file = open(root, digest)?;
    file.lock_shared()?;
    Ok(Hold { _file: file })
}

/// While they live, nothing is collected. Waits like `hold`.
pub(super) fn hold_all(root: &Path) -> io::Result<Vec<Hold>> {
    let every = (0..=u8::MAX).map(|first| {
        let mut bytes = [0; 32];
        bytes[0] = first;
        hold(root, &Sha256::from_bytes(bytes))
    });
    every.collect()
}

/// `None` while somebody holds the digest, or another that shares its file.
pub(super) fn claim(root: &Path, digest: &Sha256) -> io::Result<Option<Claim>> {
    let file = open(root, digest)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Claim { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(root: &Path, digest: &Sha256) -> io::Result<File> {
    let folder = root.join(FOLDER);
    let path = folder.join(format!("{:02x}", digest.as_bytes()[0]));
    // For writing, because some network file systems lock nothing else exclusively.
    let mut options = OpenOptions::new();
    options.write(true);
    match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(&folder)?;
            let file = options.create(true).truncate(false).open(&path)?;
            give_to_the_owner_of(root, &[&folder, &path]);
            Ok(file)
        }
        file => file,
    }
}

/// A command that root runs beside another user's server must not create files that the server cannot
/// open. For any other user this does nothing, and need not.
fn give_to_the_owner_of(root: &Path, made: &[&Path]) {
    let Ok(owner) = std::fs::metadata(root) else {
        return;
    };
    for path in made {
        let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_claimed_and_what_is_claimed_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (root, digest) = (folder.path(), Sha256::of(b"wheel"));
        let (first, second) = (hold(root, &digest).unwrap(), hold(root, &digest).unwrap());
        drop(first);
        assert!(claim(root, &digest).unwrap().is_none());
        drop(second);
        let claimed = claim(root, &digest).unwrap().unwrap();
        std::thread::scope(|scope| {
            let holding = scope.spawn(|| hold(root, &digest).unwrap());
            assert!(claim(root, &digest).unwrap().is_none());
            drop(claimed);
            holding.join().unwrap();
        });
        assert!(claim(root, &digest).unwrap().is_some());
    }

    #[test]
    fn while_all_is_held_nothing_is_claimed_and_uploads_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let held = hold_all(folder.path()).unwrap();
        for content in [b"1", b"2", b"3"] {
            let digest = Sha256::of(content);
            assert!(claim(folder.path(), &digest).unwrap().is_none());
            hold(folder.path(), &digest).unwrap();
        }
        drop(held);
        assert!(claim(folder.path(), &Sha256::of(b"1")).unwrap().is_some());
    }

    #[test]
    fn other_digests_are_free() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Sha256::of(b"1"), Sha256::of(b"2"));
        assert_ne!(one.as_bytes()[0], other.as_bytes()[0]);
        let _held = hold(folder.path(), &one).unwrap();
        assert!(claim(folder.path(), &other).unwrap().is_some());
    }
}
