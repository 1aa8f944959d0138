//! The data folder belongs to its owner alone.
//!
//! It holds the key that signs logins, password hashes and the content of private indexes: whoever can
//! read it on this machine is root of the gateway. So the folder is 0700, and what is created in it
//! 0600. A folder that is found open is closed.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::store::close_to_others;

/// What only the owner may do.
const OTHERS: u32 = 0o077;

/// Creates the data folder if it is missing, closes it to everybody else if it is not, and keeps
/// everything this process creates from now on to its owner. Returns in words what was open.
///
/// # Errors
/// When it cannot be made or read.
pub(super) fn own(data: &Path) -> anyhow::Result<Vec<String>> {
    make_closed();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("make the data directory {}", data.display()))?;
    let mended = close_to_others(data).with_context(|| format!("look into {}", data.display()))?;
    for words in &mended {
        tracing::warn!(data = %data.display(), "{words}");
    }
    Ok(mended)
}

/// Keeps everything this process creates from now on to its owner.
pub(super) fn make_closed() {
    umask(Mode::from_raw_mode(OTHERS));
}
