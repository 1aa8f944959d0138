//! What is known of one file when rules are asked about it.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::advisory::{Advisory, Freshness, KnownAdvisories};
use crate::language::Undated;
use crate::model::{
    File, IndexName, Inside, Kind, License, ProjectState, StartupFiles, Timestamp, Version,
};
use crate::policy::lineage::Lineage;
use crate::policy::published::PublishedAt;
use crate::policy::siblings::Siblings;

/// What rules need to know of the inside of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    /// Its licence.
    pub license: bool,
    /// Whether it has startup files.
    pub startup_files: bool,
}

/// Everything a rule may ask about one file; the rule's project is already known to match.
#[derive(Clone)]
pub(super) struct Facts<'a> {
    pub(super) file: &'a File,
    /// The mirror it comes from and that mirror's setting for undated files; `None` for a stage.
    pub(super) mirror: Option<(&'a IndexName, Undated)>,
    pub(super) status: ProjectState,
    /// The advisories about its project.
    pub(super) advisories: &'a [Advisory],
    /// All that is known, to tell whether it may be relied on.
    known: Option<&'a KnownAdvisories>,
    /// The instant at which it stops ageing: its upstream has not answered since.
    pub(super) grows_until: Option<Timestamp>,
    /// All files that its index lists; `None` if they are not known.
    pub(super) siblings: Option<&'a Siblings<'a>>,
    /// Which of them the policy allows, if a rule of it asks.
    pub(super) lineage: Option<&'a Lineage>,
    version: OnceCell<Version>,
}

impl Needs {
    /// What is known of a file already: what somebody needed once.
    #[must_use]
    pub fn known_of(inside: &Inside) -> Self {
        Self {
            license: inside.license != License::Unread,
            startup_files: inside.startup_files != StartupFiles::Unread,
        }
    }

    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            license: self.license || other.license,
            startup_files: self.startup_files || other.startup_files,
        }
    }
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        file: &'a File,
        mirror: Option<(&'a IndexName, Undated)>,
        status: ProjectState,
        advisories: &'a [Advisory],
    ) -> Self {
        Self {
            file,
            mirror,
            status,
            advisories,
            known: None,
            grows_until: None,
            siblings: None,
            lineage: None,
            version: OnceCell::new(),
        }
    }

    /// The same, with advisories that are among these: if they may not be relied on, neither may what they
    /// do not say.
    pub(super) fn relying_on(mut self, known: &'a KnownAdvisories) -> Self {
        self.known = Some(known);
        self
    }

    /// The feed for which it is not certain that no further advisory concerns the file.
    pub(super) fn doubt(&self, now: Timestamp) -> Option<&'a Freshness> {
        self.known?.doubt(now)
    }

    /// When there will be one.
    pub(super) fn next_doubt(&self, now: Timestamp) -> Option<Timestamp> {
        self.known?.next_doubt(now)
    }

    /// The same file, among those that its index lists.
    pub(super) fn among(mut self, siblings: Option<&'a Siblings<'a>>) -> Self {
        self.siblings = siblings;
        self
    }

    /// What is known of another file of the listing.
    pub(super) fn of_sibling(&self, file: &'a File) -> Self {
        Self {
            file,
            lineage: None,
            version: OnceCell::new(),
            ..self.clone()
        }
    }

    /// The same file, beside the versions that the policy allows.
    pub(super) fn beside<'b>(self, lineage: &'b Lineage) -> Facts<'b>
    where
        'a: 'b,
    {
        Facts {
            lineage: Some(lineage),
            ..self
        }
    }

    /// The same file, considered no older than it was at an instant.
    pub(super) fn grown_until(mut self, instant: Timestamp) -> Self {
        self.grows_until = Some(instant);
        self
    }

    /// The instant at which its age is measured.
    pub(super) fn aged_at(&self, now: Timestamp) -> Timestamp {
        self.grows_until.map_or(now, |until| until.min(now))
    }

    pub(super) fn version(&self) -> &Version {
        self.version.get_or_init(|| self.file.filename.version())
    }

    pub(super) fn is_wheel(&self) -> bool {
        self.file.filename.kind() == Kind::Wheel
    }

    /// Its licence; an installer for an operating system has no metadata that could state one.
    pub(super) fn license(&self) -> &License {
        match self.file.filename.kind() {
            Kind::Other => &License::Unknown,
            Kind::Wheel | Kind::Sdist | Kind::Egg => &self.file.inside.license,
        }
    }

    /// Its licence, for `explain`.
    pub(super) fn license_words(&self) -> String {
        match self.license() {
            License::Stated(expression) => format!("its licence is {expression}"),
            License::Unknown => "it states no licence that can be read".to_owned(),
            License::Unread => "its licence is not known yet".to_owned(),
        }
    }

    /// The advisory that it is free of, and the newest allowed version is not.
    pub(super) fn fixed(&self) -> Option<&'a Arc<str>> {
        self.lineage?.fixed(self.version(), self.advisories)
    }

    /// When the first file of its release was published.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.siblings?.began(self.version())
    }

    pub(super) fn published(&self) -> PublishedAt {
        PublishedAt::of(self.file, self.mirror)
    }
}
