//! What every database must do: one suite, run against each implementation of [`crate::db::contract::Db`].
//!
//! Each law is a function of a fresh database; `conformance!` makes a test of each for one way to open
//! one. The opener answers a guard (a temporary folder, a schema to drop) beside the database.

mod accounts;
mod content;
mod holdings;
mod moving;
mod recalls;
mod since;
mod suite;
mod support;
mod tokens;

pub(super) use crate::db::conformance::accounts::*;
pub(super) use crate::db::conformance::content::*;
pub(super) use crate::db::conformance::holdings::*;
pub(super) use crate::db::conformance::moving::*;
pub(super) use crate::db::conformance::recalls::*;
pub(super) use crate::db::conformance::since::*;
pub(super) use crate::db::conformance::suite::conformance;
pub(super) use crate::db::conformance::support::{file, index, new_index, now, publication};
pub(super) use crate::db::conformance::tokens::*;
