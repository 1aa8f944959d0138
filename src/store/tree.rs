//! The folder below which keys are: how files get under their keys, and leave them.
//!
//! Files are synced before their rename, or a power cut could leave one of the right name with nothing in
//! it; so is all that is private, and there the folders are synced too, since it was acknowledged. Copies
//! of what mirrors say, pages and sidecars, are not synced: their reader notices damage and asks again,
//! and an installer asks for hundreds of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use crate::store::error::is_full;
use crate::store::key::Key;
use crate::store::quota::Quota;
use crate::store::temporary::{Temporary, remove_leftovers};
use crate::store::verified::{Stamp, Verified};
use crate::telemetry::WaitMeter;

/// How often mirror files make room for one write. A file that is being read keeps its room until it is
/// sent, and others write too.
const ROOMS_MAX: usize = 8;

/// Folder of incomplete files.
pub(super) const TEMPORARY: &str = "tmp";

/// The store's folder.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) quota: Arc<Quota>,
    pub(super) verified: Arc<Verified>,
    counter: AtomicU64,
    /// Held from looking at what a key holds until changing it, so that no byte is counted twice.
    changing: Mutex<()>,
    meter: WaitMeter,
}

impl Tree {
    /// Makes the folders that are missing and removes leftovers.
    pub(super) fn open(root: &Path, disk_bytes_max: u64, meter: WaitMeter) -> io::Result<Self> {
        let temporary = root.join(TEMPORARY);
        std::fs::create_dir_all(&temporary)?;
        remove_leftovers(&temporary)?;
        Ok(Self::over(root, disk_bytes_max, meter))
    }

    /// An existing folder.
    pub(super) fn existing(root: &Path) -> Self {
        Self::over(root, u64::MAX, WaitMeter::default())
    }

    fn over(root: &Path, disk_bytes_max: u64, meter: WaitMeter) -> Self {
        let quota = Quota::new(root.to_owned(), disk_bytes_max, meter.clone());
        Self {
            root: root.to_owned(),
            quota: Arc::new(quota),
            verified: Arc::default(),
            counter: AtomicU64::new(0),
            changing: Mutex::new(()),
            meter,
        }
    }

    /// Makes a file visible that was verified while it was written.
    pub(super) fn publish_right(&self, temporary: Temporary, key: &Key) -> io::Result<()> {
        let file = temporary.file().try_clone();
        self.publish(temporary, key)?;
        if let Ok(metadata) = file.and_then(|file| file.metadata()) {
            self.verified.found_right(key, Stamp::from(&metadata));
        }
        Ok(())
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.path())
    }

    /// A new, incomplete file.
    pub(super) fn temporary(&self) -> io::Result<Temporary> {
        let folder = self.root.join(TEMPORARY);
        self.with_room(0, || Temporary::create(&folder, &self.counter))
    }

    /// Does something that needs room on the disk. If there is none, mirror files, which can be fetched
    /// again, make some, and it is tried once more.
    pub(super) fn with_room<T>(
        &self,
        bytes: u64,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..ROOMS_MAX {
            let seen = self.quota.rooms_made();
            match work() {
                Err(error) if is_full(&error) => match self.quota.make_room(bytes, seen) {
                    Ok(true) => {}
                    // The first error is the one to report.
                    Ok(false) | Err(_) => return Err(error),
                },
                done => return done,
            }
        }
        work()
    }

    /// Makes a complete file visible under its key, replacing what was there.
    pub(super) fn publish(&self, mut temporary: Temporary, key: &Key) -> io::Result<()> {
        if key.is_synced() {
            temporary.file().sync_data()?;
        }
        let path = self.path(key);
        if key.is_evictable() {
            let after = temporary.file().metadata()?.len();
            let _changing = self.meter.lock(&self.changing);
            let before = length(&path)?.unwrap_or(0);
            self.with_room(0, || temporary.place(&path))?;
            self.quota.replaced(before, after);
        } else {
            self.with_room(0, || temporary.place(&path))?;
        }
        self.sync_folders_of(key)
    }

    /// Moves what is under a key that nobody counts to one that the quota counts; returns whether there was
    /// something.
    pub(super) fn move_to(&self, from: &Key, to: &Key) -> io::Result<bool> {
        let (from, to) = (self.path(from), self.path(to));
        make_folder_of(&to)?;
        let _changing = self.meter.lock(&self.changing);
        let Some(after) = length(&from)? else {
            return Ok(false);
        };
        let before = length(&to)?.unwrap_or(0);
        std::fs::rename(&from, &to)?;
        self.quota.replaced(before, after);
        Ok(true)
    }

    /// Removes what is under a key; returns whether there was something.
    pub(super) fn remove(&self, key: &Key) -> io::Result<bool> {
        let path = self.path(key);
        let _changing = self.meter.lock(&self.changing);
        let Some(before) = length(&path)? else {
            return Ok(false);
        };
        match std::fs::remove_file(&path) {
            // Evicted between the two calls, and counted there.
            Err(error) if is_absence(&error) => return Ok(false),
            removed => removed?,
        }
        if key.is_evictable() {
            self.quota.replaced(before, 0);
        }
        Ok(true)
    }

    /// Moves what is under a key to another place, where nobody counts it; returns its length, if there was
    /// something.
    pub(super) fn move_aside(&self, key: &Key, to: &Path) -> io::Result<Option<u64>> {
        let path = self.path(key);
        make_folder_of(to)?;
        let _changing = self.meter.lock(&self.changing);
        let Some(length) = length(&path)? else {
            return Ok(None);
        };
        match std::fs::rename(&path, to) {
            // Evicted between the two calls, and counted there.
            Err(error) if is_absence(&error) => return Ok(None),
            moved => moved?,
        }
        self.quota.replaced(length, 0);
        Ok(Some(length))
    }

    /// Moves it back, unless the same is there by now.
    pub(super) fn move_back(&self, from: &Path, key: &Key) -> io::Result<()> {
        let path = self.path(key);
        make_folder_of(&path)?;
        let _changing = self.meter.lock(&self.changing);
        if length(&path)?.is_some() {
            return std::fs::remove_file(from);
        }
        let after = length(from)?.unwrap_or(0);
        std::fs::rename(from, &path)?;
        self.quota.replaced(0, after);
        Ok(())
    }

    /// Makes sure that names survive a power cut: those of the file and of its folders, any of which
    /// may be new.
    fn sync_folders_of(&self, key: &Key) -> io::Result<()> {
        if !key.is_private() {
            return Ok(());
        }
        let path = self.path(key);
        let folders = path
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(&self.root));
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// Whether an error says that there is no such file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

fn length(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::Sha256;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::open(folder.path(), 1_000, WaitMeter::default()).unwrap();
        (folder, tree)
    }

    fn publish(tree: &Tree, key: &Key, content: &[u8]) {
        let temporary = tree.temporary().unwrap();
        temporary.file().write_all(content).unwrap();
        tree.publish(temporary, key).unwrap();
    }

    #[test]
    fn bytes_are_counted_once_however_often_they_come_and_go() {
        let (_folder, tree) = tree();
        let (mirror, private) = (Sha256::of(b"m"), Sha256::of(b"p"));
        let steps: [(&dyn Fn(), u64); 7] = [
            (&|| publish(&tree, &Key::MirrorFile(mirror), b"12345"), 5),
            (&|| publish(&tree, &Key::MirrorFile(mirror), b"12345"), 5),
            (&|| publish(&tree, &Key::MirrorMetadata(mirror), b"123"), 8),
            (&|| publish(&tree, &Key::MirrorMetadata(mirror), b"1"), 6),
            (&|| publish(&tree, &Key::PrivateFile(private), b"12345"), 6),
            (
                &|| assert!(tree.remove(&Key::MirrorFile(mirror)).unwrap()),
                1,
            ),
            (
                &|| assert!(!tree.remove(&Key::MirrorFile(mirror)).unwrap()),
                1,
            ),
        ];
        for (number, (step, bytes)) in steps.into_iter().enumerate() {
            step();
            assert_eq!(tree.quota.used_bytes(), bytes, "step {number}");
            assert_eq!(tree.quota.count().unwrap().bytes, bytes, "step {number}");
        }
    }

    #[test]
    fn bytes_are_counted_once_whoever_brings_them_first() {
        const AT_ONCE: usize = 4;
        let (_folder, tree) = tree();
        let start = std::sync::Barrier::new(AT_ONCE);
        for round in 1..=16_u64 {
            let key = Key::MirrorFile(Sha256::of(&round.to_be_bytes()));
            std::thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| {
                        start.wait();
                        publish(&tree, &key, b"12345");
                    });
                }
            });
            assert_eq!(tree.quota.used_bytes(), 5 * round, "round {round}");
        }
    }

    #[test]
    fn a_full_disk_makes_room_of_the_mirror_files_asked_for_the_longest_ago() {
        let (_folder, tree) = tree();
        let keys: Vec<_> = (0..3_u8)
            .map(|number| Key::MirrorFile(Sha256::of(&[number])))
            .collect();
        for (key, used_at) in keys.iter().zip([3, 1, 2]) {
            publish(&tree, key, b"1234567890");
            crate::store::quota::use_at(&tree.path(key), used_at);
        }
        let private = Key::PrivateFile(Sha256::of(b"private"));
        publish(&tree, &private, b"1234567890");
        let is_kept = |key: &Key| tree.path(key).exists();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        // Room is made until so many mirror files are gone.
        for (gone, left) in [
            (1, [true, false, true]),
            (2, [true, false, false]),
            (3, [false, false, false]),
        ] {
            let kept = || keys.iter().filter(|key| is_kept(key)).count();
            let work = || {
                if kept() + gone <= 3 {
                    Ok(())
                } else {
                    Err(full())
                }
            };
            tree.with_room(1, work).unwrap();
            assert_eq!([0, 1, 2].map(|number| is_kept(&keys[number])), left);
        }
        assert_eq!(tree.quota.used_bytes(), 0);
        assert!(is_kept(&private));
        let refused = tree.with_room(1, || Err::<(), _>(full())).unwrap_err();
        assert!(is_full(&refused));
    }

    #[test]
    fn another_trouble_than_a_full_disk_costs_no_mirror_file() {
        let (_folder, tree) = tree();
        let key = Key::MirrorFile(Sha256::of(b"m"));
        publish(&tree, &key, b"12345");
        let broken = || Err::<(), _>(io::Error::from_raw_os_error(5));
        tree.with_room(1, broken).unwrap_err();
        assert!(tree.path(&key).exists());
    }
}
