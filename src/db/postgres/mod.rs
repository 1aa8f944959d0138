//! The records in a PostgreSQL database: for more than one machine, or for those who run one anyway.
//!
//! The statements are in `sql`; here is what is PostgreSQL's own: how it is connected to, who may serve
//! from it, and what its errors mean. See docs/scale.md and docs/adr/0054.

#[cfg(test)]
#[path = "../../../tests/it/support/postgres.rs"]
mod cluster;
#[cfg(test)]
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../../../tests/it/support/debian.rs"]
mod debian;
mod failed;
mod hold;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod moved;
mod open;
mod waiting;

pub(super) use failed::{can_be_stored, within};
pub use open::Postgres;
