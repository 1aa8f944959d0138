//! Small files and sidecars, whole in memory.

use std::io::IoSliceMut;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use crate::cache::Weighed;
use crate::exchange::{CacheResult, Core};
use crate::model::{Hashes, Sha256};
use crate::protocol::ETag;
use crate::store::{Key, StoredFile};
use crate::telemetry::{CacheKind, Tier};

/// Largest file kept in memory: opening a file costs as much as sending this much of it.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// What a small file takes in memory besides its bytes.
const ENTRY_BYTES: usize = 200;

/// A small file or a sidecar, whole in memory.
#[derive(Debug, Clone)]
pub struct Small {
    /// Its bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub sha256: Sha256,
    /// Its digest as a tag, since computing it costs more than everything else about an answer.
    pub etag: ETag,
}

impl Small {
    pub fn new(bytes: Bytes) -> Self {
        let sha256 = Sha256::of(&bytes);
        let etag = ETag::of_digest(&sha256);
        Self {
            bytes,
            sha256,
            etag,
        }
    }

    /// The whole of a file that is small enough for memory, if it can be read without waiting for a disk.
    pub fn of(stored: &StoredFile) -> Option<Self> {
        let length = usize::try_from(stored.len()).ok()?;
        if length > SMALL_BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; length];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let read = preadv2(stored.file(), &mut slices, 0, ReadWriteFlags::NOWAIT);
        (read == Ok(length)).then(|| Self::new(bytes.into()))
    }
}

/// The small files in memory, by their key in the store.
#[derive(Debug)]
pub struct SmallFiles {
    core: Arc<Core>,
    held: Weighed<Key, Small>,
}

impl SmallFiles {
    pub fn new(core: Arc<Core>, bytes_max: u64) -> Self {
        let held = Weighed::new(bytes_max, |_, small: &Small| {
            small.bytes.len() + ENTRY_BYTES
        });
        Self { core, held }
    }

    /// What is held in memory under a key.
    pub fn get(&self, kind: CacheKind, key: &Key) -> Option<Small> {
        self.core.look(Tier::Memory, kind, self.held.get(key))
    }

    /// What is held under a key in memory, or kept on disk with these digests, if it fits.
    pub fn find(
        &self,
        kind: CacheKind,
        key: &Key,
        stated: &Hashes,
        fits: impl Fn(&Small) -> bool,
    ) -> Option<Small> {
        if let Some(small) = self.get(kind, key).filter(&fits) {
            return Some(small);
        }
        let most = self.core.settings.limits.upstream.metadata;
        let bytes = self.core.small_copy(key, most, stated)?;
        let small = Some(Small::new(bytes)).filter(fits)?;
        self.insert(key.clone(), small.clone());
        self.core.looked_into_store(kind, CacheResult::Hit);
        Some(small)
    }

    pub fn insert(&self, key: Key, small: Small) {
        self.held.insert(key, small);
    }

    /// Forgets what was held under a key: the store has something else there, or nothing.
    pub fn forget(&self, key: &Key) {
        self.held.remove(key);
    }

    pub fn weight_bytes(&self) -> u64 {
        self.held.weight_bytes()
    }
}
