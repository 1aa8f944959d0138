//! One file of a release, as an index lists it (PEP 503, 592, 658, 691, 700, 714, 740).

use std::sync::Arc;

use crate::model::Timestamp;
use crate::model::digest::Hashes;
use crate::model::filename::Filename;
use crate::model::inside::Inside;

/// A wheel, an sdist, or an older kind of archive, with everything known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its name, which belongs to the project of the page.
    pub filename: Filename,
    /// Where an upstream keeps it, absolute; `None` for a file of a stage.
    pub url: Option<Arc<str>>,
    /// Every digest stated; empty for a file that nobody has hashed yet.
    pub hashes: Hashes,
    /// Length in bytes, if known.
    pub size: Option<u64>,
    /// When it was uploaded, and who says so.
    pub upload_time: Option<UploadTime>,
    /// `Requires-Python`, never empty.
    pub requires_python: Option<Arc<str>>,
    /// Whether its release was withdrawn (PEP 592).
    pub yanked: Yanked,
    /// Whether `{url}.metadata` is available (PEP 658, 714).
    pub core_metadata: CoreMetadata,
    /// URL of its provenance (PEP 740).
    pub provenance: Option<Arc<str>>,
    /// Whether it has a detached signature (PEP 503).
    pub gpg_sig: bool,
    /// What was found inside it.
    pub inside: Inside,
}

impl File {
    /// A file of which only the name is known.
    #[must_use]
    pub fn named(filename: Filename) -> Self {
        Self {
            filename,
            url: None,
            hashes: Hashes::default(),
            size: None,
            upload_time: None,
            requires_python: None,
            yanked: Yanked::No,
            core_metadata: CoreMetadata::Absent,
            provenance: None,
            gpg_sig: false,
            inside: Inside::default(),
        }
    }
}

/// When a file was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadTime {
    /// The instant.
    pub at: Timestamp,
    /// Where it comes from.
    pub source: UploadTimeSource,
}

/// Who says when a file was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadTimeSource {
    /// The upstream index (PEP 700), or our own records for a private file.
    Index,
    /// Nobody: it is when this gateway first saw the file listed.
    FirstSeen,
}

/// PEP 592: whether installers should skip a file unless it is pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Yanked {
    /// Not yanked.
    #[default]
    No,
    /// Yanked, perhaps with a reason (never empty).
    Yes(Option<Arc<str>>),
}

impl Yanked {
    /// Whether it is yanked, with or without a reason.
    #[must_use]
    pub fn is_yanked(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    /// The reason, empty if there is none; `None` if it is not yanked.
    #[must_use]
    pub fn to_text(&self) -> Option<&str> {
        match self {
            Self::No => None,
            Self::Yes(reason) => Some(reason.as_deref().unwrap_or_default()),
        }
    }

    /// The inverse of [`Yanked::to_text`].
    #[must_use]
    pub fn of_text(text: Option<&str>) -> Self {
        match text {
            None => Self::No,
            Some("") => Self::Yes(None),
            Some(reason) => Self::Yes(Some(reason.into())),
        }
    }
}

/// PEP 658 and 714: whether the metadata sidecar exists upstream, and its digests where stated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CoreMetadata {
    /// Not announced.
    #[default]
    Absent,
    /// Announced without a digest.
    Present,
    /// Announced with digests.
    Hashed(Hashes),
    /// Found to be unavailable: neither at the announced place nor in the file, or not as stated.
    Unobtainable,
}
