//! A map that forgets what is asked for least once its bytes exceed their limit.
//!
//! What is remembered may be made from something that changes meanwhile. So the caller takes a [`Mark`]
//! before reading anything, and an entry that was forgotten since then is not remembered again.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// From this weight on, room for an entry is made immediately. The cache otherwise collects dozens of
/// insertions before it checks its limit; with large pages those would exceed the limit itself.
const LARGE: usize = 16 << 10;

/// Counters of forgotten entries. Keys share them: a collision costs one entry made again.
const COUNTERS: usize = 64;

/// A point in the order in which entries with the same counter were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(pub(super) u64);

/// A byte-bounded cache. Lookups take no lock that another request holds while it works.
#[derive(Clone)]
pub struct Weighed<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    entries: moka::sync::Cache<K, V>,
    weigh: fn(&K, &V) -> usize,
    forgotten: Arc<[AtomicU64; COUNTERS]>,
    hasher: RandomState,
}

impl<K, V> Weighed<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of at most `bytes_max`, as `weigh` counts them.
    #[must_use]
    pub fn new(bytes_max: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(bytes_max)
            .weigher(move |key, value| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX))
            .build();
        Self {
            entries,
            weigh,
            forgotten: Arc::new([const { AtomicU64::new(0) }; COUNTERS]),
            hasher: RandomState::new(),
        }
    }

    /// What is remembered.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key)
    }

    /// Remembers a value, replacing what was remembered under the key.
    pub fn insert(&self, key: K, value: V) {
        let is_large = (self.weigh)(&key, &value) >= LARGE;
        self.entries.insert(key, value);
        if is_large {
            self.entries.run_pending_tasks();
        }
    }

    /// The mark to take before reading what an entry is made from.
    #[must_use]
    pub fn mark(&self, key: &K) -> Mark {
        Mark(self.counter(key).load(Ordering::SeqCst))
    }

    /// Remembers a value, unless the entry was forgotten since the mark: then it may be too old.
    pub fn insert_since(&self, mark: Mark, key: K, value: V) {
        if self.mark(&key) != mark {
            return;
        }
        self.insert(key.clone(), value);
        // Checked again: a removal between the check and the insertion did not see this value.
        if self.mark(&key) != mark {
            self.entries.invalidate(&key);
        }
    }

    fn counter(&self, key: &K) -> &AtomicU64 {
        let hash = usize::try_from(self.hasher.hash_one(key) % COUNTERS as u64);
        &self.forgotten[hash.unwrap_or_default()]
    }

    /// Forgets one entry.
    pub fn remove(&self, key: &K) {
        self.counter(key).fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate(key);
    }

    /// Forgets every entry present now for which the condition holds. Looks at every key, so it is meant
    /// for rare events.
    pub fn remove_if(&self, condition: impl Fn(&K) -> bool) {
        for counter in &*self.forgotten {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        // Not `invalidate_entries_if`: it misses young entries that still wait to be taken into the
        // cache's order, and they would be returned afterwards.
        for (key, _) in self.entries.iter().filter(|(key, _)| condition(key)) {
            self.entries.invalidate(&*key);
        }
    }

    /// Bytes remembered, roughly, since bookkeeping is done in batches.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.entries.weighted_size()
    }
}

impl<K, V> fmt::Debug for Weighed<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Weighed({} bytes)", self.weight_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded() {
        let cache: Weighed<u32, String> = Weighed::new(1_000, |_, value| value.len());
        for key in 0..100 {
            cache.insert(key, "x".repeat(100));
        }
        cache.entries.run_pending_tasks();
        assert!(cache.weight_bytes() <= 1_000);
        assert!(cache.entries.entry_count() > 0);
    }

    #[test]
    fn large_entries_are_never_more_than_the_limit_and_one() {
        let cache: Weighed<u32, String> = Weighed::new(4 * LARGE as u64, |_, value| value.len());
        for key in 0..100 {
            cache.insert(key, "x".repeat(LARGE));
            assert!(cache.entries.iter().count() <= 5, "after {key}");
        }
    }

    #[test]
    fn what_is_forgotten_is_gone_at_once() {
        let cache: Weighed<u32, u32> = Weighed::new(1_000, |_, _| 1);
        cache.insert(1, 1);
        cache.insert(2, 2);
        cache.remove_if(|key| *key == 1);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(2)));
        cache.insert(1, 3);
        assert_eq!(cache.get(&1), Some(3));
    }

    #[test]
    fn forgetting_some_spares_the_rest_and_what_comes_later() {
        let cache: Weighed<u32, u32> = Weighed::new(100_000, |_, _| 1);
        for key in 0..1_000 {
            cache.insert(key, key);
        }
        cache.remove_if(|key| key % 2 == 0);
        for key in 0..1_000 {
            assert_eq!(cache.get(&key).is_some(), key % 2 == 1, "{key}");
        }
        for key in 0..1_000 {
            cache.insert(key, 0);
        }
        cache.entries.run_pending_tasks();
        assert!((0..1_000).all(|key| cache.get(&key) == Some(0)));
    }

    #[test]
    fn what_was_made_before_a_change_is_not_remembered_after_it() {
        let cache: Weighed<u32, u32> = Weighed::new(1_000, |_, _| 1);
        let forgets: [fn(&Weighed<u32, u32>); 2] =
            [|cache| cache.remove(&7), |cache| cache.remove_if(|_| false)];
        for forget in forgets {
            let before = cache.mark(&7);
            forget(&cache);
            cache.insert_since(before, 7, 1);
            assert_eq!(cache.get(&7), None);
            cache.insert_since(cache.mark(&7), 7, 2);
            // Nor does it replace what was made after the change.
            cache.insert_since(before, 7, 3);
            assert_eq!(cache.get(&7), Some(2));
            cache.remove(&7);
        }
    }
}
