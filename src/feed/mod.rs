//! Feeds of advisories that keep themselves: fetched, checked, swapped in whole, and read again later.
//!
//! `shelf` is what is kept of one feed on the disk, `fetch` asks its source once, `keeper` does so now and
//! then for all of them, and `original` finds the document that a client asks for.

mod fetch;
mod keeper;
mod original;
mod shelf;

pub use keeper::{Keeper, KeeperParts};
pub use original::{Originals, read_original};
pub use shelf::give_held;
