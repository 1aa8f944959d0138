//! The folder of an export or a backup. It holds password hashes and private files, so only its owner may
//! read it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::moving::report::MovingError;
use crate::store::close_to_others;

/// Creates a folder and its parents.
pub fn make_folder(folder: &Path) -> Result<(), MovingError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(MovingError::io("make", folder))
}

/// The options for creating a file that only its owner may read.
pub fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Refuses a folder that is not empty; `words` say what to do about it.
pub fn must_be_empty(folder: &Path, words: &str) -> Result<(), MovingError> {
    let mut there = std::fs::read_dir(folder).map_err(MovingError::io("read", folder))?;
    if there.next().is_none() {
        return Ok(());
    }
    let words = format!("{} {words}", folder.display());
    Err(MovingError::Directory(words))
}

/// Closes a folder to others; returns what was open.
pub fn close(folder: &Path) -> Result<Vec<String>, MovingError> {
    close_to_others(folder).map_err(MovingError::io("close", folder))
}
