//! What a rule may ask of one file about the others that its index lists of the same project.
//!
//! They are those of the same member of a stack, not of the merged page: what a policy on a base says of a
//! file does not depend on what an index above it adds.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::language::Undated;
use crate::model::{File, IndexName, ProjectState, Timestamp, Version};
use crate::policy::lineage::Lineage;
use crate::policy::published::PublishedAt;

/// What one member of a stack lists of a project.
#[derive(Debug, Clone, Copy)]
pub struct ListedFiles<'a> {
    /// Its position in [`Stack::members`](crate::policy::Stack::members).
    pub member: usize,
    /// The project's status there.
    pub status: ProjectState,
    /// All files that it lists.
    pub files: &'a [File],
}

/// The files of a listing, as rules look at them.
#[derive(Debug)]
pub(super) struct Siblings<'a> {
    files: &'a [File],
    mirror: Option<(&'a IndexName, Undated)>,
    /// Worked out when a rule first asks for it.
    releases: OnceCell<BTreeMap<Version, ReleaseDates>>,
    /// The same, for each policy.
    lineages: RefCell<Vec<(LineageKey, Arc<Lineage>)>>,
}

/// A policy's name, and the two instants.
pub(super) type LineageKey = (Arc<str>, Timestamp, Option<Timestamp>);

/// When the files of a release were published.
#[derive(Debug, Default)]
struct ReleaseDates {
    /// The earliest date.
    first: Option<Timestamp>,
    /// Whether some file counts as older than any date.
    is_old: bool,
    /// Whether the date of some file is unknown.
    has_undated: bool,
}

impl<'a> Siblings<'a> {
    pub(super) fn new(files: &'a [File], mirror: Option<(&'a IndexName, Undated)>) -> Self {
        Self {
            files,
            mirror,
            releases: OnceCell::new(),
            lineages: RefCell::default(),
        }
    }

    /// Whether a file of that day was added to a release more than this after its first file; `None` if
    /// that is not known.
    pub(super) fn is_late(&self, version: &Version, at: Timestamp, late: Duration) -> Option<bool> {
        let release = self.releases().get(version)?;
        // A time beyond the calendar is never reached.
        let ends = |first: Timestamp| first.checked_add(late).unwrap_or(Timestamp::MAX);
        if release.is_old || release.first.is_some_and(|first| at > ends(first)) {
            return Some(true);
        }
        (!release.has_undated).then_some(false)
    }

    /// The date of the first file of a release, as far as it is known.
    pub(super) fn began(&self, version: &Version) -> Option<Timestamp> {
        self.releases().get(version)?.first
    }

    /// Which versions a policy allows, as of an instant and with files that age until another; made if that
    /// is not known yet.
    pub(super) fn lineage(
        &self,
        key: LineageKey,
        make: impl FnOnce(&'a [File]) -> Lineage,
    ) -> Arc<Lineage> {
        let mut lineages = self.lineages.borrow_mut();
        if let Some((_, lineage)) = lineages.iter().find(|(known, _)| *known == key) {
            return Arc::clone(lineage);
        }
        let lineage = Arc::new(make(self.files));
        lineages.push((key, Arc::clone(&lineage)));
        lineage
    }

    fn releases(&self) -> &BTreeMap<Version, ReleaseDates> {
        self.releases.get_or_init(|| {
            let mut releases: BTreeMap<Version, ReleaseDates> = BTreeMap::new();
            for file in self.files {
                let release = releases.entry(file.filename.version()).or_default();
                match PublishedAt::of(file, self.mirror) {
                    PublishedAt::Time(at) => {
                        release.first = Some(release.first.map_or(at, |first| first.min(at)));
                    }
                    PublishedAt::BeforeAnything => release.is_old = true,
                    PublishedAt::Unknown => release.has_undated = true,
                }
            }
            releases
        })
    }
}
