//! The records in one SQLite file: nothing to install, nothing to run beside the gateway.
//!
//! The statements are in `sql`; here is what is SQLite's own: how the file is opened, copied and kept whole.

mod copy;
#[cfg(test)]
mod crash;
mod failed;
mod normalised;
mod open;
#[cfg(test)]
mod steps;
mod waiting;

pub use copy::RecordsFile;
pub(super) use failed::failed;
pub use open::Sqlite;
