//! Tests of policies: what is given, and what an index is expected to make of it.
//!
//! `document` reads a file of them, `given` makes files of the facts that it states, `run` has the policies
//! decide, by the functions that decide for pages and files, and says how that differs from what was
//! expected.

mod document;
mod given;
mod run;
#[cfg(test)]
mod tests;

pub use document::{CASES, CaseFile};
#[cfg(test)]
pub use given::GIVEN;
pub use run::{Bench, Difference};
