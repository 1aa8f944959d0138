//! The common shape of all lock files.

use std::sync::Arc;

use crate::language::lockfile::{requirements, tables};
use crate::model::{Faults, Location, ProjectName, Sha256, Timestamp, Version};

/// A lock file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Lockfile {
    /// Which format it has.
    pub format: LockfileFormat,
    /// What it pins, in its own order; a project may come more than once.
    pub pins: Vec<Pin>,
}

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockfileFormat {
    /// pip's requirements file, with or without `--hash`.
    Requirements,
    /// uv's own.
    Uv,
    /// PEP 751.
    Pylock,
    /// poetry's own.
    Poetry,
}

/// One release that a lock file names.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The project.
    pub project: ProjectName,
    /// The version, if exactly one is named.
    pub version: Option<Version>,
    /// The files, if they are named.
    pub files: Vec<PinnedFile>,
    /// Whether digests of any kind are stated; other files do not pass then.
    pub has_digests: bool,
    /// Where it is named.
    pub location: Location,
}

/// One file that a lock file names, with the parts that are stated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PinnedFile {
    /// Its name.
    pub filename: Option<Arc<str>>,
    /// Where it was found when the lock file was written, which may be an index other than ours.
    pub url: Option<Arc<str>>,
    /// Its sha256.
    pub sha256: Option<Sha256>,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// When it was uploaded.
    pub upload_time: Option<Timestamp>,
}

impl Lockfile {
    /// Parses a lock file. A path that ends in `.txt` or `.in` is a requirements file; the others are
    /// recognised by their content. `path` is also the name in faults.
    ///
    /// # Errors
    /// Everything in it that cannot be read, with line and column.
    pub fn parse(path: &str, text: &str) -> Result<Self, Faults> {
        let is_requirements = [".txt", ".in"].iter().any(|ending| path.ends_with(ending));
        if is_requirements {
            return requirements::parse(path, text);
        }
        tables::parse(path, text)
    }
}

/// Parses `sha256:1234…` as lock files write digests. Other algorithms are accepted and not kept.
///
/// The error is the text of a fault.
pub(super) fn sha256_of(digest: &str) -> Result<Option<Sha256>, String> {
    match digest.split_once(':') {
        Some(("sha256", hex)) => Sha256::parse(hex)
            .map(Some)
            .map_err(|error| error.to_string()),
        Some((algorithm, hex)) if !algorithm.is_empty() && !hex.is_empty() => Ok(None),
        Some(_) | None => Err(format!("{digest:?} is not a digest such as sha256:…")),
    }
}
