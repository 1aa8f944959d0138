//! Keeps the catalogue up to date: gathers all of it once, then follows what changes.
//!
//! Changes make a small shelf of their own, which outdates entries of the large one; once it has grown, both
//! become one. Whatever is being made, the edition before it is searched.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::db::{Change, ChangeKind, Db, DbError, Serial};
use crate::model::{IndexName, ProjectName};
use crate::search::about::ReleaseAbout;
use crate::search::edition::{Catalogue, Edition};
use crate::search::gather;
use crate::search::lists::ListedNames;
use crate::search::notices::Noticed;
use crate::search::rank::ProjectOrigin;
use crate::search::shelf::Shelf;
use crate::search::shelving::{Item, Shelving};
use crate::store::FsStore;

/// Changed projects from which on the large shelf is made again: the small one is made after each change.
const RECENT_MAX: usize = 1_000;

/// Changes that are followed one by one; after more, everything is gathered again.
const CHANGES_MAX: u32 = 5_000;

/// An index whose projects are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CataloguedIndex {
    /// `user/index`.
    pub name: IndexName,
    /// Whether it has an upstream; otherwise it takes uploads.
    pub is_mirror: bool,
}

/// A project on an index, by the index's number.
type Place = (ProjectName, u16);

/// What has changed of a project: what is said of it now, or that it is gone.
type Turned = Option<(ProjectOrigin, ReleaseAbout)>;

/// Follows records, mirrors' lists and what flows notice.
#[derive(Debug)]
pub struct CatalogueKeeper {
    catalogue: Arc<Catalogue>,
    records: Arc<dyn Db>,
    store: Arc<FsStore>,
    indexes: Vec<CataloguedIndex>,
    /// Every index that was ever catalogued, by its number.
    names: Vec<IndexName>,
    as_of: Option<Serial>,
    lists: Arc<ListedNames>,
    /// The mirrors whose list is not held.
    unlisted: Vec<u16>,
    base: Arc<Shelf>,
    is_base_full: bool,
    recent: BTreeMap<Place, Turned>,
}

impl CatalogueKeeper {
    /// Of a catalogue that nobody else follows.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, records: Arc<dyn Db>, store: Arc<FsStore>) -> Self {
        Self {
            catalogue,
            records,
            store,
            indexes: Vec::new(),
            names: Vec::new(),
            as_of: None,
            lists: Arc::default(),
            unlisted: Vec::new(),
            base: Arc::default(),
            is_base_full: false,
            recent: BTreeMap::new(),
        }
    }

    /// Brings the catalogue up to date; what is searched are these indexes.
    ///
    /// # Errors
    /// When the records cannot be read: what is in force stays, and the next call goes on.
    pub async fn follow(&mut self, indexes: Vec<CataloguedIndex>) -> Result<(), DbError> {
        let Some(as_of) = self.as_of.filter(|_| self.indexes == indexes) else {
            return self.gather(indexes).await;
        };
        let changes = self.records.changes_after(as_of, CHANGES_MAX).await?;
        if changes.len() >= CHANGES_MAX as usize || changes.iter().any(concerns_many) {
            return self.gather(indexes).await;
        }
        let staged = self.follow_stages(&changes).await?;
        let noticed = self.catalogue.notices.take();
        if noticed.is_list_new {
            self.read_lists().await;
        }
        let is_new = noticed.is_list_new || !staged.is_empty();
        self.recent.extend(staged);
        let is_new = self.follow_mirrors(noticed).await || is_new;
        if let Some(last) = changes.last() {
            self.as_of = Some(last.serial);
        }
        if self.recent.len() > RECENT_MAX {
            self.merge().await;
        }
        if is_new {
            self.publish(true).await;
        }
        Ok(())
    }

    /// Reads everything that is held.
    async fn gather(&mut self, indexes: Vec<CataloguedIndex>) -> Result<(), DbError> {
        let as_of = self.records.serial().await?;
        for index in &indexes {
            if !self.names.contains(&index.name) {
                self.names.push(index.name.clone());
            }
        }
        self.indexes = indexes;
        self.read_lists().await;
        self.publish(self.as_of.is_some()).await;
        let mut shelving = Shelving::new(self.catalogue.bytes_max / 2);
        for (number, index) in self.numbered(false) {
            let mut put = |project: &ProjectName, about: &ReleaseAbout| {
                let turned = (ProjectOrigin::Private, about);
                put(&mut shelving, (project.as_str(), number), turned);
            };
            gather::staged(&*self.records, &index, &mut put).await?;
        }
        let (store, mirrors) = (Arc::clone(&self.store), self.numbered(true));
        let shelved = spawn_blocking(move || {
            for (number, index) in mirrors {
                let held = store.held_pages(&index).unwrap_or_else(|error| {
                    tracing::error!(%index, %error, "which pages are held cannot be read");
                    Vec::new()
                });
                for project in held {
                    let about = gather::known(&store, &index, &project).unwrap_or_default();
                    let turned = (ProjectOrigin::AskedFor, &about);
                    put(&mut shelving, (project.as_str(), number), turned);
                }
            }
            let is_full = shelving.is_full();
            (shelving.finish(), is_full)
        });
        if let Ok((base, is_full)) = shelved.await {
            (self.base, self.is_base_full) = (Arc::new(base), is_full);
            self.recent.clear();
            self.as_of = Some(as_of);
            self.publish(true).await;
        }
        Ok(())
    }

    /// What has become of the projects of stages.
    async fn follow_stages(&self, changes: &[Change]) -> Result<Vec<(Place, Turned)>, DbError> {
        let concerned = changes
            .iter()
            .filter_map(|change| Some((change.index.as_ref()?, change.project.as_ref()?)));
        let concerned: HashSet<(&IndexName, &ProjectName)> = concerned.collect();
        let numbers: HashMap<IndexName, u16> = by_name(self.numbered(false));
        let mut turned = Vec::new();
        for (index, project) in concerned {
            let Some(number) = numbers.get(index) else {
                continue;
            };
            let about = gather::staged_project(&*self.records, index, project).await?;
            let now = about.map(|about| (ProjectOrigin::Private, about));
            turned.push(((project.clone(), *number), now));
        }
        Ok(turned)
    }

    /// Takes what was noticed of mirrors; tells whether anything of it is new.
    async fn follow_mirrors(&mut self, noticed: Noticed) -> bool {
        let numbers = by_name(self.numbered(true));
        let mut asked = Vec::new();
        for ((index, project), about) in noticed.projects {
            let Some(number) = numbers.get(&index) else {
                continue;
            };
            let place = (project, *number);
            if about.is_some() || !self.has(&place) {
                asked.push((place, index, about));
            }
        }
        if asked.is_empty() {
            return false;
        }
        let store = Arc::clone(&self.store);
        let turned = spawn_blocking(move || {
            let turned = asked.into_iter().map(|(place, index, about)| {
                let known = gather::known(&store, &index, &place.0);
                (place.clone(), say(&store, (&index, &place.0), known, about))
            });
            turned.collect::<Vec<(Place, ReleaseAbout)>>()
        });
        let turned = turned.await.unwrap_or_default().into_iter();
        let turned = turned.map(|(place, about)| (place, Some((ProjectOrigin::AskedFor, about))));
        self.recent.extend(turned);
        true
    }

    /// Whether a project has an entry.
    fn has(&self, place: &Place) -> bool {
        match self.recent.get(place) {
            Some(turned) => turned.is_some(),
            None => entry_in(&self.base, place).is_some(),
        }
    }

    /// Makes one shelf of both.
    async fn merge(&mut self) {
        let (base, recent) = (Arc::clone(&self.base), take(&mut self.recent));
        let (outdated, bytes_max) = (outdated(&base, &recent), self.catalogue.bytes_max / 2);
        let merged = spawn_blocking(move || {
            let mut shelving = Shelving::new(bytes_max);
            shelving.put_all(&base, &|number| !outdated.contains(&number));
            put_recent(&mut shelving, &recent);
            let is_full = shelving.is_full();
            (shelving.finish(), is_full)
        });
        match merged.await {
            Ok((base, is_full)) => (self.base, self.is_base_full) = (Arc::new(base), is_full),
            // What was recent is lost, so everything is read again.
            Err(_) => self.as_of = None,
        }
    }

    async fn read_lists(&mut self) {
        let (store, mirrors) = (Arc::clone(&self.store), self.numbered(true));
        let bytes_max = self.catalogue.bytes_max / 2;
        let read = move || {
            let lists = gather::lists(&store, &mirrors);
            let is_unlisted = |number: &u16| !lists.iter().any(|(listed, _)| listed == number);
            let numbers = mirrors.iter().map(|(number, _)| *number);
            let unlisted = numbers.filter(is_unlisted).collect();
            (ListedNames::join(&lists, bytes_max), unlisted)
        };
        if let Ok((lists, unlisted)) = spawn_blocking(read).await {
            (self.lists, self.unlisted) = (Arc::new(lists), unlisted);
        }
    }

    async fn publish(&self, is_whole: bool) {
        let (base, recent) = (Arc::clone(&self.base), self.recent.clone());
        let bytes_max = self.catalogue.bytes_max / 2;
        let made = spawn_blocking(move || {
            let mut shelving = Shelving::new(bytes_max);
            put_recent(&mut shelving, &recent);
            (outdated(&base, &recent), shelving.finish())
        });
        let Ok((outdated, recent)) = made.await else {
            return;
        };
        self.catalogue.publish(Edition {
            indexes: self.names.clone(),
            lists: Arc::clone(&self.lists),
            base: Arc::clone(&self.base),
            recent: Arc::new(recent),
            outdated: Arc::new(outdated),
            unlisted: self.unlisted.clone(),
            is_whole,
            is_cut: self.is_base_full || self.lists.is_full(),
        });
    }

    /// The mirrors, or the stages, with their numbers. What 16 bits do not count is not searched.
    fn numbered(&self, is_mirror: bool) -> Vec<(u16, IndexName)> {
        let wanted = self.indexes.iter().filter(|one| one.is_mirror == is_mirror);
        let numbered = wanted.filter_map(|one| {
            let position = self.names.iter().position(|name| *name == one.name)?;
            Some((u16::try_from(position).ok()?, one.name.clone()))
        });
        numbered.collect()
    }
}

fn by_name(numbered: Vec<(u16, IndexName)>) -> HashMap<IndexName, u16> {
    let named = numbered.into_iter();
    named.map(|(number, name)| (name, number)).collect()
}

/// Whether a change is of more than one project.
fn concerns_many(change: &Change) -> bool {
    match change.kind {
        ChangeKind::IndexDeleted | ChangeKind::UserDeleted | ChangeKind::Restored => true,
        ChangeKind::UserCreated
        | ChangeKind::UserModified
        | ChangeKind::IndexCreated
        | ChangeKind::IndexModified
        | ChangeKind::Published
        | ChangeKind::ProjectDeleted
        | ChangeKind::ReleaseDeleted
        | ChangeKind::FileDeleted
        | ChangeKind::TokenCreated
        | ChangeKind::TokenDeleted
        | ChangeKind::Recalled
        | ChangeKind::RecallWithdrawn => false,
    }
}

/// What is said of a mirror's project after something was noticed; kept if it is new. Blocking.
fn say(
    store: &FsStore,
    place: (&IndexName, &ProjectName),
    known: Option<ReleaseAbout>,
    about: Option<ReleaseAbout>,
) -> ReleaseAbout {
    let newer = about.filter(|about| {
        known
            .as_ref()
            .is_none_or(|known| about.is_newer_than(known))
    });
    let Some(newer) = newer else {
        return known.unwrap_or_default();
    };
    if known.as_ref() != Some(&newer)
        && let Err(error) = gather::keep(store, place, &newer)
    {
        let (index, project) = place;
        tracing::error!(%index, %project, %error, "what a project says of itself is not kept");
    }
    newer
}

fn put(
    shelving: &mut Shelving,
    (name, index): (&str, u16),
    (origin, about): (ProjectOrigin, &ReleaseAbout),
) {
    let item = Item {
        name,
        index,
        origin,
        version: &about.version,
        summary: &about.summary,
    };
    shelving.put(item, about.texts());
}

fn put_recent(shelving: &mut Shelving, recent: &BTreeMap<Place, Turned>) {
    for ((project, index), turned) in recent {
        if let Some((origin, about)) = turned {
            put(shelving, (project.as_str(), *index), (*origin, about));
        }
    }
}

/// The entries that something recent stands in for.
fn outdated(base: &Shelf, recent: &BTreeMap<Place, Turned>) -> HashSet<u32> {
    recent
        .keys()
        .filter_map(|place| entry_in(base, place))
        .collect()
}

fn entry_in(shelf: &Shelf, (project, index): &Place) -> Option<u32> {
    let name = shelf.names.number(project.as_str())?;
    let mut entries = shelf.entries_of(name);
    let found = entries.find(|(_, entry)| entry.index == *index);
    found.map(|(number, _)| number)
}

#[cfg(test)]
mod tests;
