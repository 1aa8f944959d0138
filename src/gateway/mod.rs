//! Stand-in for the `gateway` room: the contract with the doors.

mod ask;
mod reply;

pub use ask::{Answer, Ask};
pub use reply::{Body, CacheResult, Decision, Record, Reply, Route};
