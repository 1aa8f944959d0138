//! Objects in the depot's part of the bucket that it has not put there: counted in each listing, said when
//! their number changes, and left alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Those of the listing under way.
    seen: AtomicU64,
    told: AtomicU64,
}

impl Strangers {
    /// A listing begins.
    pub(super) fn begin(&self) {
        self.seen.store(0, Ordering::Relaxed);
    }

    /// Some are among what is listed.
    pub(super) fn seen(&self, count: u64) {
        self.seen.fetch_add(count, Ordering::Relaxed);
    }

    /// A listing is at its end.
    pub(super) fn tell(&self, place: &str) {
        let seen = self.seen.load(Ordering::Relaxed);
        if self.told.swap(seen, Ordering::Relaxed) == seen || seen == 0 {
            return;
        }
        tracing::warn!(
            "the depot ({place}) has {seen} objects below p/ that no gateway has put there: they are left \
             alone; move them away, or name a prefix of its own for the depot"
        );
    }
}
