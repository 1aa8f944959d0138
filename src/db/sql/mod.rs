//! The records in tables: the statements that SQLite and PostgreSQL both understand, and what they mean.
//!
//! The SQL sticks to what both speak (`$1`, `ON CONFLICT`, `RETURNING`). What only one of them does, such
//! as its schema, its connections and its error codes, is in that one's folder, behind
//! [`Engine`].

mod connection;
mod database;
mod engine;
mod facts;
mod health;
mod indexes;
mod publish;
mod read;
mod recalls;
mod remove;
mod restore;
mod rows;
mod since;
mod snapshot;
mod statement;
mod tables;
mod tokens;
mod transfer;
mod users;
mod waiting;
mod writing;

pub use connection::{Connection, Held};
pub use engine::{Engine, Own};
pub(super) use facts::new_facts;
pub use health::Health;
pub(super) use rows::reader;
pub(super) use statement::{Statement, statement};
#[cfg(test)]
pub(super) use tables::{Kind, TABLES};
pub use transfer::{MovedRecords, move_records};
pub(super) use waiting::{Waits, begun, connection};
