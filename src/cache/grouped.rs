//! A bounded map whose entries are forgotten by groups: in a moment, however many entries there are.
//!
//! Each group has a number, which grows when the group is forgotten. An entry notes the numbers of its
//! groups as they were before what it was made from was read, and is one only as long as they have not
//! moved. So nothing has to be looked through, and what was made before a change is never answered
//! after it. The memory of what was forgotten is free when it is replaced, or asked for least.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::weighed::{Mark, Weighed};

/// Numbers of groups. Groups share them: what two have in common is made once more.
const NUMBERS: usize = 4_096;

/// A byte-bounded cache. Lookups take no lock that another request holds while it works.
pub struct Grouped<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    entries: Weighed<K, Arc<Entry<V>>>,
    weigh: fn(&K, &V) -> usize,
    groups: fn(&K) -> Vec<String>,
    numbers: Box<[AtomicU64]>,
    hasher: RandomState,
}

struct Entry<V> {
    value: V,
    weight: usize,
    /// Where the numbers of its groups are, and their sum when the value was yet to be made: numbers
    /// only grow, so the sum is the same as long as each of them is.
    slots: Box<[usize]>,
    mark: Mark,
}

impl<K, V> Grouped<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of at most `bytes_max`, as `weigh` counts them. `groups` names the groups of a key, the
    /// one with the fewest entries first.
    #[must_use]
    pub fn new(bytes_max: u64, weigh: fn(&K, &V) -> usize, groups: fn(&K) -> Vec<String>) -> Self {
        Self {
            entries: Weighed::new(bytes_max, |_, entry| entry.weight),
            weigh,
            groups,
            numbers: (0..NUMBERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// What is remembered.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        (self.sum(&entry.slots) == entry.mark).then(|| entry.value.clone())
    }

    /// The point to take before reading what an entry is made from.
    #[must_use]
    pub fn mark(&self, key: &K) -> Mark {
        self.sum(&self.slots(key))
    }

    /// Remembers, unless a group of the entry was forgotten since the mark: then this may be too old.
    pub fn insert_since(&self, mark: Mark, key: K, value: V) {
        let slots = self.slots(&key);
        // In the place of nothing that is newer.
        if self.sum(&slots) != mark {
            return;
        }
        let entry = Entry {
            weight: (self.weigh)(&key, &value),
            value,
            slots,
            mark,
        };
        self.entries.insert(key, Arc::new(entry));
    }

    /// Forgets every entry of a group.
    pub fn forget(&self, group: &str) {
        self.numbers[self.slot(group)].fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets one entry, with those that share its first group.
    pub fn remove(&self, key: &K) {
        if let Some(group) = (self.groups)(key).first() {
            self.forget(group);
        }
        self.entries.remove(key);
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        for number in &self.numbers {
            number.fetch_add(1, Ordering::SeqCst);
        }
        self.entries.remove_if(|_| true);
    }

    /// Bytes remembered, roughly: work is done in batches.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.entries.weight_bytes()
    }

    fn sum(&self, slots: &[usize]) -> Mark {
        let numbers = slots.iter().map(|slot| &self.numbers[*slot]);
        Mark(numbers.fold(0, |sum, number| {
            sum.wrapping_add(number.load(Ordering::SeqCst))
        }))
    }

    fn slots(&self, key: &K) -> Box<[usize]> {
        let groups = (self.groups)(key);
        groups.iter().map(|group| self.slot(group)).collect()
    }

    fn slot(&self, group: &str) -> usize {
        let hash = usize::try_from(self.hasher.hash_one(group) % NUMBERS as u64);
        hash.unwrap_or_default()
    }
}

impl<K, V> fmt::Debug for Grouped<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Grouped({} bytes)", self.weight_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys are numbers; a number's groups are itself and its last digit.
    fn cache() -> Grouped<u32, u32> {
        Grouped::new(
            100_000,
            |_, _| 1,
            |key| vec![key.to_string(), format!("ends in {}", key % 10)],
        )
    }

    fn insert(cache: &Grouped<u32, u32>, key: u32) {
        cache.insert_since(cache.mark(&key), key, key);
    }

    #[test]
    fn a_group_is_forgotten_whole_and_hardly_anything_else() {
        let cache = cache();
        for key in 0..1_000 {
            insert(&cache, key);
        }
        cache.forget("ends in 7");
        let left: Vec<u32> = (0..1_000).filter(|key| cache.get(key).is_some()).collect();
        assert!(left.iter().all(|key| key % 10 != 7));
        // Some share its number.
        assert!(left.len() >= 780, "{}", left.len());
        insert(&cache, 17);
        assert_eq!(cache.get(&17), Some(17));
    }

    #[test]
    fn one_entry_is_forgotten_without_its_neighbours() {
        let cache = cache();
        insert(&cache, 1);
        insert(&cache, 11);
        cache.remove(&1);
        assert_eq!(cache.get(&1), None);
        let are_neighbours = cache.slots(&11).contains(&cache.slots(&1)[0]);
        assert_eq!(cache.get(&11).is_none(), are_neighbours);
        cache.forget_all();
        assert_eq!(cache.get(&11), None);
    }

    #[test]
    fn what_was_made_before_a_change_is_not_remembered_after_it() {
        let cache = cache();
        let forgets: [fn(&Grouped<u32, u32>); 4] = [
            |cache| cache.remove(&7),
            |cache| cache.forget("7"),
            |cache| cache.forget("ends in 7"),
            Grouped::forget_all,
        ];
        for forget in forgets {
            let before = cache.mark(&7);
            forget(&cache);
            cache.insert_since(before, 7, 1);
            assert_eq!(cache.get(&7), None);
            cache.insert_since(cache.mark(&7), 7, 2);
            // Nor does it take the place of what was made after the change.
            cache.insert_since(before, 7, 3);
            assert_eq!(cache.get(&7), Some(2));
        }
    }

    #[test]
    fn bytes_are_bounded_though_what_was_forgotten_is_not_taken_out() {
        let cache: Grouped<u32, Arc<str>> =
            Grouped::new(1 << 20, |_, value| value.len(), |key| vec![key.to_string()]);
        let text: Arc<str> = "x".repeat(20 << 10).into();
        for key in 0..1_000 {
            cache.insert_since(cache.mark(&key), key, Arc::clone(&text));
            cache.forget(&key.to_string());
        }
        assert!(cache.weight_bytes() <= 2 << 20, "{}", cache.weight_bytes());
    }
}
