//! What was delivered and refused, to whom: the answer to "who got it?".
//!
//! One row for each file that was sent or refused, one a minute for each client and project page. Requests
//! only leave an entry in memory; a task writes them within a second, to a SQLite file of its own, so that
//! neither a slow disk nor a damaged file holds up an installation. What cannot be written waits within
//! limits, and is then lost and counted.
//!
//! Other programs may read the file beside a running server ([`JournalReader`]).

mod asked;
mod entry;
mod error;
mod intake;
mod interned;
mod keep;
mod keeper;
#[cfg(test)]
mod laws;
mod ledger;
mod open;
mod read;
mod refused;
mod row;
mod statement;

pub use asked::JournalAsked;
pub use entry::{JournalAnswer, JournalDecision};
pub use error::JournalError;
pub use keeper::Journal;
pub use open::{JOURNAL_FILE, JournalRules};
pub use read::JournalReader;
pub use refused::JournalRefused;
pub use row::{JournalRow, JournalSubject};
