//! The catalogue as it stands at one time, and the one in force.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::model::{IndexName, ProjectName, SearchLimits};
use crate::search::about::ReleaseAbout;
use crate::search::lists::ListedNames;
use crate::search::notices::CatalogueNotices;
use crate::search::query::SearchQuery;
use crate::search::rank::ProjectOrigin;
use crate::search::shelf::{Shelf, ShelfEntry};
use crate::search::typos::Typos;
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// Most releases that are asked about in one search whether they may be told and may not: each takes a look at
/// the rules. What is left then is found by its name only.
const CHECKS_MAX: usize = 2_000;

/// Whether what a release says may be told, by its project's name.
pub type MayTell<'a> = &'a dyn Fn(&str, Holding<'_>) -> bool;

/// A name, and why it may be found; the greatest is the next. What needs no release's words comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<'a> {
    score: u32,
    name: Reverse<&'a str>,
    /// The shelf and the entry whose words it takes.
    told_by: Reverse<Option<(usize, u32)>>,
}

/// What everybody searches, and where flows note what is new.
#[derive(Debug)]
pub struct Catalogue {
    in_force: ArcSwap<Edition>,
    typos: Typos,
    permits: Permits,
    pub(super) notices: CatalogueNotices,
    /// Somebody has searched since lists were asked for.
    is_wanted: AtomicBool,
    pub(super) bytes_max: usize,
}

/// Everything that is known at one time. It never changes.
#[derive(Debug, Default)]
pub struct Edition {
    pub(super) indexes: Vec<IndexName>,
    pub(super) lists: Arc<ListedNames>,
    pub(super) base: Arc<Shelf>,
    /// What has changed since the base was made.
    pub(super) recent: Arc<Shelf>,
    /// Entries of the base that are gone, or stand in `recent`.
    pub(super) outdated: Arc<HashSet<u32>>,
    /// The mirrors whose list is not held.
    pub(super) unlisted: Vec<u16>,
    /// Whether it was gathered to the end.
    pub is_whole: bool,
    /// Whether something was left out for lack of room.
    pub is_cut: bool,
}

/// The indexes that a search may look into.
#[derive(Debug)]
pub struct SearchScope(Vec<bool>);

/// What one index has of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding<'a> {
    /// The index.
    pub index: &'a IndexName,
    /// Why it has it.
    pub origin: ProjectOrigin,
    /// The version that says the rest; empty if none is known.
    pub version: &'a str,
    /// Its summary; empty if none is known.
    pub summary: &'a str,
}

impl Catalogue {
    /// An empty one.
    #[must_use]
    pub fn new(limits: &SearchLimits) -> Self {
        Self {
            in_force: ArcSwap::default(),
            typos: Typos::default(),
            permits: Permits::new(limits.searches, WaitMeter::default()),
            notices: CatalogueNotices::default(),
            is_wanted: AtomicBool::new(false),
            // Places in texts are numbers of 32 bits.
            bytes_max: usize::try_from(limits.search_memory.min(2 << 30)).unwrap_or(usize::MAX),
        }
    }

    /// The edition in force.
    #[must_use]
    pub fn edition(&self) -> Arc<Edition> {
        self.in_force.load_full()
    }

    pub(super) fn publish(&self, edition: Edition) {
        self.in_force.store(Arc::new(edition));
    }

    /// A place for one search, if one is free.
    #[must_use]
    pub fn try_begin(&self) -> Option<HeldPermits> {
        self.permits.try_take()
    }

    /// All places, for a test.
    #[cfg(test)]
    pub fn occupy(&self) -> HeldPermits {
        self.permits.try_take_many(self.permits.size()).unwrap()
    }

    /// The names that fit best, at most so many, the best first; of those that indexes in the scope have. What
    /// a release says counts if `may_tell` lets it, which is asked as late as it can be.
    pub fn search<'a>(
        &self,
        edition: &'a Edition,
        query: &SearchQuery,
        scope: (&SearchScope, usize),
        may_tell: MayTell<'a>,
    ) -> impl Iterator<Item = ProjectName> + 'a {
        self.is_wanted.store(true, Ordering::Relaxed);
        edition.search(query, scope, &self.typos, may_tell)
    }

    /// Whether somebody has searched since the last call.
    #[must_use]
    pub fn was_searched(&self) -> bool {
        self.is_wanted.swap(false, Ordering::Relaxed)
    }

    /// Notes that a project was asked for on a mirror.
    pub fn asked_for(&self, index: &IndexName, project: &ProjectName) {
        self.notices.asked_for(index, project);
    }

    /// Notes what a release of a mirror's project says.
    pub fn described(&self, index: &IndexName, project: &ProjectName, about: ReleaseAbout) {
        self.notices.described(index, project, about);
    }

    /// Notes that a mirror's list was kept.
    pub fn listed(&self) {
        self.notices.listed();
    }
}

impl Edition {
    /// The indexes that are wanted, as a scope of this edition.
    #[must_use]
    pub fn scope(&self, is_wanted: impl Fn(&IndexName) -> bool) -> SearchScope {
        SearchScope(self.indexes.iter().map(is_wanted).collect())
    }

    /// Whether the list of each mirror in the scope is held.
    #[must_use]
    pub fn has_lists(&self, scope: &SearchScope) -> bool {
        !self.unlisted.iter().any(|index| scope.has(*index))
    }

    /// How many names upstreams list, and how many projects indexes have themselves or asked for.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let entries = self.base.entries.len() - self.outdated.len() + self.recent.entries.len();
        (self.lists.names.len(), entries)
    }

    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lists.bytes() + self.base.bytes() + self.recent.bytes()
    }

    fn search<'a>(
        &'a self,
        query: &SearchQuery,
        (scope, most): (&SearchScope, usize),
        typos: &Typos,
        may_tell: MayTell<'a>,
    ) -> impl Iterator<Item = ProjectName> + 'a {
        let mut candidates = Vec::new();
        for query in query.alternatives() {
            self.gather(&query, (scope, most), typos, &mut candidates);
        }
        let (mut candidates, mut seen) = (BinaryHeap::from(candidates), HashSet::new());
        let mut checks_left = CHECKS_MAX;
        let next = std::iter::from_fn(move || {
            loop {
                let Candidate {
                    name: Reverse(name),
                    told_by: Reverse(told_by),
                    ..
                } = candidates.pop()?;
                if seen.contains(name) {
                    continue;
                }
                if let Some((shelf, number)) = told_by {
                    let shelf = [&self.base, &self.recent][shelf];
                    let entry = &shelf.entries[number as usize];
                    let holding = self.holding(entry.index, entry.origin, shelf.texts(entry));
                    if checks_left == 0 || !may_tell(name, holding) {
                        checks_left = checks_left.saturating_sub(1);
                        continue;
                    }
                }
                seen.insert(name);
                if let Ok(name) = ProjectName::parse(name) {
                    return Some(name);
                }
            }
        });
        next.take(most)
    }

    /// Adds what fits one query.
    fn gather<'a>(
        &'a self,
        query: &SearchQuery,
        (scope, most): (&SearchScope, usize),
        typos: &Typos,
        candidates: &mut Vec<Candidate<'a>>,
    ) {
        let in_base = |number: u32, entry: &ShelfEntry| {
            scope.has(entry.index) && !self.outdated.contains(&number)
        };
        let base = self.base.find(query, typos, &in_base);
        let recent = self
            .recent
            .find(query, typos, &|_, entry| scope.has(entry.index));
        for (shelf, claims) in [(0, base), (1, recent)] {
            let names = [&self.base.names, &self.recent.names][shelf];
            candidates.extend(claims.into_iter().map(|claim| Candidate {
                score: claim.score,
                name: Reverse(names.name(claim.name)),
                told_by: Reverse(claim.told_by.map(|number| (shelf, number))),
            }));
        }
        let shown = self.lists.shown(|index| scope.has(index));
        let listed = self.lists.names.find(query, typos, &|name| shown.has(name));
        let listed = best_of(listed, most).into_iter();
        candidates.extend(listed.map(|(name, score)| Candidate {
            score,
            name: Reverse(self.lists.names.name(name)),
            told_by: Reverse(None),
        }));
    }

    /// What indexes in the scope have of a project, in the order of their names; those that only list it, too.
    #[must_use]
    pub fn holdings(&self, project: &ProjectName, scope: &SearchScope) -> Vec<Holding<'_>> {
        let mut found: BTreeMap<u16, Holding<'_>> = BTreeMap::new();
        if let Some(name) = self.lists.names.number(project.as_str()) {
            for index in self.lists.mirrors_of(name) {
                found.insert(
                    *index,
                    self.holding(*index, ProjectOrigin::Listed, ("", "")),
                );
            }
        }
        for (shelf, is_base) in [(&self.base, true), (&self.recent, false)] {
            let Some(name) = shelf.names.number(project.as_str()) else {
                continue;
            };
            for (number, entry) in shelf.entries_of(name) {
                if !(is_base && self.outdated.contains(&number)) {
                    let holding = self.holding(entry.index, entry.origin, shelf.texts(entry));
                    found.insert(entry.index, holding);
                }
            }
        }
        let shown = found.into_iter().filter(|(index, _)| scope.has(*index));
        let mut shown: Vec<Holding<'_>> = shown.map(|(_, holding)| holding).collect();
        shown.sort_by_key(|holding| holding.index);
        shown
    }

    fn holding<'a>(
        &'a self,
        index: u16,
        origin: ProjectOrigin,
        (version, summary): (&'a str, &'a str),
    ) -> Holding<'a> {
        Holding {
            index: &self.indexes[usize::from(index)],
            origin,
            version,
            summary,
        }
    }
}

impl SearchScope {
    fn has(&self, index: u16) -> bool {
        self.0.get(usize::from(index)).copied().unwrap_or(false)
    }
}

/// The best, at most so many names, each once with its best score. Names are numbered in their order.
fn best_of(mut found: Vec<(u32, u32)>, most: usize) -> Vec<(u32, u32)> {
    let order = |(name, score): &(u32, u32)| (Reverse(*score), *name);
    // A name may have been found in five ways.
    let enough = most.saturating_mul(5);
    if found.len() > enough && enough > 0 {
        found.select_nth_unstable_by_key(enough - 1, order);
        found.truncate(enough);
    }
    found.sort_unstable_by_key(order);
    let mut seen = HashSet::new();
    found.retain(|(name, _)| seen.insert(*name));
    found.truncate(most);
    found
}
