//! The store on a local disk: `files/`, `private/`, `pages/`, `lists/`, and `tmp/` for incomplete
//! files; all on one file system.
//!
//! Two processes may work on one store while one replaces the other. Each only renames complete files
//! and removes none of the other's unfinished ones; what the other adds is counted after the next scan.
//!
//! Everything but [`FsStore::draft`] blocks. An open takes microseconds; what writes content waits
//! for the disk, and belongs on a blocking thread.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Hashes, Sha256};
use crate::store::contents::{Contents, digest_of};
use crate::store::draft::Draft;
use crate::store::error::StoreError;
use crate::store::hold::{Claim, Hold};
use crate::store::key::Key;
use crate::store::quota::Quota;
use crate::store::seal::{Opened, SEAL_BYTES, is_sealed, may_be_bare, seal};
use crate::store::tree::{Tree, is_absence};
use crate::store::verified::{Stamp, Standing, Verified};
use crate::store::writer::{Plan, Stored};
use crate::store::{hold, seal};
use crate::telemetry::WaitMeter;

/// A store below one folder.
#[derive(Debug)]
pub struct FsStore {
    pub(super) tree: Arc<Tree>,
    /// Whether uploaded bytes are in a depot, and here as in a cache.
    pub(super) is_cache: bool,
}

/// A complete file that is held.
#[derive(Debug)]
pub struct StoredFile {
    file: File,
    length: u64,
    standing: Standing,
    /// `None` for a file that does not belong to the store.
    origin: Option<Origin>,
}

/// The state of a kept file when it was opened.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) key: Key,
    pub(super) stamp: Stamp,
    pub(super) verified: Arc<Verified>,
}

impl StoredFile {
    /// Wraps an open file as it is now.
    ///
    /// # Errors
    /// When its length cannot be asked.
    pub fn new(file: File) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            length,
            standing: Standing::Right,
            origin: None,
        })
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What was known about it when it was opened.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Reports that it could not be read, or was not what it was stated to be: it is checked the next
    /// time it is opened.
    pub fn distrust(&self) {
        if let Some(origin) = &self.origin {
            origin.verified.forget(&origin.key);
        }
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl FsStore {
    /// Opens a store, making its folders where they are missing, and removes what dead processes
    /// left unfinished. `disk_bytes_max` is the quota of evictable content.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(root: &Path, disk_bytes_max: u64) -> Result<Self, StoreError> {
        Self::open_metered(root, disk_bytes_max, WaitMeter::default())
    }

    /// The same, with the waits of those who change it counted.
    ///
    /// # Errors
    /// See [`FsStore::open`].
    pub fn open_metered(
        root: &Path,
        disk_bytes_max: u64,
        meter: WaitMeter,
    ) -> Result<Self, StoreError> {
        let doing = || format!("open the store in {}", root.display());
        let tree = Tree::open(root, disk_bytes_max, meter);
        let tree = Arc::new(tree.map_err(|error| StoreError::io(doing(), error))?);
        Ok(Self {
            tree,
            is_cache: false,
        })
    }

    /// An existing store, to be read while a server uses it, or on a read-only medium: nothing is
    /// created and nothing is cleaned up.
    #[must_use]
    pub fn existing(root: &Path) -> Self {
        let tree = Arc::new(Tree::existing(root));
        Self {
            tree,
            is_cache: false,
        }
    }

    /// What counts and evicts.
    #[must_use]
    pub fn quota(&self) -> &Arc<Quota> {
        &self.tree.quota
    }

    /// How many bytes are kept under a key; 0 if there is nothing, or the disk cannot tell.
    #[must_use]
    pub fn length(&self, key: &Key) -> u64 {
        std::fs::metadata(self.tree.path(key)).map_or(0, |metadata| metadata.len())
    }

    /// Opens what is kept under a key. A local open is a few microseconds, so it is done in place.
    ///
    /// # Errors
    /// When the disk fails; absence is `None`.
    pub fn open_file(&self, key: &Key) -> Result<Option<StoredFile>, StoreError> {
        let mut opened = self.open_by(key, |path| File::open(path))?;
        if opened.is_none()
            && let Some(cached) = self.cached(key)
        {
            opened = self.open_by(&cached, |path| File::open(path))?;
        }
        if opened.is_some() {
            self.touch(key);
        }
        Ok(opened)
    }

    /// Opens what is kept under a key in a special way, without counting that as a use.
    pub(super) fn open_by(
        &self,
        key: &Key,
        open: impl FnOnce(&Path) -> std::io::Result<File>,
    ) -> Result<Option<StoredFile>, StoreError> {
        let failed = |error| StoreError::io(format!("open {}", key.path().display()), error);
        let file = match open(&self.tree.path(key)) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let stamp = Stamp::from(&metadata);
        let verified = Arc::clone(&self.tree.verified);
        Ok(Some(StoredFile {
            file,
            length: metadata.len(),
            standing: verified.standing(key, stamp),
            origin: Some(Origin {
                key: key.clone(),
                stamp,
                verified,
            }),
        }))
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    pub(super) fn verified(&self) -> &Verified {
        &self.tree.verified
    }

    /// How many private files are known to be damaged or lost.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.verified().damaged()
    }

    /// Whether what is kept under a key is known to be damaged or lost.
    #[must_use]
    pub fn is_harmed(&self, key: &Key) -> bool {
        key.is_private() && self.verified().is_harmed(key)
    }

    /// Notes that a private file is missing or unreadable, until it is found right or removed; returns
    /// whether that is new.
    pub fn found_lost(&self, key: &Key) -> bool {
        self.verified().found_lost(key)
    }

    /// Notes that of all private files only these are needed: damage to others no longer matters.
    pub fn forget_needless(&self, is_needed: impl Fn(&Sha256) -> bool) {
        self.verified().forget_needless(is_needed);
    }

    pub(super) fn stamp_of(&self, key: &Key) -> Result<Option<Stamp>, StoreError> {
        match std::fs::metadata(self.tree.path(key)) {
            Ok(metadata) => Ok(Some(Stamp::from(&metadata))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => {
                let doing = format!("look at {}", key.path().display());
                Err(StoreError::io(doing, error))
            }
        }
    }

    /// Notes that what is kept under a key was requested, even if it was answered from memory: popular
    /// files must not be the first to be evicted.
    pub fn touch(&self, key: &Key) {
        match self.cached(key) {
            Some(cached) => self.tree.quota.touch(&cached),
            None if key.is_evictable() => self.tree.quota.touch(key),
            None => {}
        }
    }

    /// Reads something small as a whole; more than `bytes_max` is an error.
    ///
    /// # Errors
    /// When the disk fails, it is too long, or its disk has changed it; absence is `None`.
    pub fn read_small(&self, key: &Key, bytes_max: u64) -> Result<Option<Bytes>, StoreError> {
        self.read_known(key, bytes_max, &Hashes::default())
    }

    /// The same for something whose digest may be known: an old sidecar, which does not state its own
    /// digest, counts as absent otherwise.
    ///
    /// # Errors
    /// As of [`FsStore::read_small`].
    pub fn read_known(
        &self,
        key: &Key,
        bytes_max: u64,
        known: &Hashes,
    ) -> Result<Option<Bytes>, StoreError> {
        match self.open_file(key)? {
            Some(stored) => read_whole(&stored, key, bytes_max, known),
            None => Ok(None),
        }
    }

    /// Keeps something small under a key, replacing what was there; never half of it.
    ///
    /// # Errors
    /// When the disk fails or is full; what was there stays.
    pub fn put_small(&self, key: &Key, content: &[u8]) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(format!("write {}", key.path().display()), error);
        let seal = if is_sealed(key) {
            seal(content)
        } else {
            Vec::new()
        };
        let temporary = self.tree.temporary().map_err(failed)?;
        let write = || {
            temporary.file().write_all_at(&seal, 0)?;
            temporary.file().write_all_at(content, seal.len() as u64)
        };
        let length = (seal.len() + content.len()) as u64;
        self.tree.with_room(length, write).map_err(failed)?;
        self.tree.publish(temporary, key).map_err(failed)
    }

    /// Removes what is kept under a key; readers that have it open keep it. `false`: there was nothing.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, key: &Key) -> Result<bool, StoreError> {
        self.verified().forget(key);
        let removed = self.tree.remove(key);
        removed.map_err(|error| StoreError::io(format!("remove {}", key.path().display()), error))
    }

    /// Keeps private bytes of this digest from being collected for as long as the returned hold lives.
    /// Taken before the bytes are kept or looked for, dropped when a record needs them.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn hold(&self, digest: &Sha256) -> Result<Hold, StoreError> {
        let held = hold::hold(&self.tree.root, digest);
        held.map_err(|error| StoreError::io(format!("hold {digest}"), error))
    }

    /// Keeps all private bytes from being collected for as long as the returned holds live. Taken
    /// before reading records whose bytes are then read one after another.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn hold_all(&self) -> Result<Vec<Hold>, StoreError> {
        let held = hold::hold_all(&self.tree.root);
        held.map_err(|error| StoreError::io("hold all private files", error))
    }

    /// Prevents anybody from starting to need private bytes of this digest for as long as the returned
    /// claim lives; `None` while somebody holds it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn claim(&self, digest: &Sha256) -> Result<Option<Claim>, StoreError> {
        let claimed = hold::claim(&self.tree.root, digest);
        claimed.map_err(|error| StoreError::io(format!("claim {digest}"), error))
    }

    /// Goes through the files and sidecars of stages; lazily, in no order.
    #[must_use]
    pub fn private_contents(&self) -> Contents {
        Contents::private_below(&self.tree.root)
    }

    /// Goes through all files and sidecars, those of mirrors first; lazily, in no order.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents::below(&self.tree.root)
    }

    /// Reads what is kept under a key from end to end, to compare its digest with [`Key::sha256`]. This
    /// does not count as a request.
    ///
    /// # Errors
    /// When the disk fails; absence is `None`.
    pub fn digest(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let digest = digest_of(&self.tree.path(key));
        digest.map_err(|error| StoreError::io(format!("read {}", key.path().display()), error))
    }

    /// Starts a file whose content is still to come; needs a runtime to write on.
    ///
    /// # Errors
    /// When no temporary file can be made, or more is declared than allowed.
    pub fn draft(
        &self,
        what: &str,
        promised: Hashes,
        declared: Option<u64>,
        bytes_max: u64,
    ) -> Result<Draft, StoreError> {
        Draft::start(Plan {
            tree: Arc::clone(&self.tree),
            what: what.to_owned(),
            promised,
            declared,
            bytes_max,
            is_upload: false,
        })
    }

    /// Starts a file that is being uploaded: what it should be is known only once it is here, so
    /// [`Draft::digests`] gives everything that may be compared.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn upload_draft(&self, what: &str, bytes_max: u64) -> Result<Draft, StoreError> {
        Draft::start(Plan {
            tree: Arc::clone(&self.tree),
            what: what.to_owned(),
            promised: Hashes::default(),
            declared: None,
            bytes_max,
            is_upload: true,
        })
    }
}

/// Reads an open file as a whole, and removes its seal if it has one.
pub(super) fn read_whole(
    stored: &StoredFile,
    key: &Key,
    bytes_max: u64,
    known: &Hashes,
) -> Result<Option<Bytes>, StoreError> {
    let what = || key.path().display().to_string();
    let failed = |error| StoreError::io(format!("read {}", what()), error);
    let limit = bytes_max.saturating_add(if is_sealed(key) { SEAL_BYTES as u64 } else { 0 });
    if stored.len() > limit {
        let why = format!("it is longer than {bytes_max} bytes");
        return Err(StoreError::Integrity { what: what(), why });
    }
    let mut content = Vec::with_capacity(usize::try_from(stored.len()).unwrap_or(0));
    stored
        .file()
        .take(limit)
        .read_to_end(&mut content)
        .map_err(failed)?;
    let content = Bytes::from(content);
    if !is_sealed(key) {
        return Ok(Some(content));
    }
    let is_known = |bare: &Bytes| known.sha256() == Some(Sha256::of(bare));
    match seal::open(&content) {
        Opened::Right(content) => Ok(Some(content)),
        Opened::Bare(bare) => Ok((may_be_bare(key) || is_known(&bare)).then_some(bare)),
        Opened::Broken => {
            let why = "its digest is another".to_owned();
            Err(StoreError::Damaged { what: what(), why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IndexName, ProjectName};

    fn store() -> (tempfile::TempDir, FsStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(&folder.path().join("data/store"), 1_000).unwrap();
        (folder, store)
    }

    fn page() -> Key {
        let index = IndexName::parse("root/mirror").unwrap();
        Key::Page {
            index,
            project: ProjectName::parse("six").unwrap(),
        }
    }

    #[test]
    fn what_is_put_is_read_back_until_it_is_removed() {
        let (_folder, store) = store();
        assert_eq!(store.read_small(&page(), 10).unwrap(), None);
        store.put_small(&page(), b"old").unwrap();
        let open = store.open_file(&page()).unwrap().unwrap();
        store.put_small(&page(), b"newer").unwrap();
        assert_eq!(store.read_small(&page(), 10).unwrap().unwrap(), "newer");
        let mut old = String::new();
        open.file().read_to_string(&mut old).unwrap();
        assert!(old.ends_with("\nold"), "{old}");
        assert_eq!(open.len(), old.len() as u64);
        assert!(store.remove(&page()).unwrap());
        assert!(!store.remove(&page()).unwrap());
        assert!(store.open_file(&page()).unwrap().is_none());
    }

    #[test]
    fn what_is_too_long_is_an_error_and_not_cut() {
        let (_folder, store) = store();
        store.put_small(&page(), b"12345").unwrap();
        assert_eq!(store.read_small(&page(), 5).unwrap().unwrap(), "12345");
        let error = store.read_small(&page(), 4).unwrap_err();
        assert!(matches!(error, StoreError::Integrity { .. }), "{error}");
    }

    #[test]
    fn a_disk_that_fails_is_not_an_absent_file() {
        let (folder, store) = store();
        let path = folder.path().join("data/store").join(page().path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = store.open_file(&page()).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        let error = FsStore::open(&path, 0).unwrap_err().to_string();
        assert!(error.starts_with("open the store in "), "{error}");
    }
}
