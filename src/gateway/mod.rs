//! The flows; the only room that combines others.

mod ask;
mod reply;

pub use crate::store::{Growing, Readable, StoredFile};
pub use ask::{Answer, Ask};
pub use reply::{Body, CacheResult, Decision, Record, Reply, Route};
