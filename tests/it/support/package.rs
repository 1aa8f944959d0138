//! The Debian package, built as people build it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the package into a folder and returns its path.
///
/// # Panics
/// When it cannot be built, with the script's output.
pub(crate) fn build_deb(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_BIN_EXE_cheesecloth"));
    let built = Command::new(root.join("deploy/debian/build-deb"))
        .args([program, folder])
        .env("DEB_COMPRESSION", "none")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let faults = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}{faults}");
    PathBuf::from(said.trim_end())
}
