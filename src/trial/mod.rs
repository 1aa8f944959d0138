//! Policies tried on something before anybody asks: on what a test states, and on what a lock file pins.
//!
//! Nothing is served by what is judged here, and nothing here decides: `judge` asks the functions of `policy` that
//! pages and files ask.

mod case;
#[cfg(test)]
mod fixes;
mod judge;
mod lock_check;
#[cfg(test)]
mod manual;
pub use case::{Bench, CASES, CaseFile, Difference};
pub use lock_check::{Fate, LockFinding, certain_fate, certain_fate_of, refused_entries};
