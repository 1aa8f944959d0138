//! How much of the disk mirror files take, and which are evicted first: the least recently requested.
//!
//! Requests are noted in memory and written to the files' access times in batches, off the request
//! path; so the order survives a restart without records. How much is kept is known after one scan in
//! the background and counted from then on. What comes or goes during a scan may be counted twice until
//! the next one, but is never missed: it is better to stay below a quota than to exceed it.
//!
//! A disk that is full before the quota is reached takes mirror files too: they can be fetched again,
//! and uploads cannot be refused because of them.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use crate::store::error::StoreError;
use crate::store::key::{EVICTABLE_FOLDER, Key};
use crate::store::tree::is_absence;
use crate::store::walk::Walk;
use crate::telemetry::WaitMeter;

/// An eviction frees this part of the limit in addition to the excess (a tenth), so that not every fill
/// starts another.
const HEADROOM_DIVISOR: u64 = 10;

/// How many mirror files a full disk removes at least: this part of them (a tenth), up to this many
/// bytes, so that not every piece written causes another search.
const ROOM_BYTES_MAX: u64 = 64 << 20;

/// Most keys noted between two batches: beyond that the rest keeps its older time.
const TOUCHED_MAX: usize = 100_000;

/// The quota of evictable content.
#[derive(Debug)]
pub struct Quota {
    root: PathBuf,
    bytes_max: u64,
    used: AtomicU64,
    touched: Mutex<HashSet<Key>>,
    /// Held while room is made.
    making_room: Mutex<()>,
    meter: WaitMeter,
    /// How often room was made.
    rooms: AtomicU64,
}

/// What evictable content takes, or what an eviction removed of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and sidecars.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

struct Found {
    used_at: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Quota {
    pub(super) fn new(root: PathBuf, bytes_max: u64, meter: WaitMeter) -> Self {
        Self {
            root,
            bytes_max,
            used: AtomicU64::new(0),
            touched: Mutex::new(HashSet::new()),
            making_room: Mutex::new(()),
            meter,
            rooms: AtomicU64::new(0),
        }
    }

    /// Bytes in use, as far as known.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more is kept than allowed.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.used_bytes() > self.bytes_max
    }

    /// Counts that `before` bytes were replaced by `after` bytes.
    pub(super) fn replaced(&self, before: u64, after: u64) {
        self.change(|used| used.saturating_add(after).saturating_sub(before));
    }

    fn change(&self, next: impl Fn(u64) -> u64) {
        // The closure always answers, so this cannot fail.
        let _ = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                Some(next(used))
            });
    }

    /// Notes that something was requested.
    pub(super) fn touch(&self, key: &Key) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < TOUCHED_MAX && !touched.contains(key) {
            touched.insert(key.clone());
        }
    }

    /// Writes what was noted since the last batch; blocking. To be called periodically, and before the
    /// process ends. Everything in one batch counts as requested at the same time.
    pub fn write_touches(&self) {
        let mut noted = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = std::mem::take(&mut *noted);
        drop(noted);
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let unchanged = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: unchanged,
        };
        for key in touched {
            // Evicted meanwhile, or not our file: it just keeps its older time.
            let path = self.root.join(key.path());
            let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::empty());
        }
    }

    /// Counts what is kept; blocking, and as long as there are files.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn scan(&self) -> Result<Usage, StoreError> {
        let before = self.used_bytes();
        let usage = self.count()?;
        self.counted(before, usage.bytes, 0);
        Ok(usage)
    }

    /// Removes the least recently requested files until usage is below the low-water mark; blocking.
    /// Only one process at a time evicts; the other's call does nothing.
    ///
    /// # Errors
    /// When the disk fails. What cannot be removed does not keep the rest from being removed.
    pub fn evict(&self) -> Result<Usage, StoreError> {
        self.write_touches();
        let Some(_lock) = self.lock()? else {
            return Ok(Usage::default());
        };
        let before = self.used_bytes();
        let found = self.walk(|one| one)?.collect::<Result<Vec<_>, _>>()?;
        let total: u64 = found.iter().map(|found| found.bytes).sum();
        let (evicted, failure) = if total > self.bytes_max {
            let left = self.bytes_max - self.bytes_max / HEADROOM_DIVISOR;
            remove_oldest(found, total - left)
        } else {
            (Usage::default(), None)
        };
        self.counted(before, total, evicted.bytes);
        failure.map_or(Ok(evicted), Err)
    }

    /// How often room was made so far; to be read before the write that may need [`Quota::make_room`].
    pub(super) fn rooms_made(&self) -> u64 {
        self.rooms.load(Ordering::Acquire)
    }

    /// Makes room on a full disk, at least this many bytes if possible; returns whether there is some
    /// now. If room was made since `seen`, that has to suffice.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn make_room(&self, bytes: u64, seen: u64) -> Result<bool, StoreError> {
        let _one_at_a_time = self.meter.lock(&self.making_room);
        if self.rooms_made() != seen {
            return Ok(true);
        }
        self.write_touches();
        let found = self.walk(|one| one)?.collect::<Result<Vec<_>, _>>()?;
        let total: u64 = found.iter().map(|found| found.bytes).sum();
        let (evicted, failure) = remove_oldest(found, bytes.max(some_of(total)));
        self.replaced(evicted.bytes, 0);
        if evicted.files == 0 {
            return failure.map_or(Ok(false), Err);
        }
        self.rooms.fetch_add(1, Ordering::Release);
        let Usage { files, bytes } = evicted;
        tracing::warn!(
            files,
            bytes,
            "the disk is full: mirror files were removed to make room"
        );
        Ok(true)
    }

    /// Keeps `bytes` of the disk free, as far as mirror files occupy them.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep_free(&self, bytes: u64) -> Result<(), StoreError> {
        let failed = |error: Errno| {
            let doing = format!("ask how much room there is in {}", self.root.display());
            StoreError::io(doing, error.into())
        };
        let disk = rustix::fs::statvfs(&self.root).map_err(failed)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes {
            self.make_room(bytes - free, self.rooms_made())?;
        }
        Ok(())
    }

    /// Applies the result of a scan, adding what changed since it began.
    fn counted(&self, before: u64, total: u64, evicted: u64) {
        self.change(|now| {
            let changed = now.saturating_add(total).saturating_sub(before);
            changed.max(total).saturating_sub(evicted)
        });
    }

    /// Counts what is kept, without applying the result.
    pub(super) fn count(&self) -> Result<Usage, StoreError> {
        self.walk(|one| one.bytes)?
            .try_fold(Usage::default(), |usage, bytes| {
                Ok(Usage {
                    files: usage.files + 1,
                    bytes: usage.bytes + bytes?,
                })
            })
    }

    fn lock(&self) -> Result<Option<File>, StoreError> {
        let path = self.root.join("evict.lock");
        let failed = |error| StoreError::io(format!("lock {}", path.display()), error);
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn walk<T>(
        &self,
        keep: impl Fn(Found) -> T,
    ) -> Result<impl Iterator<Item = Result<T, StoreError>>, StoreError> {
        let folder = self.root.join(EVICTABLE_FOLDER);
        let doing = format!("scan {}", folder.display());
        let walk = Walk::new(&folder).map_err(|error| StoreError::io(doing.clone(), error))?;
        Ok(walk.map(move |met| {
            met.and_then(|(path, metadata)| {
                let used_at = metadata.accessed().or_else(|_| metadata.modified())?;
                Ok(keep(Found {
                    used_at,
                    bytes: metadata.len(),
                    path,
                }))
            })
            .map_err(|error| StoreError::io(doing.clone(), error))
        }))
    }
}

/// The part of mirror files that is removed at a time when the disk is full.
fn some_of(total: u64) -> u64 {
    total.div_ceil(HEADROOM_DIVISOR).min(ROOM_BYTES_MAX)
}

/// Removes the least recently requested files until `surplus` bytes are gone. A file that cannot be
/// removed does not keep the rest from being removed.
fn remove_oldest(mut found: Vec<Found>, mut surplus: u64) -> (Usage, Option<StoreError>) {
    found.sort_unstable_by_key(|one| one.used_at);
    let (mut evicted, mut failure) = (Usage::default(), None);
    for one in found {
        if surplus == 0 {
            break;
        }
        match std::fs::remove_file(&one.path) {
            Ok(()) => {
                evicted.files += 1;
                evicted.bytes += one.bytes;
            }
            // Somebody else removed it, and counted that.
            Err(error) if is_absence(&error) => {}
            Err(error) => {
                let doing = format!("evict {}", one.path.display());
                failure.get_or_insert(StoreError::io(doing, error));
                continue;
            }
        }
        surplus = surplus.saturating_sub(one.bytes);
    }
    (evicted, failure)
}

/// Sets when a file was last requested, in seconds.
#[cfg(test)]
pub(super) fn use_at(path: &std::path::Path, seconds: i64) {
    let at = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::empty()).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::store::fs::FsStore;
    use crate::store::seal::SEAL_BYTES;

    const BYTES: usize = 40;

    fn mirror_file(name: &str) -> Key {
        Key::MirrorFile(Sha256::of(name.as_bytes()))
    }

    fn private_file(name: &str) -> Key {
        Key::PrivateFile(Sha256::of(name.as_bytes()))
    }

    /// Keeps a file and sets when it was last requested, in seconds.
    fn keep(store: &FsStore, folder: &tempfile::TempDir, key: &Key, used_at: i64) {
        store.put_small(key, &[0; BYTES]).unwrap();
        use_at(&folder.path().join(key.path()), used_at);
    }

    fn is_kept(folder: &tempfile::TempDir, key: &Key) -> bool {
        folder.path().join(key.path()).exists()
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first_over_a_restart_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 100).unwrap();
        let names = ["c", "a", "d", "b"];
        for (used_at, name) in names.iter().enumerate() {
            keep(&store, &folder, &mirror_file(name), 1_000 + used_at as i64);
        }
        assert!(store.open_file(&mirror_file("c")).unwrap().is_some());
        store.quota().write_touches();
        drop(store);
        let store = FsStore::open(folder.path(), 100).unwrap();
        assert!(!store.quota().is_exceeded());
        assert_eq!(
            store.quota().scan().unwrap(),
            Usage {
                files: 4,
                bytes: 160
            }
        );
        assert!(store.quota().is_exceeded());
        assert_eq!(
            store.quota().evict().unwrap(),
            Usage {
                files: 2,
                bytes: 80
            }
        );
        assert_eq!(
            names.map(|name| is_kept(&folder, &mirror_file(name))),
            [true, false, false, true]
        );
        assert_eq!(store.quota().used_bytes(), 80);
        assert_eq!(store.quota().evict().unwrap(), Usage::default());
    }

    #[test]
    fn what_people_hold_and_what_is_open_outlives_every_eviction() {
        use std::io::Read as _;

        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 0).unwrap();
        keep(&store, &folder, &private_file("a"), 1);
        keep(&store, &folder, &Key::PrivateMetadata(Sha256::of(b"a")), 1);
        keep(&store, &folder, &mirror_file("b"), 2);
        keep(&store, &folder, &Key::MirrorMetadata(Sha256::of(b"b")), 2);
        keep(&store, &folder, &private_file("b"), 2);
        let open = store.open_file(&mirror_file("b")).unwrap().unwrap();
        let evicted = store.quota().evict().unwrap();
        assert_eq!(
            evicted,
            Usage {
                files: 2,
                bytes: (2 * BYTES + SEAL_BYTES) as u64
            }
        );
        assert!(!is_kept(&folder, &mirror_file("b")));
        assert!(is_kept(&folder, &private_file("a")) && is_kept(&folder, &private_file("b")));
        assert!(is_kept(&folder, &Key::PrivateMetadata(Sha256::of(b"a"))));
        let mut content = Vec::new();
        open.file().read_to_end(&mut content).unwrap();
        assert_eq!(content, [0; BYTES]);
    }

    #[test]
    fn one_process_at_a_time_evicts() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (
            FsStore::open(folder.path(), 0).unwrap(),
            FsStore::open(folder.path(), 0).unwrap(),
        );
        keep(&first, &folder, &mirror_file("a"), 1);
        let lock = first.quota().lock().unwrap();
        assert!(lock.is_some());
        assert_eq!(second.quota().evict().unwrap(), Usage::default());
        drop(lock);
        assert_eq!(second.quota().evict().unwrap().files, 1);
    }

    #[test]
    fn what_is_free_already_costs_no_mirror_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1_000).unwrap();
        keep(&store, &folder, &mirror_file("a"), 1);
        store.quota().keep_free(1).unwrap();
        assert!(is_kept(&folder, &mirror_file("a")));
        store.quota().keep_free(u64::MAX).unwrap();
        assert!(!is_kept(&folder, &mirror_file("a")));
    }

    #[test]
    fn who_finds_room_made_meanwhile_makes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1_000).unwrap();
        keep(&store, &folder, &mirror_file("a"), 1);
        keep(&store, &folder, &mirror_file("b"), 2);
        let (quota, seen) = (store.quota(), store.quota().rooms_made());
        assert!(quota.make_room(1, seen).unwrap());
        assert!(quota.make_room(1, seen).unwrap());
        assert!(is_kept(&folder, &mirror_file("b")));
        assert!(quota.make_room(1, quota.rooms_made()).unwrap());
        assert!(!quota.make_room(1, quota.rooms_made()).unwrap());
    }

    #[test]
    fn what_comes_and_goes_during_a_scan_is_never_missed() {
        // Known before, known when the scan ends, found by it, evicted: known afterwards.
        let table = [
            (0, 0, 100, 0, 100),
            (50, 50, 40, 0, 40),
            (50, 60, 50, 0, 60),
            (50, 60, 60, 0, 70),
            (50, 40, 50, 0, 50),
            (50, 40, 40, 0, 40),
            (50, 50, 50, 20, 30),
            (0, 0, 0, 0, 0),
        ];
        for (before, now, total, evicted, expected) in table {
            let quota = Quota::new(PathBuf::new(), 0, WaitMeter::default());
            quota.replaced(0, now);
            quota.counted(before, total, evicted);
            assert_eq!(
                quota.used_bytes(),
                expected,
                "{before} {now} {total} {evicted}"
            );
        }
    }
}
