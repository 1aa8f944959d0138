//! How much of the disk mirror files take, and which go first: those not asked for the longest.
//!
//! When something was last asked for is noted in memory and written to the files' access times in
//! batches, off the request path; so the order survives a restart without records. How much is kept
//! is known after one scan in the background and counted from then on.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use rustix::fs::AtFlags;
use rustix::fs::FlockOperation;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::UTIME_NOW;
use rustix::fs::UTIME_OMIT;

use super::error::StoreError;
use super::key::EVICTABLE_FOLDER;
use super::key::Key;

/// An eviction goes down to this share of the limit, so that not every fill starts another.
const LOW_WATER_PERCENT: u64 = 90;

/// Most keys noted between two batches: beyond that the rest keeps its older time.
const TOUCHED_MAX: usize = 100_000;

/// The quota of evictable content.
#[derive(Debug)]
pub struct Quota {
    root: PathBuf,
    bytes_max: u64,
    used: AtomicU64,
    touched: Mutex<HashSet<Key>>,
    unique: u64,
}

/// What evictable content takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and sidecars.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What an eviction removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
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
    pub(super) fn new(root: PathBuf, bytes_max: u64) -> Self {
        let unique = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        Self {
            root,
            bytes_max,
            used: AtomicU64::new(0),
            touched: Mutex::new(HashSet::new()),
            unique,
        }
    }

    /// A number that no other process has, for temporary names.
    pub(super) fn unique(&self) -> u64 {
        self.unique
    }

    /// Bytes in use, as far as they are known.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more is kept than allowed.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.used_bytes() > self.bytes_max
    }

    pub(super) fn added(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that something was asked for.
    pub(super) fn touch(&self, key: &Key) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < TOUCHED_MAX && !touched.contains(key) {
            touched.insert(key.clone());
        }
    }

    /// Writes what was noted since the last batch; blocking.
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
            // Evicted meanwhile, or not our file: it only keeps its older time.
            let path = self.root.join(key.path());
            let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::empty());
        }
    }

    /// Counts what is kept; blocking, and as long as there are files.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn scan(&self) -> Result<Usage, StoreError> {
        let found = self.find()?;
        let bytes = found.iter().map(|found| found.bytes).sum();
        self.used.store(bytes, Ordering::Relaxed);
        Ok(Usage {
            files: found.len() as u64,
            bytes,
        })
    }

    /// Removes what was not asked for the longest until usage is below the low-water mark; blocking.
    /// Only one process at a time evicts; the other's call does nothing.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn evict(&self) -> Result<Evicted, StoreError> {
        self.write_touches();
        let Some(_lock) = self.lock()? else {
            return Ok(Evicted::default());
        };
        let mut found = self.find()?;
        let mut used: u64 = found.iter().map(|found| found.bytes).sum();
        let mut evicted = Evicted::default();
        if used > self.bytes_max {
            found.sort_by_key(|found| found.used_at);
            let target = self.bytes_max / 100 * LOW_WATER_PERCENT;
            for one in found {
                if used <= target {
                    break;
                }
                std::fs::remove_file(&one.path)
                    .or_else(|error| {
                        if is_absent(&error) {
                            Ok(())
                        } else {
                            Err(error)
                        }
                    })
                    .map_err(|error| {
                        StoreError::io(format!("evict {}", one.path.display()), error)
                    })?;
                used -= one.bytes;
                evicted.files += 1;
                evicted.bytes += one.bytes;
            }
        }
        self.used.store(used, Ordering::Relaxed);
        Ok(evicted)
    }

    fn lock(&self) -> Result<Option<File>, StoreError> {
        let path = self.root.join("evict.lock");
        let failed = |error| StoreError::io(format!("lock {}", path.display()), error);
        let file = File::create(&path).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn find(&self) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let folder = self.root.join(EVICTABLE_FOLDER);
        collect(&folder, &mut found)
            .map_err(|error| StoreError::io(format!("scan {}", folder.display()), error))?;
        Ok(found)
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn collect(folder: &Path, found: &mut Vec<Found>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if is_absent(&error) => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            collect(&entry.path(), found)?;
        } else {
            let used_at = metadata.accessed().or_else(|_| metadata.modified())?;
            found.push(Found {
                used_at,
                bytes: metadata.len(),
                path: entry.path(),
            });
        }
    }
    Ok(())
}
