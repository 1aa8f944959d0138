//! Stand-in for the `gateway` room: the contract with the doors.

mod ask;
mod reply;

pub use ask::{Answer, Ask};
pub use reply::{Body, CacheResult, Decision, Record, Reply, Route};

// The doors send files without knowing the store.
pub use crate::store::{Growing, Readable, StoredFile};
