//! What lock files pin: projects, versions, and the digests of their files.
//!
//! Four formats are read: requirements files of pip, `uv.lock`, `pylock.toml` (PEP 751) and `poetry.lock`.
//! Only what an index serves is listed; sources such as git, paths and direct URLs never pass through this
//! gateway and are skipped.

mod pin;
mod requirements;
mod tables;

pub use pin::{Lockfile, Pin, PinnedFile};
