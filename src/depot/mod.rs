//! Keeps uploaded bytes in a bucket of an object store, by S3 (docs/adr/0059-the-depot.md).
//!
//! The bucket has the truth and the local store is a cache before it. An object's key is the digest of its
//! bytes and nothing else, so whoever writes it writes the same; what comes back is compared with its key
//! by whoever keeps it. Absence is `Ok(None)`; a server that cannot be reached is an error, never absence.

mod answers;
mod credentials;
mod error;
mod health;
mod key;
mod objects;
mod place;
mod sending;
mod strangers;
mod trial;
mod wire;
mod withdrawal;

pub use error::DepotError;
pub use key::DepotKey;
pub use objects::{Deposited, Depot, InDepot};
pub use withdrawal::Withdrawal;
