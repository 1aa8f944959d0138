//! The records in one SQLite file: nothing to install, nothing to run beside the gateway.
//!
//! The SQL sticks to what PostgreSQL speaks too (`$1`, `ON CONFLICT`, `RETURNING`); what is SQLite's own
//! is in `open`, `rows` and the schema's types.

mod copy;
#[cfg(test)]
mod crash;
mod database;
mod health;
mod indexes;
mod normalised;
mod open;
mod publish;
mod read;
mod recalls;
mod remove;
mod restore;
mod rows;
mod since;
mod snapshot;
mod statement;
#[cfg(test)]
mod steps;
mod tokens;
mod users;
mod waiting;
mod writing;

pub use copy::RecordsFile;
pub use open::Sqlite;
