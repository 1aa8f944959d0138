//! The folder that an export or a backup goes into. Password hashes and private files are in it: it is
//! for its owner's eyes only.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::moving::report::MovingError;
use crate::store::close_to_others;

/// Makes a folder, and those that it lies in.
pub fn make_folder(folder: &Path) -> Result<(), MovingError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(MovingError::io("make", folder))
}

/// How a file is opened to be written.
pub fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Refuses a folder in which there is something; `words` say what to do about it.
pub fn must_be_empty(folder: &Path, words: &str) -> Result<(), MovingError> {
    let mut there = std::fs::read_dir(folder).map_err(MovingError::io("read", folder))?;
    if there.next().is_none() {
        return Ok(());
    }
    let words = format!("{} {words}", folder.display());
    Err(MovingError::Directory(words))
}

/// Closes a folder to others; in words, what was open.
pub fn close(folder: &Path) -> Result<Vec<String>, MovingError> {
    close_to_others(folder).map_err(MovingError::io("close", folder))
}
