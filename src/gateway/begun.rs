//! Fills that have a place but whose upstream has not answered yet.
//!
//! An upstream that accepts a request and stays silent occupies a place just as one that drips does.
//! Those who wait for a file to begin are counted here, so that such a fill can give way once nobody
//! waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::Sha256;

/// What identifies a fill: the digest if there is one, otherwise the place and what is stated about it
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FillKey {
    Digest(Sha256),
    Place(Arc<str>),
}

type Table = HashMap<FillKey, Opening>;

/// The fills whose upstream has not answered.
#[derive(Debug, Default)]
pub struct Begun(Mutex<Table>);

#[derive(Debug, Default)]
struct Opening {
    waiters: usize,
    /// Notified to give way; `Some` once the fill has its place.
    gives_way: Option<Arc<Notify>>,
}

/// Somebody who waits for a file to begin.
#[derive(Debug)]
pub struct Waiter<'a> {
    begun: &'a Begun,
    key: FillKey,
}

/// A fill whose upstream is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    begun: &'a Begun,
    key: FillKey,
    gives_way: Arc<Notify>,
}

impl Begun {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes somebody who waits, until the returned value is dropped.
    pub fn wait_for(&self, key: &FillKey) -> Waiter<'_> {
        self.table().entry(key.clone()).or_default().waiters += 1;
        Waiter {
            begun: self,
            key: key.clone(),
        }
    }

    /// Whether somebody waits for a file.
    pub fn is_awaited(&self, key: &FillKey) -> bool {
        let table = self.table();
        table.get(key).is_some_and(|opening| opening.waiters > 0)
    }

    /// Notes that upstream is asked, until the returned value is dropped.
    pub fn begin(&self, key: &FillKey) -> Asked<'_> {
        let gives_way = Arc::new(Notify::new());
        let mut table = self.table();
        table.entry(key.clone()).or_default().gives_way = Some(Arc::clone(&gives_way));
        Asked {
            begun: self,
            key: key.clone(),
            gives_way,
        }
    }

    /// Makes one that nobody waits for give its place away; returns whether there was one.
    pub fn nudge(&self) -> bool {
        let table = self.table();
        let mut unread = table.values().filter(|opening| opening.waiters == 0);
        let gives_way = unread.find_map(|opening| opening.gives_way.as_ref());
        gives_way
            .inspect(|gives_way| gives_way.notify_one())
            .is_some()
    }

    fn change(&self, key: &FillKey, change: impl FnOnce(&mut Opening)) {
        let mut table = self.table();
        if let Some(opening) = table.get_mut(key) {
            change(opening);
            if opening.waiters == 0 && opening.gives_way.is_none() {
                table.remove(key);
            }
        }
    }
}

impl Asked<'_> {
    /// Resolves when somebody else should have the place.
    pub async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.begun.change(&self.key, |opening| opening.waiters -= 1);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.begun
            .change(&self.key, |opening| opening.gives_way = None);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn only_what_nobody_waits_for_gives_way_and_nothing_is_left_in_the_table() {
        let begun = Begun::default();
        let key = FillKey::Place("https://upstream.example/six-1.zip".into());
        let waiters = [begun.wait_for(&key), begun.wait_for(&key)];
        let asked = begun.begin(&key);
        let [first, second] = waiters;
        drop(first);
        assert!(!begun.nudge() && begun.is_awaited(&key));
        assert_eq!(asked.gives_way().now_or_never(), None);
        drop(second);
        assert!(begun.nudge() && !begun.is_awaited(&key));
        assert_eq!(asked.gives_way().now_or_never(), Some(()));
        drop(asked);
        assert!(begun.table().is_empty() && !begun.nudge());
    }
}
