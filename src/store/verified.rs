//! Which kept files were found right since this process started, and which were found damaged.
//!
//! A file is identified by its file system's metadata: while that is unchanged, nobody has written to
//! the file. Bits that a disk loses by itself do not change it; those are found by reading.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Sha256;
use crate::store::key::Key;

/// Parts with a lock each, so that files opened at the same time seldom contend.
const SHARDS: usize = 16;

/// Files known in the younger half of one part: half a million in all, in some twenty megabytes. A
/// forgotten file is just read once more.
const FILES_MAX: usize = 16 << 10;

/// Damaged files remembered; a disk with more of them is no disk to serve from.
const DAMAGED_MAX: usize = 10_000;

/// A file system's metadata of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// What is known about a kept file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was read and has its digest.
    Right,
    /// It has not been read since the start, or since it changed.
    Unchecked,
    /// It was read and has another digest.
    Damaged,
}

/// What is known about all of them.
#[derive(Debug, Default)]
pub(super) struct Verified {
    shards: [Mutex<Shard>; SHARDS],
    damaged: Mutex<HashMap<Key, Harm>>,
    hasher: RandomState,
}

/// Why a private file is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// In this state it has another digest.
    Changed(Stamp),
    /// It is missing or unreadable: every request looks again.
    Lost,
}

/// Two halves: when the younger one is full it becomes the older one, whose files are forgotten.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<u128, u64>,
    old: HashMap<u128, u64>,
}

impl Verified {
    pub(super) fn standing(&self, key: &Key, stamp: Stamp) -> Standing {
        let Some((number, id)) = place(key) else {
            return Standing::Right;
        };
        let told = self.hasher.hash_one(stamp);
        let shard = lock(&self.shards[number]);
        let known = shard.young.get(&id).or_else(|| shard.old.get(&id)).copied();
        drop(shard);
        if known == Some(told) {
            return Standing::Right;
        }
        if lock(&self.damaged).get(key) == Some(&Harm::Changed(stamp)) {
            return Standing::Damaged;
        }
        Standing::Unchecked
    }

    pub(super) fn found_right(&self, key: &Key, stamp: Stamp) {
        let Some((number, id)) = place(key) else {
            return;
        };
        let mut shard = lock(&self.shards[number]);
        if shard.young.len() >= FILES_MAX {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(id, self.hasher.hash_one(stamp));
        drop(shard);
        lock(&self.damaged).remove(key);
    }

    /// The next reader has it checked again.
    pub(super) fn forget(&self, key: &Key) {
        let Some((number, id)) = place(key) else {
            return;
        };
        let mut shard = lock(&self.shards[number]);
        shard.young.remove(&id);
        shard.old.remove(&id);
        drop(shard);
        lock(&self.damaged).remove(key);
    }

    pub(super) fn found_damaged(&self, key: &Key, stamp: Stamp) {
        self.found(key, Harm::Changed(stamp));
    }

    /// Notes that a file is missing that should be there, or unreadable; returns whether that is new.
    pub(super) fn found_lost(&self, key: &Key) -> bool {
        self.found(key, Harm::Lost)
    }

    fn found(&self, key: &Key, harm: Harm) -> bool {
        let is_known = lock(&self.damaged).get(key) == Some(&harm);
        if is_known {
            return false;
        }
        self.forget(key);
        let mut damaged = lock(&self.damaged);
        if damaged.len() < DAMAGED_MAX {
            damaged.insert(key.clone(), harm);
        }
        true
    }

    /// Whether a file was found damaged or lost, as it was then.
    pub(super) fn is_harmed(&self, key: &Key) -> bool {
        lock(&self.damaged).contains_key(key)
    }

    /// How many files are known to be damaged or lost.
    pub(super) fn damaged(&self) -> usize {
        lock(&self.damaged).len()
    }

    /// Forgets the damage of files that nobody needs any more.
    pub(super) fn forget_needless(&self, is_needed: impl Fn(&Sha256) -> bool) {
        let is_needed = |key: &Key| key.sha256().is_none_or(|digest| is_needed(&digest));
        lock(&self.damaged).retain(|key, _| is_needed(key));
    }
}

/// Where a file is noted, and under what: half of its digest, with the last bit inverted for private
/// files.
fn place(key: &Key) -> Option<(usize, u128)> {
    let digest = key.sha256()?;
    let (half, _) = digest.as_bytes().split_first_chunk::<16>()?;
    let id = u128::from_be_bytes(*half) ^ u128::from(key.is_private());
    Some((usize::from(half[0]) % SHARDS, id))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(length: u64) -> Stamp {
        Stamp {
            device: 1,
            inode: 2,
            length,
            modified: (3, 4),
        }
    }

    #[test]
    fn a_file_is_right_until_it_changes() {
        let verified = Verified::default();
        let digest = Sha256::of(b"six");
        let (mirror, private) = (Key::MirrorFile(digest), Key::PrivateFile(digest));
        assert_eq!(verified.standing(&mirror, stamp(3)), Standing::Unchecked);
        verified.found_right(&mirror, stamp(3));
        assert_eq!(verified.standing(&mirror, stamp(3)), Standing::Right);
        assert_eq!(verified.standing(&mirror, stamp(4)), Standing::Unchecked);
        assert_eq!(verified.standing(&private, stamp(3)), Standing::Unchecked);
        verified.found_damaged(&private, stamp(3));
        assert_eq!(verified.standing(&private, stamp(3)), Standing::Damaged);
        assert_eq!(verified.standing(&private, stamp(4)), Standing::Unchecked);
        assert_eq!(verified.damaged(), 1);
        verified.found_right(&private, stamp(3));
        assert_eq!(verified.standing(&private, stamp(3)), Standing::Right);
        assert_eq!(verified.damaged(), 0);
        let lost = Key::PrivateFile(Sha256::of(b"lost"));
        assert!(verified.found_lost(&lost) && !verified.found_lost(&lost));
        assert!(verified.is_harmed(&lost) && !verified.is_harmed(&private));
        assert_eq!(verified.standing(&lost, stamp(4)), Standing::Unchecked);
        assert_eq!(verified.damaged(), 1);
        verified.found_damaged(&lost, stamp(4));
        assert_eq!(verified.standing(&lost, stamp(4)), Standing::Damaged);
        verified.forget_needless(|needed| *needed == Sha256::of(b"lost"));
        assert_eq!(verified.damaged(), 1);
        verified.forget_needless(|_| false);
        assert_eq!(verified.damaged(), 0);
        verified.forget(&mirror);
        assert_eq!(verified.standing(&mirror, stamp(3)), Standing::Unchecked);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let verified = Verified::default();
        let files = 3 * (SHARDS * FILES_MAX) as u64;
        for number in 0..files {
            let key = Key::MirrorFile(Sha256::of(&number.to_be_bytes()));
            verified.found_right(&key, stamp(number));
        }
        for shard in &verified.shards {
            let shard = lock(shard);
            assert!(shard.young.len() <= FILES_MAX && shard.old.len() <= FILES_MAX);
        }
    }
}
