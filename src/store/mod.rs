//! Keeps bytes under their digest, on local disk.
//!
//! Nothing is visible under its key before it is complete and is what it claims to be: everything is
//! written to `tmp/` and renamed. Absence is `Ok(None)`; a failing disk is an error, never absence.
//! Opening a store costs the same however much it holds.

mod aside;
mod cached;
mod check;
mod closed;
mod contents;
mod digester;
mod draft;
mod error;
mod fs;
mod growing;
mod heal;
mod hold;
mod holdings;
mod inspect;
mod key;
#[cfg(test)]
mod laws;
mod making;
mod pages;
mod passing;
mod quota;
mod seal;
mod temporary;
mod tree;
mod verified;
mod walk;
mod writer;

pub use closed::close_to_others;
pub use contents::{Contents, Kept};
pub use digester::{Digests, check};
pub use draft::Draft;
pub use error::StoreError;
pub use fs::{FsStore, StoredFile};
pub use growing::{Blame, Failure, Growing, HELD_BACK_BYTES, Readable};
pub use hold::Hold;
pub use holdings::{CopyPath, Holdings};
pub use key::Key;
pub use making::Making;
pub use passing::Passing;
pub use quota::Usage;
pub use verified::Standing;
pub use writer::Stored;
