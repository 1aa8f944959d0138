//! How writes reach what is remembered: at once, and also what is just being made from before them.
//!
//! A page that is rendered while a file is published may have been read before the publication and
//! remembered after it. So whoever makes something from the records notes the count of writes first,
//! and forgets what it made if the count has moved: either the writer finds it and forgets it, or its
//! maker sees that there was a writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the writes of this process to what stages hold.
#[derive(Debug, Default)]
pub struct Changes(AtomicU64);

impl Changes {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts one more.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
