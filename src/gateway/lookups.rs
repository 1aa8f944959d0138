//! Look-ups of files and sidecars, and how they are counted.

use crate::gateway::context::{Shared, Small};
use crate::gateway::reply::CacheResult;
use crate::store::Key;
use crate::telemetry::{CacheKind, LookUp, Tier};

impl Shared {
    /// What is held in memory under a key.
    pub fn small_held(&self, kind: CacheKind, key: &Key) -> Option<Small> {
        let held = self.small.get(key);
        self.looked_into_memory(kind, held.is_some());
        held
    }

    /// Counts a look into memory.
    pub fn looked_into_memory(&self, kind: CacheKind, is_there: bool) {
        let result = if is_there { LookUp::Hit } else { LookUp::Miss };
        self.metrics.looked_up(Tier::Memory, kind, result);
    }

    /// Counts what a look into the store led to: it was there, or is being fetched for this request or
    /// another.
    pub fn looked_into_store(&self, kind: CacheKind, led_to: CacheResult) {
        let result = match led_to {
            CacheResult::Hit => LookUp::Hit,
            CacheResult::Collapsed => LookUp::Collapsed,
            CacheResult::Bypass
            | CacheResult::Revalidated
            | CacheResult::Miss
            | CacheResult::Stale(_) => LookUp::Miss,
        };
        self.metrics.looked_up(Tier::Store, kind, result);
    }
}
